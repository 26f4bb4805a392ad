"""Finds the newest row of a kind, by the index of kinds."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.tables import journal

FIRST_UNUSED = 1 << 62
"""Above the number of any row."""


def newest_of_kind(
    session: Session, chain: str, kind: str, before: int = FIRST_UNUSED
) -> tuple[int, str] | None:
    """Return number and body of the newest row of a kind in a chain, below a number; None.

    The number alone is looked for first, as only then SQLite takes the index of kinds: else it
    reads the whole chain backwards, and of most kinds there is no row in it.
    """
    row = journal.c
    newest = sa.select(sa.func.max(row.seq))
    newest = newest.where(row.kind == kind, row.chain == chain, row.seq < before)
    seq = session.execute(newest).scalar()
    if seq is None:
        return None
    body = session.execute(sa.select(row.body).where(row.chain == chain, row.seq == seq))
    return int(seq), str(body.scalar_one())
