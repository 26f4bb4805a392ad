"""The door over the network: role, reason, confirmation, rate; and the alarms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.core.messages import (
    AlarmsAcknowledged,
    Event,
    RecordEvent,
    ResetFire,
    SetDoorMode,
    Silenced,
)
from gated.core.values import DoorMode, Instant
from gated.link.running_gate import FrameTap, RunningGate
from gated.live.recording import Recorder
from tests.fixtures.server import PASSWORD, Running, running

NOW = Instant(100.0, 1_800_000_000.0)


@dataclass
class Gate:
    """A server with a letter box in place of a gate."""

    running: Running
    posted: list[Event]

    def ask(self, role: str, method: str, path: str, **body: Any) -> httpx.Response:
        with self.running.client(role) as client:
            return client.request(method, f"/api/{path}", json=body)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    posted = list[Event]()
    live = RunningGate(FrameTap(), posted.append)
    with running(tmp_path, roles=("viewer", "operator", "admin"), live=live) as server:
        yield Gate(server, posted)


def confirm_within(gate: Gate, seconds: float | None) -> None:
    """Change `auth.door_confirmation_s` of the running server."""
    auth = gate.running.services.settings.auth
    object.__setattr__(auth, "door_confirmation_s", seconds)


@pytest.mark.parametrize("mode", ["lockdown", "normal", "out_of_service"])
def test_an_operator_sets_the_mode_and_says_why(gate: Gate, mode: str) -> None:
    answer = gate.ask("operator", "PUT", "gate/mode", mode=mode, reason="drill")
    assert (answer.status_code, answer.json()) == (202, {"mode": mode, "until": None})
    assert gate.posted == [SetDoorMode(DoorMode(mode), "the-operator", "drill")]


def test_a_mode_may_have_an_end(gate: Gate) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    body = {"mode": "lockdown", "reason": "drill", "until": at.isoformat()}
    answer = gate.ask("operator", "PUT", "gate/mode", **body)
    assert (answer.status_code, answer.json()["until"]) == (202, f"{at:%Y-%m-%dT%H:%M:%SZ}")
    assert gate.posted == [SetDoorMode(DoorMode.LOCKDOWN, "the-operator", "drill", at.timestamp())]
    gate.running.services.board.publish(door_mode="lockdown", door_mode_until=at.isoformat())
    state = gate.ask("viewer", "GET", "gate").json()
    assert state["door_mode_until"] == answer.json()["until"]
    late = gate.ask("operator", "PUT", "gate/mode", **{**body, "until": "2026-01-01T00:00Z"})
    assert (late.status_code, late.json()["code"]) == (409, "mode_end")
    assert len(gate.posted) == 1


def test_only_an_admin_unlocks_for_everybody(gate: Gate) -> None:
    body = {"mode": "free_access", "reason": "open day"}
    assert gate.ask("operator", "PUT", "gate/mode", **body).status_code == 403
    assert gate.posted == []
    assert gate.ask("admin", "PUT", "gate/mode", **body).status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "gate/open", {}),
        ("POST", "gate/open", {"reason": ""}),
        ("POST", "gate/open", {"reason": "x", "for_s": 0}),
        ("POST", "gate/open", {"reason": "x", "force": True}),
        ("PUT", "gate/mode", {"reason": "x"}),
        ("PUT", "gate/mode", {"reason": "x", "mode": "open"}),
        ("PUT", "gate/mode", {"mode": "free_access"}),
        ("PUT", "gate/mode", {"reason": "x", "mode": "free_access", "until": "soon"}),
        ("POST", "gate/fire/reset", {}),
    ],
)
def test_a_bad_request_never_moves_a_relay(
    gate: Gate, method: str, path: str, body: dict[str, Any]
) -> None:
    assert gate.ask("admin", method, path, **body).status_code == 422
    assert gate.ask("viewer", method, path, **{**body, "reason": "x"}).status_code in {403, 422}
    assert gate.posted == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "gate/open", {}),
        ("PUT", "gate/mode", {"mode": "normal"}),
        ("POST", "gate/fire/reset", {}),
    ],
)
def test_an_old_token_needs_the_password(
    gate: Gate, method: str, path: str, body: dict[str, Any]
) -> None:
    gate.running.services.board.publish(door_state="fire")
    confirm_within(gate, 0.0)
    body = {**body, "reason": "parcel"}
    refused = gate.ask("operator", method, path, **body)
    assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_required")
    wrong = gate.ask("operator", method, path, **body, password="not it")
    assert wrong.status_code == 401
    assert gate.posted == []
    assert gate.ask("operator", method, path, **body, password=PASSWORD).status_code == 202
    assert len(gate.posted) == 1


def test_a_site_may_be_content_with_the_role(gate: Gate) -> None:
    confirm_within(gate, None)
    assert gate.ask("operator", "POST", "gate/open", reason="parcel").status_code == 202


def test_a_lockdown_waits_for_no_password(gate: Gate) -> None:
    confirm_within(gate, 0.0)
    gate.running.services.board.publish(journal="unavailable")
    answer = gate.ask("operator", "PUT", "gate/mode", mode="lockdown", reason="intruder")
    assert answer.status_code == 202


def test_nobody_opens_from_afar_in_a_lockdown(gate: Gate) -> None:
    gate.running.services.board.publish(door_mode="lockdown")
    assert gate.ask("operator", "POST", "gate/open", reason="parcel").status_code == 409
    assert gate.posted == []


def test_acts_at_the_door_are_limited(gate: Gate) -> None:
    most = gate.running.services.settings.auth.door_acts_per_minute
    with gate.running.client("operator") as client:
        answers = [client.post("/api/gate/open", json={"reason": "x"}) for _ in range(most + 1)]
    assert [a.status_code for a in answers] == [*most * [202], 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert len(gate.posted) == most


def test_a_fire_release_is_reset_only_when_there_is_one(gate: Gate) -> None:
    assert gate.ask("operator", "POST", "gate/fire/reset", reason="drill").status_code == 409
    gate.running.services.board.publish(door_state="fire")
    assert gate.ask("operator", "POST", "gate/fire/reset", reason="drill").status_code == 202
    assert gate.posted == [ResetFire("the-operator", "drill")]


def test_alarms_are_listed_and_acknowledged(gate: Gate) -> None:
    workspace = gate.running.services.workspace
    Recorder(workspace, workspace.settings).append(
        [RecordEvent(NOW, "door_forced", severity="alarm")]
    )
    (alarm,) = gate.ask("viewer", "GET", "alarms?standing=true").json()
    assert (alarm["kind"], alarm["count"], alarm["acknowledged_at"]) == ("door_forced", 1, None)
    place = f"alarms/{alarm['id']}/acknowledge"
    assert gate.ask("viewer", "POST", place).status_code == 403
    done = gate.ask("operator", "POST", place, note="the wind")
    assert (done.status_code, done.json()["acknowledged_by"]) == (200, "the-operator")
    assert gate.ask("operator", "POST", place).status_code == 409
    assert gate.ask("operator", "POST", "alarms/999/acknowledge").status_code == 404
    assert gate.posted == [AlarmsAcknowledged("door_forced")]


def test_the_sounder_is_silenced(gate: Gate) -> None:
    assert gate.ask("operator", "POST", "gate/silence").status_code == 202
    assert gate.posted == [Silenced("the-operator")]
