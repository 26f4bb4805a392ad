"""An erasure is done when every gate has said so."""

from __future__ import annotations

import time

import httpx
import pytest

from gated.database import change_feed
from gated.devices.clock import ManualClock
from gated.errors import NotFound
from gated.fleet.hub.tidying import tidy_feed
from gated.people.people import People
from tests.changes import done_by
from tests.fleet.sync.test_down import hire, pull_all
from tests.fleet.sync.world import ACTOR, World


@pytest.fixture
def engine() -> str:
    return "sqlite"


def test_a_receipt_lists_every_gate_and_when_it_confirmed(world: World) -> None:
    hub = world.hub.workspace
    person = hire(hub)
    north, south = world.gate("north"), world.gate("south")
    for gate in (north, south):
        pull_all(gate)
    done_by(ACTOR, People.of(hub).delete, person.id)
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
    done_by(ACTOR, People.of(hub).delete, person.id)
    pull_all(gate)
    pull_all(gate)
    assert world.hub.services.erasures.receipt(person.uid).outstanding == 0


def test_old_confirmations_are_folded_up_and_tell_the_same(world: World) -> None:
    hub, fleet = world.hub.workspace, world.hub.services.fleet
    persons = [hire(hub), hire(hub)]
    north, south = world.gate("north"), world.gate("south")
    pull_all(north)
    pull_all(south)
    for person in persons:
        done_by(ACTOR, People.of(hub).delete, person.id)
    for _ in range(2):
        pull_all(north)
    receipts, later = world.hub.services.erasures, after_days(91)
    tidy_feed(hub, later, lambda: True)
    assert receipts.receipt(persons[0].uid).closed_at is None, "south has not confirmed yet"
    fleet.revoke(fleet.by_name("south").gate.id, actor=ACTOR)
    tidy_feed(hub, after_days(89), lambda: True)
    assert receipts.receipt(persons[0].uid).closed_at is None, "too early"
    tidy_feed(hub, later, lambda: True)
    found = receipts.receipt(persons[0].uid)
    assert found.closed_at is not None
    assert (found.confirmed, found.outstanding) == (1, 1)
    assert [(g.gate, g.confirmed_at) for g in found.gates] == [("south", None)]
    with hub.database.read() as session:
        assert change_feed.confirmations(session, persons[0].uid) == {}
    assert unconfirmed(world, "north") == []
    pull_all(north)  # its cursor is forgotten, and it confirms nothing twice
    pull_all(north)
    newcomer = world.gate("newcomer")
    told = unconfirmed(world, "newcomer")
    assert told == [p.uid for p in persons], "hardware that joins may have held them before"
    pull_all(newcomer)
    pull_all(newcomer)
    with hub.database.read() as session:
        assert change_feed.confirmations(session, persons[0].uid) == {}


def after_days(days: int) -> ManualClock:
    """The machine's clocks, so many days later."""
    return ManualClock(time.monotonic() + days * 86_400, time.time() + days * 86_400)


def unconfirmed(world: World, name: str) -> list[str]:
    gate = world.hub.services.fleet.by_name(name).gate
    with world.hub.workspace.database.read() as session:
        return change_feed.unconfirmed(session, gate.id, gate.joined_at)


def test_nobody_is_told_of_erasures_that_never_were(world: World) -> None:
    with pytest.raises(NotFound):
        world.hub.services.erasures.receipt("01900000-0000-7000-8000-000000000000")
    assert (
        httpx.get(f"{world.hub.url}/api/fleet/erasures/x", trust_env=False, timeout=60).status_code
        == 401
    )
