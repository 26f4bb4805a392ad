"""Builds the access plan, by which the gate decides, from the stored rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

from sqlalchemy.orm import Session

from gated.access import access_store, schedule_store, site_store
from gated.access.revocation import accepts_faces
from gated.access.site_store import StoredRules
from gated.config import Settings
from gated.core.plan import (
    AccessGroup,
    AccessPlan,
    AntiPassback,
    Pass,
    SiteRules,
    UnsetClock,
    WithoutHub,
)
from gated.core.schedule import ALWAYS, Day, Hours, Schedule
from gated.core.text import is_same
from gated.database.records import GroupRule, PersonAccess, WeeklySchedule
from gated.people import group_store
from gated.people.zones import zone_here
from gated.workspace import Workspace

NOBODY = 0
"""The id of no person: ids begin with 1."""

UNGROUPED = "ungrouped"
"""The stored rule that is not one of SiteRules: people in no group pass at any time."""


def load_plan(workspace: Workspace, person_id: int | None = None) -> AccessPlan:
    """Load the rules of this gate as they are stored now. Raises: StorageError.

    person_id: load the pass of this person only; the passes are most of what has to be read.
    """
    gate = workspace.settings.gate
    with workspace.database.read() as session:
        stored = rules_here(workspace, session)
        zone = zone_here(workspace, session)
        return AccessPlan(
            zone=zone,
            schedules={s.id: schedule_of(s) for s in schedule_store.list_(session)},
            holidays=frozenset(h.day for h in site_store.list_holidays(session, gate.site)),
            groups=_groups(session, gate.name),
            people=_people(session, zone, person_id),
            ungrouped=(ALWAYS,) if stored.values.get(UNGROUPED, True) else (),
            rules=site_rules_of(stored.values),
            generation=stored.version,
            faces=accepts_faces(session, workspace.settings.sync),
        )


def rules_here(workspace: Workspace, session: Session) -> StoredRules:
    """Return the stored rules in force at the site of this gate."""
    return site_store.rules(session, workspace.settings.gate.site)


def site_rules_of(stored: Mapping[str, Any]) -> SiteRules:
    """Return the rules of the site from stored values, with defaults for missing ones."""
    known = {f.name: stored[f.name] for f in fields(SiteRules) if f.name in stored}
    if "anti_passback" in known:
        known["anti_passback"] = AntiPassback(known["anti_passback"])
    if "without_hub" in known:
        known["without_hub"] = WithoutHub(known["without_hub"])
    if "unset_clock" in known:
        known["unset_clock"] = UnsetClock(known["unset_clock"])
    return SiteRules(**known)


ONE_DIRECTION = "one_direction"
"""Name of the rule that `rule_conflict` is about."""


def rule_conflict(settings: Settings, rules: SiteRules) -> str:
    """Return a sentence on why this gate cannot keep the rules; empty when it can."""
    refusing = rules.anti_passback in (AntiPassback.HARD, AntiPassback.TIMED)
    if settings.gate.role == "gate" and settings.attendance.direction == "auto" and refusing:
        return (
            f"anti-passback {rules.anti_passback} needs gates of one direction, and this one takes"
            " every second passage for an exit (attendance.direction: auto)"
        )
    return ""


def schedule_of(stored: WeeklySchedule) -> Schedule:
    """Parse a stored schedule. Raises: ValueError for hours that cannot be parsed."""
    return Schedule(
        stored.id,
        stored.name,
        tuple(_day(day) for day in stored.week),
        None if stored.holiday is None else _day(stored.holiday),
        {day: _day(hours) for day, hours in stored.exceptions.items()},
    )


def _day(hours: Sequence[str]) -> Day:
    return tuple(Hours.parse(text) for text in hours)


def _groups(session: Session, gate: str) -> Mapping[int, AccessGroup]:
    rules = access_store.rules_of_groups(session)
    return {
        g.id: AccessGroup(g.id, g.name, _schedules(rules[g.id], gate))
        for g in group_store.list_(session)
        if g.id in rules
    }


def _schedules(rules: Sequence[GroupRule], gate: str) -> tuple[int, ...]:
    """Return the schedules in which this gate opens; rules may name other gates, too."""
    here = (rule for rule in rules if rule.gate is None or is_same(rule.gate, gate))
    return tuple(ALWAYS if rule.schedule_id is None else rule.schedule_id for rule in here)


def _people(session: Session, zone: tzinfo, person_id: int | None) -> Mapping[int, Pass]:
    member_of = access_store.memberships(session, person_id)
    found = {}
    for who in access_store.people(session, person_id):
        id_, own = who.person.id, who.own or _NO_RULES
        found[id_] = Pass(
            who.person,
            who.active,
            tuple(member_of.get(id_, ())),
            leaves_at=_end_of(who.leaves_on, zone),
            extended=who.extended_unlock,
            # without a photo there is no face to compare: the card has to do
            face=own.face and not who.faceless,
            # most people have no rules of their own, and there may be very many people
            **(_own_rules(own) if own is not _NO_RULES else {}),
        )
    return found


def _end_of(day: date | None, zone: tzinfo) -> float | None:
    """Return the UTC seconds at which the site's clock shows the next day; None for no day."""
    if day is None or day == date.max:
        return None
    return datetime.combine(day + timedelta(days=1), time(), zone).timestamp()


_NO_RULES = PersonAccess(0)


def _own_rules(stored: PersonAccess) -> dict[str, Any]:
    return {
        "valid_from": _utc(stored.valid_from),
        "valid_until": _utc(stored.valid_until),
        **{name: getattr(stored, name) for name in _SHARED_FLAGS},
    }


_SHARED_FLAGS = tuple(
    f.name
    for f in fields(PersonAccess)
    if f.type == "bool" and f.name != "face" and f.name in {known.name for known in fields(Pass)}
)


def _utc(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
