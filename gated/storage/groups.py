"""Groups of persons, for rules of access."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.errors import Conflict, NotFound
from gated.storage import changes as feed
from gated.storage import editors, rows
from gated.storage import persons as persons_
from gated.storage.records import Group, columns_of, record
from gated.storage.settings import touch_rules
from gated.storage.tables import editor_groups, gate_groups, group_members, group_rules, groups

CHANGEABLE = frozenset({"name", "description"})

_COLUMNS = columns_of(Group, groups)


def add(session: Session, name: str, description: str | None = None) -> Group:
    """Add a group; Conflict when the name is taken in any case."""
    try:
        id_ = rows.insert(
            session, groups, name=name, name_key=name.casefold(), description=description
        )
    except IntegrityError as e:
        raise Conflict(f"there is already a group {name}") from e
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
    statement = sa.select(*_COLUMNS).order_by(groups.c.name_key)
    if person_id is not None:
        statement = statement.join(group_members, group_members.c.group_id == groups.c.id)
        statement = statement.where(group_members.c.person_id == person_id)
    return [record(Group, r) for r in session.execute(statement)]


def ids(session: Session, names: Sequence[str]) -> list[int]:
    """The ids of groups by their names in any case; NotFound for one that does not exist."""
    known = {g.name.casefold(): g.id for g in list_(session)}
    unknown = [n for n in names if n.casefold() not in known]
    if unknown:
        raise NotFound(f"there is no group {unknown[0]}")
    return sorted({known[n.casefold()] for n in names})


def by_uids(session: Session, uids: Sequence[str]) -> list[Group]:
    """Those of the groups that exist, by name."""
    found = sa.select(*_COLUMNS).where(groups.c.uid.in_(uids)).order_by(groups.c.name_key)
    return [record(Group, r) for r in session.execute(found)]


def update(session: Session, id_: int, **changes: Any) -> Group:
    """Change the named columns; NotFound, Conflict when the name is taken."""
    if unknown := changes.keys() - CHANGEABLE:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed")
    before = get(session, id_)
    name = changes.get("name", before.name)
    try:
        rows.change(session, groups, id_, **changes, name_key=name.casefold())
    except IntegrityError as e:
        raise Conflict(f"there is already a group {name}") from e
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
    editors.note_group(session, id_)
    for of_it in (group_members, gate_groups, group_rules, editor_groups):
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
