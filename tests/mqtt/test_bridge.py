"""The gate at a real broker: what is told, what is taken, and what happens when it is gone."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gated.accounts.accounts import Accounts
from gated.config import GateSettings, MqttSettings, Settings, StorageSettings
from gated.core.messages import Event, OperatorUnlock, SetDoorMode
from gated.core.values import DoorMode, PersonRef
from gated.journal.journal import Entry
from gated.link.running_gate import FrameCopy, FrameTap, RunningGate
from gated.link.status_board import DecisionView, StatusBoard
from gated.mqtt.bridge import MqttBridge
from gated.people import person_store
from gated.people.people import People
from gated.workspace import Workspace
from tests.mqtt.broker import Broker, Listener, broker_in, listening, needs_broker, until
from tests.people.people import add_person, entry
from tests.workspaces import open_workspace

pytestmark = needs_broker


@dataclass
class World:
    """A gate at a broker. posted: what its door was asked for."""

    workspace: Workspace
    board: StatusBoard
    bridge: MqttBridge
    anna: PersonRef
    tap: FrameTap
    posted: list[Event] = field(default_factory=list)

    @property
    def command(self) -> str:
        return self.bridge.topics.command

    def happens(self, *entries: Entry) -> None:
        self.workspace.journal.append(entries)

    def passes(self) -> None:
        """Let Anna pass."""
        self.happens(entry(self.anna, self.workspace.clock.now()))
        self.board.add_decision(decision(self.anna))


def decision(who: PersonRef | None) -> DecisionView:
    return DecisionView(
        datetime.now(UTC), "granted", "granted", who, 0.9, "entry", "face", 3, None, 1, (), 1.0, 2.0
    )


@contextmanager
def world_of(folder: Path, port: int, role: str = "operator", **more: Any) -> Iterator[World]:
    mqtt = {"host": "127.0.0.1", "port": port, "tls": False, "account": "house", **more}
    settings = Settings(
        gate=GateSettings(name="north", site="works"),
        storage=StorageSettings(state_dir=folder / "state"),
        mqtt=MqttSettings(**mqtt),
    )
    with open_workspace(settings) as workspace:
        if "house" not in {account.username for account in Accounts.of(workspace).list_()}:
            Accounts.of(workspace).create("house", role, "a long password of words", actor="test")
        with workspace.database.write() as session:
            anna = person_store.by_code(session, "E17") or add_person(
                session, first_name="Anna", last_name="Example", personnel_code="E17"
            )
        board, posted = StatusBoard(), list[Event]()
        board.publish(door_state="locked", door_mode="normal", journal="ok")
        tap = FrameTap()
        bridge = MqttBridge(workspace, board, RunningGate(tap, posted.append))
        bridge.start()
        try:
            who = PersonRef(anna.id, anna.uid, "E17", "Anna Example")
            yield World(workspace, board, bridge, who, tap, posted)
        finally:
            bridge.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with broker_in(tmp_path) as broker:
        yield broker


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    with listening(broker.port) as listener:
        yield listener


def state(listener: Listener) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(listener.last("/state") or b"{}")
    return found


def now() -> float:
    return time.time()


# --- what is told -----------------------------------------------------------------------------


def test_the_end_of_a_mode_is_told_while_it_has_one(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port) as world:
        until(lambda: state(listener).get("mode") == "normal", "normal")
        assert state(listener)["mode_until"] is None
        six = "2026-12-24T18:00:00+00:00"
        world.board.publish(door_mode="free_access", door_mode_until=six)
        until(lambda: state(listener)["mode_until"] == six, "free until six")
        world.board.publish(door_mode="normal", door_mode_until=None)
        until(lambda: state(listener)["mode_until"] is None, "it has ended")


def test_the_state_is_retained_and_follows_the_gate(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port) as world:
        until(lambda: state(listener).get("lock") == "LOCKED", "locked")
        world.board.publish(door_state="forced", alarms={"door_forced": "alarm"})
        until(lambda: state(listener)["forced"] == "ON", "forced")
        assert (state(listener)["door"], state(listener)["lock"]) == ("ON", "OPEN")
        world.board.trouble("hub_revoked", "by its hub")
        until(lambda: state(listener)["problem"] == "ON", "a problem")
        assert state(listener)["problems"] == "hub_revoked"
        with listening(broker.port) as late:
            until(lambda: late.last("/state"), "what is retained")
            assert state(late)["forced"] == "ON"
            assert (late.last("/availability"), late.last("/gate")) == (b"online", b"online")


def test_a_gate_whose_door_is_away_is_not_available(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port) as world:
        until(lambda: listener.last("/gate") == b"online", "available")
        world.board.trouble("gate_unavailable", "the process is away")
        until(lambda: listener.last("/gate") == b"offline", "not available")
        assert listener.last("/availability") == b"online"


def test_who_ends_says_so_and_who_is_killed_has_a_last_will(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port):
        until(lambda: listener.last("/availability") == b"online", "online")
    until(lambda: listener.last("/availability") == b"offline", "offline at the end")
    with world_of(tmp_path / "second", broker.port) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        connection = world.bridge._connection
        assert connection is not None
        sock = connection._client.socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)  # as the kernel does for who is killed
        until(lambda: listener.of("/availability")[-2:] == [b"offline", b"online"], "the last will")


def test_events_come_once_in_order_with_what_may_be_told(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port, person="code", events=("passage", "alarm")) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        world.passes()
        alarm = {"severity": "alarm", "gate": "north"}
        world.happens(Entry(world.workspace.clock.now(), "door_forced", alarm))
        until(lambda: len(listener.said("/journal")) == 2, "both events")
        until(lambda: len(listener.said("/event")) == 2, "both for automations, too")
        passage, forced = listener.said("/journal")
        assert (passage["event_type"], forced["event_type"]) == ("passage", "alarm")
        assert passage["person"] == {"uid": world.anna.uid, "personnel_code": "E17"}
        assert [e["id"] for e in listener.said("/event")] == [passage["id"], forced["id"]]
        until(lambda: state(listener).get("last_person") == "E17", "the last person")
        until(lambda: state(listener)["people_inside"] == 1, "somebody inside")
        assert not any(retained for topic, _, retained in listener.heard if "/event" in topic)


def test_nothing_of_people_is_told_unless_it_is_allowed(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        world.passes()
        until(lambda: listener.said("/journal"), "the event")
        until(lambda: state(listener)["people_inside"] == 1, "somebody inside")
    heard = b"".join(payload for _, payload, _ in listener.heard)
    assert b"E17" not in heard
    assert b"Anna" not in heard
    assert world.anna.uid.encode() not in heard


def test_who_is_erased_is_no_last_person_any_more(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port, person="name") as world:
        world.passes()
        until(lambda: state(listener).get("last_person") == "Anna Example", "the last person")
        with world.workspace.change("test") as change:
            People.of(world.workspace).delete(change, world.anna.id)
        until(lambda: state(listener)["last_person"] is None, "nobody")


def test_a_picture_is_sent_with_a_decision_where_that_is_allowed(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port, pictures=True) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        world.passes()
        until(lambda: world.tap.watched, "it looks")
        world.tap.show(FrameCopy(np.zeros((60, 80, 3), np.uint8), (), 1))
        until(lambda: listener.of("/picture"), "a picture")
        assert listener.of("/picture")[0][:2] == b"\xff\xd8"


# --- a broker that is away --------------------------------------------------------------------


def test_after_the_death_of_the_broker_all_is_right_again(tmp_path: Path, broker: Broker) -> None:
    with world_of(tmp_path, broker.port) as world:
        with listening(broker.port) as before:
            until(lambda: state(before).get("lock") == "LOCKED", "locked")
        broker.kill()
        world.board.publish(door_state="open")
        world.passes()
        broker.start()
        with listening(broker.port) as after:
            until(lambda: state(after).get("lock") == "OPEN", "the new state")
            until(lambda: after.said("/journal"), "what happened meanwhile")
            until(lambda: after.last("/config"), "the device")
            assert after.last("/availability") == b"online"


def test_what_happened_long_ago_is_delivered_and_moves_nothing(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        at = world.workspace.clock.now()
        old = type(at)(at.mono, at.utc - 3600)
        world.happens(entry(world.anna, old))
        until(lambda: listener.said("/journal"), "the event")
        world.passes()
        until(lambda: listener.said("/event"), "the next one")
        old_one, new_one = listener.said("/journal")
        assert [event["id"] for event in listener.said("/event")] == [new_one["id"]]
        assert old_one["id"] != new_one["id"]


def test_a_broker_that_hangs_is_left_and_found_again(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        broker.hang()
        world.passes()
        until(lambda: not world.bridge.view()["connected"], "noticed", 60)
        assert "confirmed nothing" in world.bridge.view()["says"]
        broker.wake()
        until(lambda: listener.said("/journal"), "the event", 60)


# --- commands ---------------------------------------------------------------------------------


def results(listener: Listener) -> list[tuple[str, str]]:
    return [(told["command"], told["result"]) for told in listener.said("/result")]


def test_a_command_is_executed_in_the_name_of_its_account(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port, commands=("open", "lockdown")) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        listener.publish(world.command, {"command": "open", "at": now(), "reason": "parcel"})
        listener.publish(world.command, {"command": "lockdown", "at": now()})
        until(lambda: len(results(listener)) == 2, "both results")
        assert results(listener) == [("open", "done"), ("lockdown", "done")]
        opened, locked = world.posted
        assert isinstance(opened, OperatorUnlock)
        assert (opened.actor, opened.cause) == ("house", "MQTT: parcel")
        assert isinstance(locked, SetDoorMode)
        assert locked.mode is DoorMode.LOCKDOWN


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({"command": "open", "at": -1}, "late"),
        ({"command": "open", "at": 10**11}, "late"),
        ({"command": "open"}, "undated"),
        ({"command": "open", "at": True}, "undated"),
        ({"command": "open", "at": float("nan")}, "undated"),
        ({"command": "normal", "at": 0}, "forbidden"),
        ({"command": "open; reboot", "at": 0}, "malformed"),
        ({"command": "open", "at": 0, "for_s": 10**9}, "malformed"),
        ({"command": "open", "at": 0, "reason": "x" * 201}, "malformed"),
        ({"command": "open", "at": 0, "reason": "a\nb"}, "malformed"),
        (b"OPEN", "malformed"),
        (b"", "malformed"),
        (b"[" * 1000, "malformed"),
        (b"x" * 5000, "malformed"),
        (b"\xff\xfe", "malformed"),
    ],
)
def test_what_is_no_command_of_now_moves_nothing(
    tmp_path: Path, broker: Broker, listener: Listener, payload: Any, why: str
) -> None:
    if isinstance(payload, dict) and payload.get("at") == 0:
        payload = {**payload, "at": now()}
    with world_of(tmp_path, broker.port, commands=("open",)) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        listener.publish(world.command, payload)
        until(lambda: results(listener), "the result")
        assert results(listener)[0][1] == why
        assert world.posted == []


def test_a_retained_command_is_never_executed(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port, commands=("open",)) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        listener.publish(world.command, {"command": "open", "at": now()}, retain=True)
        until(lambda: results(listener), "the result")
        assert results(listener) == [("", "retained")]
        # nor when it lies there while somebody connects
        world.bridge.stop()
        again = MqttBridge(
            world.workspace, world.board, RunningGate(FrameTap(), world.posted.append)
        )
        again.start()
        until(lambda: listener.of("/availability")[-2:] == [b"offline", b"online"], "again")
        listener.publish(world.command, {"command": "open", "at": now(), "id": "2"})
        until(lambda: len(results(listener)) == 2, "the live one")
        assert len(world.posted) == 1
        again.stop()


def test_a_command_is_executed_once_and_not_after_an_absence(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port, commands=("open",)) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        told = {"command": "open", "at": now()}
        listener.publish(world.command, told)
        listener.publish(world.command, told)
        until(lambda: len(results(listener)) == 2, "both")
        assert [result for _, result in results(listener)] == ["done", "repeated"]
        world.bridge.stop()
        listener.publish(world.command, {"command": "open", "at": now()})
        again = MqttBridge(
            world.workspace, world.board, RunningGate(FrameTap(), world.posted.append)
        )
        again.start()
        until(lambda: listener.of("/availability")[-2:] == [b"offline", b"online"], "again")
        listener.publish(world.command, {"command": "open", "at": now(), "id": "live"})
        until(lambda: len(results(listener)) == 3, "the live one")
        assert len(world.posted) == 2
        again.stop()


@pytest.mark.parametrize(("role", "command"), [("viewer", "open"), ("operator", "free_access")])
def test_nobody_commands_more_than_the_account_may(
    tmp_path: Path, broker: Broker, listener: Listener, role: str, command: str
) -> None:
    with world_of(tmp_path, broker.port, role, commands=(command,)) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        listener.publish(world.command, {"command": command, "at": now()})
        until(lambda: results(listener), "the result")
        assert results(listener) == [(command, "forbidden")]
        assert world.posted == []


def test_an_account_that_is_disabled_commands_nothing(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port, commands=("open",)) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        with world.workspace.change("test") as change:
            Accounts.of(world.workspace).disable(change, "house")
        listener.publish(world.command, {"command": "open", "at": now()})
        until(lambda: results(listener), "the result")
        assert results(listener) == [("open", "forbidden")]
        assert world.posted == []


def test_commands_come_as_often_as_over_http(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port, commands=("open",)) as world:
        limit = world.workspace.settings.auth.door_acts_per_minute
        until(lambda: listener.last("/availability") == b"online", "online")
        for n in range(limit + 1):
            listener.publish(world.command, {"command": "open", "at": now(), "id": str(n)})
        until(lambda: len(results(listener)) == limit + 1, "all results")
        assert [result for _, result in results(listener)][-2:] == ["done", "too_many"]
        assert len(world.posted) == limit


def test_what_the_door_refuses_is_said(tmp_path: Path, broker: Broker, listener: Listener) -> None:
    with world_of(tmp_path, broker.port, commands=("open",)) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        world.board.publish(door_mode="lockdown")
        listener.publish(world.command, {"command": "open", "at": now()})
        until(lambda: results(listener), "the result")
        assert results(listener) == [("open", "door_shut")]
        assert world.posted == []


def test_without_commands_nothing_is_listened_to(
    tmp_path: Path, broker: Broker, listener: Listener
) -> None:
    with world_of(tmp_path, broker.port) as world:
        until(lambda: listener.last("/availability") == b"online", "online")
        listener.publish(world.command, {"command": "open", "at": now()})
        listener.publish("homeassistant/status", "online")
        until(lambda: len(listener.of("/config")) == 2, "the device is described again")
        assert world.posted == []
        assert results(listener) == []
