"""Edges of two wires -> the bits of a card."""

from __future__ import annotations

import threading
from collections import deque

END_NS = 20_000_000
"""A frame is over after so long without a pulse; readers leave 1 to 2 ms between two."""
NEAREST_NS = 100_000
"""Two pulses that come closer together are noise, and spoil the frame."""
LONGEST_BITS = 64
MOST = 4 * LONGEST_BITS
"""Pulses that are kept; more of them without an end are noise, and dropped."""
FRAMES = 8
"""Frames that wait for whoever reads them."""


class PulseTrain:
    """Falling edges of D0 and D1, each with the kernel's time -> frames of bits.

    Stamps are compared with each other only: of which clock they are differs between kernels. When
    a frame is over the time says at which edges were heard of.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pulses: list[tuple[int, int]] = []
        self._noise = False
        self._heard = 0
        self._frames: deque[str] = deque(maxlen=FRAMES)

    @property
    def pending(self) -> bool:
        """Return whether a frame has begun and is not over."""
        with self._lock:
            return bool(self._pulses) or self._noise

    def pulse(self, bit: int, stamp_ns: int, now_ns: int) -> None:
        """Take a pulse; from any thread, those of two lines in any order."""
        with self._lock:
            self._heard = now_ns
            if len(self._pulses) < MOST and not self._noise:
                self._pulses.append((stamp_ns, bit))
            else:
                self._pulses, self._noise = [], True

    def frame(self, now_ns: int) -> str | None:
        """Return the next frame that is over; None when there is none."""
        with self._lock:
            if (self._pulses or self._noise) and now_ns - self._heard >= END_NS:
                self._finish()
            return self._frames.popleft() if self._frames else None

    def _finish(self) -> None:
        pulses, self._pulses, self._noise = sorted(self._pulses), [], False
        bits, spoilt, last = "", False, None
        for stamp, bit in pulses:
            gap = END_NS if last is None else stamp - last
            if gap >= END_NS:
                self._keep(bits, spoilt)
                bits, spoilt = "", False
            spoilt = spoilt or gap < NEAREST_NS
            bits, last = bits + str(bit), stamp
        self._keep(bits, spoilt)

    def _keep(self, bits: str, spoilt: bool) -> None:
        if bits and not spoilt and len(bits) <= LONGEST_BITS:
            self._frames.append(bits)
