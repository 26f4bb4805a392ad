"""What decides about passing at one gate: as the hub would have it, and as it is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from gated.services.workspace import Workspace
from gated.storage import carried, carried_rules, gates, schedules, sites
from gated.storage.access import ELSEWHERE, rules_of_groups
from gated.storage.records import WeeklySchedule
from gated.storage.tables import credentials, groups

Rules = dict[str, Any]


def wanted(hub: Workspace, name: str) -> Rules:
    """What the gate of this name has to know, by what it is about."""
    with hub.database.read() as session:
        gate = gates.by_name(session, name)
        site = carried_rules.site_of(session, gate)
        people = carried.behind(session, gate, "", 100_000)
        return {
            "schedules": _hours(carried_rules.schedules_of(session, gate)),
            "groups": {
                g.uid: (set(g.here), g.elsewhere)
                for g in carried_rules.groups_of(session, gate)
                if g.here or g.elsewhere
            },
            "rules": dict(site.rules),
            "holidays": {h.day: h.name for h in site.holidays},
            "cards": {(c.uid, c.digest, c.is_active) for p in people for c in p.credentials},
        }


def present(gate: Workspace) -> Rules:
    """The same as the gate has it."""
    with gate.database.read() as session:
        known = schedules.list_(session)
        uids = {s.id: s.uid for s in known} | {None: None}
        names = {row.id: row.uid for row in session.execute(sa.select(groups.c.id, groups.c.uid))}
        values = dict(sites.rules(session).values)
        for name in sites.SCHEDULES:
            if name in values:
                values[name] = uids[values[name]]
        c = credentials.c
        return {
            "schedules": _hours(known),
            "groups": {
                names[id_]: (
                    {uids[r.schedule_id] for r in rules if r.gate is None},
                    any(r.gate == ELSEWHERE for r in rules),
                )
                for id_, rules in rules_of_groups(session).items()
            },
            "rules": values,
            "holidays": {h.day: h.name for h in sites.list_holidays(session)},
            "cards": set(map(tuple, session.execute(sa.select(c.uid, c.digest, c.is_active)))),
        }


def _hours(found: Iterable[WeeklySchedule]) -> dict[str, Any]:
    return {s.uid: (s.name, s.week, s.holiday, dict(s.exceptions)) for s in found}
