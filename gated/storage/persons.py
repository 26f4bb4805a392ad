"""Persons. Every change touches the gallery's stamp, so that gates rebuild what they match with."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.core.model import PersonRef
from gated.errors import Conflict, NotFound
from gated.storage import accounts, editors, rows
from gated.storage import changes as feed
from gated.storage.records import Person, columns_of, record
from gated.storage.settings import touch_gallery
from gated.storage.tables import (
    attendance_logs,
    consents,
    correction_requests,
    credentials,
    enrollments,
    group_members,
    groups,
    new_uid,
    person_access,
    persons,
    site_presence,
    snapshots,
)

SORTS = ("id", "first_name", "last_name", "personnel_code", "department", "created_at")
CHANGEABLE = frozenset(
    {"first_name", "last_name", "personnel_code", "department", "position", "email", "phone"}
    | {"is_active", "leaves_on", "extended_unlock"}
)

_COLUMNS = columns_of(Person, persons)

_AT_A_TIME = 1000
"""Ids in one statement."""


def fold(text: str) -> str:
    """Text as it is searched: without accents and case."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(c for c in parts if not unicodedata.combining(c)).casefold()


def add(
    session: Session,
    *,
    first_name: str,
    last_name: str,
    personnel_code: str,
    department: str | None = None,
    position: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    is_active: bool = True,
    leaves_on: date | None = None,
    extended_unlock: bool = False,
    uid: str | None = None,
) -> Person:
    """Add a person, of this uid or a new one.

    Conflict when the personnel code or the e-mail address is taken.
    """
    values: dict[str, Any] = {
        "first_name": first_name,
        "last_name": last_name,
        "personnel_code": personnel_code,
        "department": department,
        "position": position,
        "email": email or None,
        "phone": phone,
        "is_active": is_active,
        "leaves_on": leaves_on,
        "extended_unlock": extended_unlock,
    }
    try:
        id_ = rows.insert(session, persons, **values, **_derived(values), uid=uid or new_uid())
    except IntegrityError as e:
        raise _taken(session, values) from e
    touch_gallery(session)
    feed.note_person(session, id_)
    return get(session, id_)


def get(session: Session, id_: int) -> Person:
    """The person with this id, or NotFound."""
    row = rows.one(session, persons, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no person {id_}")
    return record(Person, row)


def by_code(session: Session, personnel_code: str) -> Person | None:
    """The person with this personnel code, or None."""
    row = rows.one(session, persons, _COLUMNS, personnel_code=personnel_code)
    return row and record(Person, row)


def by_email(session: Session, email: str) -> Person | None:
    """The person with this e-mail address in any case, or None."""
    row = rows.one(session, persons, _COLUMNS, email_key=email.casefold())
    return row and record(Person, row)


def refs(session: Session, ids: Collection[int]) -> dict[int, PersonRef]:
    """Those of these persons that are still there."""
    found: dict[int, PersonRef] = {}
    wanted = list(ids)
    for i in range(0, len(wanted), _AT_A_TIME):
        chosen = persons.c.id.in_(wanted[i : i + _AT_A_TIME])
        for row in session.execute(sa.select(*_COLUMNS).where(chosen)):
            found[row.id] = record(Person, row).ref
    return found


def list_(
    session: Session,
    *,
    is_active: bool | None = None,
    department: str | None = None,
    q: str | None = None,
    group: str | None = None,
    limit: int | None = None,
    offset: int = 0,
    sort: str = "id",
) -> tuple[list[Person], int]:
    """One page of persons, and how many there are in all.

    q: every word must occur in name, code, e-mail, department or position, accents and case
    aside. group: the name of one, in any case. sort: one of SORTS, `-` before it turns the order
    round.
    """
    name = sort.removeprefix("-")
    if name not in SORTS:
        raise ValueError(f"persons cannot be sorted by {sort}")
    conditions = []
    if is_active is not None:
        conditions.append(persons.c.is_active == is_active)
    if department is not None:
        conditions.append(persons.c.department == department)
    if group is not None:
        members = sa.select(group_members.c.person_id).join(groups)
        members = members.where(groups.c.name_key == group.casefold())
        conditions.append(persons.c.id.in_(members))
    for word in fold(q or "").split():
        conditions.append(persons.c.search.contains(word, autoescape=True))
    total = session.execute(sa.select(sa.func.count()).select_from(persons).where(*conditions))
    keys = [persons.c[name], persons.c.id]
    if sort.startswith("-"):
        keys = [k.desc() for k in keys]  # type: ignore[misc]
    statement = sa.select(*_COLUMNS).where(*conditions).order_by(*keys)
    found = session.execute(rows.page(statement, limit, offset)).all()
    return [record(Person, r) for r in found], total.scalar_one()


def update(
    session: Session, id_: int, *, expected_version: int | None = None, **changes: Any
) -> Person:
    """Change the named columns; NotFound, Conflict (taken, or the version is another)."""
    if unknown := changes.keys() - CHANGEABLE:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed")
    before = get(session, id_)
    if expected_version not in (None, before.version):
        raise Conflict(f"person {id_} was changed meanwhile")
    if "email" in changes:
        changes["email"] = changes["email"] or None
    after = {name: changes.get(name, getattr(before, name)) for name in CHANGEABLE}
    try:
        rows.change(session, persons, id_, **changes, **_derived(after))
    except IntegrityError as e:
        raise _taken(session, changes, id_) from e
    touch_gallery(session)
    feed.note_person(session, id_)
    if "is_active" in changes:
        editors.note_person(session, id_)
    return get(session, id_)


def have_left(session: Session, today: date) -> list[Person]:
    """Active persons whose last day is before `today`."""
    over = sa.select(*_COLUMNS).where(persons.c.is_active, persons.c.leaves_on < today)
    return [record(Person, r) for r in session.execute(over.order_by(persons.c.id))]


def left_before(session: Session, day: date) -> list[int]:
    """The ids of inactive persons whose last day is before `day`."""
    gone = sa.select(persons.c.id).where(~persons.c.is_active, persons.c.leaves_on < day)
    return list(session.execute(gone.order_by(persons.c.id)).scalars())


def set_active(session: Session, id_: int, active: bool) -> Person:
    """Switch a person on or off; NotFound."""
    return update(session, id_, is_active=active)


def delete(session: Session, id_: int) -> list[str]:
    """Remove a person with all that hangs on it; returns the files that nobody needs now.

    NotFound. Conflict while log rows still name the person (`Journal.erase_person` comes first),
    or when the person has the last admin's account.
    """
    uid = get(session, id_).uid
    named = sa.select(attendance_logs.c.id).where(attendance_logs.c.person_id == id_).limit(1)
    if session.execute(named).first():
        raise Conflict(f"the attendance log still names person {id_}: erase that first")
    touch_gallery(session)  # the locks in their order: see `changes`
    for account in accounts.list_(session, person_id=id_):
        accounts.delete(session, account.id)
    gone = session.execute(
        sa.delete(enrollments)
        .where(enrollments.c.person_id == id_)
        .returning(enrollments.c.face_image_path, enrollments.c.face_encoding_path)
    ).all()
    pictures = session.execute(
        sa.delete(snapshots).where(snapshots.c.person_id == id_).returning(snapshots.c.path)
    ).scalars()
    files = [*(path for row in gone for path in row if path), *pictures]
    for owned in (consents, group_members, correction_requests, person_access, credentials):
        session.execute(sa.delete(owned).where(owned.c.person_id == id_))
    session.execute(sa.delete(persons).where(persons.c.id == id_))
    # after the person, whom those hold who note passages
    session.execute(sa.delete(site_presence).where(site_presence.c.uid == uid))
    feed.note(session, feed.PERSON, [uid], gone=True)
    return files


def _derived(values: dict[str, Any]) -> dict[str, Any]:
    searched = ("first_name", "last_name", "personnel_code", "email", "department", "position")
    email = values["email"]
    return {
        "search": fold(" ".join(values[k] for k in searched if values[k])),
        "email_key": email.casefold() if email else None,
    }


def _taken(session: Session, values: dict[str, Any], id_: int | None = None) -> Conflict:
    code, email = values.get("personnel_code"), values.get("email")
    other = by_code(session, code) if code else None
    if other and other.id != id_:
        return Conflict(f"personnel code {code} already belongs to person {other.id}")
    other = by_email(session, email) if email else None
    whose = f" to person {other.id}" if other else ""
    return Conflict(f"e-mail address {email} already belongs{whose}")
