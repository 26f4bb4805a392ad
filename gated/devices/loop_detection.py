"""Detects pictures that repeat exactly: a recording that is played instead of the camera.

The noise of a real sensor never repeats, however still the scene.
"""

from __future__ import annotations

from collections import OrderedDict

from gated.core.values import Image

REMEMBERED = 9000
"""Frames, ten minutes at 15 a second; 100 bytes each."""

REPEATED = 15
"""A loop is at least this many different pictures in a row, each with the same lag to its previous
showing. Fewer are none: without noise, in the dark, a blinking lamp makes a few pictures alternate.
"""


class LoopDetector:
    """Finds a stream of frames that repeats itself. Frames that merely stand still are no loop.

    known: the newest frame has been shown before.
    """

    def __init__(self, remembered: int = REMEMBERED, repeated: int = REPEATED) -> None:
        self.known = False
        self._remembered, self._repeated = remembered, repeated
        self._seen: OrderedDict[int, int] = OrderedDict()
        self._number = 0
        self._lag = 0
        self._run: set[int] = set()

    def repeats(self, image: Image) -> bool:
        """Take the next frame; return whether it ends a run of repeated frames."""
        self._number += 1
        digest = hash(image[::8, ::8].tobytes())
        lag = self._number - self._seen.pop(digest, self._number)
        self._seen[digest] = self._number
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        self.known = lag > 0
        if lag != 1:
            if lag != self._lag:
                self._run.clear()
            if lag:  # shorter than the memory, which bounds the set; new pictures never end
                self._run.add(digest)
            self._lag = lag
        return self._lag >= self._repeated and len(self._run) >= self._repeated
