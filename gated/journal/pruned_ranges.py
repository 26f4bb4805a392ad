"""Reads the records of rows that are gone, from sealed rows of a journal.

pruned         on a gate: everything of its journal up to a row is gone, older chains too
rows_dropped   on a hub, in its own journal: rows of a gate's chain that never arrived here
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.tables import journal, sync_chains
from gated.journal.kind_index import newest_of_kind

PRUNED = "pruned"
DROPPED = "rows_dropped"


@dataclass(frozen=True, slots=True)
class PrunedRange:
    """The pruned beginning of a journal: all rows up to this one; row 0 precedes the first of a
    chain.

    key: seals the chain (public, hex). rows: number of rows of the last step. unacknowledged: those
    of them that no hub has. state: by kind, the last body of pruned rows that a start needs.
    """

    chain: str
    seq: int
    hash: str
    key: str
    rows: int
    unacknowledged: int
    state: Mapping[str, Mapping[str, Any]]

    def covers(self, chain: str, seq: int) -> bool:
        """Return whether this row is in the pruned range."""
        gate, epoch = split(chain)
        own, newest = split(self.chain)
        return gate == own and (epoch, seq) <= (newest, self.seq)


@dataclass(frozen=True, slots=True)
class ExplainedGap:
    """Rows of a gate, from `first` to the one with this hash, that never arrived at its hub."""

    chain: str
    first: int
    seq: int
    hash: str
    key: str


Body = TypeVar("Body", PrunedRange, ExplainedGap)


def read(kind: type[Body], body: str) -> Body | None:
    """Read the body of a row; None when it is malformed."""
    try:
        fields = json.loads(body)
        return kind(**{name: fields[name] for name in kind.__dataclass_fields__})
    except (ValueError, KeyError, TypeError):
        return None


def split(chain: str) -> tuple[str, int]:
    """Return gate and epoch of a chain; epoch 0 for a malformed name."""
    gate, _, epoch = chain.rpartition("/")
    return gate, int(epoch) if epoch.isdecimal() and len(epoch) < 19 else 0


def own_chains(session: Session, gate: str, table: sa.Table = journal) -> list[str]:
    """Return the chains of a gate of which the table has a row, oldest first."""
    row, found = table.c.chain, [f"{gate}/"]
    of_gate = [row.startswith(f"{gate}/", autoescape=True)]
    if session.get_bind().dialect.name == "sqlite":
        of_gate.append(row < f"{gate}0")  # "0" follows "/": the end of the index range
    # a loose index scan: one step for each chain, not for each row
    while last := session.execute(
        sa.select(row).where(*of_gate, row > found[-1]).order_by(row).limit(1)
    ).scalar():
        found.append(last)
    return sorted(found[1:], key=split)


def pruned_row(session: Session, gate: str) -> tuple[str, int, str] | None:
    """Return chain, number and body of the newest row that records pruning; None without one."""
    for chain in reversed(own_chains(session, gate)):
        found = newest_of_kind(session, chain, PRUNED)
        if found is not None:
            return chain, *found
    return None


def newest_pruned(session: Session, gate: str) -> PrunedRange | None:
    """Return the pruned range of the journal of a gate; None when it is complete."""
    found = pruned_row(session, gate)
    return None if found is None else read(PrunedRange, found[2])


def explained_gaps(session: Session) -> Iterator[ExplainedGap]:
    """Yield the gaps in the journals of gates that this hub has put on record."""
    own = journal.c.chain.not_in(sa.select(sync_chains.c.chain))
    bodies = sa.select(journal.c.body).where(journal.c.kind == DROPPED, own)
    for body in session.execute(bodies).scalars():
        if (gap := read(ExplainedGap, body)) is not None:
            yield gap


def recorded_key(session: Session, chain: str) -> str:
    """Return the key of a chain whose first row is gone; empty when no record names it."""
    pruned = newest_pruned(session, split(chain)[0])
    if pruned is not None and pruned.chain == chain:
        return pruned.key
    return next((gap.key for gap in explained_gaps(session) if gap.chain == chain), "")
