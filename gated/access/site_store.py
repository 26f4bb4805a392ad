"""Stores rules and holidays: those of all sites, and those of single sites that replace or add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.text import clean_text, code_key
from gated.database import change_feed, limits, rows
from gated.database.records import Holiday
from gated.database.site_zones import ALL
from gated.database.stored_settings import touch_rules
from gated.database.tables import gates, holidays, sites
from gated.errors import InUse

SCHEDULES = ("two_factors", "first_in")
"""The rules that name a schedule by its id."""


@dataclass(frozen=True, slots=True)
class StoredRules:
    """Rules as they are stored. own: those of this site alone; version 0: none yet."""

    values: Mapping[str, Any]
    own: Mapping[str, Any]
    version: int
    timezone: str | None = None
    """The site's own, or that of all sites."""
    own_timezone: str | None = None


def rules(session: Session, site: str = ALL) -> StoredRules:
    """Return the rules in force at a site: its own ones override those of all sites, one by one."""
    key = code_key(site)
    c = sites.c
    wanted = sa.select(c.name_key, c.rules, c.timezone, c.version).where(named(site))
    found = session.execute(wanted.order_by(c.name)).all()
    values: dict[str, Any] = {}
    own: Mapping[str, Any] = {}
    timezone = own_timezone = None
    for row in found:
        values |= row.rules
        timezone = row.timezone or timezone
        if row.name_key == key:
            own, own_timezone = row.rules, row.timezone
    version = sum(row.version for row in found)
    return StoredRules(values, own, version, timezone, own_timezone)


def set_timezone(session: Session, site: str, timezone: str | None) -> None:
    """Set the time zone of a site; None: that of all sites."""
    id_ = _site(session, site)
    rows.change(session, sites, id_, timezone=timezone)
    _note(session, id_)


def set_rules(session: Session, site: str, own: Mapping[str, Any]) -> None:
    """Replace the rules that a site has of its own."""
    id_ = _site(session, site)
    before = session.execute(sa.select(sites.c.rules).where(sites.c.id == id_)).scalar_one()
    rows.change(session, sites, id_, rules=dict(own))
    _note(session, id_, {*schedules_in(before), *schedules_in(own)})


def schedules_in(values: Mapping[str, Any]) -> list[int]:
    """Return the ids of the schedules that rules name."""
    return [values[name] for name in SCHEDULES if values.get(name) is not None]


def sites_with_gates(session: Session) -> set[str]:
    """Return the names of the sites that have gates."""
    return set(session.execute(sa.select(gates.c.site).distinct()).scalars())


def require_unused(session: Session, schedule_id: int) -> None:
    """Refuse with InUse while a rule of a site needs this schedule."""
    for row in session.execute(sa.select(sites.c.name, sites.c.rules).order_by(sites.c.name)):
        for name in SCHEDULES:
            if row.rules.get(name) == schedule_id:
                where = f"site {row.name}" if row.name else "site"
                raise InUse(f"the rule {name} of the {where} needs this schedule")


def list_holidays(session: Session, site: str = ALL) -> list[Holiday]:
    """List the holidays at a site by day; the site's own name for a day wins."""
    wanted = (
        sa.select(holidays.c.day, holidays.c.name, sites.c.name)
        .join(sites, sites.c.id == holidays.c.site_id)
        .where(named(site))
        .order_by(holidays.c.day, sites.c.name)
    )
    return list({day: Holiday(day, *more) for day, *more in session.execute(wanted)}.values())


def require_room(session: Session, day: date, site: str = ALL) -> None:
    """Refuse one more holiday of a site than there may be; this day may be one. LimitReached."""
    h = holidays.c
    id_ = _site(session, site)
    there = sa.select(h.day).where(h.site_id == id_, h.day == day)
    if session.execute(there).first() is None:
        limits.HOLIDAYS.require_room(session, id_)


def set_holiday(session: Session, day: date, name: str | None, site: str = ALL) -> bool:
    """Make a day a holiday of this name, or (None) an ordinary day; return True on a change."""
    h = holidays.c
    id_ = _site(session, site)
    there = (h.site_id == id_, h.day == day)
    if session.execute(sa.select(h.name).where(*there)).scalar() == name:
        return False
    session.execute(sa.delete(holidays).where(*there))
    if name is not None:
        session.execute(sa.insert(holidays).values(site_id=id_, day=day, name=name))
    rows.change(session, sites, id_)
    _note(session, id_)
    return True


def put_holidays(session: Session, wanted: Mapping[date, str]) -> None:
    """Let these be the holidays of all sites; there are no others, at none."""
    id_ = _site(session, ALL)
    session.execute(sa.delete(holidays))
    given = [{"site_id": id_, "day": day, "name": name} for day, name in wanted.items()]
    rows.insert_many(session, holidays, given)
    rows.change(session, sites, id_)
    _note(session, id_)


def named(site: str) -> sa.ColumnElement[bool]:
    """Return the condition for the rows of a site, in any spelling, and of all sites."""
    return sites.c.name_key.in_({ALL, code_key(site)})


def _site(session: Session, name: str) -> int:
    key = code_key(name)
    known = sa.select(sites.c.id).where(sites.c.name_key == key)
    if (id_ := session.execute(known).scalar()) is not None:
        return int(id_)
    values = {"name": clean_text(name, "site"), "name_key": key, "rules": {}, "version": 0}
    rows.insert_unless_there(session, sites, values, "name_key")
    return int(session.execute(known).scalar_one())


def _note(session: Session, id_: int, schedule_ids: Iterable[int] = ()) -> None:
    touch_rules(session)
    uid = session.execute(sa.select(sites.c.uid).where(sites.c.id == id_)).scalar_one()
    change_feed.note(session, change_feed.SITE, [uid])
    change_feed.note_schedules(session, schedule_ids)
