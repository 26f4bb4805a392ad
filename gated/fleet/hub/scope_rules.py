"""The rules that a gate has to know: of its groups and its site, and the schedules they name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.access import schedule_store, site_store
from gated.core.text import is_same
from gated.database.records import GateRow, WeeklySchedule
from gated.database.tables import group_rules, groups
from gated.database.tables import schedules as schedules_table
from gated.database.tables import sites as sites_table
from gated.fleet.hub import scope
from gated.fleet.wire.states import GroupState, ScheduleState, SiteState


def groups_of(
    session: Session, gate: GateRow, uids: Sequence[str] | None = None
) -> dict[str, GroupState]:
    """Return groups with their rules, all or some, that a gate has to know, by uid."""
    names = scope.groups_of(session, gate, uids)
    rule = group_rules.c
    found = session.execute(
        sa.select(groups.c.uid, rule.gate, schedules_table.c.uid.label("hours"))
        .join(groups, groups.c.id == rule.group_id)
        .outerjoin(schedules_table, schedules_table.c.id == rule.schedule_id)
        .where(groups.c.uid.in_(names))
        .order_by(rule.id)
    )
    here: dict[str, dict[str | None, None]] = defaultdict(dict)
    elsewhere = set()
    for uid, name, hours in found:
        if _is_for(name, gate):
            here[uid][hours] = None
        else:
            elsewhere.add(uid)
    planning = sa.select(groups.c.uid, groups.c.planned_hours, groups.c.late_after)
    plans = {row.uid: row for row in session.execute(planning.where(groups.c.uid.in_(names)))}
    return {
        uid: GroupState.of(
            name=name,
            here=tuple(here[uid]),
            elsewhere=uid in elsewhere,
            planned_hours=plans[uid].planned_hours,
            late_after=plans[uid].late_after,
        )
        for uid, name in names.items()
    }


def site_of(session: Session, gate: GateRow) -> SiteState:
    """Return the rules, holidays and time zone of the site of a gate."""
    stored = site_store.rules(session, gate.site)
    values = dict(stored.values)
    uids = _uids(session, site_store.schedules_in(values))
    for name in site_store.SCHEDULES:
        if values.get(name) is not None:
            values[name] = uids[values[name]]
    holidays = {h.day: h.name for h in site_store.list_holidays(session, gate.site)}
    return SiteState.of(rules=values, holidays=holidays, timezone=stored.timezone)


def sites_among(session: Session, gate: GateRow, uids: Sequence[str]) -> list[str]:
    """Return those of the changed sites that concern a gate: its own, and that of all sites."""
    here = site_store.named(gate.site)
    found = sa.select(sites_table.c.uid).where(here, sites_table.c.uid.in_(uids))
    return list(session.execute(found).scalars())


def schedules_of(
    session: Session, gate: GateRow, uids: Sequence[str] | None = None
) -> dict[str, ScheduleState]:
    """Return the schedules, all or some, that the rules for a gate name, by uid."""
    rule = group_rules.c
    theirs = sa.select(groups.c.id).where(groups.c.uid.in_(scope.groups_of(session, gate)))
    named = sa.select(rule.gate, rule.schedule_id).where(
        rule.group_id.in_(theirs), rule.schedule_id.is_not(None)
    )
    needed = {r.schedule_id for r in session.execute(named) if _is_for(r.gate, gate)}
    needed |= set(site_store.schedules_in(site_store.rules(session, gate.site).values))
    return {
        s.uid: _state(s)
        for s in schedule_store.list_(session)
        if s.id in needed and (uids is None or s.uid in uids)
    }


def _state(schedule: WeeklySchedule) -> ScheduleState:
    return ScheduleState.of(
        name=schedule.name,
        week=tuple(map(tuple, schedule.week)),
        holiday=None if schedule.holiday is None else tuple(schedule.holiday),
        exceptions={day: tuple(hours) for day, hours in schedule.exceptions.items()},
    )


def _is_for(name: str | None, gate: GateRow) -> bool:
    return name is None or is_same(name, gate.name)


def _uids(session: Session, ids: Sequence[int]) -> dict[int, str]:
    c = schedules_table.c
    return {r.id: r.uid for r in session.execute(sa.select(c.id, c.uid).where(c.id.in_(ids)))}
