"""Pictures that come again exactly: a recording that is fed in place of the camera.

The noise of a living sensor never repeats, whatever stands still before it.
"""

from __future__ import annotations

from collections import OrderedDict

from gated.core.values import Image

REMEMBERED = 9000
"""Frames, ten minutes at 15 a second; 100 bytes each."""

REPEATED = 15
"""So many different pictures in a row, each as long after its last showing, are a loop. Fewer are
none: where there is no noise, in the dark, a lamp that blinks makes a few pictures take turns."""


class LoopDetector:
    """Find a stream of frames that repeats itself. Frames that merely stand still are no loop.

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
        """Take the next frame; whether it ends a run of frames that all came before."""
        self._number += 1
        digest = hash(image[::8, ::8].tobytes())
        lag = self._number - self._seen.pop(digest, self._number)
        self._seen[digest] = self._number
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        self.known = lag > 0
        if lag != 1:
            # a lag comes to an end within the memory, and with it the set
            if lag != self._lag:
                self._run.clear()
            self._run.add(digest)
            self._lag = lag
        return self._lag >= self._repeated and len(self._run) >= self._repeated
