"""The time: of the machine, and by hand."""

from __future__ import annotations

import time
from pathlib import Path

from gated.core.model import Instant

RTC_EPOCH = 1_735_689_600.0
"""2025-01-01: a clock that shows less was never set (computers without a battery start at 1970)."""

TIMESYNC = Path("/run/systemd/timesync/synchronized")
RECHECK_S = 5.0


class SystemClock:
    """The machine's clocks. `clock_ok`: UTC is plausible and, where one can tell, synchronised."""

    def __init__(self, marker: Path = TIMESYNC) -> None:
        self._marker = marker
        self._synchronised = False
        self._checked = -RECHECK_S

    def now(self) -> Instant:
        """Both clocks as of this moment."""
        mono, utc = time.monotonic(), time.time()
        if mono - self._checked >= RECHECK_S:
            self._checked = mono
            self._synchronised = _synchronised(self._marker)
        return Instant(mono, utc, self._synchronised and utc >= RTC_EPOCH)


def _synchronised(marker: Path) -> bool:
    # timesyncd writes its marker late on a warm boot; another time service (chrony, an RTC) never
    # does, so its absence says something only while timesyncd's directory is there
    return marker.exists() or not marker.parent.is_dir()


class ManualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, mono: float = 1000.0, utc: float = 1.8e9, clock_ok: bool = True) -> None:
        self.mono = mono
        self.utc = utc
        self.clock_ok = clock_ok

    def now(self) -> Instant:
        """The moment it was set to."""
        return Instant(self.mono, self.utc, self.clock_ok)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self.mono += seconds
        self.utc += seconds

    def step_utc(self, seconds: float) -> None:
        """Set UTC as a time service does; the monotonic clock goes on undisturbed."""
        self.utc += seconds
