"""Checks which rows of its journal a gate may act on: those under a seal of its own key.

An attacker who can write to the database can add rows with right hashes. None of those opens a
door.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import stored_row_hash
from gated.database.tables import journal, journal_seal
from gated.journal.chain_tip import Head
from gated.journal.outbox import sealed_until

FIELDS = ("chain", "seq", "at_utc", "boot_id", "mono_ns", "clock_ok", "kind", "body", "commits")
AT_ONCE = 100

Proof = Callable[[Session, str, int], bool]
"""Returns whether a row (chain, number) may be acted on."""


def is_sealed(session: Session, chain: str, seq: int, keys: Collection[str]) -> bool:
    """Return whether a row leads, unaltered and without a gap, to a seal of one of the keys (hex).

    Reads up to the first such seal after it, which is the end of its batch where nothing was
    altered.
    """
    if type(seq) is not int or all(seq > sealed_until(session, chain, key) for key in keys):
        return False  # bounds the walk, however many rows were added after the last seal
    row, seal = journal.c, journal_seal.c
    there = sa.and_(seal.chain == row.chain, seal.seq == row.seq, seal.hash == row.hash)
    columns = sa.select(*(row[name] for name in FIELDS), row.prev, row.hash, seal.signature)
    of_chain = columns.outerjoin_from(journal, journal_seal, there).where(row.chain == chain)
    hash_ = None
    while True:
        some = of_chain.where(row.seq >= seq).order_by(row.seq).limit(AT_ONCE)
        try:
            found = session.execute(some).mappings().all()
        except (ValueError, TypeError):  # a value that is not of its column's type
            return False
        for found_row in found:
            if (
                found_row["seq"] != seq
                or hash_ not in (None, found_row["prev"])
                or not _is_whole(found_row)
            ):
                return False
            hash_ = found_row["hash"]
            end = Head(chain, seq, found_row["hash"], found_row["signature"] or "")
            if any(end.is_signed_by(key) for key in keys):
                return True
            seq += 1
        if len(found) < AT_ONCE:
            return False


def _is_whole(found_row: sa.RowMapping) -> bool:
    try:
        stored = {name: found_row[name] for name in FIELDS}
        return bool(stored_row_hash(found_row["prev"], stored) == found_row["hash"])
    except (ValueError, TypeError, AttributeError):
        return False


def unbroken(
    session: Session, chain: str, start: int, least: int, key: str, limit: int
) -> int | None:
    """Return the number of rows from `start` (0: the first that exists) to the last sealed one.

    None when there is a gap, the last sealed one is before `least`, or the newest `limit` of them
    do not follow from each other by their hashes. key: seals the chain (public, hex).
    """
    row, end = journal.c, sealed_until(session, chain, key)
    there = row.chain == chain, row.seq >= start, row.seq <= end
    few = sa.select(sa.func.min(row.seq), sa.func.count()).where(*there)
    first, rows = session.execute(few).one()
    if end < least or (rows and rows != end - first + 1) or (start and first != start):
        return None
    seq = max(end - limit + 1, first or 1)
    columns = sa.select(*(row[name] for name in FIELDS), row.prev, row.hash)
    of_chain = columns.where(row.chain == chain)
    hash_ = None
    while rows and seq <= end:
        some = of_chain.where(row.seq >= seq, row.seq <= end).order_by(row.seq).limit(10 * AT_ONCE)
        try:
            found = session.execute(some).mappings().all()
        except (ValueError, TypeError):  # a value that is not of its column's type
            return None
        for found_row in found:
            if hash_ not in (None, found_row["prev"]) or not _is_whole(found_row):
                return None
            hash_ = found_row["hash"]
        seq += len(found) or 1
    return int(rows)
