"""Groups of persons, for rules of access."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.core.text import clean_text, code_key, sort_key
from gated.database import change_feed as feed
from gated.database import editor_store, rows
from gated.database.records import Group, columns_of, record
from gated.database.stored_settings import touch_rules
from gated.database.tables import (
    directory_groups,
    editor_groups,
    gate_groups,
    group_members,
    group_rules,
    groups,
)
from gated.errors import NotFound, Taken
from gated.people import person_store as persons_

CHANGEABLE = frozenset({"name", "description", "planned_hours", "late_after"})

_COLUMNS = columns_of(Group, groups)


def add(
    session: Session,
    name: str,
    description: str | None = None,
    planned_hours: float | None = None,
    late_after: str | None = None,
) -> Group:
    """Add a group; Conflict when the name is taken in any spelling, TextRefused."""
    name = clean_text(name, "name")
    try:
        id_ = rows.insert(
            session, groups, name=name, name_key=code_key(name), description=description,
            planned_hours=planned_hours, late_after=late_after,
        )  # fmt: skip
    except IntegrityError as e:
        raise Taken(f"there is already a group {name}") from e
    feed.note_group(session, id_)  # before its first member, who passes by its rules
    return get(session, id_)


def get(session: Session, id_: int) -> Group:
    """The group with this id, or NotFound."""
    row = rows.one(session, groups, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no group {id_}")
    return record(Group, row)


def list_(session: Session, *, person_id: int | None = None) -> list[Group]:
    """All groups by name, or those of one person."""
    statement = sa.select(*_COLUMNS)
    if person_id is not None:
        statement = statement.join(group_members, group_members.c.group_id == groups.c.id)
        statement = statement.where(group_members.c.person_id == person_id)
    return _sorted(session, statement)


def ids(session: Session, names: Sequence[str]) -> list[int]:
    """The ids of groups by their names in any spelling; NotFound for one that does not exist."""
    found = list_(session)
    known = {code_key(g.name): g.id for g in reversed(found)} | {g.name: g.id for g in found}
    known = {n: known.get(n, known.get(code_key(n), 0)) for n in names}
    unknown = [n for n in names if not known[n]]
    if unknown:
        raise NotFound(f"there is no group {unknown[0]}")
    return sorted(set(known.values()))


def by_uids(session: Session, uids: Sequence[str]) -> list[Group]:
    """Those of the groups that exist, by name."""
    return _sorted(session, sa.select(*_COLUMNS).where(groups.c.uid.in_(uids)))


def _sorted(session: Session, wanted: sa.Select[Any]) -> list[Group]:
    found = [record(Group, r) for r in session.execute(wanted)]
    return sorted(found, key=lambda g: (sort_key(g.name), g.id))


def update(session: Session, id_: int, **changes: Any) -> Group:
    """Change the named columns; NotFound, Conflict when the name is taken, TextRefused."""
    if unknown := changes.keys() - CHANGEABLE:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed")
    before = get(session, id_)
    name = clean_text(changes.get("name", before.name), "name")
    if code_key(name) != code_key(before.name):
        changes["name_key"] = code_key(name)
    if "name" in changes:
        changes["name"] = name
    try:
        rows.change(session, groups, id_, **changes)
    except IntegrityError as e:
        raise Taken(f"there is already a group {name}") from e
    touch_rules(session)
    feed.note(session, feed.GROUP, [before.uid])
    return get(session, id_)


def delete(session: Session, id_: int) -> None:
    """Remove a group with its rules; its members stay. NotFound."""
    uid = get(session, id_).uid
    touch_rules(session)
    feed.note_group(session, id_)
    feed.note_members(session, id_)
    feed.note(session, feed.GROUP, [uid], gone=True)
    editor_store.note_group(session, id_)
    for of_it in (group_members, gate_groups, group_rules, editor_groups, directory_groups):
        session.execute(sa.delete(of_it).where(of_it.c.group_id == id_))
    session.execute(sa.delete(groups).where(groups.c.id == id_))


def join(session: Session, id_: int, person_id: int) -> bool:
    """Make a person a member; whether that is news. NotFound."""
    get(session, id_)
    persons_.get(session, person_id)
    if _is_member(session, id_, person_id):
        return False
    session.execute(sa.insert(group_members).values(group_id=id_, person_id=person_id))
    touch_rules(session)
    feed.note_person(session, person_id)
    return True


def leave(session: Session, id_: int, person_id: int) -> bool:
    """End a membership; whether there was one. NotFound for the group or the person."""
    get(session, id_)
    persons_.get(session, person_id)
    was_member = _is_member(session, id_, person_id)
    member = group_members.c
    session.execute(
        sa.delete(group_members).where(member.group_id == id_, member.person_id == person_id)
    )
    touch_rules(session)
    if was_member:
        feed.note_person(session, person_id)
    return was_member


def _is_member(session: Session, id_: int, person_id: int) -> bool:
    wanted = {"group_id": id_, "person_id": person_id}
    return rows.one(session, group_members, [group_members.c.group_id], **wanted) is not None
