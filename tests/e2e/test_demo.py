"""The demo as a newcomer sees it: real portraits, real models, real process, real signals."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.assets import require_assets
from tests.e2e.process import Process, add_accounts, demo_config, gated

PASSWORD = "Correct-horse-battery-9"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    require_assets("default", "demo")
    return demo_config(tmp_path)


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGINT]
)
def test_demo_admits_the_known_and_refuses_the_stranger(config: Path, number: int) -> None:
    with Process("--config", config) as gate:
        banner = gate.wait_for("liveness")
        assert "OFF" in banner
        gate.wait_for("sign in", "gated user add")
        granted = gate.wait_for("GRANTED", "Barack Obama", "relay")
        denied = gate.wait_for("DENIED", "unknown face")
        assert "no_match" in denied
        confidence = re.search(r"confidence (\d\.\d\d)", granted)
        assert confidence is not None
        assert float(confidence[1]) > 0.66
        assert gate.end(number) == 0
        assert gate.lines[-1] == "stopped, the door is locked"
    assert not any("GRANTED" in line and "Obama" not in line for line in gate.lines)


@pytest.mark.long
def test_a_phone_that_is_held_up_in_the_demo_is_refused(config: Path) -> None:
    require_assets("pad")
    config.write_text(config.read_text().replace('level: "off"', "level: normal"))
    with Process("--config", config) as gate:
        gate.wait_for("drawn into the picture")
        gate.wait_for("GRANTED", "Barack Obama", "relay")
        gate.wait_for("DENIED", "spoof", seconds=120)
        assert gate.end() == 0


def test_every_start_knows_the_person_and_the_log_verifies_also_after_a_kill(config: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP):
        with Process("--config", config) as gate:
            gate.wait_for("1 known, 1 templates")
            gate.wait_for("door", "locked")
            gate.wait_for("GRANTED")
            killed = number == signal.SIGKILL
            assert gate.end(number) == (-signal.SIGKILL if killed else 0)
            assert (gate.lines[-1] == "stopped, the door is locked") is not killed
        result = gated("journal", "verify", "--config", config)
        assert result.returncode == 0, result.stderr
        assert "the journal is whole" in result.stdout


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Process, str]]:
    """A demo with an administrator, for tests that leave it as it is; its file and address."""
    require_assets("default", "demo")
    config = demo_config(tmp_path_factory.mktemp("running"))
    add_accounts(config, PASSWORD, admin="admin")
    with Process("--config", config) as gate:
        address = re.search(r"http://[0-9.:]+", gate.wait_for("API"))
        assert address is not None
        gate.wait_for("Ctrl-C")
        yield config, gate, address[0]
        assert gate.end() == 0


def test_two_gates_never_share_a_state_directory(running: tuple[Path, Process, str]) -> None:
    config, _, _ = running
    second = gated("run", "--config", config, "--exit-after", "1")
    assert second.returncode == 5
    assert "state directory" in second.stderr


def test_the_log_is_served_to_those_who_sign_in(running: tuple[Path, Process, str]) -> None:
    _, gate, address = running
    gate.wait_for("GRANTED")
    with httpx.Client(base_url=address, timeout=10) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/api/attendance").status_code == 401
        form = {"username": "admin", "password": PASSWORD}
        token = client.post("/api/auth/login", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        state = client.get("/api/gate", headers=headers)
        assert state.status_code == 200
        rows = client.get("/api/attendance", headers=headers).json()
    assert any(r["status"] == "granted" and r["direction"] == "entry" for r in rows)


@pytest.mark.long
def test_another_engine_makes_its_templates_from_the_stored_photos(config: Path) -> None:
    require_assets("dlib")
    pytest.importorskip("dlib", reason="the extra dlib is not installed")
    with Process("--config", config) as gate:
        gate.wait_for("GRANTED", "Obama")
        assert gate.end() == 0
    config.write_text(config.read_text().replace("vision: {", "vision: {engine: dlib, "))
    with Process("--config", config) as gate:
        gate.wait_for("1 known, 1 templates")
        gate.wait_for("GRANTED", "Obama")
        assert gate.end() == 0
