"""The scope of a gate: the persons and groups that it carries."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import rows
from gated.database.records import GateRow
from gated.database.tables import gate_groups, group_members, groups, persons
from gated.fleet.wire import person_states
from gated.fleet.wire.states import StoredPerson


def of(session: Session, gate: GateRow, uids: Sequence[str]) -> dict[str, StoredPerson]:
    """Return those of the persons whom a gate carries, by uid."""
    return {p.uid: p for p in _persons(session, gate, persons.c.uid.in_(uids))}


def uids_of(session: Session, gate: GateRow, uids: Sequence[str]) -> set[str]:
    """Return those of the persons whom a gate carries, without anything about them."""
    found: set[str] = set()
    for some in rows.in_parts(uids):
        them = sa.select(persons.c.uid).where(persons.c.uid.in_(some))
        if not gate.everyone:
            them = them.where(persons.c.id.in_(members_of(gate)))
        found |= set(session.execute(them).scalars())
    return found


def members_of(gate: GateRow) -> sa.Select[tuple[int]]:
    """Select the ids of all members of the groups that a gate carries."""
    members = sa.select(group_members.c.person_id)
    return members.where(group_members.c.group_id.in_(_groups(gate)))


def behind(session: Session, gate: GateRow, uid: str, limit: int) -> list[StoredPerson]:
    """Return the next persons whom a gate carries, by uid."""
    return _persons(session, gate, persons.c.uid > uid, limit)


def groups_of(session: Session, gate: GateRow, uids: Sequence[str] | None = None) -> dict[str, str]:
    """Return uid -> name of groups, all or some, that a gate has to know."""
    found = sa.select(groups.c.uid, groups.c.name)
    if uids is not None:
        found = found.where(groups.c.uid.in_(uids))
    if not gate.everyone:
        found = found.where(groups.c.id.in_(_groups(gate)))
    return {row.uid: row.name for row in session.execute(found)}


def _groups(gate: GateRow) -> sa.Select[tuple[int]]:
    return sa.select(gate_groups.c.group_id).where(gate_groups.c.gate_id == gate.id)


def _persons(
    session: Session, gate: GateRow, wanted: sa.ColumnElement[bool], limit: int | None = None
) -> list[StoredPerson]:
    if gate.everyone:
        return person_states.read(session, wanted, limit=limit)
    theirs = sa.and_(wanted, persons.c.id.in_(members_of(gate)))
    return person_states.read(session, theirs, carried=_groups(gate), limit=limit)
