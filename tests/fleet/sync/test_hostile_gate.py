"""A gate that somebody has taken apart: it signs what it likes, and everybody can still read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from gated.core.chain import FIRST_US, LAST_US
from gated.core.values import Instant
from gated.delivery import stream_store
from gated.delivery.events import event_of
from gated.errors import HubError
from gated.fleet.hub.sync_schemas import JournalIn
from gated.journal import audit_store
from gated.journal.journal import Entry
from gated.syslog.messages import Format, framed
from gated.webhooks.bodies import fields_of
from tests.bench.light_gates import LightGate
from tests.fleet.sync.world import ACTOR, World
from tests.people.people import NOW

PASSWORD = "Correct-horse-battery-9"
HALF = "half \ud800 of a character"

Ask = Callable[[str], Any]


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


BODIES: list[dict[str, Any]] = [
    {"detail": HALF, HALF: [HALF, {"x": HALF}]},
    {"gate": [1], "site": {"a": 1}, "timezone": ["Europe/Berlin"], "severity": ["alarm"]},
    {"gate": HALF, "site": HALF, "timezone": HALF, "direction": HALF, "status": HALF},
    {"passed_at_utc": "noon"},
    {"passed_at_utc": 10**30},
    {"passed_at_utc": LAST_US + 1},
    {"deep": nested(300)},
]
ACTOR_PART = {"actor": {"name": "ann"}}
PARTS: list[dict[str, Any]] = [
    {"actor": {"name": HALF, "address": 5, "filters": "all"}},
    {"actor": {"nobody": True}, "subject": {"name": HALF, "uid": None, "personnel_code": [1]}},
]


@pytest.fixture
def ask(world: World) -> Iterator[Ask]:
    accounts = world.hub.services.accounts
    accounts.create("ann", "admin", PASSWORD, actor=ACTOR)
    token, _ = accounts.sign_in("ann", PASSWORD, "desk")
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=world.hub.url, headers=headers, trust_env=False, timeout=60) as http:

        def get(path: str) -> Any:
            answer = http.get(path)
            assert answer.status_code == 200, (path, answer.text)
            return answer.json()

        yield get


def test_what_a_gate_writes_into_its_journal_can_be_read_and_delivered(
    world: World, ask: Ask
) -> None:
    gate = LightGate(world.hub.services.fleet, "north", 0)
    acts = [Entry(NOW, "settings_accepted", body, private=ACTOR_PART) for body in BODIES]
    acts += [Entry(NOW, "settings_accepted", {}, private=parts) for parts in PARTS]
    batch = JournalIn(**gate.journal.batch([Entry(NOW, "x", {}), *acts])).batch()
    found = world.hub.services.fleet.by_name("north").gate
    world.hub.services.collector.take(found, batch)
    # the same once more under other hashes: rows that are set apart
    other = [{**row, "hash": "0" * 64} for row in batch.rows]
    world.hub.services.collector.take(found, dataclasses.replace(batch, rows=other, seals=[]))

    shown = [row for row in ask("/api/audit?limit=100") if row["chain"] == batch.chain]
    assert len(shown) == len(acts)
    assert "half ? of a character" in json.dumps(shown)
    assert ask(f"/api/fleet/gates/{found.id}/set-apart")
    hub = world.hub.workspace
    with hub.database.read() as session:
        keys = frozenset({found.journal_key or ""})
        rows = stream_store.rows_after(session, batch.chain, (0, ""), keys)
        assert len(rows) == len(acts) + 1
        for row in rows:
            event = event_of(row, "name")
            json.dumps(event, ensure_ascii=False).encode()
            assert fields_of(event)
            formats: tuple[Format, ...] = ("json", "cef")
            assert all(framed(event, format_, "audit") for format_ in formats)
        assert audit_store.about(session, "nobody") == []


@pytest.mark.parametrize("at_us", [FIRST_US - 1, LAST_US + 1, 2**62, -(2**62)])
def test_a_row_of_a_time_that_no_calendar_has_is_refused(world: World, at_us: int) -> None:
    gate = LightGate(world.hub.services.fleet, "north", 0)
    batch = gate.journal.batch([Entry(Instant(0.0, 1e9), "x", {})])
    batch["rows"][0]["at_utc"] = at_us
    with pytest.raises(ValidationError):
        JournalIn(**batch)


def test_what_a_gate_says_of_itself_hides_no_other_gate(world: World, ask: Ask) -> None:
    gate = world.gate("north")
    world.gate("south")
    status = {"role": HALF, HALF: [[HALF]], "problems": [HALF], "alarms": HALF, "disk_free": 10**40}
    gate.client.post("/api/sync/heartbeat", {"model": None, "status": status})
    shown = {found["name"]: found for found in ask("/api/fleet/gates")}
    assert shown.keys() == {"north", "south"}
    assert shown["north"]["reported"]["problems"] == ["half ? of a character"]
    with pytest.raises(HubError) as refused:
        gate.client.post("/api/sync/heartbeat", {"model": None, "status": {"x": nested(100)}})
    assert refused.value.status == 422
    assert ask("/api/fleet/gates")
