"""Rules and holidays: those of all sites, and what one site has instead or besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.errors import Conflict
from gated.storage import changes, rows
from gated.storage.records import Holiday
from gated.storage.settings import touch_rules
from gated.storage.tables import holidays, sites

ALL = ""
"""The site that stands for every site."""

SCHEDULES = ("two_factors", "first_in")
"""The rules that name a schedule by its id."""


@dataclass(frozen=True, slots=True)
class StoredRules:
    """Rules as they are stored. own: those that this site has of its own; version 0: none yet."""

    values: Mapping[str, Any]
    own: Mapping[str, Any]
    version: int


def rules(session: Session, site: str = ALL) -> StoredRules:
    """What holds at a site: the rules of all, one by one replaced by its own."""
    wanted = sa.select(sites.c.rules, sites.c.version).where(sites.c.name.in_({ALL, site}))
    found = session.execute(wanted.order_by(sites.c.name)).all()
    values: dict[str, Any] = {}
    for row in found:
        values |= row.rules
    own = session.execute(sa.select(sites.c.rules).where(sites.c.name == site)).scalar()
    return StoredRules(values, own or {}, sum(row.version for row in found))


def set_rules(session: Session, site: str, own: Mapping[str, Any]) -> None:
    """Let these be the rules that a site has of its own."""
    id_ = _site(session, site)
    before = session.execute(sa.select(sites.c.rules).where(sites.c.id == id_)).scalar_one()
    rows.change(session, sites, id_, rules=dict(own))
    _note(session, id_, {*schedules_in(before), *schedules_in(own)})


def schedules_in(values: Mapping[str, Any]) -> list[int]:
    """The ids of the schedules that rules name."""
    return [values[name] for name in SCHEDULES if values.get(name) is not None]


def require_unused(session: Session, schedule_id: int) -> None:
    """Conflict while a rule of a site needs this schedule."""
    for row in session.execute(sa.select(sites.c.name, sites.c.rules).order_by(sites.c.name)):
        for name in SCHEDULES:
            if row.rules.get(name) == schedule_id:
                where = f"site {row.name}" if row.name else "site"
                raise Conflict(f"the rule {name} of the {where} needs this schedule")


def list_holidays(session: Session, site: str = ALL) -> list[Holiday]:
    """The holidays at a site by day; its own name for one before that of all sites."""
    wanted = (
        sa.select(holidays.c.day, holidays.c.name, sites.c.name)
        .join(sites, sites.c.id == holidays.c.site_id)
        .where(sites.c.name.in_({ALL, site}))
        .order_by(holidays.c.day, sites.c.name)
    )
    return list({day: Holiday(day, *more) for day, *more in session.execute(wanted)}.values())


def set_holiday(session: Session, day: date, name: str | None, site: str = ALL) -> bool:
    """Make a day a holiday of this name, or (None) a day like others; whether that is news."""
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


def _site(session: Session, name: str) -> int:
    values = {"name": name, "rules": {}, "version": 0}
    rows.insert_unless_there(session, sites, values, "name")
    return int(session.execute(sa.select(sites.c.id).where(sites.c.name == name)).scalar_one())


def _note(session: Session, id_: int, schedule_ids: Iterable[int] = ()) -> None:
    touch_rules(session)
    uid = session.execute(sa.select(sites.c.uid).where(sites.c.id == id_)).scalar_one()
    changes.note(session, changes.SITE, [uid])
    changes.note_schedules(session, schedule_ids)
