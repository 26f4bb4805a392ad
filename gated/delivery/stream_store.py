"""Reads rows for the event stream, and stores the position of each subscriber.

Only rows that follow unaltered from the one sent last, up to a seal of their gate's key, are
returned: a row that somebody has written into the database is delivered to nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import stored_row_hash
from gated.database import stored_settings
from gated.database.tables import gates, journal, journal_private, journal_seal, sync_chains
from gated.journal.chain_tip import Head
from gated.journal.proven import FIELDS
from gated.journal.pruned_ranges import own_chains
from gated.journal.stored_object import shown_object_in

AT_ONCE, MOST_AT_ONCE = 200, 51_200
"""Rows of one read; up to the second number while none of them has a seal."""
Point = tuple[int, str]
"""Number and hash of the last row that a subscriber has of a chain; (0, "") before the first."""


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A row of the journal, as stored. subject: whom it concerns; actor: who did it.

    Both are None for nobody and for somebody erased.
    """

    fields: Mapping[str, Any]
    subject: Mapping[str, Any] | None
    actor: Mapping[str, Any] | None = None

    @property
    def point(self) -> Point:
        return self.fields["seq"], self.fields["hash"]


def read_position(session: Session, key: str) -> dict[str, Any] | None:
    """Return the position of a subscriber with its log; None for a new one."""
    found = stored_settings.get(session, key)
    return found if isinstance(found, dict) else None


def keep_position(session: Session, key: str, position: Mapping[str, Any]) -> None:
    """Store the position of a subscriber."""
    stored_settings.set_(session, key, dict(position))


def chains(session: Session, own: str, key: str) -> dict[str, frozenset[str]]:
    """Return the chains to deliver with the keys (hex) that seal them, oldest of a gate first.

    own, key: uid and key of this machine's journal. On a hub those of its gates follow.
    """
    found = {chain: frozenset({key}) for chain in own_chains(session, own)}
    of_gates = sa.select(sync_chains.c.chain, gates.c.journal_key).join(
        gates, gates.c.id == sync_chains.c.gate_id
    )
    for chain, gate_key in session.execute(of_gates.order_by(sync_chains.c.chain)):
        if gate_key:
            found.setdefault(chain, frozenset({gate_key}))
    return found


def end_of(session: Session, chain: str) -> Point:
    """Return number and hash of the last row of a chain; (0, "") for an empty one."""
    row = journal.c
    last = sa.select(row.seq, row.hash).where(row.chain == chain).order_by(row.seq.desc()).limit(1)
    found = session.execute(last).first()
    return (0, "") if found is None else (int(found.seq), str(found.hash))


def rows_after(
    session: Session, chain: str, point: Point, keys: Collection[str], limit: int = AT_ONCE
) -> list[StreamRow]:
    """Read the next rows of a chain, up to a seal; none where they do not follow from `point`.

    A first row whose predecessor was pruned is trusted by the seal after it. Of rows that were
    appended together only the last one has a seal: more are read until there is one.
    """
    whole, sealed = _next_rows(session, chain, point, keys, limit)
    while sealed == 0 and len(whole) == limit < MOST_AT_ONCE:
        limit = min(4 * limit, MOST_AT_ONCE)
        whole, sealed = _next_rows(session, chain, point, keys, limit)
    parts = _private_parts(session, chain, whole[:sealed])
    return [
        StreamRow(
            dict(found),
            parts.get((found["seq"], "subject")),
            parts.get((found["seq"], "actor")),
        )
        for found in whole[:sealed]
    ]


def _next_rows(
    session: Session, chain: str, point: Point, keys: Collection[str], limit: int
) -> tuple[list[sa.RowMapping], int]:
    """Read rows that follow from each other, and how many of them the last seal covers."""
    row, seal = journal.c, journal_seal.c
    there = sa.and_(seal.chain == row.chain, seal.seq == row.seq, seal.hash == row.hash)
    columns = sa.select(*(row[name] for name in FIELDS), row.prev, row.hash, seal.signature)
    after = columns.outerjoin_from(journal, journal_seal, there)
    after = after.where(row.chain == chain, row.seq > point[0]).order_by(row.seq).limit(limit)
    whole: list[sa.RowMapping] = []
    sealed = 0
    before: Point = point
    for found in session.execute(after).mappings():
        if not _follows(found, before, first=not whole):
            break
        whole.append(found)
        before = found["seq"], found["hash"]
        end = Head(chain, *before, found["signature"] or "")
        if found["signature"] and any(end.is_signed_by(key) for key in keys):
            sealed = len(whole)
    return whole, sealed


def _follows(found: sa.RowMapping, before: Point, *, first: bool) -> bool:
    pruned = first and found["seq"] > before[0] + 1
    if not pruned and (found["seq"] != before[0] + 1 or before[1] not in ("", found["prev"])):
        return False
    try:
        stored = {name: found[name] for name in FIELDS}
        return bool(stored_row_hash(found["prev"], stored) == found["hash"])
    except (ValueError, TypeError, AttributeError):
        return False


def _private_parts(
    session: Session, chain: str, rows: list[sa.RowMapping]
) -> dict[tuple[int, str], Mapping[str, Any]]:
    if not rows:
        return {}
    part = journal_private.c
    query = sa.select(part.seq, part.role, part.payload).where(
        part.chain == chain,
        part.seq >= rows[0]["seq"],
        part.seq <= rows[-1]["seq"],
    )
    found = session.execute(query)
    return {(seq, role): shown_object_in(payload) for seq, role, payload in found if payload}
