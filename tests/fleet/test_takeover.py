"""How settings of the hub come into force on a gate, and how they are given up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gated.accounts.audit import Audit
from gated.database.state_lock import StateLock
from gated.devices.clock import ManualClock
from gated.fleet.gate import assigned_config as given_store
from gated.fleet.gate.assigned_config import AssignedConfig, KeptConfig
from gated.fleet.gate.config_trial import STARTS, ConfigTrial, in_force, settings_in_force
from gated.link.status_board import StatusBoard
from tests.workspaces import open_workspace

GATE = """
door: {{driver: simulated}}
privacy: {{hold_days: 90}}
storage: {{state_dir: {state}}}
sync: {{trial_s: 60, take_over_within_s: 300}}
"""

FINE = {"recognition": {"frames": 5}, "privacy": {"hold_days": 10}}
MISFIT = {"privacy": {"attendance_days": 30}}


@dataclass
class Machine:
    """A gate that can be started again and again."""

    file: Path
    clock: ManualClock = field(default_factory=ManualClock)
    board: StatusBoard = field(default_factory=StatusBoard)

    def __post_init__(self) -> None:
        self.workspace = open_workspace(settings_in_force(self.file))

    def start(self, frames: int = 1) -> ConfigTrial:
        """What a start of the program does, up to its first frame."""
        found = in_force(self.file, {}, trying=True)
        self.board = StatusBoard()
        takeover = ConfigTrial(self.workspace, found, self.board, self.clock)
        takeover.begin()
        self.board.publish(door_state="locked", idle=True, camera="opened")
        if frames:
            self.board.gauge(**{"start.first_frame_ms": 900})
        return takeover

    def offer(self, uid: str, values: Any, revision: int = 7) -> None:
        with self.workspace.database.write() as session:
            given_store.offer(session, AssignedConfig(uid, revision, values, "olga"))

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def journaled(self, kind: str) -> tuple[Any, Any]:
        """What the newest row of a kind says, and who did it."""
        row = Audit(self.workspace).page(kind=kind, limit=1).rows[0]
        return row.body, row.actor and row.actor["name"]

    @property
    def kept(self) -> KeptConfig:
        with self.workspace.database.read() as session:
            return given_store.load(session)

    @property
    def told(self) -> Any:
        return self.board.snapshot().hub_settings

    @property
    def frames(self) -> int:
        return settings_in_force(self.file).recognition.frames


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    file = tmp_path / "gate.yaml"
    file.write_text(GATE.format(state=tmp_path / "state"))
    made = Machine(file)
    yield made
    made.workspace.close()


def accepted(machine: Machine, uid: str = "g1", values: Any = FINE) -> ConfigTrial:
    """A gate that has taken settings over."""
    takeover = machine.start()
    machine.offer(uid, values)
    assert takeover.look()
    takeover = machine.start()
    takeover.look()
    machine.later(60)
    assert not takeover.look()
    assert machine.kept.accepted is not None
    return takeover


def test_settings_are_tried_by_a_new_start_and_then_accepted(machine: Machine) -> None:
    first = machine.start()
    assert not first.look()
    assert machine.told["state"] == "running"
    machine.offer("g1", FINE)
    assert machine.frames == 3
    assert first.look()
    second = machine.start()
    assert machine.told["state"] == "trial"
    assert machine.frames == 3, "commands do not try anything"
    assert not second.look()
    machine.later(59)
    assert not second.look()
    assert machine.kept.accepted is None
    machine.later(1)
    assert not second.look()
    assert machine.told == {
        "revision": 7,
        "given": "g1",
        "state": "running",
        "refused": None,
        "reason": None,
        "overruled": ["privacy.hold_days"],
    }
    assert machine.frames == 5
    assert machine.journaled("settings_accepted")[1] == "olga"
    machine.start()
    assert (machine.told["state"], machine.kept.starts) == ("running", 0)
    assert machine.workspace.journal.verify().ok


def test_nobody_is_left_standing_at_the_gate_but_not_for_ever(machine: Machine) -> None:
    takeover = machine.start()
    machine.offer("g1", FINE)
    machine.board.publish(idle=False)
    assert not takeover.look()
    assert machine.told["state"] == "waiting"
    machine.later(200)
    machine.board.publish(idle=True, door_state="unlocked")
    assert not takeover.look()
    machine.later(99)
    assert not takeover.look()
    machine.later(1)
    assert takeover.look()


def test_a_door_that_fire_has_released_is_not_locked_for_settings(machine: Machine) -> None:
    takeover = machine.start()
    machine.offer("g1", FINE)
    machine.board.publish(door_state="fire")
    takeover.look()
    machine.later(10_000)
    assert not takeover.look()
    machine.board.publish(door_state="lockdown")
    assert takeover.look(), "that is locked, and will be after the start"
    takeover = machine.start(frames=0)
    machine.board.publish(door_state="fire")
    takeover.look()
    machine.later(10_000)
    assert not takeover.look(), "nor to go back"


def test_without_a_camera_nothing_could_be_shown_to_work(machine: Machine) -> None:
    takeover = machine.start()
    machine.offer("g1", FINE)
    machine.board.publish(camera="lost")
    takeover.look()
    machine.later(10_000)
    assert not takeover.look()
    machine.board.publish(camera="opened")
    assert takeover.look()


def test_what_does_not_fit_the_file_is_refused_without_a_start(machine: Machine) -> None:
    accepted(machine)
    takeover = machine.start()
    machine.offer("g2", MISFIT, 8)
    assert not takeover.look()
    assert machine.told["state"] == "refused"
    assert (machine.told["given"], machine.told["refused"]) == ("g1", "g2")
    assert "attendance_days" in machine.told["reason"]
    assert machine.journaled("settings_refused")[0]["revision"] == 8
    machine.later(10_000)
    assert not takeover.look()
    machine.offer("g2", MISFIT, 8)
    assert machine.kept.pending is None, "the hub may say it again, the answer stands"
    machine.offer("g3", FINE, 9)
    assert not takeover.look()
    assert machine.told["given"] == "g3", "what it runs already needs no start"


@pytest.mark.parametrize(
    ("frames", "published", "told"),
    [
        (0, {}, "no frame of the camera within 60 s"),
        (1, {"journal": "unavailable"}, "log_unavailable"),
    ],
)
def test_a_gate_that_is_not_well_with_them_goes_back(
    machine: Machine, frames: int, published: dict[str, Any], told: str
) -> None:
    accepted(machine)
    takeover = machine.start()
    machine.offer("g2", {"recognition": {"frames": 9}}, 8)
    assert takeover.look()
    takeover = machine.start(frames)
    machine.board.publish(**published)
    takeover.look()
    machine.later(60)
    assert takeover.look(), "it starts again, with those before"
    machine.start()
    assert (machine.told["given"], machine.told["state"]) == ("g1", "running")
    assert told in machine.told["reason"]
    assert machine.frames == 5


def test_old_troubles_do_not_count_against_new_settings(machine: Machine) -> None:
    takeover = machine.start()
    machine.board.publish(journal="unavailable")
    machine.offer("g1", FINE)
    assert takeover.look()
    takeover = machine.start()
    machine.board.publish(journal="unavailable")
    takeover.look()
    machine.later(60)
    assert not takeover.look()
    assert machine.kept.accepted is not None


def test_an_error_gives_them_up_at_once(machine: Machine) -> None:
    takeover = machine.start()
    machine.offer("g1", FINE)
    assert takeover.look()
    takeover = machine.start()
    assert takeover.failed("controller has crashed" + 9000 * "!")
    assert machine.kept.pending is None
    assert not machine.start().failed("controller has crashed"), "they are not to blame"
    assert machine.told["reason"].startswith("controller has crashed")
    assert len(machine.told["reason"]) < 2000, "it has to fit into heartbeats"


def test_who_is_killed_each_time_does_not_try_for_ever(machine: Machine) -> None:
    machine.start()
    machine.offer("g1", FINE)
    states = []
    for _ in range(STARTS + 1):
        machine.start()
        states.append(machine.told["state"])
    assert states == ["trial"] * STARTS + ["refused"]
    assert machine.kept.pending is None


def test_stopping_a_gate_is_no_failure(machine: Machine) -> None:
    machine.start()
    machine.offer("g1", FINE)
    for _ in range(5):
        takeover = machine.start()
        assert machine.told["state"] == "trial"
        takeover.look()
        takeover.ended()


def test_a_file_that_was_changed_against_them_comes_first(machine: Machine) -> None:
    accepted(machine, values={"privacy": {"attendance_days": 90}})
    text = machine.file.read_text()
    machine.file.write_text(text.replace("hold_days: 90", "hold_days: 91"))
    for _ in range(2):
        machine.start()
        assert (machine.told["revision"], machine.told["refused"]) == (0, "g1")
    told = Audit(machine.workspace).page(kind="settings_refused", limit=9).rows
    assert len(told) == 1, "said once, not at each start"
    machine.file.write_text(text)
    machine.start()
    assert (machine.told["revision"], machine.told["refused"]) == (7, None)


def test_what_comes_during_a_trial_is_next(machine: Machine) -> None:
    takeover = machine.start()
    machine.offer("g1", FINE)
    assert takeover.look()
    takeover = machine.start()
    machine.offer("g2", {}, 0)
    takeover.look()
    machine.later(60)
    assert not takeover.look()
    assert machine.kept.accepted is not None
    assert machine.kept.accepted.uid == "g1"
    assert takeover.look()
    takeover = machine.start()
    takeover.look()
    machine.later(60)
    takeover.look()
    assert (machine.told["revision"], machine.told["given"]) == (0, "g2")


def test_what_cannot_be_counted_is_not_tried(machine: Machine) -> None:
    """Not on a full disk; nor by a second program, that is about to find out that it is one."""
    machine.start()
    machine.offer("g1", FINE)
    with StateLock(machine.workspace.settings.storage.state_dir):
        assert not in_force(machine.file, {}, trying=True).trial
    assert machine.kept.starts == 0
    with machine.workspace.database.write() as session:
        session.execute(sa.text("ALTER TABLE settings RENAME TO kept"))
        session.execute(sa.text("CREATE VIEW settings AS SELECT * FROM kept"))
    assert not in_force(machine.file, {}, trying=True).trial
    assert machine.kept.pending is not None


def test_a_service_follows_the_gate_that_runs_in_what_it_tries(machine: Machine) -> None:
    def follows() -> str | None:
        given = in_force(machine.file, {}, following=True).given
        return given.uid if given else None

    assert machine.start().in_force is None
    machine.offer("g1", FINE)
    state_dir = machine.workspace.settings.storage.state_dir
    with StateLock(state_dir):
        assert follows() is None, "it waits, and is not tried yet"
    trying = machine.start()
    assert trying.in_force == "g1"
    assert follows() is None, "no gate runs"
    with StateLock(state_dir):
        assert follows() == "g1"
        trying.look()
        machine.later(60)
        trying.look()
        assert (follows(), trying.in_force) == ("g1", "g1")
    machine.offer("g2", {"recognition": {"frames": 4}}, revision=8)
    trying = machine.start()
    with StateLock(state_dir):
        assert follows() == trying.in_force == "g2"
        assert trying.failed("it fell over")
        assert follows() == "g1"
