"""Settings that an administrator changes on the pages: tried, written down, or given up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.accounts.accounts import Accounts
from gated.config import ON_PAGES, SCOPES, load
from gated.devices.clock import ManualClock
from gated.errors import Conflict, SettingsRefused
from gated.fleet.gate import assigned_config as given_store
from gated.fleet.gate.assigned_config import AssignedConfig
from gated.fleet.gate.config_trial import STARTS, ConfigTrial, InForce, in_force, settings_in_force
from gated.fleet.gate.own_settings import OwnSettings
from gated.link.status_board import StatusBoard
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import api_services
from tests.fixtures.server import PASSWORD, serving
from tests.workspaces import open_workspace

FILE = """\
# the yard
gate: {{name: yard}}
door: {{driver: simulated}}
camera: {{driver: replay, source: demo}}
liveness: normal   # as the manual says
storage: {{state_dir: {state}}}
auth: {{password_passes: 1, password_memory_kib: 64}}
api: {{port: 0}}
"""


class Machine:
    """A gate that starts again and again."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.clock = ManualClock()
        self.workspace = open_workspace(settings_in_force(file))
        self.board = StatusBoard()
        self.held = self.start()[0]

    def start(self) -> tuple[InForce, ConfigTrial]:
        """What a start of the program does, up to its first frame."""
        found = in_force(self.file, {}, trying=True)
        self.board = StatusBoard()
        takeover = ConfigTrial(self.workspace, found, self.board, self.clock, "pages")
        takeover.begin()
        self.board.publish(door_state="locked", idle=True, camera="opened")
        self.board.gauge(**{"start.first_frame_ms": 900})
        return found, takeover

    @property
    def own(self) -> OwnSettings:
        return OwnSettings(self.workspace, self.held)

    def put(self, **values: Any) -> None:
        with self.workspace.change("ada") as change:
            self.own.change(change, values)

    def tried(self, seconds: float = 60) -> ConfigTrial:
        """Start with what waits, and let that work for so long."""
        _, before = self.start()
        assert before.trying or before.look()
        _, takeover = self.start()
        assert not takeover.look()
        self.clock.advance(seconds)
        takeover.look()
        return takeover


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    file = tmp_path / "gate.yaml"
    file.write_text(FILE.format(state=tmp_path / "state"))
    made = Machine(file)
    yield made
    made.workspace.close()


def test_what_works_is_written_into_the_file_and_its_comments_stay(machine: Machine) -> None:
    before = machine.file.read_text()
    machine.put(gate={"name": "Nordtor", "timezone": "Europe/Berlin"}, camera={"rotate": 180})
    assert machine.own.newest().state == "waiting"
    _, first = machine.start()
    assert first.trying, "it is tried by the start alone"
    assert machine.file.read_text() == before
    assert machine.own.newest().state == "trial"
    machine.clock.advance(1)
    assert not first.look()
    machine.clock.advance(60)
    assert not first.look()
    assert machine.own.newest().state == "none"
    text = machine.file.read_text()
    assert "# the yard" in text
    assert "# as the manual says" in text
    found = load(machine.file, {})
    assert (found.gate.name, found.gate.timezone) == ("Nordtor", "Europe/Berlin")
    assert found.camera.rotate == 180
    assert machine.workspace.journal.verify().ok


def test_a_start_removes_what_a_write_of_the_file_left_that_was_cut_off(
    machine: Machine,
) -> None:
    folder, name = machine.file.parent, machine.file.name
    left, young, other = (
        folder / f".{name}.{'a' * 16}.tmp",
        folder / f".{name}.{'b' * 16}.tmp",
        folder / f".other.yaml.{'c' * 16}.tmp",
    )
    for path in (left, young, other):
        path.write_text("api: {secret_key: x}")
    for path in (left, other):
        os.utime(path, (0, 0))
    machine.start()
    assert (left.exists(), young.exists(), other.exists()) == (False, True, True)


def test_what_cannot_be_written_down_holds_all_the_same(machine: Machine) -> None:
    if os.geteuid() == 0:
        os.chown(machine.file, 12345, -1)  # another's, as files in /etc are
    else:
        machine.file.chmod(0o400)
    before = machine.file.read_text()
    machine.put(gate={"name": "Nordtor"})
    machine.tried()
    assert machine.file.read_text() == before
    found, _ = machine.start()
    assert found.settings.gate.name == "Nordtor"
    assert found.loaded.origin(("gate", "name")).source == "pages"
    # what comes later stands beside it
    machine.put(attendance={"direction": "exit"})
    machine.tried()
    settings = settings_in_force(machine.file)
    assert (settings.gate.name, settings.attendance.direction) == ("Nordtor", "exit")


def test_a_program_that_ends_twice_with_them_goes_back(machine: Machine) -> None:
    machine.put(camera={"rotate": 90})
    for _ in range(STARTS):
        found, _ = machine.start()
        assert found.settings.camera.rotate == 90
    found, _ = machine.start()
    assert found.settings.camera.rotate == 0
    newest = machine.own.newest()
    assert newest.state == "refused"
    assert "ended 2 times" in newest.reason
    assert (newest.rule, newest.limit) == ("ended_early", "2")
    assert "rotate" not in machine.file.read_text()


def test_a_gate_that_is_not_well_with_them_goes_back(machine: Machine) -> None:
    machine.put(liveness={"level": "off"})
    _, takeover = machine.start()
    takeover.look()
    machine.board.trouble("camera_failed", "no picture")
    machine.clock.advance(60)
    assert takeover.look(), "starts again with what held before"
    newest = machine.own.newest()
    assert (newest.state, newest.problems) == ("refused", ("camera_failed",))
    assert newest.rule == "not_well"
    assert settings_in_force(machine.file).liveness.level == "normal"


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"door": {"relay_pin": 4}}, "door.relay_pin"),
        ({"storage": {"database_url": "sqlite://"}}, "storage.database_url"),
        ({"api": {"host": "gate.example.org"}}, "api.host"),
        ({"auth": {"secret_key": "x"}}, "auth.secret_key"),
        ({"camera": {"source": "/etc/passwd"}}, "camera.source"),
        ({"camera": {"rotate": 45}}, "camera.rotate"),
        ({"gate": {"timezone": "Mars/North"}}, "gate.timezone"),
        ({"gate": {"nmae": "a"}}, "gate.nmae"),
        ({"nothing": {"at": 1}}, "nothing"),
    ],
)
def test_what_may_not_be_or_is_wrong_is_refused_by_name(
    machine: Machine, values: dict[str, Any], key: str
) -> None:
    with pytest.raises(SettingsRefused) as refused:
        machine.put(**values)
    assert list(refused.value.problems) == [key]
    assert machine.own.newest().state == "none"


@pytest.mark.parametrize(
    ("values", "key", "named"),
    [
        ({"camera": {"rotate": 45}}, "camera.rotate", ("one_of", "0, 90, 180, 270")),
        ({"door": {"unlock_s": 0}}, "door.unlock_s", ("more_than", "0")),
        ({"door": {"unlock_s": "soon"}}, "door.unlock_s", ("number", None)),
        ({"door": {"relay_pin": 4}}, "door.relay_pin", ("file_only", None)),
        ({"gate": {"nmae": "a"}}, "gate.nmae", ("unknown_key", "name")),
        ({"gate": {"timezone": "Mars/North"}}, "gate.timezone", ("zone_name", "Mars/North")),
        # what fits by itself, and not with what the file says
        ({"liveness": {"infra_red": "challenge"}}, "liveness.infra_red", ("needs_movements", None)),
        ({"storage": {"keep_acknowledged_days": 1}, "privacy": {"hold_days": 9}},
         "storage.keep_acknowledged_days", ("forgotten_before", "privacy.hold_days")),
    ],
)  # fmt: skip
def test_a_refusal_has_a_name_for_whoever_has_words_of_their_own(
    client: httpx.Client, values: dict[str, Any], key: str, named: tuple[str, str | None]
) -> None:
    answer = client.put("/api/settings", json={"values": values})
    (error,) = answer.json()["errors"]
    assert (error["at"], error["rule"], error.get("limit")) == (key, *named)
    assert error["detail"] in answer.json()["detail"]


def test_nothing_is_changed_while_something_is_tried(machine: Machine) -> None:
    machine.put(camera={"rotate": 90})
    machine.start()
    with pytest.raises(Conflict, match="wait"):
        machine.put(camera={"rotate": 180})


def test_one_giver_is_tried_at_a_time(machine: Machine) -> None:
    machine.put(camera={"rotate": 90})
    with machine.workspace.database.write() as session:
        given = AssignedConfig("g1", 7, {"recognition": {"frames": 5}}, "olga")
        given_store.offer(session, given)
    found, takeover = machine.start()
    assert (found.pages.trial, found.hub.trial, found.settings.recognition.frames) == (
        True,
        False,
        3,
    )
    takeover.look()
    machine.clock.advance(60)
    takeover.look()
    found, _ = machine.start()
    assert (found.hub.trial, found.settings.recognition.frames) == (True, 5)


def test_no_key_that_takes_door_or_machine_away_can_be_set() -> None:
    """Every other key than these is new here: think of what a stolen password could do with it."""
    own = ON_PAGES - {key for key, scope in SCOPES.items() if scope == "runtime"}
    assert {f"{section}.{key}" for section, key in own} == {
        "gate.name",
        "gate.timezone",
        "camera.name",
        "camera.rotate",
        "camera.mirror",
        "attendance.direction",
        "ui.kiosk_language",
        "ui.kiosk_names",
        "ui.kiosk_sound",
        "ui.kiosk_pin",
    }


@pytest.fixture
def client(machine: Machine) -> Iterator[httpx.Client]:
    workspace = machine.workspace
    accounts = Accounts.of(workspace)
    accounts.create("the-admin", "admin", PASSWORD, actor="test")
    settings = workspace.settings
    services = api_services(settings, workspace, accounts, machine.board, held=machine.held)
    token, _ = accounts.sign_in("the-admin", PASSWORD, "test")
    headers = {"Authorization": f"Bearer {token}"}
    with (
        serving(ApiServer(create_app(services), settings.api)) as address,
        httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=60) as client,
    ):
        yield client


def test_the_api_tells_values_sources_and_what_may_be_changed(client: httpx.Client) -> None:
    found = client.get("/api/settings").json()
    rows = {row["key"]: row for row in found["settings"]}
    assert rows["gate.name"]["value"] == "yard"
    assert rows["gate.name"]["source"] == "file"
    assert rows["gate.name"]["place"].endswith("gate.yaml:2")
    assert rows["camera.rotate"]["form"]["enum"] == [0, 90, 180, 270]
    assert rows["door.relay_pin"]["form"] is None
    assert "Name" not in str(rows["auth.secret_key"]["value"])
    assert "row" in rows["gate.name"]["explanation"]
    assert len(rows) == len(SCOPES)

    answer = client.put("/api/settings", json={"values": {"gate": {"name": "West"}}})
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    assert client.get("/api/settings/change").json()["values"] == {"gate": {"name": "West"}}

    wrong = client.put("/api/settings", json={"values": {"api": {"port": 1}}})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["at"] == "api.port"
