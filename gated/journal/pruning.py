"""Prunes a gate's own journal: deletes its oldest rows, and records that in a sealed row.

A row is deleted with its private parts, its seal and its row of the attendance log. The record
keeps what a start needs of them, and the erasure ledger is completed before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import GENESIS
from gated.core.values import Instant
from gated.database.tables import (
    attendance_logs,
    correction_requests,
    journal,
    journal_private,
    journal_seal,
)
from gated.errors import StorageError
from gated.journal import erasure_ledger, key_rotation, outbox
from gated.journal.chain_tip import key_of
from gated.journal.journal import Entry, Journal
from gated.journal.pruned_ranges import PRUNED, PrunedRange, own_chains

STEP = 500
"""Rows of one transaction, so that other writers do not wait and the write-ahead log stays
small."""

LEAST = 10
"""Fewer rows are not pruned: the record takes room as well."""

STATE = ("door_mode",)
"""Kinds of rows of which the last one is needed, however old it is."""

ACTOR = "journal"


@dataclass(frozen=True, slots=True)
class OldRow:
    """A candidate for pruning. acknowledged: a hub has it."""

    chain: str
    seq: int
    hash: str
    at_utc: int
    acknowledged: bool


def prune(
    session: Session,
    journal_: Journal,
    gate: str,
    at: Instant,
    may_go: Callable[[OldRow], bool],
    cause: str,
) -> PrunedRange | None:
    """Prune the oldest rows, up to the first one that may not go; return the range, None for too
    few.

    The newest row stays. gate: the journal's uid. session: of `Database.write`. Raises:
    StorageError when the erasure ledger cannot be completed.
    """
    chains = own_chains(session, gate)
    if not chains:
        return None
    chain, following = chains[0], chains[1] if len(chains) > 1 else None
    oldest = _oldest(session, chain, whole=following is not None)
    gone = list(takewhile(may_go, oldest))
    if len(gone) < min(LEAST, len(oldest) if following else LEAST):
        return None  # but a short chain that another one follows goes as a whole
    pruned = _range(session, journal_, gone, following)
    _complete_ledger(session, journal_, chain, gone[-1].seq)
    body = {**asdict(pruned), "cause": cause}
    if rotations := key_rotation.newest_rotations(journal_.rotations, gate):
        # a hub that knows an older key may lack the rows that lead from it to this one
        body["rotations"] = rotations
    # recorded first: the journal appends only to a chain whose key it can name
    journal_.append([Entry(at, PRUNED, body, {"actor": {"name": ACTOR}})], session)
    _delete(session, chain, gone[-1].seq)
    return pruned


def _oldest(session: Session, chain: str, *, whole: bool) -> list[OldRow]:
    """Return the first rows of a chain. whole: include its last row, as another chain follows."""
    row = journal.c
    found = sa.select(row.seq, row.hash, row.at_utc).where(row.chain == chain)
    rows = session.execute(found.order_by(row.seq).limit(STEP + 1)).all()
    acked = outbox.acknowledged(session).get(chain, 0)
    some = rows[:STEP] if whole else rows[:-1]
    return [OldRow(chain, r.seq, r.hash, r.at_utc, r.seq <= acked) for r in some]


def _range(
    session: Session, journal_: Journal, gone: Sequence[OldRow], following: str | None
) -> PrunedRange:
    last = gone[-1]
    end, row = (last.chain, last.seq, last.hash), journal.c
    later = sa.select(row.seq).where(row.chain == last.chain, row.seq > last.seq).limit(1)
    if following is not None and session.execute(later).first() is None:
        end = (following, 0, GENESIS)
    state = {k: body for k in STATE if (body := journal_.last_body(session, k)) is not None}
    missing = sum(not r.acknowledged for r in gone)
    return PrunedRange(*end, key_of(session, end[0]), len(gone), missing, state)


def _complete_ledger(session: Session, journal_: Journal, chain: str, seq: int) -> None:
    """Add the erasures in these rows to the ledger, which could not be rebuilt without them."""
    these, known = (journal.c.chain == chain, journal.c.seq <= seq), journal_.ledger.read()
    if (
        missing := erasure_ledger.erased_in_journal(
            session, *these, known=known, proof=journal_.proves
        )
        - known
    ):
        journal_.ledger.add(sorted(missing))
        if not missing <= journal_.ledger.read():
            raise StorageError("the erasure ledger cannot be written: nothing is dropped")


def _delete(session: Session, chain: str, seq: int) -> None:
    log, request = attendance_logs.c, correction_requests.c
    named = sa.select(log.id).where(log.chain == chain, log.seq <= seq)
    about = sa.or_(request.attendance_id.in_(named), request.result_id.in_(named))
    session.execute(sa.delete(correction_requests).where(about))
    for table in (attendance_logs, journal_private, journal_seal, journal):
        there = table.c.chain == chain, table.c.seq <= seq
        session.execute(sa.delete(table).where(*there))
