"""Reads the last passages at a site from the attendance log."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.clock import CLOCK_FIXED
from gated.database.tables import attendance_logs as log
from gated.database.tables import gates, persons, sync_chains

# the status is kept from choosing the index: see `_equal`
_PUNCH = (log.c.status.concat("") == "granted", log.c.superseded_by.is_(None))


def last_of_chains(
    session: Session, site: str, since: datetime, person_ids: Collection[int] | None = None
) -> Iterator[sa.Row[Any]]:
    """(person_id, chain, uid, direction, created_at, gate_name) of the last granted passages of
    each person by each journal of a site, at or after `since`: up to two of each, see `_newest`.

    person_ids: of these only. The site of a gate is that of its hub, whatever its rows say.
    """
    sent = sa.select(sync_chains.c.chain, gates.c.site).join(
        gates, gates.c.id == sync_chains.c.gate_id
    )
    of_hub = sent.subquery()
    here = sa.or_(
        log.c.chain.in_(sa.select(of_hub.c.chain).where(of_hub.c.site == site)),
        sa.and_(
            log.c.site.concat("") == site,
            log.c.chain.not_in(sa.select(sync_chains.c.chain)),
        ),
    )
    columns = [persons.c.uid, log.c.direction, log.c.created_at, log.c.gate_name]
    conditions = [_of(person_ids), log.c.created_at >= since, here]
    conditions.append(persons.c.id == log.c.person_id)
    yield from _newest(session, columns, [log.c.person_id, log.c.chain], conditions)


def _of(person_ids: Collection[int] | None) -> sa.ColumnElement[bool]:
    if person_ids is None:
        # the sum keeps the planner from scanning the index of persons for all time
        return (log.c.person_id + 0).is_not(None)
    return log.c.person_id.in_(person_ids)


def _newest(
    session: Session,
    columns: Sequence[sa.Column[Any]],
    of_each: Sequence[sa.Column[Any]],
    conditions: Sequence[sa.ColumnElement[bool]],
) -> sa.Result[Any]:
    """Return the last granted passages for each combination of `of_each`.

    Up to two of each: the last one in the log, whatever clock has dated it, and (`dated`) the
    latest of those whose time was set afterwards.
    """
    dated = sa.or_(
        log.c.reason.in_(("corrected", "manual")),
        sa.cast(log.c.flags, sa.Text).like(f'%"{CLOCK_FIXED}"%'),
    )
    columns = [*columns, dated.label("dated")]  # type: ignore[list-item]
    order = (sa.case((dated, log.c.created_at), else_=None).desc(), log.c.id.desc())
    nth = sa.func.row_number().over(partition_by=[*of_each, dated], order_by=order)
    granted = sa.select(*of_each, *columns, nth.label("nth")).where(*conditions, *_PUNCH).subquery()
    return session.execute(sa.select(granted).where(granted.c.nth == 1))
