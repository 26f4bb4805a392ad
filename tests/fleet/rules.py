"""What decides about passing at one gate: as the hub would have it, and as it is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from gated.access import schedule_store, site_store
from gated.access.access_store import ELSEWHERE, rules_of_groups
from gated.database.records import WeeklySchedule
from gated.database.tables import credentials, groups
from gated.fleet.hub import gate_store, scope, scope_rules
from gated.workspace import Workspace

Rules = dict[str, Any]


def wanted(hub: Workspace, name: str) -> Rules:
    """What the gate of this name has to know, by what it is about."""
    with hub.database.read() as session:
        gate = gate_store.by_name(session, name)
        site = scope_rules.site_of(session, gate)
        people = scope.behind(session, gate, "", 100_000)
        return {
            "schedules": {
                uid: (s.name, s.week, s.holiday, dict(s.exceptions))
                for uid, s in scope_rules.schedules_of(session, gate).items()
            },
            "groups": {
                uid: (set(g.here), g.elsewhere)
                for uid, g in scope_rules.groups_of(session, gate).items()
                if g.here or g.elsewhere
            },
            "rules": dict(site.rules),
            "holidays": dict(site.holidays),
            "cards": {(c.uid, c.digest, c.is_active) for p in people for c in p.credentials},
        }


def present(gate: Workspace) -> Rules:
    """The same as the gate has it."""
    with gate.database.read() as session:
        known = schedule_store.list_(session)
        uids = {s.id: s.uid for s in known} | {None: None}
        names = {row.id: row.uid for row in session.execute(sa.select(groups.c.id, groups.c.uid))}
        values = dict(site_store.rules(session).values)
        for name in site_store.SCHEDULES:
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
            "holidays": {h.day: h.name for h in site_store.list_holidays(session)},
            "cards": set(map(tuple, session.execute(sa.select(c.uid, c.digest, c.is_active)))),
        }


def _hours(found: Iterable[WeeklySchedule]) -> dict[str, Any]:
    return {
        s.uid: (
            s.name,
            tuple(map(tuple, s.week)),
            s.holiday if s.holiday is None else tuple(s.holiday),
            {day: tuple(hours) for day, hours in s.exceptions.items()},
        )
        for s in found
    }
