"""The attendance log, as the journal projects it. Only the journal writes it."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.model import Direction
from gated.errors import NotFound
from gated.storage import rows
from gated.storage.records import AttendanceRow, columns_of, record
from gated.storage.tables import attendance_logs as log

_COLUMNS = columns_of(AttendanceRow, log)

Cursor = tuple[datetime, int]
"""(created_at, id) of the last row of the page before."""


def list_(
    session: Session,
    *,
    person_id: int | None = None,
    gate_name: str | None = None,
    direction: str | None = None,
    status: str | None = None,
    from_: datetime | None = None,
    to: datetime | None = None,
    after: Cursor | None = None,
    limit: int | None = None,
    raw: bool = False,
) -> list[AttendanceRow]:
    """Rows newest first, from `from_` up to but not including `to`, beginning after a cursor.

    raw: with the rows that were corrected later.
    """
    if rows.is_too_large(person_id) or (after and rows.is_too_large(after[1])):
        return []
    wanted = {
        "person_id": person_id,
        "gate_name": gate_name,
        "direction": direction,
        "status": status,
    }
    conditions = [log.c[k] == v for k, v in wanted.items() if v is not None]
    if not raw:
        conditions.append(log.c.superseded_by.is_(None))
    if from_ is not None:
        conditions.append(log.c.created_at >= from_)
    if to is not None:
        conditions.append(log.c.created_at < to)
    if after is not None:
        at, id_ = sa.literal(after[0], log.c.created_at.type), sa.literal(after[1], log.c.id.type)
        conditions.append(sa.tuple_(log.c.created_at, log.c.id) < sa.tuple_(at, id_))
    statement = (
        sa.select(*_COLUMNS).where(*conditions).order_by(log.c.created_at.desc(), log.c.id.desc())
    )
    return [record(AttendanceRow, r) for r in session.execute(rows.page(statement, limit, 0))]


def get(session: Session, id_: int) -> AttendanceRow:
    """The row with this id, or NotFound."""
    row = rows.one(session, log, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no attendance row {id_}")
    return record(AttendanceRow, row)


def last_punches(session: Session, since: datetime) -> dict[int, tuple[Direction, float]]:
    """person id -> (direction, UTC seconds) of the last granted passage at or after `since`."""
    newest = sa.func.row_number().over(
        partition_by=log.c.person_id, order_by=(log.c.created_at.desc(), log.c.id.desc())
    )
    granted = (
        sa.select(log.c.person_id, log.c.direction, log.c.created_at, newest.label("nth"))
        .where(
            log.c.person_id.is_not(None),
            log.c.status == "granted",
            log.c.superseded_by.is_(None),
            log.c.created_at >= since,
        )
        .subquery()
    )
    found = session.execute(sa.select(granted).where(granted.c.nth == 1))
    return {r.person_id: (Direction(r.direction), r.created_at.timestamp()) for r in found}
