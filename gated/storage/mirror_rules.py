"""On a gate: schedules, the rules of groups and of the site as their hub tells them.

A rule may name a schedule that is still to come, or one that is gone while the rule is still here:
such a schedule has no hours, so that nobody passes by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.storage import access, changes, mirror, rows, schedules, sites
from gated.storage.records import GroupRule
from gated.storage.settings import touch_rules
from gated.storage.tables import group_rules, holidays, schedule_exceptions
from gated.storage.tables import schedules as schedules_table
from gated.storage.tables import sites as sites_table

HERE = "all"
"""The uid under which the rules of the site are known to be the hub's."""

CLOSED: Sequence[Sequence[str]] = ((),) * 7


@dataclass(frozen=True, slots=True)
class MirroredSchedule:
    """A schedule as the hub tells it."""

    name: str
    week: Sequence[Sequence[str]]
    holiday: Sequence[str] | None
    exceptions: Mapping[date, Sequence[str]]


def put_schedule(session: Session, uid: str, told: MirroredSchedule, snapshot: int) -> None:
    """Let a schedule be as told."""
    id_ = _schedule(session, uid, snapshot)
    _free_name(session, told.name, id_)
    values = {"name": told.name, "name_key": told.name.casefold()}
    rows.change(session, schedules_table, id_, **values, week=told.week, holiday=told.holiday)
    gone = sa.delete(schedule_exceptions).where(schedule_exceptions.c.schedule_id == id_)
    session.execute(gone)
    days = [{"schedule_id": id_, "day": d, "hours": h} for d, h in told.exceptions.items()]
    if days:
        session.execute(sa.insert(schedule_exceptions), days)
    _changed(session, changes.SCHEDULE, uid)


def drop_schedule(session: Session, uid: str) -> None:
    """Let go of a schedule that the hub does not give any more; one that is needed is closed."""
    if not mirror.is_from_hub(session, changes.SCHEDULE, uid):
        return
    id_ = _find(session, uid)
    if id_ is not None and _is_needed(session, id_):
        rows.change(session, schedules_table, id_, week=CLOSED, holiday=())
        exceptions = schedule_exceptions.c.schedule_id == id_
        session.execute(sa.delete(schedule_exceptions).where(exceptions))
        _changed(session, changes.SCHEDULE, uid)
        return
    mirror.forget(session, changes.SCHEDULE, uid)
    if id_ is not None:
        schedules.delete(session, id_)


def put_rules_of_group(
    session: Session, group_id: int, here: Iterable[str | None], elsewhere: bool, snapshot: int
) -> list[GroupRule]:
    """Let a group have these rules; returns those before. here: uids of schedules, None: always."""
    before = access.rules_of_group(session, group_id)
    wanted = [
        GroupRule(None, None if uid is None else _schedule(session, uid, snapshot)) for uid in here
    ]
    if elsewhere:
        wanted.append(GroupRule(access.ELSEWHERE))
    if wanted != before:
        access.set_rules_of_group(session, group_id, wanted)
    return before


def put_site(
    session: Session, told: Mapping[str, Any], days: Mapping[date, str], snapshot: int
) -> None:
    """Let these be the rules and holidays; there are no others."""
    values = dict(told)
    for name in sites.SCHEDULES:
        if values.get(name) is not None:
            values[name] = _schedule(session, values[name], snapshot)
    mirror.remember(session, changes.SITE, HERE, snapshot)
    session.execute(sa.delete(holidays))
    session.execute(sa.update(sites_table).values(rules={}))
    sites.set_rules(session, sites.ALL, values)
    for day, name in days.items():
        sites.set_holiday(session, day, name)


def _schedule(session: Session, uid: str, snapshot: int) -> int:
    """The id of a schedule of the hub; one that was not told of yet is closed until then."""
    mirror.remember(session, changes.SCHEDULE, uid, snapshot)
    id_ = _find(session, uid)
    if id_ is not None:
        return id_
    closed = {"week": CLOSED, "holiday": ()}
    return rows.insert(session, schedules_table, uid=uid, name=uid, name_key=uid, **closed)


def _find(session: Session, uid: str) -> int | None:
    c = schedules_table.c
    return session.execute(sa.select(c.id).where(c.uid == uid)).scalar()


def _free_name(session: Session, name: str, id_: int) -> None:
    """A schedule of this gate, or one that is told of later, makes room for a name of the hub's."""
    c = schedules_table.c
    key = name.casefold()
    other = session.execute(sa.select(c.id, c.name).where(c.name_key == key, c.id != id_)).first()
    if other is not None:
        free = f"{other.name}~{other.id}"
        rows.change(session, schedules_table, other.id, name=free, name_key=free.casefold())


def _is_needed(session: Session, id_: int) -> bool:
    if rows.one(session, group_rules, [group_rules.c.id], schedule_id=id_) is not None:
        return True
    return id_ in sites.schedules_in(sites.rules(session).values)


def _changed(session: Session, kind: str, uid: str) -> None:
    touch_rules(session)
    changes.note(session, kind, [uid])
