"""An erasure is done when every gate has said so."""

from __future__ import annotations

import httpx
import pytest

from gated.errors import NotFound
from gated.services.people import People
from tests.services.sync.test_down import hire, pull_all
from tests.services.sync.world import ACTOR, World


@pytest.fixture
def engine() -> str:
    return "sqlite"


def test_a_receipt_lists_every_gate_and_when_it_confirmed(world: World) -> None:
    hub = world.hub.workspace
    person = hire(hub)
    north, south = world.gate("north"), world.gate("south")
    for gate in (north, south):
        pull_all(gate)
    People.of(hub).delete(person.id, actor=ACTOR)
    world.gate("new")
    receipts = world.hub.services.erasures

    def state() -> dict[str, bool]:
        found = receipts.receipt(person.uid)
        assert found.outstanding == sum(g.confirmed_at is None for g in found.gates)
        return {g.gate: g.confirmed_at is not None for g in found.gates}

    assert state() == {"north": False, "south": False}
    pull_all(north)
    assert state() == {"north": False, "south": False}  # applied, and not said yet
    pull_all(north)
    assert state() == {"north": True, "south": False}
    fleet = world.hub.services.fleet
    fleet.revoke(fleet.by_name("south").gate.id, actor=ACTOR)
    assert state() == {"north": True, "south": False}


def test_a_gate_confirms_by_asking_on_even_after_a_snapshot(world: World) -> None:
    hub = world.hub.workspace
    person, fleet = hire(hub), world.hub.services.fleet
    gate = world.gate("north")
    pull_all(gate)
    fleet.update(fleet.by_name("north").gate.id, {"everyone": True}, actor=ACTOR)
    People.of(hub).delete(person.id, actor=ACTOR)
    pull_all(gate)
    pull_all(gate)
    assert world.hub.services.erasures.receipt(person.uid).outstanding == 0


def test_nobody_is_told_of_erasures_that_never_were(world: World) -> None:
    with pytest.raises(NotFound):
        world.hub.services.erasures.receipt("01900000-0000-7000-8000-000000000000")
    assert httpx.get(f"{world.hub.url}/api/fleet/erasures/x", trust_env=False).status_code == 401
