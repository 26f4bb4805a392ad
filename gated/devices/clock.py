"""Clocks: of the machine, judged by evidence, and set by hand."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

from gated.core.clock import Evidence, judge, judged
from gated.core.values import Instant
from gated.ports import Clock

RTC_EPOCH = 1_735_689_600.0
"""2025-01-01: an earlier time was never set (computers without a battery start at 1970)."""

TIMESYNC = Path("/run/systemd/timesync/synchronized")
OTHER_SERVICES = tuple(map(Path, ("/run/chrony", "/run/ntpd.pid", "/run/ntpsec")))
"""Files of other time services while they run: then the kernel knows whether the clock is set."""

RECHECK_S = 5.0


class SystemClock:
    """The machine's clocks. clock_ok: UTC is plausible and, where detectable, synchronised."""

    def __init__(self, marker: Path = TIMESYNC) -> None:
        self._marker = marker
        self._synchronised = False
        self._checked = -RECHECK_S

    def now(self) -> Instant:
        """Read both clocks."""
        mono, utc = time.monotonic(), time.time()
        if mono - self._checked >= RECHECK_S:
            self._checked = mono
            self._synchronised = _synchronised(self._marker)
        return Instant(mono, utc, self._synchronised and utc >= RTC_EPOCH)


def _synchronised(marker: Path) -> bool:
    # timesyncd writes its marker late on a warm boot, other time services never do: a missing
    # marker means something only while timesyncd's directory is there
    if marker.exists():
        return True
    if marker.parent.is_dir():
        return False
    # without any time service the kernel never reports a synchronisation
    return _kernel_is_synchronised() or not any(path.exists() for path in OTHER_SERVICES)


class _Timex(ctypes.Structure):
    """The first word of struct timex and space for the rest; modes 0: read only."""

    _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_byte * 252))


TIME_ERROR = 5


def _kernel_is_synchronised() -> bool:
    """Return whether a time service has marked the kernel's clock as synchronised."""
    try:
        state = int(ctypes.CDLL(None).adjtimex(ctypes.byref(_Timex())))
    except (OSError, AttributeError):
        return False
    return 0 <= state < TIME_ERROR


class JudgedClock:
    """Wraps another clock, and judges each reading by the evidence."""

    def __init__(self, clock: Clock) -> None:
        self.raw = clock
        self.evidence = Evidence()
        """Replaced as a whole, by any thread."""

    def now(self) -> Instant:
        """Read the clock, judged."""
        return judged(self.raw.now(), self.evidence)

    @property
    def trusted(self) -> bool:
        """True where decisions that cannot be undone may depend on the time."""
        return judge(self.raw.now(), self.evidence).trusted


class ManualClock:
    """A clock that only moves by `advance` and `step_utc`."""

    def __init__(self, mono: float = 1000.0, utc: float = 1.8e9, clock_ok: bool = True) -> None:
        self.mono = mono
        self.utc = utc
        self.clock_ok = clock_ok
        self.doubted = False

    def now(self) -> Instant:
        """Return the time it was set to."""
        return Instant(self.mono, self.utc, self.clock_ok, self.doubted)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self.mono += seconds
        self.utc += seconds

    def step_utc(self, seconds: float) -> None:
        """Set UTC as a time service does; the monotonic clock stays."""
        self.utc += seconds
