"""What the hub notices of its gates by itself: copies, clocks, backlogs."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gated.fleet.gate.downlink import Downlink
from gated.fleet.hub.erasure_receipts import Erasures
from gated.fleet.hub.watched import RETURNS, UnitHistory, troubles_of
from gated.fleet.wire.heartbeat import received, reported
from gated.journal import alarm_store
from gated.people.people import People
from tests.changes import done_by
from tests.fleet.sync.world import ACTOR, JoinedGate, World

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def beat(gate: JoinedGate, start: str = "a", **told: Any) -> None:
    status = {"started_at": start, "clock": time.time(), "backlog": 0, **told}
    gate.client.post("/api/sync/heartbeat", {"model": None, "status": status})


def troubles(world: World) -> tuple[str, ...]:
    return world.hub.services.fleet.by_name("north").troubles


@given(st.lists(st.integers(1, 6), max_size=40))
def test_an_honest_gate_that_starts_again_and_again_is_never_two(beats: list[int]) -> None:
    watched = UnitHistory()
    for start, times in enumerate(beats):
        for _ in range(times):
            watched = watched.heard(f"start {start}", 0, 0, NOW)
    assert watched.forked_at is None


@given(st.lists(st.sampled_from("ab"), min_size=8, max_size=40))
def test_two_units_are_seen_once_each_came_back_to_its_start(beats: list[str]) -> None:
    watched, turns = UnitHistory(), sum(x != y for x, y in itertools.pairwise(beats))
    for start in beats:
        watched = UnitHistory.read({"watched": watched.heard(start, 0, 0, NOW).kept()})
    assert (watched.forked_at is not None) == (turns > RETURNS)


def test_one_message_that_came_late_is_no_second_unit() -> None:
    watched = UnitHistory()
    for start in ("a", "b", "a", "b", "b", "c", "c"):
        watched = watched.heard(start, 0, 0, NOW)
        assert watched.forked_at is None, start


def test_late_messages_of_years_do_not_add_up() -> None:
    watched, now = UnitHistory(), NOW
    for year in range(5):
        before, after = f"{year} a", f"{year} b"
        for start in (before, after, before, after):
            now += timedelta(seconds=10)
            watched = UnitHistory.read({"watched": watched.heard(start, 0, 0, now).kept()})
        now += timedelta(days=365)
    assert watched.forked_at is None


def test_a_backlog_is_trouble_when_it_is_stuck_or_grows_and_not_while_it_shrinks() -> None:
    def after(*told: tuple[int, int]) -> bool:
        watched = UnitHistory()
        for n, (backlog, acked) in enumerate(told):
            watched = watched.heard("a", backlog, acked, NOW + timedelta(seconds=10 * n))
        return watched.growing

    assert after(*((5, 100) for _ in range(8))), "nothing is acknowledged"
    assert after(*((5 + 100 * n, 100 + n) for n in range(8))), "more comes than goes"
    assert not after(*((5, 100) for _ in range(4))), "it may be over in a moment"
    assert not after(*((5000 - 400 * n, 400 * n) for n in range(10))), "it is being sent"
    assert not after(*((3, 100 + 5 * n) for n in range(20))), "a busy gate"
    assert not after(*((5, 100) for _ in range(8)), (0, 105))


def test_the_list_names_a_clock_that_is_off_and_no_gate_can_say_what_the_hub_noticed(
    world: World,
) -> None:
    gate = world.gate("north")
    beat(gate)
    assert troubles(world) == ()
    beat(gate, clock=time.time() - 40 * 86_400)
    assert troubles(world) == ("clock_off",)
    assert world.hub.services.fleet.by_name("north").gate.troubled
    beat(gate, watched={"forked_at": "2026-01-01T00:00:00+00:00", "growing": True})
    assert troubles(world) == ()


def test_nonsense_in_what_was_kept_is_nothing() -> None:
    nonsense: list[Any] = [None, [], "x", 5, {"unknown": 1}]
    for kept in nonsense:
        assert troubles_of({"watched": kept}) == ()


def test_what_a_fork_has_confirmed_counts_only_after_one_unit_is_replaced(world: World) -> None:
    hub, fleet = world.hub.workspace, world.hub.services.fleet
    people = People.of(hub)
    ann, bob = (
        done_by(ACTOR, people.create, {"first_name": n, "last_name": "X", "personnel_code": n})
        for n in ("Ann", "Bob")
    )
    gate = world.gate("north")
    beat(gate)
    pull(gate)
    done_by(ACTOR, people.delete, ann.id)
    pull(gate)
    erasures = Erasures.of(hub)
    assert (erasures.receipt(ann.uid).confirmed, erasures.receipt(ann.uid).outstanding) == (1, 0)
    for start in "baba":
        beat(gate, start)
    assert troubles(world) == ("forked",)
    with hub.database.read() as session:
        assert "gate_forked" in {a.kind for a in alarm_store.list_(session, standing=True)}
    done_by(ACTOR, people.delete, bob.id)
    pull(gate)
    for person in (ann, bob):
        receipt = erasures.receipt(person.uid)
        assert (receipt.confirmed, receipt.outstanding) == (0, 1)
    for start in "bbb":
        beat(gate, start)
    assert troubles(world) == ("forked",), "it does not end by itself"
    _, code = fleet.replace(fleet.by_name("north").gate.id, actor=ACTOR)
    member = gate.membership.join(world.hub.url, code, actor=ACTOR, again=True)
    again = JoinedGate(gate.workspace, gate.membership, member, gate.membership.client(member))
    beat(again, "c")
    assert troubles(world) == ()
    pull(again)
    for person in (ann, bob):
        receipt = erasures.receipt(person.uid)
        assert (receipt.confirmed, receipt.outstanding) == (1, 0)
    again.client.close()


def pull(gate: JoinedGate) -> None:
    """Everything there is, and the question after it, which confirms it."""
    down = Downlink.of(gate.workspace, gate.client, "m/0")
    while down.pull():
        pass
    down.pull()


_FIELDS = ("start", "starts", "returns", "returned_at", "forked_at", "low_at")
_SAID = st.none() | st.integers() | st.text()
_LIST = st.lists(_SAID)


@given(_SAID | _LIST | st.dictionaries(st.sampled_from(_FIELDS), _SAID | _LIST))
def test_what_the_hub_notes_is_not_for_the_gate_to_say(said: Any) -> None:
    status = received({"watched": said, "people": 5}, NOW)
    assert reported(status).troubles == ()
    assert reported(status).people == 5
