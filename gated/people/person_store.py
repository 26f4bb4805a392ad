"""Persons. Every change touches the gallery's stamp, so that gates rebuild what they match with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields as record_fields
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.core.text import clean_code, clean_text, code_key, is_same, search_key, sort_key
from gated.core.values import PersonRef
from gated.database import account_store, editor_store, rows
from gated.database import change_feed as feed
from gated.database.records import Enrollment, Person, columns_of, record
from gated.database.spellings import APART
from gated.database.stored_settings import touch_gallery
from gated.database.tables import (
    accounts,
    attendance_logs,
    consents,
    correction_requests,
    credentials,
    directory_people,
    enrollments,
    group_members,
    groups,
    new_uid,
    person_access,
    persons,
    site_presence,
    snapshots,
)
from gated.errors import Conflict, EmailTaken, NotFound, PersonnelCodeTaken

SORTS = ("id", "first_name", "last_name", "personnel_code", "department", "created_at")
CHANGEABLE = frozenset(f.name for f in record_fields(Person)) - {
    *("id", "uid", "version", "created_at", "updated_at")
}

_COLUMNS = columns_of(Person, persons)


_CODES = ("personnel_code", "email", "phone")
_TEXTS = tuple(
    c.name
    for c in persons.c
    if c.name in CHANGEABLE and isinstance(c.type, sa.Text) and c.name not in _CODES
)
OPTIONAL_TEXTS = tuple(name for name in (*_TEXTS, *_CODES) if persons.c[name].nullable)
"""Optional fields of a person besides name and code."""

_SORTED_BY = {
    "first_name": persons.c.first_name_key,
    "last_name": persons.c.last_name_key,
    "department": persons.c.department_key,
    "personnel_code": persons.c.code_key,
}


_OWNED = (
    consents,
    group_members,
    correction_requests,
    person_access,
    credentials,
    directory_people,
)
"""Rows that go with a person."""


def add(session: Session, *, uid: str | None = None, **fields: Any) -> Person:
    """Add a person, of this uid or a new one; what is left out is as the columns have it.

    Raises: Conflict when the personnel code or the e-mail address is taken, in any spelling;
    TextRefused.
    """
    if unknown := fields.keys() - CHANGEABLE:
        raise ValueError(f"a person has no {', '.join(sorted(unknown))}")
    values = {**fields, "email": fields.get("email") or None}
    values |= _cleaned(values)
    try:
        id_ = rows.insert(session, persons, **values, **derived(values), uid=uid or new_uid())
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
    """The person with this personnel code in any spelling, or None; typed alike comes first."""
    p = persons.c
    alike = sa.or_(p.personnel_code == personnel_code, p.code_key == code_key(personnel_code))
    same = sa.case((p.personnel_code == personnel_code, 0), else_=1)
    row = session.execute(sa.select(*_COLUMNS).where(alike).order_by(same)).first()
    return None if row is None else record(Person, row)


def by_email(session: Session, email: str) -> Person | None:
    """The person with this e-mail address in any case, or None."""
    row = rows.one(session, persons, _COLUMNS, email_key=code_key(email))
    return row and record(Person, row)


def refs(session: Session, ids: Collection[int]) -> dict[int, PersonRef]:
    """Those of these persons that are still there."""
    found: dict[int, PersonRef] = {}
    wanted, p = list(ids), persons.c
    selected = sa.select(p.id, p.uid, p.personnel_code, p.first_name, p.last_name)
    for some in rows.in_parts(wanted):
        there = selected.where(p.id.in_(some))
        for id_, uid, code, first, last in session.execute(there).all():
            found[id_] = PersonRef(id_, uid, code, f"{first} {last}".strip())
    return found


def ids_by_uid(session: Session, uids: Collection[str]) -> dict[str, int]:
    """Return the ids of those of these people who are here; any number may be asked for."""
    wanted, found = sorted(set(uids)), dict[str, int]()
    selected = sa.select(persons.c.uid, persons.c.id)
    for some in rows.in_parts(wanted):
        there = selected.where(persons.c.uid.in_(some))
        found |= {row.uid: row.id for row in session.execute(there)}
    return found


def list_(
    session: Session,
    *,
    is_active: bool | None = None,
    department: str | None = None,
    q: str | None = None,
    group: str | None = None,
    more: Sequence[sa.ColumnElement[bool]] = (),
    limit: int | None = None,
    offset: int = 0,
    sort: str = "id",
) -> tuple[list[Person], int]:
    """One page of persons, and how many there are in all.

    q: every word must occur in name, code, e-mail, department or position, accents and case
    aside. group: the name of one, in any case. more: further conditions. sort: one of SORTS, `-`
    before it turns the order round.
    """
    name = sort.removeprefix("-")
    if name not in SORTS:
        raise ValueError(f"persons cannot be sorted by {sort}")
    conditions = list(more)
    if is_active is not None:
        conditions.append(persons.c.is_active == is_active)
    if department is not None:
        conditions.append(in_department(department))
    if group is not None:
        members = sa.select(group_members.c.person_id).join(groups)
        members = members.where(groups.c.name_key == code_key(group))
        conditions.append(persons.c.id.in_(members))
    for word in search_key(q or "").split():
        conditions.append(persons.c.search.contains(word, autoescape=True))
    total = session.execute(sa.select(sa.func.count()).select_from(persons).where(*conditions))
    keys = [_SORTED_BY.get(name, persons.c[name]), persons.c.id]
    if sort.startswith("-"):
        keys = [k.desc() for k in keys]  # type: ignore[misc]
    statement = sa.select(*_COLUMNS).where(*conditions).order_by(*keys)
    found = session.execute(rows.page(statement, limit, offset)).all()
    return [record(Person, r) for r in found], total.scalar_one()


def in_department(name: str) -> sa.ColumnElement[bool]:
    """Select persons of a department, in whatever case its name is written."""
    return persons.c.department_key == sort_key(name)


def has_left(today: date) -> sa.ColumnElement[bool]:
    """Select persons whose last day is over."""
    last = persons.c.leaves_on
    return sa.and_(last.is_not(None), last < today)


def update(
    session: Session, id_: int, *, expected_version: int | None = None, **changes: Any
) -> Person:
    """Change the named columns; NotFound, TextRefused.

    Conflict when code or address is taken, the version is another, or no admin would be left.
    """
    if unknown := changes.keys() - CHANGEABLE:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed")
    before = get(session, id_)
    if expected_version not in (None, before.version):
        raise Conflict(f"person {id_} was changed meanwhile")
    if changes.get("is_active") is False or changes.get("leaves_on") is not None:
        touch_gallery(session)  # the locks in their order: see `locks`
        account_store.require_admin_beside(session, id_)
    if "email" in changes:
        changes["email"] = changes["email"] or None
    changes |= _cleaned(changes)
    after = {name: changes.get(name, getattr(before, name)) for name in CHANGEABLE}
    try:
        rows.change(session, persons, id_, **changes, **derived(after, before))
    except IntegrityError as e:
        raise _taken(session, changes, id_) from e
    touch_gallery(session)
    feed.note_person(session, id_)
    if "is_active" in changes:
        editor_store.note_person(session, id_)
    return get(session, id_)


def have_left(session: Session, today: date) -> list[Person]:
    """Active persons whose last day is before `today`."""
    over = sa.select(*_COLUMNS).where(persons.c.is_active, persons.c.leaves_on < today)
    return [record(Person, r) for r in session.execute(over.order_by(persons.c.id))]


def left_before(session: Session, day: date, id_: int | None = None) -> list[int]:
    """Return the ids of inactive persons whose last day is before `day`. id_: of this one only."""
    gone = sa.select(persons.c.id).where(~persons.c.is_active, persons.c.leaves_on < day)
    if id_ is not None:
        gone = gone.where(persons.c.id == id_)
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
    touch_gallery(session)  # the locks in their order: see `locks`
    for account in account_store.list_(session, person_id=id_):
        account_store.delete(session, account.id)
    gone = session.execute(
        sa.delete(enrollments)
        .where(enrollments.c.person_id == id_)
        .returning(enrollments.c.face_image_path, enrollments.c.face_encoding_path)
    ).all()
    pictures = session.execute(
        sa.delete(snapshots).where(snapshots.c.person_id == id_).returning(snapshots.c.path)
    ).scalars()
    files = [*(path for row in gone for path in row if path), *pictures]
    for owned in _OWNED:
        session.execute(sa.delete(owned).where(owned.c.person_id == id_))
    session.execute(sa.delete(persons).where(persons.c.id == id_))
    # after the person, whom those hold who note passages
    session.execute(sa.delete(site_presence).where(site_presence.c.uid == uid))
    feed.note(session, feed.PERSON, [uid], gone=True)
    return files


def derived(values: Mapping[str, Any], before: Person | None = None) -> dict[str, Any]:
    """Derive what follows from a person's own columns.

    before: as the person was; the keys of what is only spelt anew are left as they are.
    """
    searched = ("first_name", "last_name", "personnel_code", "email", "department", "position")
    email, department = values.get("email"), values.get("department")
    found = {
        "search": search_key(" ".join(values[k] for k in searched if values.get(k))),
        "first_name_key": sort_key(values["first_name"]),
        "last_name_key": sort_key(values["last_name"]),
        "department_key": None if department is None else sort_key(department),
    }
    if before is None or not is_same(values["personnel_code"], before.personnel_code):
        found["code_key"] = code_key(values["personnel_code"])
    if before is None or not is_same(email or "", before.email or ""):
        found["email_key"] = code_key(email) if email else None
    return found


def alike(session: Session) -> list[tuple[str, str]]:
    """(personnel code, the other's) of persons whose codes differ in spelling alone."""
    p = persons.alias("first")
    found = sa.select(persons.c.personnel_code, persons.c.code_key).where(
        persons.c.code_key.contains(APART, autoescape=True)
    )
    pairs = []
    for code, key in session.execute(found.order_by(persons.c.id)).all():
        own = sa.select(p.c.personnel_code).where(p.c.code_key == key.partition(APART)[0])
        other = session.execute(own).scalar()
        if other is not None:
            pairs.append((code, other))
    return pairs


def _cleaned(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the texts as they are stored; TextRefused."""
    cleaned = {k: clean_text(values[k], k) for k in _TEXTS if values.get(k)}
    for name in _CODES:
        if values.get(name):
            cleaned[name] = clean_code(values[name], name)
    return cleaned


def _taken(session: Session, values: dict[str, Any], id_: int | None = None) -> Conflict:
    code, email = values.get("personnel_code"), values.get("email")
    other = by_code(session, code) if code else None
    if other and other.id != id_:
        return PersonnelCodeTaken(f"personnel code {code} already belongs to person {other.id}")
    other = by_email(session, email) if email else None
    whose = f" to person {other.id}" if other else ""
    return EmailTaken(f"e-mail address {email} already belongs{whose}")


def enrollments_of(session: Session, id_: int) -> list[Enrollment]:
    """Return the enrollments of a person by id."""
    found = sa.select(*columns_of(Enrollment, enrollments)).where(enrollments.c.person_id == id_)
    return [record(Enrollment, row) for row in session.execute(found.order_by(enrollments.c.id))]


def accounts_of(session: Session, id_: int) -> int:
    """Return how many accounts a person has."""
    return _count(session, accounts, id_)


def credentials_of(session: Session, id_: int) -> int:
    """Return how many cards, badges and PINs a person has."""
    return _count(session, credentials, id_)


def _count(session: Session, table: sa.Table, id_: int) -> int:
    found = sa.select(sa.func.count()).select_from(table).where(table.c.person_id == id_)
    return int(session.execute(found).scalar_one())
