"""Visits of strangers, counted in the attendance log."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.values import Reason
from gated.database.tables import attendance_logs as log


def stranger_visits(
    session: Session, gate: str, from_: datetime, to: datetime
) -> tuple[datetime | None, int]:
    """Return the time of a gate's first row, and the visits in a time that matched nobody.

    A visit that was denied several times counts once, unless others came in between.
    """
    first = session.execute(
        sa.select(sa.func.min(log.c.created_at)).where(log.c.gate_name == gate)
    ).scalar()
    # visits are numbered anew at each start: another number, or another day, is another visit
    in_order, day = (log.c.created_at, log.c.id), sa.func.date(log.c.created_at)
    new = sa.or_(
        *(x.is_distinct_from(sa.func.lag(x).over(order_by=in_order)) for x in (log.c.visit, day))
    )
    denials = (
        sa.select(new.label("new"))
        .where(
            log.c.gate_name == gate,
            log.c.status == "denied",
            log.c.reason == Reason.NO_MATCH.value,
            log.c.superseded_by.is_(None),
            log.c.created_at >= from_,
            log.c.created_at < to,
        )
        .subquery()
    )
    visits = session.execute(
        sa.select(sa.func.count()).select_from(denials).where(denials.c.new)
    ).scalar_one()
    return first, int(visits)
