"""Stores pictures of attacks and strangers: rows that name sealed files."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.values import Reason
from gated.database import rows
from gated.database.records import Snapshot, columns_of, record
from gated.database.tables import attendance_logs as log
from gated.database.tables import persons, snapshots
from gated.errors import NotFound

_COLUMNS = columns_of(Snapshot, snapshots)


def add(session: Session, *, person_id: int | None, **values: object) -> bool:
    """Store a row; return False when its person was erased meanwhile."""
    if person_id is not None:
        there = sa.select(persons.c.id).where(persons.c.id == person_id)
        if session.execute(there).first() is None:
            return False
    rows.insert(session, snapshots, person_id=person_id, **values)
    return True


def get(session: Session, id_: int) -> Snapshot:
    """Return one row. Raises: NotFound."""
    row = rows.one(session, snapshots, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no snapshot {id_}")
    return record(Snapshot, row)


def list_(session: Session, limit: int) -> list[Snapshot]:
    """Return the newest rows, newest first."""
    found = sa.select(*_COLUMNS).order_by(snapshots.c.id.desc()).limit(limit)
    return [record(Snapshot, row) for row in session.execute(found)]


def newest(session: Session, reason: Reason, limit: int) -> list[Snapshot]:
    """Return the newest rows of one reason, newest first."""
    found = sa.select(*_COLUMNS).where(snapshots.c.reason == reason.value)
    found = found.order_by(snapshots.c.id.desc()).limit(limit)
    return [record(Snapshot, row) for row in session.execute(found)]


def of_moments(
    session: Session, gate_name: str, moments: Collection[datetime]
) -> dict[datetime, int]:
    """Return the ids of the pictures that a gate took at these times, by time."""
    if not moments:
        return {}
    c = snapshots.c
    found = sa.select(c.taken_at, c.id).where(c.taken_at.in_(set(moments)))
    return {row[0]: row[1] for row in session.execute(found.where(c.gate_name == gate_name))}


def of_rows(session: Session, ids: Collection[int]) -> dict[int, int]:
    """Return the ids of the pictures of rows of the attendance log, by the row's id."""
    c, same_gate = snapshots.c, snapshots.c.gate_name == log.c.gate_name
    found = sa.select(log.c.id, c.id).join(snapshots, c.taken_at == log.c.created_at)
    found = found.where(log.c.id.in_(ids), same_gate, c.visit == log.c.visit)
    return {row[0]: row[1] for row in session.execute(found)}


def delete(session: Session, ids: Collection[int]) -> list[str]:
    """Remove rows; returns the files that they named."""
    gone = sa.delete(snapshots).where(snapshots.c.id.in_(ids)).returning(snapshots.c.path)
    return list(session.execute(gone).scalars())


def after(session: Session, id_: int) -> Snapshot | None:
    """Return the next row after an id, or None."""
    found = sa.select(*_COLUMNS).where(snapshots.c.id > id_).order_by(snapshots.c.id).limit(1)
    row = session.execute(found).first()
    return None if row is None else record(Snapshot, row)


def has(session: Session, uid: str) -> bool:
    """Return whether there is a row with this uid."""
    return rows.one(session, snapshots, [snapshots.c.id], uid=uid) is not None


def count(session: Session, gate_name: str, since: datetime, to: datetime) -> int:
    """Count the pictures that a gate has taken from one time up to another."""
    c = snapshots.c
    found = sa.select(sa.func.count()).where(c.taken_at.between(since, to))
    return int(session.execute(found.where(c.gate_name == gate_name)).scalar_one())


def delete_older(session: Session, before: datetime, limit: int) -> list[str]:
    """Remove rows of pictures taken before, the oldest first; returns the files that they named."""
    old = sa.select(snapshots.c.id).where(snapshots.c.taken_at < before)
    old = old.order_by(snapshots.c.id).limit(limit)
    gone = sa.delete(snapshots).where(snapshots.c.id.in_(old)).returning(snapshots.c.path)
    return list(session.execute(gone).scalars())


def delete_oldest(session: Session, limit: int) -> list[str]:
    """Remove the oldest rows, those of strangers first; returns the files that they named."""
    first = sa.case((snapshots.c.reason == Reason.NO_MATCH.value, 0), else_=1)
    old = sa.select(snapshots.c.id).order_by(first, snapshots.c.id).limit(limit)
    gone = sa.delete(snapshots).where(snapshots.c.id.in_(old)).returning(snapshots.c.path)
    return list(session.execute(gone).scalars())


def known_files(session: Session) -> set[str]:
    """Return the relative path of every file that a row names."""
    return set(session.execute(sa.select(snapshots.c.path)).scalars())
