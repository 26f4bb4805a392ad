"""Reads where a journal begins since its oldest rows were dropped, as a sealed row of it tells.

pruned         on a gate: everything of its journal up to a row is gone, older chains too
rows_dropped   on a hub, in its own journal: rows of a gate's chain that never came here
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.tables import journal, sync_chains

PRUNED = "pruned"
DROPPED = "rows_dropped"


@dataclass(frozen=True, slots=True)
class PrunedRange:
    """Everything of one journal up to a row is gone; row 0 stands before the first of a chain.

    key: what seals the chain (public, hex). rows: how many went with the last step.
    unacknowledged: those of them that no hub has. state: of rows that are gone, by their kind, the
    last body that a start needs.
    """

    chain: str
    seq: int
    hash: str
    key: str
    rows: int
    unacknowledged: int
    state: Mapping[str, Mapping[str, Any]]

    def covers(self, chain: str, seq: int) -> bool:
        """Return whether this row is gone by it."""
        gate, epoch = split(chain)
        own, newest = split(self.chain)
        return gate == own and (epoch, seq) <= (newest, self.seq)


@dataclass(frozen=True, slots=True)
class ExplainedGap:
    """Rows of a gate, from `first` to the one with this hash, that its hub never got."""

    chain: str
    first: int
    seq: int
    hash: str
    key: str


Told = TypeVar("Told", PrunedRange, ExplainedGap)


def read(kind: type[Told], body: str) -> Told | None:
    """Read the body of a row; None when it makes no sense."""
    try:
        told = json.loads(body)
        return kind(**{name: told[name] for name in kind.__dataclass_fields__})
    except (ValueError, KeyError, TypeError):
        return None


def split(chain: str) -> tuple[str, int]:
    """Gate and epoch of a chain; epoch 0 for what is no name of a chain."""
    gate, _, epoch = chain.rpartition("/")
    return gate, int(epoch) if epoch.isdecimal() and len(epoch) < 19 else 0


def own_chains(session: Session, gate: str, table: sa.Table = journal) -> list[str]:
    """The chains of a gate of which any row is here, oldest first."""
    row, found = table.c.chain, [f"{gate}/"]
    of_gate = [row.startswith(f"{gate}/", autoescape=True)]
    if session.get_bind().dialect.name == "sqlite":
        of_gate.append(row < f"{gate}0")  # the character behind "/": the index ends there
    # one step of the index for each chain, not one for each row
    while last := session.execute(
        sa.select(row).where(*of_gate, row > found[-1]).order_by(row).limit(1)
    ).scalar():
        found.append(last)
    return sorted(found[1:], key=split)


def cut_row(session: Session, gate: str) -> tuple[str, int, str] | None:
    """Chain, number and body of the newest row that tells what is gone; None without one."""
    row = journal.c
    for chain in reversed(own_chains(session, gate)):
        told = sa.select(row.chain, row.seq, row.body)
        told = told.where(row.kind == PRUNED, row.chain == chain)
        found = session.execute(told.order_by(row.seq.desc()).limit(1)).first()
        if found is not None:
            return found.chain, found.seq, found.body
    return None


def newest_cut(session: Session, gate: str) -> PrunedRange | None:
    """Find what is gone of the journal of a gate; None when it is whole."""
    found = cut_row(session, gate)
    return None if found is None else read(PrunedRange, found[2])


def holes(session: Session) -> Iterator[ExplainedGap]:
    """List what never came here of the journals of gates, as this hub itself has put on record."""
    own = journal.c.chain.not_in(sa.select(sync_chains.c.chain))
    told = sa.select(journal.c.body).where(journal.c.kind == DROPPED, own)
    for body in session.execute(told).scalars():
        if (hole := read(ExplainedGap, body)) is not None:
            yield hole


def key_told(session: Session, chain: str) -> str:
    """The key of a chain whose first row is gone; empty when nothing tells of it."""
    cut = newest_cut(session, split(chain)[0])
    if cut is not None and cut.chain == chain:
        return cut.key
    return next((h.key for h in holes(session) if h.chain == chain), "")
