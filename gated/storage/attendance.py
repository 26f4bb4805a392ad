"""The attendance log, as the journal projects it. Only the journal writes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.attendance import Punch
from gated.core.model import Direction
from gated.errors import NotFound
from gated.storage import rows
from gated.storage.records import AttendanceRow, Person, columns_of, record
from gated.storage.tables import attendance_logs as log
from gated.storage.tables import gates, persons, sync_chains

_COLUMNS = columns_of(AttendanceRow, log)

MOST_ROWS = "granted"
"""The status that nearly all rows have."""

# the status is kept from choosing the index: see `_equal`
_PUNCH = (log.c.status.concat("") == "granted", log.c.superseded_by.is_(None))

SMALL_DEPARTMENT = 40
"""Of so many people all rows are gathered by an index and sorted, of more the newest are tried."""

Cursor = tuple[datetime, int]
"""(created_at, id) of the last row of the page before."""


def list_(
    session: Session,
    *,
    person_id: int | None = None,
    department: str | None = None,
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
    conditions = list(_equal({k: v for k, v in wanted.items() if v is not None}))
    if department is not None:
        conditions.append(_of_department(session, department))
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
    return [record(AttendanceRow, r) for r in session.execute(rows.page(statement, limit, 0)).all()]


def _of_department(session: Session, name: str) -> sa.ColumnElement[bool]:
    """Passages of who is in a department now."""
    members = sa.select(persons.c.id).where(persons.c.department == name)
    few = session.execute(members.limit(SMALL_DEPARTMENT + 1)).scalars().all()
    if len(few) <= SMALL_DEPARTMENT:
        return log.c.person_id.in_(few)
    # of many people some are among the newest rows: going through these needs no sorting
    return (log.c.person_id + 0).in_(members)


def _equal(wanted: Mapping[str, Any]) -> Iterator[sa.ColumnElement[bool]]:
    """Equal values; only the most selective columns are left for an index to be chosen by.

    Without statistics SQLite takes the index of any of them, also one that nearly all rows match.
    """
    if "person_id" in wanted:
        leading = {"person_id"}
    elif wanted.get("status", MOST_ROWS) != MOST_ROWS:
        leading = {"status"}
    else:
        leading = {"gate_name", "direction"} & wanted.keys() or {*wanted}
    for name, value in wanted.items():
        column = log.c[name]
        yield (column if name in leading else column.concat("")) == value


def get(session: Session, id_: int) -> AttendanceRow:
    """The row with this id, or NotFound."""
    row = rows.one(session, log, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no attendance row {id_}")
    return record(AttendanceRow, row)


def same_punch(session: Session, person_id: int, at: datetime, direction: str) -> int | None:
    """The id of the granted passage of a person at this very moment, or None."""
    found = sa.select(log.c.id).where(
        log.c.person_id == person_id,
        log.c.created_at == at,
        log.c.direction.concat("") == direction,
        *_PUNCH,
    )
    return session.execute(found.limit(1)).scalar()


def punches(
    session: Session, person_ids: Sequence[int], from_: datetime, to: datetime
) -> dict[int, list[Punch]]:
    """person id -> granted passages from `from_` up to but not including `to`, by time."""
    found = session.execute(
        sa.select(log.c.person_id, log.c.created_at, log.c.direction, log.c.id)
        .where(log.c.person_id.in_(person_ids), *_between(from_, to), *_PUNCH)
        .order_by(log.c.person_id, log.c.created_at, log.c.id)
    )
    told: dict[int, list[Punch]] = {id_: [] for id_ in person_ids}
    for row in found:
        told[row.person_id].append(Punch(row.created_at, Direction(row.direction), row.id))
    return told


def who_punched(
    session: Session,
    from_: datetime,
    to: datetime,
    *,
    person_id: int | None = None,
    department: str | None = None,
    after: int = 0,
    limit: int,
) -> list[Person]:
    """Persons with a granted passage in that time, by id, beginning after an id."""
    if rows.is_too_large(person_id):
        return []
    passed = sa.select(log.c.id).where(
        log.c.person_id == persons.c.id, *_between(from_, to), *_PUNCH
    )
    conditions = [persons.c.id > after, passed.exists()]
    if person_id is not None:
        conditions.append(persons.c.id == person_id)
    if department is not None:
        conditions.append(persons.c.department == department)
    chosen = sa.select(*columns_of(Person, persons)).where(*conditions).order_by(persons.c.id)
    return [record(Person, r) for r in session.execute(chosen.limit(limit))]


def names(session: Session, person_ids: Collection[int]) -> dict[int, Person]:
    """The persons with these ids, as far as they are there."""
    chosen = sa.select(*columns_of(Person, persons)).where(persons.c.id.in_(person_ids))
    return {r.id: record(Person, r) for r in session.execute(chosen)}


def _between(from_: datetime, to: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return log.c.created_at >= from_, log.c.created_at < to


def last_punches(
    session: Session,
    since: datetime,
    person_ids: Collection[int] | None = None,
    *,
    own: bool = False,
) -> dict[int, tuple[Direction, float]]:
    """person id -> (direction, UTC seconds) of the last granted passage at or after `since`.

    person_ids: of these only. own: without those that gates have sent to their hub.
    """
    conditions = [_of(person_ids), log.c.created_at >= since]
    if own:
        conditions.append(log.c.chain.not_in(sa.select(sync_chains.c.chain)))
    found = _newest(session, [log.c.direction, log.c.created_at], [log.c.person_id], conditions)
    return {r.person_id: (Direction(r.direction), r.created_at.timestamp()) for r in found}


def last_of_chains(
    session: Session, site: str, since: datetime, person_ids: Collection[int] | None = None
) -> Iterator[sa.Row[Any]]:
    """(person_id, chain, uid, direction, created_at, gate_name) of the last granted passage of each
    person by each journal of a site, at or after `since`.

    person_ids: of these only. A gate is where its hub says, whatever it writes itself.
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
    said = [persons.c.uid, log.c.direction, log.c.created_at, log.c.gate_name]
    conditions = [_of(person_ids), log.c.created_at >= since, here]
    conditions.append(persons.c.id == log.c.person_id)
    yield from _newest(session, said, [log.c.person_id, log.c.chain], conditions)


def _of(person_ids: Collection[int] | None) -> sa.ColumnElement[bool]:
    return log.c.person_id.is_not(None) if person_ids is None else log.c.person_id.in_(person_ids)


def _newest(
    session: Session,
    said: Sequence[sa.Column[Any]],
    of_each: Sequence[sa.Column[Any]],
    conditions: Sequence[sa.ColumnElement[bool]],
) -> sa.Result[Any]:
    """The newest granted passage of each combination, with the columns wanted."""
    order = (log.c.created_at.desc(), log.c.id.desc())
    nth = sa.func.row_number().over(partition_by=list(of_each), order_by=order)
    granted = sa.select(*of_each, *said, nth.label("nth")).where(*conditions, *_PUNCH).subquery()
    return session.execute(sa.select(granted).where(granted.c.nth == 1))
