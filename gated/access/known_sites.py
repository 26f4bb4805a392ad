"""The sites at which gates stand."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.tables import gates


def sites(session: Session) -> set[str]:
    """The sites at which gates stand."""
    return set(session.execute(sa.select(gates.c.site).distinct()).scalars())
