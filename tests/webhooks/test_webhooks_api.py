"""Web hooks over HTTP and from the command line, and out of a gate that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gated.config import GateSettings, Settings, StorageSettings, WebhookSettings, WebhookTarget
from gated.webhooks.webhooks import Webhooks
from tests.assets import require_assets
from tests.e2e.process import Process, demo_config, gated
from tests.fixtures.server import Running, running
from tests.webhooks.receiver import Receiver, receiving
from tests.workspaces import open_workspace

TARGET = """
webhooks:
  targets:
    - {{name: payroll, url: "{url}/hook", secret_file: secret, private_network: true}}
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Iterator[Running]:
    """A server whose configuration names one target."""
    (tmp_path / "secret").write_text("a-secret-of-thirty-two-characters")
    target = WebhookTarget(
        name="payroll",
        url=f"{receiver.url}/hook?key=hidden",
        secret_file=tmp_path / "secret",
        private_network=True,
    )
    settings = Settings(
        gate=GateSettings(name="north", site="works"),
        storage=StorageSettings(state_dir=tmp_path / "other"),
        webhooks=WebhookSettings(targets=(target,)),
    )
    with running(tmp_path / "state") as server, open_workspace(settings) as workspace:
        object.__setattr__(server.services, "webhooks", Webhooks.of(workspace))
        yield server


def test_an_admin_sees_the_targets_and_tries_one(server: Running, receiver: Receiver) -> None:
    with server.client("admin") as admin, server.client("viewer") as viewer:
        assert viewer.get("/api/webhooks").status_code == 403
        assert viewer.post("/api/webhooks/payroll/test").status_code == 403
        (told,) = admin.get("/api/webhooks").json()
        assert (told["name"], told["url"]) == ("payroll", receiver.url)
        assert "hidden" not in json.dumps(told)
        tried = admin.post("/api/webhooks/payroll/test").json()
        assert tried == {"result": "delivered", "status": 204, "says": ""}
        assert receiver.events[0]["type"] == "test"
        assert admin.post("/api/webhooks/nobody/test").status_code == 404


def test_a_running_gate_tells_of_a_passage(tmp_path: Path, receiver: Receiver) -> None:
    require_assets("default", "demo")
    config = demo_config(tmp_path)
    (tmp_path / "secret").write_text("a-secret-of-thirty-two-characters\n")
    config.write_text(config.read_text() + TARGET.format(url=receiver.url))
    tried = gated("webhooks", "test", "payroll", "--json", "--config", config)
    assert tried.returncode == 5  # the gate has not run here yet
    with Process("--config", config) as gate:
        gate.wait_for("GRANTED", "Barack Obama")
        assert receiver.came.wait(30)
        assert gate.end() == 0
    passages = [event for event in receiver.events if event["type"] == "passage"]
    assert passages
    assert "Obama" not in json.dumps(receiver.events)
    listed = json.loads(gated("webhooks", "list", "--json", "--config", config).stdout)
    assert listed[0]["delivered"] == len(passages)
    receiver.answers = [500]
    tried = gated("webhooks", "test", "payroll", "--config", config)
    assert (tried.returncode, tried.stdout) == (1, "payroll: failed answered 500\n")
