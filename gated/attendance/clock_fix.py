"""Times of rows from before the clock was set, put right."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.attendance.attendance_store import COLUMNS, passed_at
from gated.attendance.correction_store import fixed_entry
from gated.core.clock import CLOCK_UNSET
from gated.core.values import Instant
from gated.database.records import AttendanceRow
from gated.database.tables import attendance_logs as log
from gated.database.tables import journal
from gated.journal.journal import Entry
from gated.journal.pruned_ranges import own_chains
from gated.people.person_store import refs


def unset_rows(
    session: Session, gate: str, boot: str, after: int, limit: int
) -> list[tuple[AttendanceRow, int]]:
    """Effective rows of this journal that an unset clock wrote in this boot, each with the
    monotonic nanoseconds of its passage; behind an id."""
    found = session.execute(
        sa.select(*COLUMNS, journal.c.boot_id, journal.c.mono_ns, journal.c.body, journal.c.kind)
        .join(journal, sa.and_(journal.c.chain == log.c.chain, journal.c.seq == log.c.seq))
        .where(
            log.c.id > after,
            log.c.superseded_by.is_(None),
            log.c.chain.in_(own_chains(session, gate)),
            sa.cast(log.c.flags, sa.Text).like(f'%"{CLOCK_UNSET}"%'),
        )
        .order_by(log.c.id)
        .limit(limit)
    )
    rows = []
    for row in found:
        of, mono_ns = passed_at(row.kind, row.boot_id, row.mono_ns, row.body)
        if of == boot:
            fields = {c.name: getattr(row, c.name) for c in COLUMNS}
            rows.append((AttendanceRow(**fields), mono_ns))
    return rows


def fixing(
    session: Session, now: Instant, boot: str, rows: Sequence[tuple[AttendanceRow, int]]
) -> list[Entry]:
    """Make entries with the right time in the place of these rows, as the clock is right now."""
    offset_us = round((now.utc - now.mono) * 1e6)
    people = refs(session, [row.person_id for row, _ in rows if row.person_id is not None])
    return [
        fixed_entry(
            now,
            row,
            None if row.person_id is None else people.get(row.person_id),
            offset_us + mono_ns // 1000,
            {"boot": boot, "mono_ns": mono_ns},
        )
        for row, mono_ns in rows
    ]


def fixed(now: Instant, boot: str) -> Entry:
    """The word that the clock of this boot is set. offset_us: UTC less monotonic, microseconds."""
    return Entry(now, "clock_fixed", {"boot": boot, "offset_us": round((now.utc - now.mono) * 1e6)})
