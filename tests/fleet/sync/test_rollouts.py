"""A configuration goes out in stages, and no further when a gate suffers."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from gated.devices.clock import ManualClock
from gated.errors import Conflict, NotFound, SettingsRefused
from gated.fleet.gate import assigned_config as given_store
from gated.fleet.gate.assigned_config import AssignedConfig, KeptConfig
from gated.fleet.gate.downlink import Downlink
from gated.fleet.hub.collect import Collector
from gated.fleet.hub.rollouts import Progress, Rollouts, Stage
from tests.fleet.sync.world import JoinedGate, World

STRICT = {"liveness": {"level": "strict"}}
LAX = {"liveness": {"level": "normal"}}
EVERYONE = Stage(everyone=True)


class Fleet:
    """Gates that say what a test lets them say, at times that it sets."""

    def __init__(self, world: World, *names: str) -> None:
        self.world = world
        self.clock = ManualClock(utc=time.time())
        self.workspace = world.hub.workspace
        self.rollouts = Rollouts(self.workspace, self.clock)
        self.collector = Collector(self.workspace, self.clock)
        self.gates: dict[str, JoinedGate] = {}
        self.running: dict[str, AssignedConfig] = {}
        self.silent: set[str] = set()
        self.problems: dict[str, list[str]] = {}
        for name in names:
            self.join(name)

    def join(self, name: str) -> None:
        self.gates[name] = self.world.gate(name)

    def pull(self, name: str) -> KeptConfig:
        """What a gate knows after it has asked."""
        gate = self.gates[name]
        down = Downlink.of(gate.workspace, gate.client, "m/0")
        while down.pull():
            pass
        with gate.workspace.database.read() as session:
            return given_store.load(session)

    def take(self, *names: str) -> None:
        """Let gates come up with what they were given."""
        for name in names:
            pending = self.pull(name).pending
            assert pending is not None
            self.running[name] = pending

    def tell(self, name: str, **more: Any) -> None:
        """A heartbeat."""
        running = self.running.get(name)
        told = {"given": running.uid if running else None, "state": "running", **more}
        status = {"settings": told, "problems": self.problems.get(name, [])}
        row = self.world.hub.services.fleet.by_name(name).gate
        self.collector.heard(row, "m/0", status)

    def later(self, seconds: float) -> None:
        """Time passes, while gates tell how they are and the hub looks at it."""
        while seconds > 0:
            self.clock.advance(min(30.0, seconds))
            seconds -= 30.0
            for name in self.gates.keys() - self.silent:
                self.tell(name)
            self.rollouts.step()

    def start(
        self, stages: Sequence[Stage], values: Any = None, automatic: bool = True
    ) -> Progress:
        for name in self.gates.keys() - self.silent:
            self.tell(name)
        made = self.rollouts.create(STRICT if values is None else values, actor="olga")
        return self.rollouts.start(made.id, stages, 300, automatic=automatic, actor="olga")

    def now(self, progress: Progress) -> Progress:
        return self.rollouts.find(progress.rollout.id)

    def states(self, progress: Progress) -> dict[str, str]:
        return {g.name: g.state for g in self.now(progress).gates}

    def journaled(self, kind: str) -> Any:
        rows = self.world.hub.services.audit.page(kind=kind, limit=1).rows
        return rows[0] if rows else None


@pytest.fixture
def fleet(world: World) -> Fleet:
    return Fleet(world, "east", "north", "west")


def test_a_configuration_goes_out_in_stages(fleet: Fleet) -> None:
    begun = fleet.start([Stage(gates=("north",)), Stage(sites=("works",))])
    assert (begun.rollout.state, begun.begun_by) == ("running", "olga")
    assert begun.waiting_for == ["north"]
    assert (fleet.pull("west").pending, fleet.pull("east").pending) == (None, None)
    given = fleet.pull("north").pending
    assert given is not None
    assert (given.revision, given.values, given.by) == (1, STRICT, "olga")
    fleet.later(600)
    assert fleet.states(begun) == {"north": "waiting"}
    fleet.take("north")
    fleet.later(300)
    assert fleet.now(begun).rollout.stage == 0, "well, but not for long enough"
    fleet.later(60)
    assert fleet.now(begun).rollout.stage == 1
    fleet.take("east", "west")
    fleet.later(400)
    assert fleet.now(begun).rollout.state == "done"
    assert set(fleet.states(begun).values()) == {"running"}
    assert fleet.journaled("rollout_done").body["revision"] == 1
    assert fleet.journaled("rollout_started").actor["name"] == "olga"


def test_a_gate_that_refuses_halts_it(fleet: Fleet) -> None:
    begun = fleet.start([Stage(gates=("north", "east")), EVERYONE])
    fleet.take("north", "east")
    refused = fleet.running.pop("east")
    fleet.tell("east", refused=refused.uid, reason="no frame of the camera")
    fleet.rollouts.step()
    found = fleet.now(begun)
    assert found.rollout.state == "halted"
    assert found.rollout.reason == "east: refused: no frame of the camera"
    alarm = fleet.journaled("rollout_halted")
    assert (alarm.body["severity"], alarm.actor["name"]) == ("alarm", "roll-out 1")
    standing = fleet.world.hub.services.alarms.list_(standing=True)
    assert [a.kind for a in standing] == ["rollout_halted"]
    fleet.later(1000)
    assert fleet.pull("west").pending is None
    fleet.rollouts.advance(begun.rollout.id, actor="olga")
    fleet.tell("east", refused=refused.uid, reason="no frame of the camera")
    fleet.rollouts.step()
    assert fleet.now(begun).rollout.state == "running", "that was known and passed over"
    assert fleet.pull("west").pending is not None


def test_troubles_that_a_gate_did_not_have_before_halt_it(fleet: Fleet) -> None:
    fleet.problems = {"north": ["door_fault"]}
    begun = fleet.start([Stage(gates=("north",)), EVERYONE])
    fleet.take("north")
    fleet.later(60)
    assert fleet.states(begun) == {"north": "running"}
    fleet.problems = {"north": ["door_fault", "camera_lost"]}
    fleet.later(30)
    assert fleet.now(begun).rollout.reason == "north: is not well with it: camera_lost"


def test_who_cannot_be_reached_holds_up_nobody_and_is_named(fleet: Fleet) -> None:
    fleet.silent = {"west"}
    begun = fleet.start([EVERYONE])
    fleet.take("north", "east")
    fleet.later(330)
    found = fleet.now(begun)
    assert (found.rollout.state, found.unreachable) == ("done", ["west"])
    fleet.silent = set()
    fleet.take("west")
    assert fleet.running["west"].values == STRICT, "it is given it when it comes back"


def test_a_stage_of_gates_that_are_all_away_is_not_done(fleet: Fleet) -> None:
    fleet.silent = {"west"}
    begun = fleet.start([Stage(gates=("west",)), EVERYONE])
    fleet.later(3600)
    assert (fleet.now(begun).rollout.state, fleet.now(begun).rollout.stage) == ("running", 0)


def test_a_gate_that_falls_silent_with_it_halts_it(fleet: Fleet) -> None:
    begun = fleet.start([Stage(gates=("north", "east")), EVERYONE])
    fleet.take("north", "east")
    fleet.silent = {"north"}
    fleet.later(180)
    assert fleet.now(begun).rollout.state == "running"
    fleet.later(120)
    assert "north: was not heard of" in (fleet.now(begun).rollout.reason or "")


def test_by_hand_it_waits_at_each_stage(fleet: Fleet) -> None:
    begun = fleet.start([Stage(gates=("north",)), EVERYONE], automatic=False)
    fleet.take("north")
    fleet.later(1000)
    assert (fleet.now(begun).rollout.stage, fleet.now(begun).waiting_for) == (0, [])
    id_ = begun.rollout.id
    assert fleet.rollouts.advance(id_, actor="olga").rollout.stage == 1
    assert fleet.rollouts.halt(id_, actor="otto").rollout.state == "halted"
    with pytest.raises(Conflict):
        fleet.rollouts.halt(id_, actor="otto")
    assert fleet.rollouts.advance(id_, actor="olga").rollout.state == "done"
    with pytest.raises(Conflict):
        fleet.rollouts.advance(id_, actor="olga")
    assert fleet.journaled("rollout_halted").actor["name"] == "otto"


def test_a_gate_that_joins_during_the_stage_of_everyone_belongs_to_it(fleet: Fleet) -> None:
    begun = fleet.start([EVERYONE], LAX)
    fleet.join("south")
    fleet.take("north", "east", "west")
    fleet.later(400)
    assert "south" in fleet.now(begun).waiting_for
    fleet.take("south")
    assert fleet.running["south"].values == LAX
    fleet.later(400)
    assert fleet.now(begun).rollout.state == "done"


def test_rolled_back_gates_have_what_they_had_before(fleet: Fleet) -> None:
    first = fleet.start([EVERYONE], LAX)
    fleet.take("north", "east", "west")
    fleet.later(400)
    assert fleet.now(first).rollout.state == "done"
    fleet.join("south")
    fleet.take("south")
    assert fleet.running["south"].values == LAX, "new gates are given what everyone has"
    second = fleet.start([Stage(gates=("north", "south")), EVERYONE])
    with pytest.raises(Conflict):
        fleet.start([EVERYONE])
    fleet.take("north", "south")
    fleet.rollouts.roll_back(second.rollout.id, actor="olga")
    assert fleet.now(second).rollout.state == "rolled_back"
    for name in ("north", "south"):
        pending = fleet.pull(name).pending
        assert pending is not None
        assert (pending.revision, pending.values) == (1, LAX)
    fleet.rollouts.roll_back(first.rollout.id, actor="olga")
    pending = fleet.pull("east").pending
    assert pending is not None
    assert (pending.revision, pending.values) == (0, {}), "before the first there was none"


def test_what_is_wrong_is_named_and_nothing_is_kept(fleet: Fleet) -> None:
    wrong = {"door": {"relay_pin": 4}, "recognition": {"frames": "many"}}
    with pytest.raises(SettingsRefused) as refused:
        fleet.rollouts.create(wrong, actor="olga")
    assert set(refused.value.problems) == {"door.relay_pin", "recognition.frames"}
    assert fleet.rollouts.configurations() == ([], 0)
    made = fleet.rollouts.create(STRICT, actor="olga")
    with pytest.raises(NotFound):
        fleet.rollouts.start(made.id, [Stage(gates=("nowhere",))], 60, actor="olga")
    with pytest.raises(NotFound):
        fleet.rollouts.start(99, [EVERYONE], 60, actor="olga")
    assert fleet.rollouts.list_() == ([], 0)


def test_many_hubs_take_a_step_once(fleet: Fleet) -> None:
    begun = fleet.start([Stage(gates=("north",)), Stage(gates=("east",)), EVERYONE])
    fleet.take("north")
    fleet.tell("north")
    fleet.rollouts.step()
    fleet.clock.advance(301)
    fleet.tell("north")
    fleet.tell("east")
    at_once = threading.Barrier(4)

    def hub() -> None:
        others = Rollouts(fleet.workspace, fleet.clock)
        at_once.wait()
        others.step()

    threads = [threading.Thread(target=hub) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fleet.now(begun).rollout.stage == 1
    assert len(fleet.world.hub.services.audit.page(kind="rollout_advanced", limit=9).rows) == 1
