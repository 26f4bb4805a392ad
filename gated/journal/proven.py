"""Finds the rows of its journal that a gate may act on: those under a seal of its own key.

Whoever can write the database can add a row with a right hash. None of those opens a door.
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
"""Whether a row (chain, number) may be acted on."""


def is_sealed(session: Session, chain: str, seq: int, keys: Collection[str]) -> bool:
    """Return whether a row leads, unaltered and without a gap, to a seal of one of the keys (hex).

    The first such seal behind it is read up to: to the end of its batch, where nobody altered one.
    """
    if type(seq) is not int or all(seq > sealed_until(session, chain, key) for key in keys):
        return False  # however many rows somebody has put behind the last seal
    row, seal = journal.c, journal_seal.c
    there = sa.and_(seal.chain == row.chain, seal.seq == row.seq, seal.hash == row.hash)
    said = sa.select(*(row[name] for name in FIELDS), row.prev, row.hash, seal.signature)
    behind = said.outerjoin_from(journal, journal_seal, there).where(row.chain == chain)
    hash_ = None
    while True:
        some = behind.where(row.seq >= seq).order_by(row.seq).limit(AT_ONCE)
        try:
            found = session.execute(some).mappings().all()
        except (ValueError, TypeError):  # it cannot be read
            return False
        for told in found:
            if told["seq"] != seq or hash_ not in (None, told["prev"]) or not _is_whole(told):
                return False
            hash_ = told["hash"]
            end = Head(chain, seq, told["hash"], told["signature"] or "")
            if any(end.is_signed_by(key) for key in keys):
                return True
            seq += 1
        if len(found) < AT_ONCE:
            return False


def _is_whole(told: sa.RowMapping) -> bool:
    try:
        stored = {name: told[name] for name in FIELDS}
        return bool(stored_row_hash(told["prev"], stored) == told["hash"])
    except (ValueError, TypeError, AttributeError):
        return False


def unbroken(
    session: Session, chain: str, start: int, least: int, key: str, limit: int
) -> int | None:
    """Count the rows from one row (0: the first that is left) to the last sealed one.

    None when one is missing between, the last one stands before `least`, or the newest `limit` of
    them do not lead to it by their hashes. key: what seals the chain (public, hex).
    """
    row, end = journal.c, sealed_until(session, chain, key)
    there = row.chain == chain, row.seq >= start, row.seq <= end
    few = sa.select(sa.func.min(row.seq), sa.func.count()).where(*there)
    first, rows = session.execute(few).one()
    if end < least or (rows and rows != end - first + 1) or (start and first != start):
        return None
    seq = max(end - limit + 1, first or 1)
    said = sa.select(*(row[name] for name in FIELDS), row.prev, row.hash).where(row.chain == chain)
    hash_ = None
    while rows and seq <= end:
        some = said.where(row.seq >= seq, row.seq <= end).order_by(row.seq).limit(10 * AT_ONCE)
        try:
            found = session.execute(some).mappings().all()
        except (ValueError, TypeError):  # it cannot be read
            return None
        for told in found:
            if hash_ not in (None, told["prev"]) or not _is_whole(told):
                return None
            hash_ = told["hash"]
        seq += len(found) or 1
    return int(rows)
