"""The names that a directory has for people and groups, and people and groups by them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.core.text import clean_text, code_key, sort_key
from gated.database import rows
from gated.database.records import Group, columns_of, record
from gated.database.tables import (
    directory_groups,
    directory_people,
    group_members,
    groups,
    persons,
)
from gated.errors import Taken


@dataclass(frozen=True, slots=True)
class DirectoryName:
    """The names by which a directory knows somebody."""

    user_name: str
    external_id: str | None
    employee_number: str | None


@dataclass(frozen=True, slots=True)
class GroupMembership:
    """One person in one group."""

    person_id: int
    person_uid: str
    group_uid: str
    group_name: str


def names(session: Session, person_ids: Collection[int]) -> dict[int, DirectoryName]:
    """Return the names of those whom a directory knows."""
    d, found = directory_people.c, dict[int, DirectoryName]()
    columns = (d.person_id, *(d[field.name] for field in fields(DirectoryName)))
    for some in _portions(person_ids):
        wanted_rows = sa.select(*columns).where(d.person_id.in_(some))
        found |= {id_: DirectoryName(*name) for id_, *name in session.execute(wanted_rows)}
    return found


def put_name(session: Session, person_id: int, name: DirectoryName) -> None:
    """Note by which names a directory knows somebody. Raises: Taken, TextRefused."""
    user_name = clean_text(name.user_name, "userName")
    values = {
        "user_name": user_name,
        "user_name_key": code_key(user_name),
        "external_id": name.external_id,
        "employee_number": name.employee_number,
    }
    table = directory_people
    known = names(session, [person_id])
    try:
        with session.begin_nested():
            if known:
                here = table.c.person_id == person_id
                session.execute(sa.update(table).where(here).values(**values))
            else:
                session.execute(sa.insert(table).values(person_id=person_id, **values))
    except IntegrityError as error:
        raise Taken(f"userName {user_name} already belongs to another user") from error


def external_ids(session: Session, group_ids: Collection[int]) -> dict[int, str]:
    """Return what a directory calls those groups that it knows."""
    d, found = directory_groups.c, dict[int, str]()
    for some in _portions(group_ids):
        wanted_rows = sa.select(d.group_id, d.external_id).where(d.group_id.in_(some))
        found |= {row.group_id: row.external_id for row in session.execute(wanted_rows)}
    return found


def put_external_id(session: Session, group_id: int, external_id: str | None) -> None:
    """Note what a directory calls a group; None: nothing."""
    table = directory_groups
    session.execute(sa.delete(table).where(table.c.group_id == group_id))
    if external_id is not None:
        session.execute(sa.insert(table).values(group_id=group_id, external_id=external_id))


# --- conditions on persons ---


def named(user_name: str) -> sa.ColumnElement[bool]:
    """Select whom a directory knows by this name; of others by e-mail address or code."""
    d, p, key = directory_people.c, persons.alias("alike").c, code_key(user_name)
    others = p.id.not_in(sa.select(d.person_id))
    # each by an index of its own: a condition with `or` would look at everybody
    return persons.c.id.in_(
        sa.union_all(
            sa.select(d.person_id).where(d.user_name_key == key),
            sa.select(p.id).where(p.email_key == key, others),
            sa.select(p.id).where(p.code_key == key, others),
        )
    )


def called(external_id: str) -> sa.ColumnElement[bool]:
    """Select persons by what a directory calls them."""
    d = directory_people.c
    return persons.c.id.in_(sa.select(d.person_id).where(d.external_id == external_id))


def numbered(number: str, *, or_coded: bool) -> sa.ColumnElement[bool]:
    """Select persons by employee number. or_coded: of others the personnel code is that."""
    d, p = directory_people.c, persons.alias("alike").c
    known = sa.select(d.person_id).where(d.employee_number == number)
    if not or_coded:
        return persons.c.id.in_(known)
    others = p.id.not_in(sa.select(d.person_id))
    coded = sa.select(p.id).where(p.code_key == code_key(number), others)
    return persons.c.id.in_(sa.union_all(known, coded))


def with_address(email: str) -> sa.ColumnElement[bool]:
    """Select persons by e-mail address."""
    return persons.c.email_key == code_key(email)


def with_uid(uid: str) -> sa.ColumnElement[bool]:
    """Select a person by uid."""
    return persons.c.uid == uid


def switched(on: bool) -> sa.ColumnElement[bool]:
    """Select persons who are active, or those who are not."""
    return persons.c.is_active == on


# --- groups and who is in them ---


def group_named(name: str) -> sa.ColumnElement[bool]:
    """Select a group by name."""
    return groups.c.name_key == code_key(name)


def group_called(external_id: str) -> sa.ColumnElement[bool]:
    """Select groups by what a directory calls them."""
    d = directory_groups.c
    return groups.c.id.in_(sa.select(d.group_id).where(d.external_id == external_id))


def group_with_uid(uid: str) -> sa.ColumnElement[bool]:
    """Select a group by uid."""
    return groups.c.uid == uid


def group_of(person_uid: str) -> sa.ColumnElement[bool]:
    """Select the groups of a person."""
    theirs = sa.select(group_members.c.group_id).join(persons)
    return groups.c.id.in_(theirs.where(persons.c.uid == person_uid))


def find_groups(
    session: Session, conditions: Sequence[sa.ColumnElement[bool]], limit: int, offset: int
) -> tuple[list[Group], int]:
    """One page of groups by id, and how many match."""
    total = session.execute(sa.select(sa.func.count()).select_from(groups).where(*conditions))
    wanted = sa.select(*columns_of(Group, groups)).where(*conditions).order_by(groups.c.id)
    found = session.execute(rows.page(wanted, limit, offset)).all()
    return [record(Group, row) for row in found], total.scalar_one()


def member_counts(session: Session, found: Collection[Group]) -> dict[int, int]:
    """Return how many members each of these groups has; those without any are left out."""
    m, counts = group_members.c, dict[int, int]()
    for some in _portions(group.id for group in found):
        counted = sa.select(m.group_id, sa.func.count()).where(m.group_id.in_(some))
        for id_, number in session.execute(counted.group_by(m.group_id)):
            counts[id_] = number
    return counts


def memberships(
    session: Session, *, person_ids: Iterable[int] = (), group_ids: Iterable[int] = ()
) -> list[GroupMembership]:
    """Return who of these persons is in which group, and who is in these groups; by name."""
    m, found = group_members.c, list[GroupMembership]()
    for column, ids in ((m.person_id, person_ids), (m.group_id, group_ids)):
        for some in _portions(ids):
            wanted_rows = (
                sa.select(persons.c.id, persons.c.uid, groups.c.uid, groups.c.name)
                .select_from(group_members.join(persons).join(groups))
                .where(column.in_(some))
                .order_by(persons.c.id, groups.c.id)
            )
            found += [GroupMembership(*row) for row in session.execute(wanted_rows)]
    return sorted(found, key=lambda one: (sort_key(one.group_name), one.person_id))


def _portions(ids: Iterable[int]) -> Iterable[Sequence[int]]:
    return rows.in_parts(sorted(set(ids)))
