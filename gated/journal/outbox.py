"""The journal as outbox: what a gate has for its hub, and how far the hub has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import stored_settings
from gated.database.tables import journal, journal_private, journal_seal
from gated.journal.chain_tip import LAST, Head
from gated.journal.pruned_ranges import PrunedRange, cut_row, own_chains, read, split

ACKNOWLEDGED = "sync_acknowledged"
ROW = ("seq", "at_utc", "boot_id", "mono_ns", "clock_ok", "kind", "body", "commits", "hash")
FOREIGN_SEALS = 100
PRIVATE = ("seq", "role", "salt", "payload")
SEAL = ("seq", "hash", "signature")

Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one chain that follow `after`, with what hangs on them; ends with a seal.

    lost: the rows before are not there any more, whether the hub has them or not. cut: the row
    that says so, with its chain, the hash before it and its seal's signature; None where none does.
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
    """Return the last row of each chain that the hub has acknowledged."""
    told = stored_settings.get(session, ACKNOWLEDGED, {})
    return dict(told) if isinstance(told, dict) else {}


def acknowledge(session: Session, chain: str, seq: int) -> None:
    """Note how far the hub has a chain."""
    stored_settings.set_(session, ACKNOWLEDGED, {**acknowledged(session), chain: seq})


def sealed_until(session: Session, chain: str, public_key: str) -> int:
    """The last row of a chain under a seal made with this key (hex); 0 for none.

    Rows behind it are not the gate's. Only the last seals are looked at: a chain that ends with
    more foreign ones than that is not sent at all.
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
    """Count the rows that are here and that the hub does not have yet.

    key_for: gives the key of a chain (public, hex); only rows under a seal made with it count then.
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
    """The rows behind `after`, about `limit` of them; None when there are none.

    public_key: only rows under a seal made with it (hex) are sent.
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
    told = session.execute(
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
        [dict(p) for p in told.mappings()],
        [s for s in seals if s["seq"] <= last],
        lost=lost,
        cut=_cut_before(session, chain, first) if lost or first == 1 else None,
    )


def _is_ours(chain: str, seal: Part, public_key: str) -> bool:
    return Head(chain, seal["seq"], seal["hash"], seal["signature"]).is_signed_by(public_key)


def _cut_before(session: Session, chain: str, first: int) -> Part | None:
    """The sealed row that tells why nothing is left before a row; None when there is none."""
    found = cut_row(session, split(chain)[0])
    cut = found and read(PrunedRange, found[2])
    if found is None or cut is None or (cut.chain, cut.seq) != (chain, first - 1):
        return None
    row, seal = journal.c, journal_seal.c
    sealed = (seal.chain == row.chain) & (seal.seq == row.seq)
    told = sa.select(row.chain, row.prev, *(row[n] for n in ROW), seal.signature)
    told = told.join(journal_seal, sealed).where(row.chain == found[0], row.seq == found[1])
    sealed_row = session.execute(told).mappings().first()
    return None if sealed_row is None else dict(sealed_row)


def _seals(session: Session, chain: str, after: int, limit: int) -> list[dict[str, Any]]:
    """Seals behind `after`, as many as cover about `limit` rows: at least one, if there is one."""
    seal = journal_seal.c
    behind = sa.select(*(seal[n] for n in SEAL)).where(
        seal.chain == chain, seal.seq > after, seal.seq <= LAST
    )
    few = behind.where(seal.seq <= after + limit).order_by(seal.seq)
    found = [dict(s) for s in session.execute(few).mappings()]
    if found:
        return found
    return [dict(s) for s in session.execute(behind.order_by(seal.seq).limit(1)).mappings()]


def _unbroken(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows up to the first one that is missing."""
    for i in range(1, len(rows)):
        if rows[i]["seq"] != rows[i - 1]["seq"] + 1:
            return rows[:i]
    return rows
