"""Home Assistant's own core reads what we publish, and opens the door.

It needs a Python of its own (3.13 or later), as it pins most of its packages:
`python3.13 -m venv DIR && DIR/bin/pip install 'homeassistant>=2025.1' paho-mqtt==2.1.0`, then
`GATED_HOME_ASSISTANT=DIR/bin/python`. paho-mqtt as that version of Home Assistant wants it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gated.core.messages import OperatorUnlock, SetDoorMode
from gated.core.values import DoorMode
from tests.mqtt.broker import Broker, broker_in, needs_broker, until
from tests.mqtt.test_bridge import world_of

PYTHON = os.environ.get("GATED_HOME_ASSISTANT")
CORE = Path(__file__).with_name("home_assistant.py")
WITHIN_S = 90.0

pytestmark = [
    needs_broker,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        PYTHON is None, reason="GATED_HOME_ASSISTANT names no Python with Home Assistant"
    ),
]


class HomeAssistant:
    """The core in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert self._answer() == "ready"

    def ask(self, *question: str) -> Any:
        """Ask a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "Home Assistant has ended"
        return json.loads(line)

    def states(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("states")
        return found

    def until(self, entity: str, state: str) -> None:
        until(lambda: self.state(entity) == state, f"{entity} is {state}", WITHIN_S)

    def state(self, entity: str) -> str | None:
        found = self.states().get(entity)
        return found and found[0]


@contextmanager
def home_assistant(folder: Path, broker: Broker) -> Iterator[HomeAssistant]:
    assert PYTHON is not None
    folder.mkdir()
    (folder / "configuration.yaml").touch()
    log = (folder / "log").open("w")
    with log, subprocess.Popen(
        [PYTHON, str(CORE), str(folder), str(broker.port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
    ) as process:  # fmt: skip
        try:
            yield HomeAssistant(process)
        finally:
            process.kill()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with broker_in(tmp_path) as broker:
        yield broker


def test_home_assistant_finds_the_gate_reads_it_and_opens_it(
    tmp_path: Path, broker: Broker
) -> None:
    commands = ("open", "normal", "lockdown", "silence")
    with (
        home_assistant(tmp_path / "ha", broker) as home,
        world_of(tmp_path, broker.port, commands=commands, person="code", pictures=True) as world,
    ):
        home.until("lock.north_lock", "locked")
        assert home.ask("devices") == ["north"]
        kinds = {"binary_sensor", "button", "camera", "event", "lock", "sensor"}
        until(
            lambda: {entity.split(".")[0] for entity in home.states()} == kinds,
            "all kinds of entities",
            WITHIN_S,
        )
        for entity in ("door", "forced", "held_open", "tamper", "problem", "somebody_inside"):
            home.until(f"binary_sensor.north_{entity}", "off")
        home.until("sensor.north_mode", "normal")
        until(lambda: home.ask("triggers") == ["alarm", "passage", "refusal"], "triggers", WITHIN_S)

        world.passes()
        home.until("sensor.north_last_person", "E17")
        home.until("sensor.north_people_inside", "1")
        until(
            lambda: home.states()["event.north_event"][1].get("event_type") == "passage",
            "the event",
            WITHIN_S,
        )
        world.board.publish(door_state="forced", alarms={"door_forced": "alarm"})
        home.until("binary_sensor.north_forced", "on")
        home.until("lock.north_lock", "open")

        home.ask("call", "lock", "open", "lock.north_lock")
        home.ask("call", "button", "press", "button.north_lockdown")
        until(lambda: len(world.posted) == 2, "both commands", WITHIN_S)
        opened, locked = world.posted
        assert isinstance(opened, OperatorUnlock)
        assert (opened.actor, opened.cause) == ("house", "MQTT: Home Assistant")
        assert isinstance(locked, SetDoorMode)
        assert locked.mode is DoorMode.LOCKDOWN

        world.board.trouble("gate_unavailable", "away")
        home.until("lock.north_lock", "unavailable")
        home.until("binary_sensor.north_problem", "on")
        log = (tmp_path / "ha" / "log").read_text()
        assert "gated" not in log, log


def test_what_is_not_allowed_any_more_goes_there(tmp_path: Path, broker: Broker) -> None:
    with home_assistant(tmp_path / "ha", broker) as home:
        with world_of(tmp_path, broker.port, commands=("open",)):
            home.until("lock.north_lock", "locked")
        home.until("lock.north_lock", "unavailable")
        with world_of(tmp_path, broker.port):
            home.until("binary_sensor.north_lock", "off")
            until(lambda: "lock.north_lock" not in home.states(), "the lock goes", WITHIN_S)
