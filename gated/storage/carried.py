"""Whom a gate carries, and what it is told of them: no more than it needs to let them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.storage.changes import PERSON
from gated.storage.tables import (
    changes,
    credentials,
    enrollments,
    gate_groups,
    group_members,
    groups,
    person_access,
    persons,
)

if TYPE_CHECKING:
    from gated.storage.gates import GateRow  # which stands above: it would import us

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class CarriedEnrollment:
    """An enrollment, of the hub or as a gate mirrors it; paths below uploads."""

    uid: str
    model: str | None
    confidence: float
    is_active: bool
    encoding_path: str | None
    image_path: str | None


@dataclass(frozen=True, slots=True)
class CarriedCredential:
    """A card, badge or PIN; key_count: how many of the hub's keys made digest or hash."""

    uid: str
    kind: str
    key_count: int
    digest: str | None
    pin_hash: str | None
    is_active: bool
    valid_from: datetime | None
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class CarriedPerson:
    """A person with groups (uid, name) and enrollments. version: number of the last change; access:
    None for what everybody has."""

    uid: str
    version: int
    first_name: str
    last_name: str
    personnel_code: str
    department: str | None
    position: str | None
    is_active: bool
    leaves_on: date | None
    extended_unlock: bool
    groups: Sequence[tuple[str, str]]
    enrollments: Sequence[CarriedEnrollment]
    access: Mapping[str, Any] | None
    credentials: Sequence[CarriedCredential]


def of(session: Session, gate: GateRow, uids: Sequence[str]) -> dict[str, CarriedPerson]:
    """Those of the persons whom a gate carries, by uid."""
    return {p.uid: p for p in _persons(session, gate, persons.c.uid.in_(uids))}


def uids_of(session: Session, gate: GateRow, uids: Sequence[str]) -> set[str]:
    """Those of the persons whom a gate carries, without anything about them."""
    found: set[str] = set()
    for start in range(0, len(uids), AT_ONCE):
        some = sa.select(persons.c.uid).where(persons.c.uid.in_(uids[start : start + AT_ONCE]))
        if not gate.everyone:
            some = some.where(persons.c.id.in_(members_of(gate)))
        found |= set(session.execute(some).scalars())
    return found


def members_of(gate: GateRow) -> sa.Select[tuple[int]]:
    """The ids of all members of the groups that a gate carries."""
    members = sa.select(group_members.c.person_id)
    return members.where(group_members.c.group_id.in_(_groups(gate)))


def behind(session: Session, gate: GateRow, uid: str, limit: int) -> list[CarriedPerson]:
    """The next persons whom a gate carries, by uid."""
    return _persons(session, gate, persons.c.uid > uid, limit)


def present(session: Session, uids: Sequence[str]) -> dict[str, CarriedPerson]:
    """Persons by uid as a gate has them from its hub, to compare with what that tells.

    Their version is this gate's own; credentials that were given here are left out.
    """
    found = _persons(session, None, persons.c.uid.in_(uids), from_hub=True)
    return {p.uid: p for p in found}


def groups_of(session: Session, gate: GateRow, uids: Sequence[str] | None = None) -> dict[str, str]:
    """uid -> name of groups, all or some, that a gate has to know."""
    found = sa.select(groups.c.uid, groups.c.name)
    if uids is not None:
        found = found.where(groups.c.uid.in_(uids))
    if not gate.everyone:
        found = found.where(groups.c.id.in_(_groups(gate)))
    return {row.uid: row.name for row in session.execute(found)}


def _groups(gate: GateRow) -> sa.Select[tuple[int]]:
    return sa.select(gate_groups.c.group_id).where(gate_groups.c.gate_id == gate.id)


def _persons(
    session: Session,
    gate: GateRow | None,
    wanted: sa.ColumnElement[bool],
    limit: int | None = None,
    *,
    from_hub: bool = False,
) -> list[CarriedPerson]:
    p = persons.c
    version = sa.func.coalesce(changes.c.seq, 0).label("version")
    columns = (p.id, p.uid, version, p.first_name, p.last_name, p.personnel_code, p.department)
    told = sa.and_(changes.c.kind == PERSON, changes.c.uid == p.uid)
    found = sa.select(*columns, p.position, p.is_active, p.leaves_on, p.extended_unlock)
    found = found.where(wanted).outerjoin_from(persons, changes, told)
    if gate is not None and not gate.everyone:
        found = found.where(p.id.in_(members_of(gate)))
    rows = [dict(r) for r in session.execute(found.order_by(p.uid).limit(limit)).mappings()]
    ids = [row.pop("id") for row in rows]
    theirs, enrolled = _groups_by_person(session, gate, ids), _enrollments_by_person(session, ids)
    access = _access_by_person(session, ids)
    shown = _credentials_by_person(session, ids, from_hub)
    return [
        CarriedPerson(
            **row,
            groups=tuple(theirs.get(id_, ())),
            enrollments=tuple(enrolled.get(id_, ())),
            access=access.get(id_),
            credentials=tuple(shown.get(id_, ())),
        )
        for id_, row in zip(ids, rows, strict=True)
    ]


def _groups_by_person(
    session: Session, gate: GateRow | None, ids: Sequence[int]
) -> dict[int, list[tuple[str, str]]]:
    """The groups of persons by their id, of those that the gate carries."""
    found = (
        sa.select(group_members.c.person_id, groups.c.uid, groups.c.name)
        .join(groups, groups.c.id == group_members.c.group_id)
        .where(group_members.c.person_id.in_(ids))
        .order_by(groups.c.uid)
    )
    if gate is not None and not gate.everyone:
        found = found.where(groups.c.id.in_(_groups(gate)))
    theirs: dict[int, list[tuple[str, str]]] = {}
    for person_id, uid, name in session.execute(found):
        theirs.setdefault(person_id, []).append((uid, name))
    return theirs


def _enrollments_by_person(
    session: Session, ids: Sequence[int]
) -> dict[int, list[CarriedEnrollment]]:
    e = enrollments.c
    columns = (e.uid, e.model, e.confidence_score, e.is_active)
    found = sa.select(e.person_id, *columns, e.face_encoding_path, e.face_image_path)
    enrolled: dict[int, list[CarriedEnrollment]] = {}
    for row in session.execute(found.where(e.person_id.in_(ids)).order_by(e.id)):
        enrolled.setdefault(row.person_id, []).append(CarriedEnrollment(*row[1:]))
    return enrolled


ACCESS = (
    *("valid_from", "valid_until", "visitor", "face", "two_factors"),
    *("needs_escort", "may_escort", "exempt"),
)
"""What a gate is told of what one person may do."""


def _access_by_person(session: Session, ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    a = person_access.c
    found = sa.select(a.person_id, *(a[name] for name in ACCESS)).where(a.person_id.in_(ids))
    return {row[0]: dict(zip(ACCESS, row[1:], strict=True)) for row in session.execute(found)}


def _credentials_by_person(
    session: Session, ids: Sequence[int], from_hub: bool
) -> dict[int, list[CarriedCredential]]:
    """Those that a hub gave, or those given here: they are made with keys of different places."""
    c = credentials.c
    columns = (c.uid, c.kind, c.key_count, c.digest, c.pin_hash, c.is_active)
    found = sa.select(c.person_id, *columns, c.valid_from, c.valid_until)
    found = found.where(c.person_id.in_(ids), c.from_hub == from_hub).order_by(c.id)
    shown: dict[int, list[CarriedCredential]] = {}
    for row in session.execute(found):
        shown.setdefault(row.person_id, []).append(CarriedCredential(*row[1:]))
    return shown
