"""Stores when the clock was last known to be right, and finds rows that an unset clock has dated.

Such a row of the attendance log has the flag `clock_unset`. When the clock is set within the same
boot, the right time follows from the monotonic clock: the journal records that once
(`clock_fixed`), and a row with the right time supersedes each of them, as every correction does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.clock import CLOCK_UNSET, Known
from gated.database import stored_settings
from gated.database.tables import attendance_logs as log
from gated.database.tables import journal
from gated.journal.chain_tip import last_row
from gated.journal.pruned_ranges import own_chains

KEY = "clock"
NEWEST_ROWS = 1000
"""The number of newest rows that are searched for unset times when the clock is found unset."""


@dataclass(frozen=True, slots=True)
class ClockRecord:
    """The stored state of the clock.

    known, hub: see `core.clock.Evidence`. unset_after: id of the last row of the attendance log
    before those that an unset clock has dated in the boot `unset_boot`.
    """

    known: Known | None = None
    hub: Known | None = None
    unset_boot: str = ""
    unset_after: int = 0


def get(session: Session) -> ClockRecord:
    """Return the stored record; an empty one where there is none, or it cannot be read."""
    stored = stored_settings.get_if_readable(session, KEY)
    if not isinstance(stored, Mapping):
        return ClockRecord()
    after = stored.get("unset_after")
    return ClockRecord(
        Known.read(stored.get("known")),
        Known.read(stored.get("hub")),
        str(stored.get("unset_boot", "")),
        after if isinstance(after, int) else 0,
    )


def put(session: Session, what: ClockRecord) -> None:
    """Store a record in place of the one before."""
    stored_settings.set_(session, KEY, asdict(what))


def known_from_journal(session: Session, gate: str, boot: str) -> Known | None:
    """Find a moment of a right clock in the journal: in this boot's first rows, or the last before.

    gate: uid of the journal. None where no such row is near.
    """
    chains = own_chains(session, gate)
    tip = last_row(session, chains[-1]) if chains else None
    if tip is None:
        return None
    begin, end = 1, tip.seq
    if _boot_at(session, tip.chain, end) == boot:
        while begin < end:  # rows of one boot stand together
            middle = (begin + end) // 2
            begin, end = (
                (begin, middle)
                if _boot_at(session, tip.chain, middle) == boot
                else (middle + 1, end)
            )
        found = _right(session, tip.chain, (journal.c.seq >= begin, journal.c.boot_id == boot), 1)
        if found is not None:
            return found
        end = begin - 1
    return _right(session, tip.chain, (journal.c.seq <= end,), -1)


def _boot_at(session: Session, chain: str, seq: int) -> str | None:
    """Return the boot of the row with this number, or of the next one that exists."""
    row = journal.c
    found = sa.select(row.boot_id).where(row.chain == chain, row.seq >= seq)
    return session.execute(found.order_by(row.seq).limit(1)).scalar()


def _right(session: Session, chain: str, where: Sequence[Any], way: int) -> Known | None:
    """Return the moment of the first row with a right clock among the nearest 500.

    way: 1 forwards, -1 backwards.
    """
    row = journal.c
    order = row.seq if way > 0 else row.seq.desc()
    near = sa.select(row.at_utc, row.mono_ns, row.boot_id, row.clock_ok).where(
        row.chain == chain, *where
    )
    for at_us, mono_ns, boot, right in session.execute(near.order_by(order).limit(500)):
        if right:
            return Known(at_us / 1e6, mono_ns / 1e9, boot, "log")
    return None


def last_set(session: Session) -> int:
    """Return the id of the last row of the attendance log that a set clock has dated."""
    newest = sa.select(log.c.id, log.c.flags).order_by(log.c.id.desc()).limit(NEWEST_ROWS)
    rows = session.execute(newest).all()
    unset = list(takewhile(lambda row: CLOCK_UNSET in row.flags, rows))
    if unset:
        return int(unset[-1].id) - 1
    return int(rows[0].id) if rows else 0
