"""Keeps when the clock was last right, and finds rows that were written while it was not.

A row of the log that was written by a clock which nobody had set bears the flag `clock_unset`. When
the clock is set within the same boot, the monotonic clock says when it really was: the journal is
told so once (`clock_fixed`), and a row with the right time takes the place of each, as every other
correction does.
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
LOOKED_AT = 1000
"""So many of the newest rows can be told to be unset when the clock is first found so."""


@dataclass(frozen=True, slots=True)
class Kept:
    """known, hub: see `core.clock.Evidence`. unset_after: id of the last row of the attendance log
    before those of an unset clock, of the boot `unset_boot`."""

    known: Known | None = None
    hub: Known | None = None
    unset_boot: str = ""
    unset_after: int = 0


def kept(session: Session) -> Kept:
    """Return what is kept of the clock; nothing of it where something else stands there."""
    told = stored_settings.get(session, KEY)
    if not isinstance(told, Mapping):
        return Kept()
    after = told.get("unset_after")
    return Kept(
        Known.read(told.get("known")),
        Known.read(told.get("hub")),
        str(told.get("unset_boot", "")),
        after if isinstance(after, int) else 0,
    )


def keep(session: Session, what: Kept) -> None:
    """Store it in place of what was kept before."""
    stored_settings.set_(session, KEY, asdict(what))


def in_log(session: Session, gate: str, boot: str) -> Known | None:
    """Find when the clock was right by the journal alone: the first row of this boot, or the last
    one before it; None for a journal that does not tell.

    gate: uid of the journal.
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
    """Of the row with this number, or the next one that is there."""
    row = journal.c
    found = sa.select(row.boot_id).where(row.chain == chain, row.seq >= seq)
    return session.execute(found.order_by(row.seq).limit(1)).scalar()


def _right(session: Session, chain: str, where: Sequence[Any], way: int) -> Known | None:
    """The first row one way whose clock was right, among some hundred."""
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
    """The id of the last row of the attendance log that no unset clock wrote."""
    newest = sa.select(log.c.id, log.c.flags).order_by(log.c.id.desc()).limit(LOOKED_AT)
    rows = session.execute(newest).all()
    unset = list(takewhile(lambda row: CLOCK_UNSET in row.flags, rows))
    if unset:
        return int(unset[-1].id) - 1
    return int(rows[0].id) if rows else 0
