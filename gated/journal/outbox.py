"""Reads the journal as an outbox: the rows that a gate sends to its hub, and the last
acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import stored_settings
from gated.database.tables import journal, journal_private, journal_seal
from gated.journal.chain_tip import LAST, Head
from gated.journal.pruned_ranges import PrunedRange, own_chains, pruned_row, read, split

ACKNOWLEDGED = "sync_acknowledged"
ROW = ("seq", "at_utc", "boot_id", "mono_ns", "clock_ok", "kind", "body", "commits", "hash")
FOREIGN_SEALS = 100
PRIVATE = ("seq", "role", "salt", "payload")
SEAL = ("seq", "hash", "signature")

Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one chain that follow `after`, with their private parts and seals; ends with a seal.

    lost: rows between `after` and the first one do not exist any more. cut: the row that records
    their pruning, with its chain, the hash before it and its seal's signature; None without one.
    """

    after: Head
    rows: Sequence[Part] = ()
    private: Sequence[Part] = field(default=())
    seals: Sequence[Part] = field(default=())
    lost: bool = False
    cut: Part | None = None

    @property
    def chain(self) -> str:
        return self.after.chain


def acknowledged(session: Session) -> dict[str, int]:
    """Return the last row of each chain that the hub has acknowledged.

    Returns none where the record is damaged: the hub says anew what it has.
    """
    stored = stored_settings.get_if_readable(session, ACKNOWLEDGED)
    found = stored.items() if isinstance(stored, dict) else ()
    return {chain: seq for chain, seq in found if isinstance(seq, int)}


def acknowledge(session: Session, chain: str, seq: int) -> None:
    """Store the last row of a chain that the hub has."""
    stored_settings.set_(session, ACKNOWLEDGED, {**acknowledged(session), chain: seq})


def sealed_until(session: Session, chain: str, public_key: str) -> int:
    """Return the last row of a chain under a seal made with this key (hex); 0 for none.

    Rows after it were not written by the gate. Only the last seals are checked: a chain that ends
    with more foreign seals than `FOREIGN_SEALS` is not sent at all.
    """
    seal = journal_seal.c
    ends = sa.select(seal.chain, seal.seq, seal.hash, seal.signature).where(
        seal.chain == chain, seal.seq <= LAST
    )
    for end in session.execute(ends.order_by(seal.seq.desc()).limit(FOREIGN_SEALS)):
        if Head(*end).is_signed_by(public_key):
            return int(end.seq)
    return 0


def backlog(
    session: Session, gate: str, key_for: Callable[[Session, str], str] | None = None
) -> int:
    """Return the number of rows that the hub does not have yet.

    key_for: returns the key of a chain (public, hex); only rows under a seal made with it count
    then.
    """
    acked, seq, total = acknowledged(session), journal.c.seq, 0
    for chain in own_chains(session, gate):
        there = journal.c.chain == chain, seq <= LAST
        ends = (sa.select(f(seq)).where(*there) for f in (sa.func.min, sa.func.max))
        # asked apart, each is one step of the index
        first, last = session.execute(sa.select(*(end.scalar_subquery() for end in ends))).one()
        if last is None:
            continue
        if key_for is not None:
            last = min(last, sealed_until(session, chain, key_for(session, chain)))
        total += max(0, last - max(first - 1, acked.get(chain, 0)))
    return total


def batch(
    session: Session, chain: str, after: int, limit: int, public_key: str = ""
) -> Batch | None:
    """Return the rows after number `after`, about `limit` of them; None when there are none.

    public_key: only rows under a seal made with it (hex) are returned.
    """
    seals = _seals(session, chain, after, limit)
    if public_key and seals and not _is_ours(chain, seals[-1], public_key):
        end = sealed_until(session, chain, public_key)
        seals = [s for s in seals if s["seq"] <= end]
    if not seals:
        return None
    row, last = journal.c, seals[-1]["seq"]
    there = (row.chain == chain, row.seq > after, row.seq <= last)
    found = session.execute(sa.select(*(row[n] for n in ROW)).where(*there).order_by(row.seq))
    rows = _unbroken([dict(r) for r in found.mappings()])
    if not rows:
        return None
    last = rows[-1]["seq"]
    part = journal_private.c
    private = session.execute(
        sa.select(*(part[n] for n in PRIVATE))
        .where(part.chain == chain, part.seq >= rows[0]["seq"], part.seq <= last)
        .order_by(part.seq, part.role)
    )
    first = rows[0]["seq"]
    before = sa.select(row.prev).where(row.chain == chain, row.seq == first)
    lost = first != after + 1
    return Batch(
        Head(chain, first - 1, session.execute(before).scalar_one()),
        rows,
        [dict(p) for p in private.mappings()],
        [s for s in seals if s["seq"] <= last],
        lost=lost,
        cut=_cut_before(session, chain, first) if lost or first == 1 else None,
    )


def _is_ours(chain: str, seal: Part, public_key: str) -> bool:
    return Head(chain, seal["seq"], seal["hash"], seal["signature"]).is_signed_by(public_key)


def _cut_before(session: Session, chain: str, first: int) -> Part | None:
    """Return the sealed row that records the pruning before a row; None when there is none."""
    found = pruned_row(session, split(chain)[0])
    cut = found and read(PrunedRange, found[2])
    if found is None or cut is None or (cut.chain, cut.seq) != (chain, first - 1):
        return None
    row, seal = journal.c, journal_seal.c
    sealed = (seal.chain == row.chain) & (seal.seq == row.seq)
    query = sa.select(row.chain, row.prev, *(row[n] for n in ROW), seal.signature)
    query = query.join(journal_seal, sealed).where(row.chain == found[0], row.seq == found[1])
    sealed_row = session.execute(query).mappings().first()
    return None if sealed_row is None else dict(sealed_row)


def _seals(session: Session, chain: str, after: int, limit: int) -> list[dict[str, Any]]:
    """Return the seals after a row that cover about `limit` rows: at least one, if there is one."""
    seal = journal_seal.c
    later = sa.select(*(seal[n] for n in SEAL)).where(
        seal.chain == chain, seal.seq > after, seal.seq <= LAST
    )
    few = later.where(seal.seq <= after + limit).order_by(seal.seq)
    found = [dict(s) for s in session.execute(few).mappings()]
    if found:
        return found
    return [dict(s) for s in session.execute(later.order_by(seal.seq).limit(1)).mappings()]


def _unbroken(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows up to the first gap."""
    for i in range(1, len(rows)):
        if rows[i]["seq"] != rows[i - 1]["seq"] + 1:
            return rows[:i]
    return rows
