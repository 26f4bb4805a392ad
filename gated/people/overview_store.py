"""Reads what a list of persons shows beside their fields, for a page of them at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.photo_advice import LIKENESS, NEARLY_SAME, PhotoAdvice
from gated.database.tables import (
    attendance_logs,
    consents,
    enrollments,
    group_members,
    groups,
    person_access,
    persons,
)


@dataclass(frozen=True, slots=True)
class PersonOverview:
    """Of one person. consent: given, missing (none, or over). last_seen: the last passage."""

    id: int
    photos: int
    consent: str
    visitor: bool
    groups: tuple[str, ...]
    last_seen: datetime | None
    photo_advice: PhotoAdvice


def overview(session: Session, ids: Collection[int], now: datetime) -> list[PersonOverview]:
    """Of these persons, in the order of their ids; who is not there has nothing."""
    wanted = sorted(set(ids))
    e, a = enrollments.c, person_access.c
    counted = (
        sa.select(e.person_id, sa.func.count(), _different_photos())
        .where(e.person_id.in_(wanted), e.is_active)
        .group_by(e.person_id)
    )
    photos = {
        int(id_): PhotoAdvice.of(usable, different)
        for id_, usable, different in session.execute(counted)
    }
    none = PhotoAdvice.of(0, 0)
    consented = set(
        session.scalars(
            sa.select(consents.c.person_id).where(consents.c.person_id.in_(wanted), _valid(now))
        )
    )
    visitors = set(
        session.scalars(sa.select(a.person_id).where(a.person_id.in_(wanted), a.visitor))
    )
    named = _groups(session, wanted)
    seen = {id_: _last_seen(session, id_) for id_ in wanted}
    return [
        PersonOverview(
            id_,
            photos.get(id_, none).usable,
            "given" if id_ in consented else "missing",
            id_ in visitors,
            tuple(named.get(id_, ())),
            seen[id_],
            photos.get(id_, none),
        )
        for id_ in wanted
    ]


def without_photo() -> sa.ColumnElement[bool]:
    """Select persons of whom no photo is in use."""
    return ~_persons_of(enrollments, enrollments.c.is_active)


def one_photo() -> sa.ColumnElement[bool]:
    """Select persons whose photos in use are one, or nearly the same picture."""
    e = enrollments.c
    in_use = sa.select(e.person_id).where(e.is_active).group_by(e.person_id)
    return persons.c.id.in_(in_use.having(_different_photos() <= 1))


def _different_photos() -> sa.ColumnElement[int]:
    """Count those of grouped enrollments that resemble none that came before."""
    likeness = sa.func.coalesce(enrollments.c.quality[LIKENESS].as_float(), 0.0)
    return sa.func.count(sa.case((likeness < NEARLY_SAME, 1)))


def consent_missing(now: datetime) -> sa.ColumnElement[bool]:
    """Select persons without a consent that holds."""
    return ~_persons_of(consents, _valid(now))


def visitors() -> sa.ColumnElement[bool]:
    """Select visitors."""
    return _persons_of(person_access, person_access.c.visitor)


def held_back() -> sa.ColumnElement[bool]:
    """Select persons whom a rule of their own keeps from passing at all times by face alone."""
    a = person_access.c
    limits = (a.valid_from.is_not(None), a.valid_until.is_not(None))
    return _persons_of(
        person_access, sa.or_(*limits, a.visitor, a.two_factors, a.needs_escort, ~a.face)
    )


def _persons_of(table: sa.Table, condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(table.c.person_id == persons.c.id, condition)


def _valid(now: datetime) -> sa.ColumnElement[bool]:
    ends = consents.c.expires_at
    return sa.or_(ends.is_(None), ends > now)


def _groups(session: Session, ids: Sequence[int]) -> dict[int, list[str]]:
    found = defaultdict(list)
    m = group_members.c
    statement = sa.select(m.person_id, groups.c.name).join(groups).where(m.person_id.in_(ids))
    for person_id, name in session.execute(statement.order_by(groups.c.name_key)):
        found[person_id].append(name)
    return found


def _last_seen(session: Session, id_: int) -> datetime | None:
    """The last grant; one look into an index for each person, however long the log is."""
    log = attendance_logs.c
    statement = (
        sa.select(log.created_at)
        .where(log.person_id == id_, log.status == "granted", log.superseded_by.is_(None))
        .order_by(log.created_at.desc(), log.id.desc())
        .limit(1)
    )
    return session.execute(statement).scalar()
