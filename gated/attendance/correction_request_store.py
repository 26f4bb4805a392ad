"""Stores what people ask to be corrected in their own times; whoever may, answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import rows
from gated.database.records import CorrectionRequest, columns_of, record
from gated.database.tables import correction_requests as requests
from gated.errors import NotFound

_COLUMNS = columns_of(CorrectionRequest, requests)


def add(
    session: Session,
    person_id: int,
    *,
    attendance_id: int | None,
    passed_at: datetime | None,
    direction: str | None,
    status: str | None,
    reason: str,
) -> CorrectionRequest:
    """Add an open request of an existing person about an existing row, or about none."""
    id_ = rows.insert(
        session,
        requests,
        person_id=person_id,
        attendance_id=attendance_id,
        passed_at=passed_at,
        direction=direction,
        status=status,
        reason=reason,
        state="open",
    )
    return get(session, id_)


def get(session: Session, id_: int, *, lock: bool = False) -> CorrectionRequest:
    """The request with this id, or NotFound. lock: nobody else answers it meanwhile."""
    if rows.is_too_large(id_):
        raise NotFound(f"there is no correction request {id_}")
    found = sa.select(*_COLUMNS).where(requests.c.id == id_)
    row = session.execute(found.with_for_update() if lock else found).first()
    if row is None:
        raise NotFound(f"there is no correction request {id_}")
    return record(CorrectionRequest, row)


def answer(session: Session, id_: int, **values: Any) -> CorrectionRequest:
    """Set state, answer and result of a request that is there."""
    rows.change(session, requests, id_, **values)
    return get(session, id_)


def list_(
    session: Session,
    *,
    person_id: int | None = None,
    state: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[CorrectionRequest]:
    """A page of requests, newest first."""
    if rows.is_too_large(person_id):
        return []
    conditions = _equal(person_id=person_id, state=state)
    statement = sa.select(*_COLUMNS).where(*conditions).order_by(requests.c.id.desc())
    found = session.execute(rows.page(statement, limit, offset))
    return [record(CorrectionRequest, r) for r in found]


def count(session: Session, *, person_id: int | None = None, state: str | None = None) -> int:
    """Count the requests of all pages."""
    if rows.is_too_large(person_id):
        return 0
    conditions = _equal(person_id=person_id, state=state)
    return rows.count(session, sa.select(requests.c.id).where(*conditions))


def _equal(**wanted: Any) -> list[sa.ColumnElement[bool]]:
    return [requests.c[k] == v for k, v in wanted.items() if v is not None]


def count_open(session: Session, person_id: int) -> int:
    """Count the requests of a person that wait for an answer."""
    mine = requests.c.person_id == person_id, requests.c.state == "open"
    return session.execute(sa.select(sa.func.count()).where(*mine)).scalar_one()


def delete_older(session: Session, before: datetime, limit: int) -> int:
    """Remove requests made before; how many, at most `limit`."""
    old = sa.select(requests.c.id).where(requests.c.created_at < before).limit(limit)
    gone = sa.delete(requests).where(requests.c.id.in_(old)).returning(requests.c.id)
    return len(session.execute(gone).all())
