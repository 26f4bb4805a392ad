"""On a gate: schedules, the rules of groups and of the site as its hub gives them.

A rule may name a schedule that is still to come, or one that is gone while the rule is still here:
such a schedule has no hours, so that nobody passes by it.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.access import access_store, schedule_store, site_store
from gated.core.text import code_key
from gated.database import change_feed, hub_ownership, rows, site_zones
from gated.database.hub_ownership import HERE
from gated.database.records import GroupRule
from gated.database.stored_settings import touch_rules
from gated.database.tables import group_rules, schedule_exceptions
from gated.database.tables import schedules as schedules_table
from gated.database.tables import sites as sites_table
from gated.fleet.wire.states import GroupState, ScheduleState, SiteState

CLOSED: Sequence[Sequence[str]] = ((),) * 7


def put_schedule(session: Session, uid: str, state: ScheduleState, snapshot: int) -> None:
    """Make a schedule as given."""
    id_ = _schedule(session, uid, snapshot)
    _free_name(session, state.name, id_)
    values = {"name": state.name, "name_key": code_key(state.name)}
    rows.change(session, schedules_table, id_, **values, week=state.week, holiday=state.holiday)
    gone = sa.delete(schedule_exceptions).where(schedule_exceptions.c.schedule_id == id_)
    session.execute(gone)
    days = [{"schedule_id": id_, "day": d, "hours": h} for d, h in state.exceptions.items()]
    if days:
        session.execute(sa.insert(schedule_exceptions), days)
    _changed(session, change_feed.SCHEDULE, uid)


def drop_schedule(session: Session, uid: str) -> None:
    """Remove a schedule that the hub does not give any more; one that is needed is closed."""
    if not hub_ownership.is_from_hub(session, change_feed.SCHEDULE, uid):
        return
    id_ = _find(session, uid)
    if id_ is not None and _is_needed(session, id_):
        rows.change(session, schedules_table, id_, week=CLOSED, holiday=())
        exceptions = schedule_exceptions.c.schedule_id == id_
        session.execute(sa.delete(schedule_exceptions).where(exceptions))
        _changed(session, change_feed.SCHEDULE, uid)
        return
    hub_ownership.forget(session, change_feed.SCHEDULE, uid)
    if id_ is not None:
        schedule_store.delete(session, id_)


def put_rules_of_group(
    session: Session, group_id: int, state: GroupState, snapshot: int
) -> list[GroupRule]:
    """Let a group have the rules of its state; return those before."""
    before = access_store.rules_of_group(session, group_id)
    wanted = [
        GroupRule(None, None if uid is None else _schedule(session, uid, snapshot))
        for uid in state.here
    ]
    if state.elsewhere:
        wanted.append(GroupRule(access_store.ELSEWHERE))
    if wanted != before:
        access_store.set_rules_of_group(session, group_id, wanted)
    return before


def put_site(session: Session, state: SiteState, snapshot: int) -> None:
    """Let these be the rules, holidays and time zone of the site; there are no others."""
    values = dict(state.rules)
    for name in site_store.SCHEDULES:
        if values.get(name) is not None:
            values[name] = _schedule(session, values[name], snapshot)
    hub_ownership.remember(session, change_feed.SITE, HERE, snapshot)
    session.execute(sa.update(sites_table).values(rules={}, timezone=None))
    site_store.set_rules(session, site_zones.ALL, values)
    site_store.set_timezone(session, site_zones.ALL, state.timezone)
    site_store.put_holidays(session, state.holidays)


def _schedule(session: Session, uid: str, snapshot: int) -> int:
    """Return the id of a schedule of the hub; one that is still to come is closed until then."""
    hub_ownership.remember(session, change_feed.SCHEDULE, uid, snapshot)
    id_ = _find(session, uid)
    if id_ is not None:
        return id_
    closed = {"week": CLOSED, "holiday": ()}
    return rows.insert(session, schedules_table, uid=uid, name=uid, name_key=uid, **closed)


def _find(session: Session, uid: str) -> int | None:
    c = schedules_table.c
    return session.execute(sa.select(c.id).where(c.uid == uid)).scalar()


def _free_name(session: Session, name: str, id_: int) -> None:
    """Rename a schedule of this gate, or one that is still to come, with a name of the hub's."""
    c = schedules_table.c
    key = code_key(name)
    other = session.execute(sa.select(c.id, c.name).where(c.name_key == key, c.id != id_)).first()
    if other is not None:
        free = f"{other.name}~{other.id}"
        rows.change(session, schedules_table, other.id, name=free, name_key=code_key(free))


def _is_needed(session: Session, id_: int) -> bool:
    if rows.one(session, group_rules, [group_rules.c.id], schedule_id=id_) is not None:
        return True
    return id_ in site_store.schedules_in(site_store.rules(session).values)


def _changed(session: Session, kind: str, uid: str) -> None:
    touch_rules(session)
    change_feed.note(session, kind, [uid])
