"""Which rules a gate has to know: those of its groups and its site, and the schedules they name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.storage import carried, schedules, sites
from gated.storage.gates import GateRow
from gated.storage.records import Holiday, WeeklySchedule
from gated.storage.tables import group_rules, groups
from gated.storage.tables import schedules as schedules_table
from gated.storage.tables import sites as sites_table


@dataclass(frozen=True, slots=True)
class CarriedGroup:
    """A group as one gate has to know it. here: in which schedules (uid; None: always) its members
    pass this gate; elsewhere: whether they pass others."""

    uid: str
    name: str
    here: tuple[str | None, ...]
    elsewhere: bool


@dataclass(frozen=True, slots=True)
class CarriedSite:
    """What holds at the site of a gate; its rules name schedules by uid."""

    rules: Mapping[str, Any]
    holidays: Sequence[Holiday]


def groups_of(
    session: Session, gate: GateRow, uids: Sequence[str] | None = None
) -> list[CarriedGroup]:
    """Groups with their rules, all or some, that a gate has to know."""
    names = carried.groups_of(session, gate, uids)
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
    return [
        CarriedGroup(uid, name, tuple(here[uid]), uid in elsewhere) for uid, name in names.items()
    ]


def site_of(session: Session, gate: GateRow) -> CarriedSite:
    """The rules and holidays at the site of a gate."""
    values = dict(sites.rules(session, gate.site).values)
    uids = _uids(session, sites.schedules_in(values))
    for name in sites.SCHEDULES:
        if values.get(name) is not None:
            values[name] = uids[values[name]]
    return CarriedSite(values, sites.list_holidays(session, gate.site))


def sites_among(session: Session, gate: GateRow, uids: Sequence[str]) -> list[str]:
    """Those of the changed sites that speak of this gate's."""
    here = sites_table.c.name.in_({sites.ALL, gate.site})
    found = sa.select(sites_table.c.uid).where(here, sites_table.c.uid.in_(uids))
    return list(session.execute(found).scalars())


def schedules_of(
    session: Session, gate: GateRow, uids: Sequence[str] | None = None
) -> list[WeeklySchedule]:
    """The schedules, all or some, that the rules for a gate name."""
    rule = group_rules.c
    theirs = sa.select(groups.c.id).where(groups.c.uid.in_(carried.groups_of(session, gate)))
    named = sa.select(rule.gate, rule.schedule_id).where(
        rule.group_id.in_(theirs), rule.schedule_id.is_not(None)
    )
    needed = {r.schedule_id for r in session.execute(named) if _is_for(r.gate, gate)}
    needed |= set(sites.schedules_in(sites.rules(session, gate.site).values))
    return [
        s for s in schedules.list_(session) if s.id in needed and (uids is None or s.uid in uids)
    ]


def _is_for(name: str | None, gate: GateRow) -> bool:
    return name is None or name.casefold() == gate.name.casefold()


def _uids(session: Session, ids: Sequence[int]) -> dict[int, str]:
    c = schedules_table.c
    return {r.id: r.uid for r in session.execute(sa.select(c.id, c.uid).where(c.id.in_(ids)))}
