"""Pictures that come again exactly: a recording that is fed in place of the camera.

The noise of a living sensor never repeats, whatever stands still before it.
"""

from __future__ import annotations

from collections import OrderedDict

from gated.core.model import Image

REMEMBERED = 9000
"""Frames, ten minutes at 15 a second; 100 bytes each."""

REPEATED = 15
"""So many pictures in a row, each as long after its last showing, are a loop; shorter ones than
that are none, as two pictures may take turns in the dark."""


class LoopDetector:
    """Whether a stream of frames repeats itself. Frames that merely stand still are no loop.

    known: the newest frame has been shown before.
    """

    def __init__(self, remembered: int = REMEMBERED, repeated: int = REPEATED) -> None:
        self.known = False
        self._remembered, self._repeated = remembered, repeated
        self._seen: OrderedDict[int, int] = OrderedDict()
        self._number = 0
        self._lag = 0
        self._run = 0

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
            self._run = self._run + 1 if lag == self._lag else 1
            self._lag = lag
        return self._lag >= self._repeated and self._run >= self._repeated
