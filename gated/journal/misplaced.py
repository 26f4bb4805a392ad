"""Finds rows with an impossible chain or number, which no walk through a chain meets.

SQLite stores any type in any column: bytes as the name of a chain, a text as a number. Such rows,
and numbers out of range, belong to no chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.tables import attendance_logs, journal, journal_private, journal_seal
from gated.journal.chain_tip import LAST

TABLES = (journal, journal_private, journal_seal, attendance_logs)
MOST = 100
"""The most rows of one chain and table that are reported."""


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A row that belongs to no chain. what: the problem in one sentence. seq: 0 for no number."""

    chain: str
    what: str
    seq: int = 0


def chains_of(session: Session, table: sa.Table) -> Iterator[Any]:
    """Yield the chains of which a table has rows; on SQLite also names that are no text.

    A loose index scan: one step for each chain, not for each row.
    """
    chain = table.c.chain
    first = sa.select(sa.func.min(chain).label("chain")).cte("chains", recursive=True)
    following = sa.select(sa.func.min(chain)).where(chain > first.c.chain).scalar_subquery()
    steps = first.union_all(sa.select(following).where(first.c.chain.is_not(None)))
    yield from session.execute(sa.select(steps.c.chain).where(steps.c.chain.is_not(None))).scalars()


def misplaced(session: Session, chains: Iterable[str]) -> Iterator[Misplaced]:
    """Yield the rows of all tables that no walk through these chains meets."""
    for table in TABLES:
        yield from _of_no_chain(session, table)
        for chain in chains:
            yield from _beyond(session, table, chain)


def _of_no_chain(session: Session, table: sa.Table) -> Iterator[Misplaced]:
    if session.get_bind().dialect.name != "sqlite":
        return
    # bytes sort after every text, so that the index finds them
    named_by_bytes = table.c.chain >= sa.literal(b"", sa.LargeBinary)
    for row, digest in _rows(session, table, named_by_bytes):
        yield Misplaced(row[0], f"{table.name} has a row of a chain that is no text ({digest})")


def _beyond(session: Session, table: sa.Table, chain: str) -> Iterator[Misplaced]:
    seq = table.c.seq
    for beyond in (seq > LAST, seq <= -LAST):
        for row, digest in _rows(session, table, sa.and_(table.c.chain == chain, beyond)):
            number = row[1] if len(row[1]) < 50 else f"{row[1][:50]}..."
            what = f"{table.name} has a row of the impossible number {number} ({digest})"
            yield Misplaced(chain, what)


def _rows(
    session: Session, table: sa.Table, where: sa.ColumnElement[bool]
) -> Iterator[tuple[list[str], str]]:
    """Yield chain, number and all other values of rows as SQL literals, and a digest of them."""
    columns = [table.c.chain, table.c.seq, *(c for c in table.c if c.name not in ("chain", "seq"))]
    if session.get_bind().dialect.name == "sqlite":
        shown: list[sa.ColumnElement[Any]] = [sa.func.quote(c) for c in columns]
    else:
        shown = [sa.cast(c, sa.Text) for c in columns]
    for row in session.execute(sa.select(*shown).where(where).limit(MOST)):
        values = [str(value) for value in row]
        text = "\n".join(values).encode("utf-8", "backslashreplace")
        yield values, f"SHA-256 {hashlib.sha256(text).hexdigest()[:16]}"
