"""The whole gate with partners: a broker that opens the door, and dies; a collector of logs."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import pytest

from tests.assets import require_assets
from tests.e2e.process import Process, add_accounts, demo_config
from tests.fixtures.authority import Authority
from tests.mqtt.broker import Listener, broker_in, listening, needs_broker, until
from tests.syslog.test_syslog import Collector, needs_rsyslog

PASSWORD = "Correct-horse-battery-9"


def mode_of(listener: Listener) -> str | None:
    payload = listener.last("/state")
    return json.loads(payload)["mode"] if payload else None


@pytest.fixture
def config(tmp_path: Path) -> Path:
    require_assets("default", "demo")
    return demo_config(tmp_path)


@needs_broker
def test_a_broker_opens_the_door_and_all_is_right_after_its_death(
    tmp_path: Path, config: Path
) -> None:
    add_accounts(config, PASSWORD, house="operator", admin="admin")
    with broker_in(tmp_path) as broker:
        mqtt = f"{{host: 127.0.0.1, port: {broker.port}, tls: false, person: code, account: house, "
        config.write_text(config.read_text() + f"mqtt: {mqtt}commands: [open, out_of_service]}}\n")
        with Process("--config", config) as gate:
            address = re.search(r"http://[0-9.:]+", gate.wait_for("API"))
            assert address is not None
            with listening(broker.port) as house:
                until(lambda: mode_of(house), "the mode", 60)
                topic = next(t for t, _, _ in house.heard if t.endswith("/state"))
                command = topic.replace("/state", "/command")
                # nobody walks in any more: what opens now is the command
                told = {"command": "out_of_service", "at": time.time()}
                house.publish(command, told)
                # the lock says nothing yet: it is locked between two passages as well
                until(lambda: mode_of(house) == "out_of_service", "out of service", 60)
                house.publish(command, {"command": "open", "at": time.time()})
                until(lambda: len(house.said("/result")) == 2, "both results", 60)
                assert [told["result"] for told in house.said("/result")] == ["done", "door_shut"]
                until(lambda: house.said("/event"), "an event", 60)
            broker.kill()
            form = {"username": "admin", "password": PASSWORD}
            with httpx.Client(base_url=address[0], timeout=20) as api:
                token = api.post("/api/auth/login", data=form).json()["access_token"]
                api.headers["Authorization"] = f"Bearer {token}"
                body = {"mode": "normal", "reason": "test", "password": PASSWORD}
                assert api.put("/api/gate/mode", json=body).status_code == 202
                rows = api.get("/api/audit", params={"limit": 50}).json()
            assert any("house" in json.dumps(row) for row in rows), rows
            broker.start()
            with listening(broker.port) as house:
                until(lambda: house.last("/availability") == b"online", "it is back", 60)
                until(lambda: house.last("/config"), "the device", 60)
                until(lambda: mode_of(house) == "normal", "the mode that was set meanwhile", 60)
            assert gate.end() == 0


@needs_rsyslog
def test_a_collector_gets_what_happens(tmp_path: Path, config: Path) -> None:
    collector = Collector(tmp_path, Authority(tmp_path))
    collector.start()
    syslog = f"{{host: 127.0.0.1, port: {collector.port}, ca_file: {collector.authority.ca_file}}}"
    config.write_text(config.read_text() + f"syslog: {syslog}\n")
    try:
        with Process("--config", config) as gate:
            gate.wait_for("GRANTED", "relay")
            until(
                lambda: {"passage"} <= {event["type"] for event in collector.events},
                "the passage",
                60,
            )
            assert gate.end() == 0
    finally:
        collector.kill()
