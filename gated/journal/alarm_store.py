"""Stores alarms: events that stay on the list until an operator acknowledges them.

There is one open alarm for each kind: further events of the kind are counted in it. The journal
writes alarms in the transaction of its rows; the acknowledging account is in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import utc
from gated.core.values import Severity
from gated.database import rows
from gated.database.tables import alarms, journal_private
from gated.errors import NotFound
from gated.journal.stored_object import object_in

STANDING = frozenset({"warning", "alarm"})
"""Severities that make an alarm."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. count: of its events. acknowledged_by: None while open, or when the name is
    erased."""

    id: int
    kind: str
    severity: Severity
    detail: Mapping[str, Any]
    raised_at: datetime
    last_at: datetime
    count: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None


_PLAIN = [alarms.c[n] for n in Alarm.__dataclass_fields__ if n != "acknowledged_by"]
_OWN_DETAIL = ("severity", "gate")


def raise_(session: Session, row: Mapping[str, Any]) -> None:
    """Open an alarm for a row of the journal (at_utc, kind, body), or count it in the open one."""
    at, body = utc(row["at_utc"]), row["body"]
    values = {
        "severity": body["severity"],
        "detail": {k: v for k, v in body.items() if k not in _OWN_DETAIL},
        "last_at": at,
    }
    again = (
        sa.update(alarms)
        .where(alarms.c.kind == row["kind"], alarms.c.acknowledged_at.is_(None))
        .values({**values, "count": alarms.c.count + 1})
        .returning(alarms.c.id)
    )
    if session.execute(again).first() is None:
        new = {**values, "kind": row["kind"], "raised_at": at, "count": 1}
        session.execute(sa.insert(alarms).values(new))


def list_(
    session: Session, *, standing: bool | None = None, limit: int = 200, offset: int = 0
) -> list[Alarm]:
    """Return alarms, newest first. standing: only open (True) or only acknowledged (False) ones."""
    wanted = _select().where(*_seen(standing))
    wanted = wanted.order_by(alarms.c.last_at.desc(), alarms.c.id.desc())
    return [_alarm(r) for r in session.execute(rows.page(wanted, limit, offset))]


def count(session: Session, *, standing: bool | None = None) -> int:
    """Count the alarms of all pages."""
    return rows.count(session, sa.select(alarms.c.id).where(*_seen(standing)))


def _seen(standing: bool | None) -> list[sa.ColumnElement[bool]]:
    unseen = alarms.c.acknowledged_at.is_(None)
    return [] if standing is None else [unseen if standing else sa.not_(unseen)]


def get(session: Session, id_: int) -> Alarm:
    """Return the alarm with this id. Raises: NotFound."""
    found = None
    if not rows.is_too_large(id_):
        found = session.execute(_select().where(alarms.c.id == id_)).first()
    if found is None:
        raise NotFound(f"there is no alarm {id_}")
    return _alarm(found)


def standing(session: Session, kind: str) -> int | None:
    """Return the id of the open alarm of a kind; None without one."""
    there = alarms.c.kind == kind, alarms.c.acknowledged_at.is_(None)
    id_: int | None = session.execute(sa.select(alarms.c.id).where(*there)).scalar()
    return id_


def acknowledge(session: Session, id_: int, at: datetime, chain: str, seq: int) -> None:
    """Mark an alarm as acknowledged by this row of the journal."""
    session.execute(
        sa.update(alarms)
        .where(alarms.c.id == id_, alarms.c.acknowledged_at.is_(None))
        .values(acknowledged_at=at, chain=chain, seq=seq)
    )


def _select() -> sa.Select[Any]:
    acknowledged = sa.and_(
        journal_private.c.chain == alarms.c.chain,
        journal_private.c.seq == alarms.c.seq,
        journal_private.c.role == "actor",
    )
    return sa.select(*_PLAIN, journal_private.c.payload.label("actor")).outerjoin(
        journal_private, acknowledged
    )


def _alarm(row: Any) -> Alarm:
    values = {column.name: getattr(row, column.name) for column in _PLAIN}
    by = object_in(row.actor).get("name") if row.actor else None
    return Alarm(**values, acknowledged_by=by)
