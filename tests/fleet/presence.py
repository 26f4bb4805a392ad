"""Who passed last by other gates: as the log of the hub has it, and as one gate was told."""

from __future__ import annotations

import sqlalchemy as sa

from gated.database import stored_settings
from gated.database.tables import attendance_logs as log
from gated.database.tables import persons
from gated.fleet.hub import gate_store, scope
from gated.journal import site_presence_store
from gated.workspace import Workspace

Passed = dict[str, tuple[str, float]]
"""uid -> direction and UTC seconds."""


def wanted(hub: Workspace, name: str) -> Passed:
    """Of whom the gate of this name has to know by what passage elsewhere."""
    found: Passed = {}
    last = sa.select(persons.c.uid, log.c.direction, log.c.created_at, log.c.chain)
    last = last.join(persons, persons.c.id == log.c.person_id).where(log.c.status == "granted")
    with hub.database.read() as session:
        gate = gate_store.by_name(session, name)
        given = {p.uid for p in scope.behind(session, gate, "", 100_000)}
        for row in session.execute(last.order_by(log.c.created_at)):
            found[row.uid] = (row.direction, row.created_at.timestamp())
            if row.chain.startswith(f"{gate.device}/"):
                del found[row.uid]
    return {uid: passed for uid, passed in found.items() if uid in given}


def present(gate: Workspace) -> Passed:
    """The same as the gate was told."""
    with gate.database.read() as session:
        told = site_presence_store.since(session, site_presence_store.FROM_HUB, 0)
        here = site_presence_store.ids_of(session, [stand.uid for stand in told])
    return {s.uid: (s.direction, s.utc) for s in told if s.direction and s.utc and s.uid in here}


def is_told(hub: Workspace, gate: Workspace, name: str) -> bool:
    """Whether the gate has heard everything."""
    with hub.database.read() as session:
        row = gate_store.by_name(session, name)
        end = site_presence_store.head(session, row.site)
    with gate.database.read() as session:
        kept = stored_settings.get(session, "presence_cursor", {})
        same_people = kept.get("people") == stored_settings.gallery_stamp(session)
    asked = end is not None and kept.get("cursor", "").endswith(f"{end.feed}.{row.feed}.{end.seq}")
    return asked and same_people
