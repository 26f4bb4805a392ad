"""On the hub: edits that gates have sent, and what was decided on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import change_feed, rows
from gated.database.records import columns_of, record
from gated.database.tables import changes as changes_table
from gated.database.tables import fleet_edits, gates, utcnow
from gated.errors import NotFound

PENDING, ACCEPTED, REFUSED = "pending", "accepted", "refused"

TOLD_FOR = timedelta(days=400)
"""The time for which a verdict is part of a snapshot."""


@dataclass(frozen=True, slots=True)
class FleetEdit:
    """One edit. person, operator: uids. state: pending, accepted, refused (reason says why).

    base: the person's version that the gate knew; after: the edit of the same person made before
    it; result: the person's version when it was accepted. content: sealed, until it is decided.
    """

    id: int
    uid: str
    gate_id: int
    kind: str
    person: str
    base: int
    after: str | None
    operator: str
    made_at: datetime
    digest: str
    content: Mapping[str, str] | None
    received_at: datetime
    state: str
    reason: str | None
    decided_by: str | None
    decided_at: datetime | None
    result: int | None


_COLUMNS = columns_of(FleetEdit, fleet_edits)


def add(session: Session, **values: Any) -> FleetEdit:
    """Note an edit, which is pending."""
    fresh = {"received_at": utcnow(), "state": PENDING}
    made = sa.insert(fleet_edits).values(**values, **fresh).returning(fleet_edits.c.id)
    return get(session, int(session.execute(made).scalar_one()))


def get(session: Session, id_: int, *, locked: bool = False) -> FleetEdit:
    """The edit with this id, or NotFound; locked until the transaction ends."""
    if rows.is_too_large(id_):
        raise NotFound(f"there is no edit {id_}")
    found = sa.select(*_COLUMNS).where(fleet_edits.c.id == id_)
    row = session.execute(found.with_for_update() if locked else found).first()
    if row is None:
        raise NotFound(f"there is no edit {id_}")
    return record(FleetEdit, row)


def by_uid(session: Session, uid: str) -> FleetEdit | None:
    """The edit with this uid, or None."""
    row = rows.one(session, fleet_edits, _COLUMNS, uid=uid)
    return row and record(FleetEdit, row)


def list_(session: Session, *, limit: int, state: str | None = None) -> list[FleetEdit]:
    """Edits, oldest first while they are pending, else newest first."""
    order = fleet_edits.c.id if state == PENDING else fleet_edits.c.id.desc()
    found = sa.select(*_COLUMNS).order_by(order).limit(limit)
    if state is not None:
        found = found.where(fleet_edits.c.state == state)
    return [record(FleetEdit, row) for row in session.execute(found)]


def pending_of(session: Session, person: str) -> list[FleetEdit]:
    """The pending edits of a person, oldest first."""
    e = fleet_edits.c
    found = sa.select(*_COLUMNS).where(e.person == person, e.state == PENDING).order_by(e.id)
    return [record(FleetEdit, row) for row in session.execute(found)]


def count_pending(session: Session, gate_id: int) -> int:
    """Return how many edits of a gate are pending."""
    e = fleet_edits.c
    found = sa.select(sa.func.count()).where(e.gate_id == gate_id, e.state == PENDING)
    return int(session.execute(found).scalar_one())


def decide(
    session: Session, edit: FleetEdit, state: str, by: str, reason: str | None = None
) -> None:
    """Note what was decided, drop the content, and tell the gate."""
    change_feed.note(session, change_feed.EDIT, [edit.uid])
    values: dict[str, Any] = {"state": state, "reason": reason, "decided_by": by, "content": None}
    values |= {"decided_at": utcnow(), "result": version_of(session, edit.person)}
    own = sa.update(fleet_edits).where(fleet_edits.c.id == edit.id)
    session.execute(own.values(**values))


def of_gate(
    session: Session, gate_id: int, uids: Sequence[str] | None
) -> dict[str, tuple[str, str | None]]:
    """uid -> (state, reason) of decided edits of a gate: some, or all of the last months."""
    e = fleet_edits.c
    found = sa.select(e.uid, e.state, e.reason).where(e.gate_id == gate_id, e.state != PENDING)
    lately = e.decided_at >= utcnow() - TOLD_FOR
    found = found.where(lately if uids is None else e.uid.in_(uids))
    return {row.uid: (row.state, row.reason) for row in session.execute(found)}


def gate_names(session: Session) -> dict[int, str]:
    """id -> name of all gates."""
    return {row.id: row.name for row in session.execute(sa.select(gates.c.id, gates.c.name))}


def version_of(session: Session, person: str) -> int:
    """The number of the last change of a person (uid); 0 for nobody."""
    c = changes_table.c
    found = sa.select(c.seq).where(c.kind == change_feed.PERSON, c.uid == person)
    return int(session.execute(found).scalar() or 0)
