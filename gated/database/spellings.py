"""Names that differ in spelling alone."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.text import code_key
from gated.database.tables import accounts, gates, groups, schedules, sites

APART = "\x01"
"""Stands in the key of a name that was there before another one with the same key was."""

_NAMED = {
    "site": (sites.c.name, sites.c.name_key),
    "gate": (gates.c.name, gates.c.name_key),
    "group": (groups.c.name, groups.c.name_key),
    "schedule": (schedules.c.name, schedules.c.name_key),
    "account": (accounts.c.username, accounts.c.username_key),
}


def site_of_gates(session: Session, name: str) -> str:
    """The site of this name as the gates there have it, or as given."""
    known = set(session.execute(sa.select(gates.c.site).distinct()).scalars())
    if name in known:
        return name
    return next((s for s in sorted(known) if code_key(s) == code_key(name)), name)


def alike(session: Session) -> list[tuple[str, str, str]]:
    """(kind, name, the other's) of what has had another spelling of an older name before names
    were compared."""
    pairs = []
    for kind, (name, key) in _NAMED.items():
        found = sa.select(name, key).where(key.contains(APART, autoescape=True))
        for own, apart in session.execute(found.order_by(name)).all():
            older = sa.select(name).where(key == apart.partition(APART)[0])
            other = session.execute(older).scalar()
            if other is not None:
                pairs.append((kind, own, other))
    return pairs
