"""The access plan: the rules of a gate as data, replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from enum import StrEnum

from gated.core.schedule import ALWAYS, Schedule
from gated.core.values import PersonRef


class AntiPassback(StrEnum):
    """The answer to a second entry without an exit between."""

    OFF = "off"
    SOFT = "soft"
    """Let in, with a flag in the log."""
    HARD = "hard"
    TIMED = "timed"
    """Refuse for some time after the entry."""


class WithoutHub(StrEnum):
    """Anti-passback and occupancy while there is no news of the site's other gates."""

    LOCAL = "local"
    """Apply them to this gate's own passages and the last news."""
    SOFT = "soft"
    """Let in, with a flag in the log."""
    DENY = "deny"
    """Refuse all entries if one of these rules could refuse."""


class UnsetClock(StrEnum):
    """Rules that depend on the time while the clock is not set."""

    REFUSE = "refuse"
    TRUST = "trust"
    """Use the clock as it is."""


@dataclass(frozen=True, slots=True)
class SiteRules:
    """Rules for everybody at this door. Times in seconds, times of day in minutes.

    A person who is inside for `forgive_after_s`, or since before the last `forgive_at` in local
    time, counts as outside again, so that an exit which the gate did not see (a fire door, a door
    held for a colleague) locks nobody out the next morning.
    """

    anti_passback: AntiPassback = AntiPassback.OFF
    timed_s: float = 15 * 60.0
    forgive_after_s: float = 16 * 3600.0
    forgive_at: int | None = None
    occupancy: int | None = None
    """Limit of people inside."""
    two_person: bool = False
    """Two people who may pass have to open the door together."""
    two_factors: int | None = None
    """While this schedule is open everybody needs a second factor."""
    credential_alone: bool = False
    """A card, PIN or badge is enough, also for people with a face in the gallery."""
    partner_s: float = 15.0
    """Waiting time for a second person, an escort, a second factor or the face."""
    escort_s: float = 15.0
    """Time after an escort has passed in which people who need one may follow."""
    first_in: int | None = None
    """After the first grant in this schedule the door stays unlocked until it closes."""
    unset_clock: UnsetClock = UnsetClock.REFUSE
    without_hub: WithoutHub = WithoutHub.LOCAL

    @property
    def count_people(self) -> bool:
        """True where a rule depends on who is inside."""
        return self.anti_passback is not AntiPassback.OFF or self.occupancy is not None

    @property
    def refuse_by_presence(self) -> bool:
        """True where a rule may refuse people because of who is inside."""
        return self.occupancy is not None or self.anti_passback in (
            AntiPassback.HARD,
            AntiPassback.TIMED,
        )


@dataclass(frozen=True, slots=True)
class AccessGroup:
    """People with the same rights: they pass this door while one of these schedules is open."""

    id: int
    name: str
    schedules: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pass:
    """The access of one person. Times in UTC seconds; `valid_until` is exclusive.

    leaves_at: the end of the last day, in local time of this gate.
    """

    person: PersonRef
    active: bool = True
    groups: tuple[int, ...] = ()
    valid_from: float | None = None
    valid_until: float | None = None
    visitor: bool = False
    face: bool = True
    """False for people who refuse recognition or cannot be: a card, PIN or badge is enough."""
    two_factors: bool = False
    needs_escort: bool = False
    may_escort: bool = False
    exempt: bool = False
    """Exempt from anti-passback and occupancy."""
    extended: bool = False
    """Needs more time to go through the door."""
    leaves_at: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AccessPlan:
    """All rules of one gate.

    groups: those that open any door of the site; without schedules where not this one. people:
    everybody who has a credential, a group or a rule of their own; all others are members of no
    group. ungrouped: the schedules of people in none of the groups.
    """

    zone: tzinfo = UTC
    schedules: Mapping[int, Schedule] = field(default_factory=dict)
    holidays: frozenset[date] = frozenset()
    groups: Mapping[int, AccessGroup] = field(default_factory=dict)
    people: Mapping[int, Pass] = field(default_factory=dict)
    ungrouped: tuple[int, ...] = (ALWAYS,)
    rules: SiteRules = SiteRules()
    generation: int = 0
    faces: bool = True
    """False at a gate that its hub has revoked for too long: nobody passes by face."""

    def wall(self, utc: float) -> datetime:
        """Return the local time at the site."""
        return datetime.fromtimestamp(utc, self.zone)

    def is_open(self, schedule_id: int, utc: float) -> bool:
        """Return whether a schedule is open at this time; an unknown one never is."""
        if schedule_id == ALWAYS:
            return True
        schedule = self.schedules.get(schedule_id)
        return schedule is not None and schedule.is_open(self.wall(utc), self.holidays)

    def groups_of(self, pass_: Pass) -> list[AccessGroup]:
        """Return the groups of this person that open any door."""
        return [self.groups[id_] for id_ in pass_.groups if id_ in self.groups]

    def schedules_of(self, pass_: Pass) -> tuple[int, ...]:
        """Return the schedules in which this person may pass, without duplicates."""
        groups = self.groups_of(pass_)
        if not groups:
            return self.ungrouped
        return tuple(dict.fromkeys(id_ for group in groups for id_ in group.schedules))

    def name_of(self, schedule_id: int) -> str:
        """Return the name of a schedule."""
        if schedule_id == ALWAYS:
            return "always"
        schedule = self.schedules.get(schedule_id)
        return schedule.name if schedule else f"schedule {schedule_id}"
