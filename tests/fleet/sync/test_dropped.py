"""Rows that a gate has dropped before they came to the hub: told apart from rows that are lost."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import sqlalchemy as sa

from gated.database.tables import attendance_logs, journal, journal_private, journal_seal
from gated.fleet.gate.uplink import Uplink
from gated.journal import outbox, pruning
from gated.journal.pruned_ranges import DROPPED
from gated.journal.pruning import prune
from tests.fleet.sync.test_up import (
    alarms,
    assert_same_journal,
    batches_of,
    registered,
    rows_of,
    send_all,
    write,
)
from tests.fleet.sync.world import JoinedGate, World
from tests.people.people import NOW


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture(autouse=True)
def few_rows_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "LEAST", 1)


def drop(gate: JoinedGate, upto: int) -> None:
    """Let the gate drop its oldest rows, whether the hub has them or not."""
    own = gate.workspace.journal
    uid = own.gate_uid()
    with gate.workspace.database.write() as session:
        assert prune(session, own, uid, NOW, lambda row: row.seq <= upto, "disk")


def holes(world: World) -> list[tuple[str, int, int]]:
    told = rows_of(world.hub.workspace, journal)
    bodies = [json.loads(r.body) for r in told if r.kind == DROPPED]
    return [(b["name"], b["first"], b["seq"]) for b in bodies]


def notes(world: World) -> str:
    found = world.hub.workspace.journal.verify()
    assert found.ok, found
    return " ".join(found.notes)


def send_some(gate: JoinedGate, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gated.fleet.gate.uplink.ROWS", rows)
    assert Uplink.of(gate.workspace, gate.client).send()
    monkeypatch.undo()


def test_what_the_hub_has_is_dropped_without_a_hole(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 12)
    send_all(gate)
    drop(gate, 9)
    write(gate.workspace, 4)
    send_all(gate)
    assert (holes(world), alarms(world)) == ([], [])
    hub = world.hub.workspace
    own = rows_of(gate.workspace, journal)
    assert len(own) < len(rows_of(hub, journal, gate.workspace.journal.gate_uid()))
    assert notes(world) == ""


def test_a_hole_is_told_by_the_gate_and_stands_in_the_hubs_own_journal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = world.gate("north")
    write(gate.workspace, 16)
    send_some(gate, 6, monkeypatch)
    drop(gate, 11)
    write(gate.workspace, 4)
    send_all(gate)
    assert (holes(world), alarms(world)) == ([("north", 7, 11)], [])
    assert "rows 7 to 11" in notes(world)
    # who takes away more than the gate has dropped is found
    hub, uid = world.hub.workspace, gate.workspace.journal.gate_uid()
    with hub.database.write() as session:
        for table in (journal, journal_private, journal_seal, attendance_logs):
            there = table.c.chain.startswith(uid), table.c.seq.in_((5, 6))
            session.execute(sa.delete(table).where(*there))
    problem = hub.journal.verify().first_problem
    assert problem is not None
    assert problem.chain.startswith(uid)


def test_a_hub_that_never_got_the_beginning_knows_the_key_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = world.gate("north")
    write(gate.workspace, 12)
    drop(gate, 6)
    send_some(gate, 2, monkeypatch)  # the word itself comes later
    send_all(gate)
    assert (holes(world), alarms(world)) == ([("north", 1, 6)], [])
    assert_same_journal(world.hub.workspace, gate.workspace)
    assert rows_of(world.hub.workspace, journal_seal, gate.workspace.journal.gate_uid())


def test_the_end_of_an_older_chain_may_be_what_was_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = world.gate("north")
    write(gate.workspace, 8)
    send_some(gate, 6, monkeypatch)
    gate.workspace.journal.start_new_chain(NOW, "forked")
    monkeypatch.setattr(pruning, "STEP", 100)
    drop(gate, 100)
    write(gate.workspace, 4)
    send_all(gate)
    ((_, first, last),) = holes(world)
    assert (first, alarms(world)) == (7, [])
    assert f"rows 7 to {last}" in notes(world)


FORGED: dict[str, dict[str, Any]] = {
    "no word": {},
    "another seal": {"signature": "0" * 128},
}


@pytest.mark.parametrize("name", FORGED)
def test_a_word_that_is_not_the_gates_explains_nothing(world: World, name: str) -> None:
    gate = world.gate("north")
    write(gate.workspace, 12)
    drop(gate, 6)
    with gate.workspace.database.read() as session:
        uid = gate.workspace.journal.gate_uid()
        batch = outbox.batch(session, f"{uid}/1", 0, 100)
    assert batch is not None
    assert batch.cut is not None
    forged = {**batch.cut, **FORGED[name]} if FORGED[name] else None
    found = registered(world, "north").gate
    world.hub.services.collector.take(found, dataclasses.replace(batch, cut=forged))
    assert holes(world) == []
    assert alarms(world)[0]["gap"] == 1


def test_a_hole_is_told_once_however_often_it_comes(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 12)
    drop(gate, 6)
    (batch, *_) = [b for b in batches_of(gate, 100) if b.lost]
    found = registered(world, "north").gate
    for _ in range(3):
        world.hub.services.collector.take(found, batch)
    assert holes(world) == [("north", 1, 6)]
