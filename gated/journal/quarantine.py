"""Stores rows of gates that do not fit into their hub's journal, each once, with the reason.

Their private parts are stored in a table of their own, where an erasure finds them. Only the newest
rows of a gate are kept, so that a gate that sends garbage cannot fill the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.core.chain import canonical
from gated.database.tables import sync_quarantine, sync_quarantine_private, utcnow
from gated.journal.stored_object import shown_object_in

PER_GATE = 1000
PROJECTION = "projection"
"""The reason of a row that is in the journal without a row in the attendance log; never deleted, as
verification needs it."""

_row, _private = sync_quarantine.c, sync_quarantine_private.c


@dataclass(frozen=True, slots=True)
class SetApart:
    """A quarantined row. row: as received; None where the journal has it. private: role ->
    payload."""

    chain: str
    seq: int
    reason: str
    at: datetime
    row: Mapping[str, Any] | None
    private: Mapping[str, Mapping[str, Any]]


def add(
    session: Session,
    gate_id: int,
    chain: str,
    part: Mapping[str, Any],
    reason: str,
    private: Mapping[str, Mapping[str, Any]] | None = None,
) -> bool:
    """Store a row, or a part of one; False when it is there already. private: role -> payload."""
    text = canonical(dict(part)).decode()
    values = {
        "gate_id": gate_id,
        "chain": chain,
        "seq": part["seq"],
        "digest": hashlib.sha256(text.encode()).hexdigest(),
        "reason": reason,
        # a private part must not be where an erasure does not find it
        "row": "{}" if "payload" in part or reason == PROJECTION else text,
        "at": utcnow(),
    }
    try:
        with session.begin_nested():
            made = sa.insert(sync_quarantine).values(values).returning(_row.id)
            id_ = session.execute(made).scalar_one()
    except IntegrityError:
        return False
    for role, payload in (private or {}).items():
        stored = {"payload": canonical(payload).decode(), "uid": payload.get("uid")}
        insert = sa.insert(sync_quarantine_private)
        session.execute(insert.values(quarantine_id=id_, role=role, **stored))
    return True


def trim(session: Session, gate_id: int) -> None:
    """Delete the oldest rows of a gate beyond `PER_GATE`."""
    own = _row.gate_id == gate_id, _row.reason != PROJECTION
    over = sa.select(_row.id).where(*own).order_by(_row.id.desc()).offset(PER_GATE).limit(1)
    last = session.execute(over).scalar()
    if last is not None:
        old = sa.select(_row.id).where(*own, _row.id <= last)
        session.execute(sa.delete(sync_quarantine_private).where(_private.quarantine_id.in_(old)))
        session.execute(sa.delete(sync_quarantine).where(*own, _row.id <= last))


def list_(session: Session, gate_id: int, limit: int) -> list[SetApart]:
    """Return the quarantined rows of a gate, newest first."""
    found = sa.select(sync_quarantine).where(_row.gate_id == gate_id)
    return _with_private(session, found.order_by(_row.id.desc()).limit(limit))


def about(session: Session, uid: str) -> list[SetApart]:
    """Return the quarantined rows about the person with this uid."""
    named = sa.select(_private.quarantine_id).where(_private.uid == uid)
    found = sa.select(sync_quarantine).where(_row.id.in_(named))
    return _with_private(session, found.order_by(_row.id))


def forget_person(session: Session, uid: str) -> None:
    """Delete the private parts about a person."""
    session.execute(sa.delete(sync_quarantine_private).where(_private.uid == uid))


def forget_names(session: Session, before: datetime, limit: int) -> int:
    """Delete up to `limit` rows' private parts older than `before`; return the number of parts."""
    old = sa.select(_private.quarantine_id).join(sync_quarantine).where(_row.at < before)
    gone = sa.delete(sync_quarantine_private).where(
        _private.quarantine_id.in_(old.order_by(_row.id).limit(limit))
    )
    return len(session.execute(gone.returning(_private.role)).all())


def _with_private(session: Session, found: sa.Select[Any]) -> list[SetApart]:
    rows = session.execute(found).all()
    ids = [row.id for row in rows]
    payloads: dict[int, dict[str, Any]] = {id_: {} for id_ in ids}
    parts = sa.select(sync_quarantine_private).where(_private.quarantine_id.in_(ids))
    for part in session.execute(parts):
        payloads[part.quarantine_id][part.role] = shown_object_in(part.payload)
    return [
        SetApart(r.chain, r.seq, r.reason, r.at, shown_object_in(r.row) or None, payloads[r.id])
        for r in rows
    ]
