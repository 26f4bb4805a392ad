"""Judges whether this machine's clock can be trusted.

A clock is trusted when it continues from a moment at which it was known to be right: within one
boot by the monotonic clock, over a restart within the time that the machine may have been off.
Otherwise the hub or an administrator has to confirm it. A doubtful clock is used for decisions that
can be undone, never for those that cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from gated.core.values import Instant

CLOCK_UNSET, CLOCK_FIXED = "clock_unset", "clock_fixed"
"""Flags of the attendance log: logged while the clock was not right; corrected afterwards."""

LEAP_S = 120.0
"""Smaller steps of the clock are tolerated."""

DRIFT = 5e-4
"""Tolerated drift between the two clocks: ten times that of a cheap crystal."""

HUB_AGREES_S = 300.0
"""Largest difference from the hub's time."""
HUB_COUNTS_S = 86_400.0
"""Time for which a hub's confirmation counts."""

SETTLE_S = 120.0
"""Time after a boot in which a time service sets the clock."""

DAY_S = 86_400.0


class ClockStanding(StrEnum):
    TRUSTED = "trusted"
    DOUBTFUL = "doubtful"
    UNSET = "unset"


class Doubt(StrEnum):
    """Reasons not to trust a clock."""

    NOT_SYNCHRONISED = "not_synchronised"
    SETTLING = "settling"
    LEAPT = "leapt"
    AHEAD = "ahead"
    BEHIND = "behind"
    HUB_DISAGREES = "hub_disagrees"


@dataclass(frozen=True, slots=True)
class Known:
    """A moment at which the clock was right, on both clocks of one boot. by: the source."""

    utc: float
    mono: float
    boot: str
    by: str = "clock"

    @classmethod
    def read(cls, stored: Any) -> Self | None:
        """Read a stored one; None for anything else."""
        try:
            utc, mono = float(stored["utc"]), float(stored["mono"])
            return cls(utc, mono, str(stored["boot"]), str(stored["by"]))
        except (KeyError, TypeError, ValueError):
            return None

    def leap(self, now: Instant) -> float:
        """Return the seconds by which the clock was set since, within the same boot."""
        return (now.utc - now.mono) - (self.utc - self.mono)

    def allows(self, now: Instant, tolerance_s: float = LEAP_S) -> bool:
        """Return whether the clock of the same boot continues from here."""
        return abs(self.leap(now)) <= tolerance_s + DRIFT * abs(now.mono - self.mono)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts for judging a clock.

    boot: the present one. known: when the clock was last right. hub: the time last received from a
    hub that trusts its own clock. off_s: how long the machine may have been off.
    """

    boot: str = ""
    known: Known | None = None
    hub: Known | None = None
    off_s: float = DAY_S


@dataclass(frozen=True, slots=True)
class ClockTrust:
    """The judgement of a clock. by_s: its difference from the expected time, where known."""

    standing: ClockStanding = ClockStanding.TRUSTED
    doubt: Doubt | None = None
    by_s: float = 0.0

    @property
    def trusted(self) -> bool:
        """True where decisions that cannot be undone may depend on it."""
        return self.standing is ClockStanding.TRUSTED

    @property
    def shows_time(self) -> bool:
        """True where rules that depend on the time may use it."""
        if self.doubt is Doubt.HUB_DISAGREES:
            return False
        backwards = self.doubt in (Doubt.BEHIND, Doubt.LEAPT) and self.by_s < -DAY_S
        return self.standing is not ClockStanding.UNSET and not backwards

    @property
    def doubted(self) -> bool:
        """True where rows of the log need a flag that their time may be wrong."""
        return not self.trusted and self.doubt is not Doubt.SETTLING

    @property
    def problem(self) -> str:
        """The name of the problem in the state and in `/health`; empty for none."""
        if not self.doubted:
            return ""
        return "clock_unset" if self.standing is ClockStanding.UNSET else "clock_doubtful"

    def __str__(self) -> str:
        return "" if self.doubt is None else _TEXTS[self.doubt].format(by=_duration(self.by_s))


_TEXTS = {
    Doubt.NOT_SYNCHRONISED: "the clock is not synchronised",
    Doubt.SETTLING: "the machine has just started: the clock may still be set",
    Doubt.LEAPT: "the clock was set by {by}",
    Doubt.AHEAD: "the clock is {by} ahead of when it was last right",
    Doubt.BEHIND: "the clock shows {by} before when it was last right",
    Doubt.HUB_DISAGREES: "the clock is {by} off the hub's",
}


def judge(now: Instant, evidence: Evidence) -> ClockTrust:
    """Judge the clock that shows `now`. now.clock_ok: the clock claims to be synchronised."""
    hub = _of_this_boot(evidence.hub, evidence.boot)
    if hub is not None and 0.0 <= now.mono - hub.mono <= HUB_COUNTS_S:
        return _by_hub(now, hub)
    known = evidence.known
    if (here := _of_this_boot(known, evidence.boot)) is not None:
        if here.allows(now):
            return ClockTrust()
        return _untrusted(now, Doubt.LEAPT, here.leap(now))
    if not now.clock_ok:
        return _untrusted(now, Doubt.NOT_SYNCHRONISED, 0.0)
    if known is not None:
        passed = now.utc - known.utc
        if passed < -LEAP_S:
            return ClockTrust(ClockStanding.DOUBTFUL, Doubt.BEHIND, passed)
        if passed - now.mono > evidence.off_s:
            return ClockTrust(ClockStanding.DOUBTFUL, Doubt.AHEAD, passed)
    if now.mono < SETTLE_S:
        return ClockTrust(ClockStanding.DOUBTFUL, Doubt.SETTLING)
    return ClockTrust()


def judged(now: Instant, evidence: Evidence) -> Instant:
    """Return the same moment with `clock_ok` and `doubted` as judged."""
    trust = judge(now, evidence)
    ok = trust.shows_time if trust.trusted or now.clock_ok else False
    if (ok, trust.doubted) == (now.clock_ok, now.doubted):
        return now
    return Instant(now.mono, now.utc, ok, trust.doubted)


def _of_this_boot(known: Known | None, boot: str) -> Known | None:
    return known if known is not None and known.boot == boot else None


def _by_hub(now: Instant, hub: Known) -> ClockTrust:
    if hub.allows(now, HUB_AGREES_S):
        return ClockTrust()
    return _untrusted(now, Doubt.HUB_DISAGREES, hub.leap(now))


def _untrusted(now: Instant, doubt: Doubt, by_s: float) -> ClockTrust:
    if not now.clock_ok:
        return ClockTrust(ClockStanding.UNSET, Doubt.NOT_SYNCHRONISED, by_s)
    return ClockTrust(ClockStanding.DOUBTFUL, doubt, by_s)


def _duration(seconds: float) -> str:
    seconds = round(abs(seconds))
    for unit, name in ((DAY_S, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds} seconds"
