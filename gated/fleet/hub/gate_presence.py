"""Presence at a site as far as one gate is concerned, on the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.records import GateRow
from gated.database.tables import persons, site_presence
from gated.fleet.hub import scope
from gated.journal.site_presence_store import EVERYBODY, PassageChanges


def of_gate(session: Session, gate: GateRow, passed: PassageChanges) -> PassageChanges:
    """Return what a gate may tell of it: nobody is forgiven whom it does not carry."""
    whom = may_forgive(session, gate, sorted(passed.forgiven))
    own_forgiven = {uid: utc for uid, utc in passed.forgiven.items() if uid in whom}
    return replace(passed, forgiven=own_forgiven)


def inside_unknown(session: Session, gate: GateRow, from_utc: float) -> int:
    """Return how many are inside at the site of a gate since `from_utc` whom it is not given."""
    if gate.everyone:
        return 0
    c, everybody = site_presence.c, site_presence.alias()
    given = sa.select(persons.c.uid).where(persons.c.id.in_(scope.members_of(gate)))
    all_forgiven = sa.select(sa.func.max(everybody.c.forgiven_utc)).where(
        everybody.c.site == gate.site, everybody.c.uid == EVERYBODY
    )
    found = sa.select(sa.func.count()).where(
        c.site == gate.site,
        c.direction == "entry",
        c.utc >= from_utc,
        c.utc > sa.func.coalesce(c.forgiven_utc, 0.0),
        c.utc > sa.func.coalesce(all_forgiven.scalar_subquery(), 0.0),
        c.uid.not_in(given),
    )
    return int(session.execute(found).scalar_one())


def may_forgive(session: Session, gate: GateRow, uids: Sequence[str]) -> set[str]:
    """Return those of these whom a gate may forgive: whom it carries, and everybody at once."""
    return {*scope.uids_of(session, gate, uids), EVERYBODY}
