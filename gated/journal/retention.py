"""Finds the identities and photos whose retention period is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import PROJECTED, microseconds
from gated.database.records import Enrollment, columns_of, record
from gated.database.tables import (
    AUDITED,
    attendance_logs,
    enrollments,
    journal,
    journal_private,
    sync_chains,
)

Places = Sequence[tuple[str, int]]
"""(chain, seq) of rows of the journal."""


def passages(session: Session, before: datetime, statuses: Sequence[str], limit: int) -> Places:
    """Return rows of the attendance log with these statuses that name a person, oldest first."""
    log = attendance_logs.c
    found = (
        sa.select(log.chain, log.seq)
        .where(log.status.in_(statuses), log.created_at < before, log.person_id.is_not(None))
        .order_by(log.created_at, log.id)
        .limit(limit)
    )
    return [(chain, seq) for chain, seq in session.execute(found)]


def strangers_passages(
    session: Session, before: datetime, statuses: Sequence[str], limit: int
) -> Places:
    """Return passages at gates of people whom this hub does not know; only their names are here.

    Includes rows that could make no row of the attendance log, with those that were granted.
    """
    row, private, log = journal.c, journal_private.c, attendance_logs.c
    here = (private.chain == row.chain) & (private.seq == row.seq) & (private.role == "subject")
    logged = (log.chain == row.chain) & (log.seq == row.seq)
    unlogged = log.id.is_(None) if "granted" in statuses else sa.false()
    found = (
        sa.select(row.chain, row.seq)
        .join_from(sync_chains, journal_private, private.chain == sync_chains.c.chain)
        .join(journal, here)
        .outerjoin(attendance_logs, logged)
        .where(
            row.kind.in_(PROJECTED),
            row.at_utc < microseconds(before),
            log.person_id.is_(None),
            sa.or_(log.status.in_(statuses), unlogged),
        )
        .limit(limit)
    )
    return [(chain, seq) for chain, seq in session.execute(found)]


def acts(session: Session, before: datetime, role: str, limit: int) -> Places:
    """Return audited rows that have a private part of this role, oldest first.

    The subject of a passage is left to `passages`: it goes with the attendance log.
    """
    row, private, log = journal.c, journal_private.c, attendance_logs.c
    logged = sa.select(log.id).where(log.chain == row.chain, log.seq == row.seq)
    theirs = ~sa.exists(logged) if role == "subject" else sa.true()
    found = (
        sa.select(row.chain, row.seq)
        .join(
            journal_private,
            (private.chain == row.chain) & (private.seq == row.seq) & (private.role == role),
        )
        .where(sa.text(AUDITED), row.at_utc < microseconds(before), theirs)
        .order_by(row.at_utc, row.chain, row.seq)
        .limit(limit)
    )
    return [(chain, seq) for chain, seq in session.execute(found)]


def photos(session: Session, before: datetime, limit: int) -> list[Enrollment]:
    """Return enrollments made before this time whose photo is still stored."""
    e = enrollments.c
    found = (
        sa.select(*columns_of(Enrollment, enrollments))
        .where(e.face_image_path.is_not(None), e.created_at < before)
        .order_by(e.id)
        .limit(limit)
    )
    return [record(Enrollment, r) for r in session.execute(found)]


def last_passage(session: Session, person_id: int) -> datetime | None:
    """Return the time of a person's last granted passage; None for never."""
    log = attendance_logs.c
    last = sa.select(log.created_at).where(log.person_id == person_id, log.status == "granted")
    return session.execute(last.order_by(log.created_at.desc()).limit(1)).scalar()
