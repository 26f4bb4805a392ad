"""On a gate: edits of the hub's people that were made here, and what became of them.

An edit is open until the hub has decided. What the hub tells of a person meanwhile is put in place,
and the open edits of that person are done again over it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.hub_ownership import OPEN_EDITS
from gated.database.records import Person, columns_of, record
from gated.database.tables import edge_edits
from gated.database.tables import enrollments as enrollments_table
from gated.enrollment import enrollment_store
from gated.errors import Conflict
from gated.fleet.wire.edits import DEACTIVATE
from gated.people import person_store

WAITING, SENT, ACCEPTED, REFUSED = "waiting", "sent", "accepted", "refused"


@dataclass(frozen=True, slots=True)
class EdgeEdit:
    """One edit. person: uid. state: waiting (to be sent), sent, accepted, refused.

    effect: what it does here: `fields` of the person, `adds` and `removes` enrollments (uids),
    `closes` for everybody. wire: as it goes up; None once it is decided.
    """

    id: int
    uid: str
    kind: str
    person: str
    operator: str
    made_at: datetime
    effect: Mapping[str, Any]
    at_once: bool
    wire: Mapping[str, Any] | None
    state: str
    reason: str | None
    decided_at: datetime | None


_COLUMNS = columns_of(EdgeEdit, edge_edits)


def add(session: Session, **values: Any) -> None:
    """Note an edit, which waits to be sent."""
    session.execute(sa.insert(edge_edits).values(**values, state=WAITING))


def list_(session: Session, *, limit: int, state: str | None = None) -> list[EdgeEdit]:
    """Edits, newest first."""
    found = sa.select(*_COLUMNS).order_by(edge_edits.c.id.desc()).limit(limit)
    if state is not None:
        found = found.where(edge_edits.c.state == state)
    return [record(EdgeEdit, row) for row in session.execute(found)]


def open_of(session: Session, person: str) -> list[EdgeEdit]:
    """The open edits of a person, oldest first."""
    e = edge_edits.c
    found = sa.select(*_COLUMNS).where(e.person == person, e.state.in_(OPEN_EDITS)).order_by(e.id)
    return [record(EdgeEdit, row) for row in session.execute(found)]


def open_of_all(session: Session, people: Sequence[str]) -> dict[str, list[EdgeEdit]]:
    """Return the open edits of persons by uid, oldest first; persons without any are left out."""
    e = edge_edits.c
    found = sa.select(*_COLUMNS).where(e.person.in_(people), e.state.in_(OPEN_EDITS))
    edits: dict[str, list[EdgeEdit]] = {}
    for row in session.execute(found.order_by(e.id)):
        edits.setdefault(row.person, []).append(record(EdgeEdit, row))
    return edits


def to_send(session: Session, passing_over: Collection[str] = ()) -> EdgeEdit | None:
    """Return the edit to send next: one that switches somebody off, else the oldest.

    passing_over: uids of persons.
    """
    e, before = edge_edits.c, edge_edits.alias("before").c
    waiting = e.state == WAITING, e.person.not_in(passing_over)
    same = before.person == e.person
    follows = sa.exists().where(same, before.state == WAITING, before.id < e.id)
    closing_first = sa.case((sa.and_(e.kind == DEACTIVATE, ~follows), 0), else_=1)
    found = sa.select(*_COLUMNS).where(*waiting).order_by(closing_first, e.id).limit(1)
    row = session.execute(found).first()
    return None if row is None else record(EdgeEdit, row)


def sent(session: Session, uid: str) -> None:
    """Note that the hub has an edit; a verdict that came before stays."""
    e = edge_edits.c
    own = sa.update(edge_edits).where(e.uid == uid, e.state == WAITING)
    session.execute(own.values(state=SENT))


def send_again(session: Session) -> None:
    """Let open edits be sent once more: a hub that was restored may not have them."""
    session.execute(sa.update(edge_edits).where(edge_edits.c.state == SENT).values(state=WAITING))


def abandon(session: Session, at: datetime) -> None:
    """Close all open edits as of a gate that has left its hub; what they did stays."""
    over: dict[str, Any] = {"state": REFUSED, "reason": "left_hub", "decided_at": at}
    own = sa.update(edge_edits).where(edge_edits.c.state.in_(OPEN_EDITS))
    session.execute(own.values(**over, wire=None, effect={}))


def decide(
    session: Session, uid: str, state: str, reason: str | None, at: datetime
) -> EdgeEdit | None:
    """Note what the hub has decided; the edit as it was, None when it was not open."""
    e = edge_edits.c
    own = sa.select(*_COLUMNS).where(e.uid == uid, e.state.in_(OPEN_EDITS))
    row = session.execute(own).first()
    if row is None:
        return None
    over: dict[str, Any] = {"state": state, "reason": reason, "decided_at": at}
    session.execute(sa.update(edge_edits).where(e.uid == uid).values(**over, wire=None, effect={}))
    return record(EdgeEdit, row)


def added(edits: Sequence[EdgeEdit]) -> set[str]:
    """The enrollments (uids) that these open edits have added here."""
    return {str(e.effect["adds"]) for e in edits if "adds" in e.effect}


def redo(session: Session, person: Person, edits: Sequence[EdgeEdit]) -> list[str]:
    """Do the open edits of a person again; the files that nobody needs now."""
    unneeded = []
    for edit in edits:
        with suppress(Conflict):  # another has the code here now: the hub decides who keeps it
            unneeded += do(session, person, edit.effect)
    return unneeded


def do(session: Session, person: Person, effect: Mapping[str, Any]) -> list[str]:
    """Let an edit have its effect here; the files that nobody needs now. Conflict."""
    if fields := dict(effect.get("fields", {})):
        if fields.get("leaves_on"):
            fields["leaves_on"] = date.fromisoformat(fields["leaves_on"])
        person_store.update(session, person.id, **fields)
    if effect.get("closes"):
        person_store.set_active(session, person.id, False)
    unneeded = []
    for uid in effect.get("removes", ()):
        own = enrollments_table.c
        found = sa.select(own.id).where(own.uid == uid, own.person_id == person.id)
        if (id_ := session.execute(found).scalar()) is not None:
            unneeded += enrollment_store.delete(session, id_)
    return unneeded
