"""Keys by which a hub knows the journals of its gates; each key agrees to the one after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import read_canonical
from gated.database.tables import journal
from gated.journal.chain_tip import key_of
from gated.journal.key_rotation import KeyRotation, rotation_of, successor_keys
from gated.journal.outbox import Batch
from gated.journal.pruned_ranges import own_chains, split


@dataclass(frozen=True, slots=True)
class BegunKey:
    """The key that the first row of a chain names. agrees: whether one of some keys leads to it."""

    public_key: str
    agrees: Callable[[Collection[str]], bool]


def begun_with(session: Session, batch: Batch) -> BegunKey | None:
    """The key under which a chain begins.

    None when the chain does not begin with this batch, or is here already.
    """
    if not batch.rows or batch.rows[0]["seq"] != 1 or key_of(session, batch.chain):
        return None
    try:
        body = read_canonical(batch.rows[0]["body"])
        public_key = str(body["public_key"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # the row is set apart for itself
    rotation = KeyRotation.in_row(batch.chain, body)

    def agrees(former: Collection[str]) -> bool:
        known = {*former, *successor_keys(body, split(batch.chain)[0], former)}
        if rotation is not None and rotation.previous_key in known and rotation.is_agreed:
            return True
        return public_key in known

    return BegunKey(public_key, agrees)


def newest(session: Session, chain: str) -> str:
    """The key of the newest chain of the same gate that is here; empty without one."""
    return next(
        (
            key
            for c in reversed(own_chains(session, split(chain)[0]))
            if (key := key_of(session, c))
        ),
        "",
    )


def ended_at(session: Session, chain: str) -> int | None:
    """The last row of a chain that its key sealed before another took its place; None: no other."""
    gate, epoch = split(chain)
    for later in own_chains(session, gate):
        if split(later)[1] > epoch and rotation_of(session, later) is not None:
            return _previous(session, later, chain)
    return None


def _previous(session: Session, later: str, chain: str) -> int | None:
    """Return where a chain ended, as the first row of a later one says; None when it speaks of
    another."""
    row = journal.c
    first = sa.select(row.body).where(row.chain == later, row.seq == 1)
    try:
        before = json.loads(session.execute(first).scalar_one())["previous"]
        return int(before["seq"]) if before["chain"] == chain else None
    except (ValueError, KeyError, TypeError):
        return None
