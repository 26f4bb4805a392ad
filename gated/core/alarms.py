"""Alarms: events that somebody must look at, standing until they are acknowledged.

Every recorded event has a severity. `warning` and `alarm` stand, one of each kind, until an
operator acknowledges them. Acts against the door (`SOUNDING`) also sound the alarm for a limited
time, until acknowledged or silenced; each repetition sounds again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from gated.core.values import Severity

DETAILS: Mapping[str, tuple[str, ...]] = {
    "disk_low": ("free_mib",),
    "clock_unset": (),
    "clock_in_doubt": (),
    "frames_missed": ("analysed", "delivered", "seconds"),
    "frames_slow": ("slow_s",),
    "controller_late": ("waited_s",),
    "log_delayed": ("seconds", "waiting"),
    "log_dropping": ("unacknowledged",),
    "service_away": (),
    "templates_unreadable": ("count",),
    "indicator_lost": ("outputs",),
    "camera_frozen": (),
    "camera_looped": (),
    "camera_covered": (),
    "camera_turned": (),
    "certificate_expires": ("until",),
    "database_damaged": (),
    "pin_attempts": ("failures",),
}
"""By the kind of an alarm, or by `why` in its body: the values of which its detail is made.

Pages say such a detail in words of their own. What a device or a library says by itself has none.
"""


def detail_values(kind: str, values: Mapping[str, int | str]) -> dict[str, int | str]:
    """Return what of the values belongs to the detail of an alarm of this kind."""
    known = DETAILS.get(str(values.get("why", kind)), ())
    named = ("why", *known) if values.get("why") in DETAILS else known
    return {name: values[name] for name in named if name in values}


SOUNDING = frozenset(
    {"door_forced", "door_held_open", "door_tamper", "door_fire", "repeated_attacks"}
)
"""Kinds that alert people nearby; a lost camera is no reason for a siren."""


@dataclass(slots=True)
class AlarmSounder:
    """Decides when the sounder is on. sound_s: longest sound of one alarm, in seconds.

    sounds_until: monotonic seconds, None while it is quiet.
    """

    sound_s: float = 180.0
    standing: dict[str, Severity] = field(default_factory=dict)
    sounds_until: float | None = None

    def recorded(self, kind: str, severity: Severity, now: float) -> None:
        """Handle an event that was recorded."""
        if severity == "info":
            return
        if self.standing.get(kind) != "alarm":
            self.standing[kind] = severity
        if kind in SOUNDING:
            self.sounds_until = now + self.sound_s

    def acknowledged(self, kind: str) -> None:
        """Remove an acknowledged alarm; silence the sounder when no other sounding one stands."""
        self.standing.pop(kind, None)
        if not SOUNDING & self.standing.keys():
            self.silence()

    def silence(self) -> None:
        """Silence the sounder until the next alarm."""
        self.sounds_until = None

    def advance(self, now: float) -> None:
        """Silence the sounder when its time is over."""
        if self.sounds_until is not None and now >= self.sounds_until:
            self.silence()


@dataclass(slots=True)
class RepetitionCounter:
    """Detects that something has happened `limit` times within `window_s`; then counts anew."""

    limit: int
    window_s: float
    times: deque[float] = field(default_factory=deque)

    def happened(self, now: float) -> bool:
        """Count one time; return True when the limit is reached."""
        while self.times and now - self.times[0] >= self.window_s:
            self.times.popleft()
        self.times.append(now)
        if len(self.times) < self.limit:
            return False
        self.times.clear()
        return True
