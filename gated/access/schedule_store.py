"""Stores schedules with their exceptions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.core.text import clean_text, code_key, sort_key
from gated.database import change_feed as feed
from gated.database import rows
from gated.database.records import WeeklySchedule, record
from gated.database.stored_settings import touch_rules
from gated.database.tables import group_rules, groups, schedule_exceptions, schedules
from gated.errors import InUse, NotFound, Taken

CHANGEABLE = frozenset({"name", "week", "holiday"})

_NAMES = ("id", "uid", "name", "week", "holiday", "version", "created_at", "updated_at")
_COLUMNS = [schedules.c[name] for name in _NAMES]


def add(
    session: Session,
    name: str,
    week: Sequence[Sequence[str]],
    holiday: Sequence[str] | None = (),
) -> WeeklySchedule:
    """Add a schedule. Raises: Conflict when the name is taken in any spelling, TextRefused."""
    name = clean_text(name, "name")
    values = {"name": name, "name_key": code_key(name), "week": week, "holiday": holiday}
    try:
        id_ = rows.insert(session, schedules, **values)
    except IntegrityError as e:
        raise Taken(f"there is already a schedule {name}") from e
    touch_rules(session)
    return get(session, id_)


def get(session: Session, id_: int) -> WeeklySchedule:
    """Return the schedule with this id. Raises: NotFound."""
    row = rows.one(session, schedules, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no schedule {id_}")
    condition = schedule_exceptions.c.schedule_id == id_
    found = session.execute(sa.select(schedule_exceptions).where(condition))
    exceptions = {r.day: r.hours for r in found}
    return replace(record(WeeklySchedule, row), exceptions=dict(sorted(exceptions.items())))


def list_(session: Session) -> list[WeeklySchedule]:
    """Return all schedules by name."""
    exceptions: dict[int, dict[date, Sequence[str]]] = defaultdict(dict)
    for r in session.execute(sa.select(schedule_exceptions).order_by(schedule_exceptions.c.day)):
        exceptions[r.schedule_id][r.day] = r.hours
    found = session.execute(sa.select(*_COLUMNS))
    known = [replace(record(WeeklySchedule, r), exceptions=exceptions[r.id]) for r in found]
    return sorted(known, key=lambda s: (sort_key(s.name), s.id))


def update(session: Session, id_: int, **changes: Any) -> WeeklySchedule:
    """Change the named columns; NotFound, Conflict when the name is taken."""
    if unknown := changes.keys() - CHANGEABLE:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed")
    before = get(session, id_).name
    name = clean_text(changes.get("name", before), "name")
    if code_key(name) != code_key(before):
        changes["name_key"] = code_key(name)
    if "name" in changes:
        changes["name"] = name
    try:
        rows.change(session, schedules, id_, **changes)
    except IntegrityError as e:
        raise Taken(f"there is already a schedule {name}") from e
    touch_rules(session)
    feed.note_schedules(session, [id_])
    return get(session, id_)


def delete(session: Session, id_: int) -> None:
    """Remove a schedule with its exceptions; NotFound, Conflict while a group passes by it."""
    uid = get(session, id_).uid
    users = sa.select(groups.c.name).join(group_rules, group_rules.c.group_id == groups.c.id)
    users = users.where(group_rules.c.schedule_id == id_).order_by(groups.c.name_key).distinct()
    if used := session.execute(users.add_columns(groups.c.name_key)).all():
        names = ", ".join(row.name for row in used)
        raise InUse(f"groups pass by this schedule: {names}")
    session.execute(_exceptions(sa.delete(schedule_exceptions), id_))
    session.execute(sa.delete(schedules).where(schedules.c.id == id_))
    touch_rules(session)
    feed.note(session, feed.SCHEDULE, [uid], gone=True)


def set_exception(session: Session, id_: int, day: date, hours: Sequence[str] | None) -> bool:
    """Set the hours of one day, or (None) its usual ones again; return True on a change.

    Raises: NotFound.
    """
    before = get(session, id_).exceptions.get(day)
    if before == hours or (before is not None and list(before) == hours):
        return False
    session.execute(
        _exceptions(sa.delete(schedule_exceptions), id_).where(schedule_exceptions.c.day == day)
    )
    if hours is not None:
        session.execute(
            sa.insert(schedule_exceptions).values(schedule_id=id_, day=day, hours=hours)
        )
    rows.change(session, schedules, id_)
    touch_rules(session)
    feed.note_schedules(session, [id_])
    return True


def _exceptions(statement: sa.Delete, id_: int) -> sa.Delete:
    return statement.where(schedule_exceptions.c.schedule_id == id_)
