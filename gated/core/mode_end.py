"""Judges when a mode of the door ends that somebody has set until a time.

Clocks are set and leap, so both clocks are asked, and whatever is doubtful keeps the door locked:
free access ends as soon as either clock says so, a mode that lets nobody in when both do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gated.core.clock import SETTLE_S
from gated.core.values import DoorMode, Instant

LOOK_S = 60.0
"""Interval at which the clock is looked at, as it may have been set meanwhile."""

LONGEST_S = 366 * 86_400.0
"""The latest end of a mode, from when it is set."""


def written(until: float) -> str:
    """Write a UTC time as RFC 3339."""
    return datetime.fromtimestamp(until, UTC).isoformat()


@dataclass(frozen=True, slots=True)
class ModeEnd:
    """The end of a mode, on both clocks: UTC, and monotonic seconds of this boot.

    due: None where the mode was set before the machine started.
    """

    until: float
    due: float | None

    @classmethod
    def at(cls, until: float, now: Instant) -> ModeEnd:
        """Return the end at a UTC time of a mode that is set now."""
        return cls(until, now.mono + until - now.utc)

    def is_over(self, mode: DoorMode, now: Instant) -> bool:
        """Return whether the mode has ended."""
        shown = now.utc >= self.until
        if mode is DoorMode.FREE_ACCESS:
            return shown or self.due is None or now.mono >= self.due
        if self.due is None:
            # only the clock is left, which a time service may still set
            return shown and now.sure and now.mono >= SETTLE_S
        return shown and now.mono >= self.due

    def next_look(self, now: Instant) -> float:
        """Return the monotonic time at which to ask again."""
        left = [self.until - now.utc, LOOK_S]
        if self.due is not None:
            left.append(self.due - now.mono)
        return now.mono + min(s for s in left if s > 0)
