"""Settings of a hub come into force by a start in the same place, or not at all."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from gated.config import load
from gated.fleet.gate import assigned_config
from gated.fleet.gate.assigned_config import AssignedConfig, KeptConfig
from gated.workspace import Workspace
from tests.assets import require_assets
from tests.e2e.process import Process, demo_config, gated


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A gate before which nobody ever stands."""
    require_assets("default")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    PIL.Image.new("RGB", (64, 48)).save(pictures / "nobody.png")
    file = demo_config(tmp_path)
    text = file.read_text().replace("demo: true", "demo: false")
    text = text.replace("source: demo", f"source: {pictures}, fps: 2")
    file.write_text(text + "sync: {trial_s: 1.5, take_over_within_s: 1}\n")
    return file


def offer(config: Path, uid: str, values: dict[str, Any], revision: int = 7) -> None:
    """As if the hub had given it."""
    with Workspace(load(config, {})) as workspace, workspace.database.write() as session:
        assigned_config.offer(session, AssignedConfig(uid, revision, values, "olga"))


def kept(config: Path) -> KeptConfig:
    return assigned_config.peek(load(config, {}).storage.url)


def test_new_settings_are_taken_over_in_place(config: Path) -> None:
    with Process("--config", config) as gate:
        gate.wait_for("ready")
        offer(config, "g1", {"door": {"held_open_s": 44}, "liveness": {"level": "strict"}})
        gate.wait_for("starts again with other settings")
        gate.wait_for("stopped, the door is locked")
        gate.wait_for("settings of revision 7 work")
        assert gate.end() == 0  # the process that was started first
    found = kept(config)
    assert found.accepted is not None
    assert (found.accepted.uid, found.pending, found.refused) == ("g1", None, None)


@pytest.mark.long
def test_where_systemd_runs_it_the_program_ends_to_be_started(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with Process("--config", config) as gate:
        gate.wait_for("ready")
        offer(config, "g1", {"door": {"held_open_s": 44}})
        gate.wait_for("stopped, the door is locked")
        assert gate.ended() == 0
    with Process("--config", config) as gate:
        gate.wait_for("settings of revision 7 work")
        assert gate.end() == 0


@pytest.mark.long
def test_a_gate_that_is_not_well_with_them_goes_back(config: Path, tmp_path: Path) -> None:
    """Its pictures are away while it starts again, as if the camera did not come up."""
    pictures, away = tmp_path / "pictures", tmp_path / "away"
    with Process("--config", config) as gate:
        gate.wait_for("camera delivers")
        offer(config, "g1", {"door": {"held_open_s": 44}})
        gate.wait_for("starts again")
        pictures.rename(away)
        gate.wait_for("are not used")
        away.rename(pictures)
        gate.wait_for("camera delivers")
        assert gate.end() == 0
    found = kept(config)
    assert found.refused is not None
    assert (found.accepted, found.pending, found.refused.uid) == (None, None, "g1")
    assert gated("journal", "verify", "--config", config).returncode == 0


@pytest.mark.long
def test_an_error_at_the_start_with_them_brings_back_what_was(config: Path) -> None:
    """Somebody else has taken the port meanwhile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config.write_text(config.read_text().replace("port: 0", f"port: {port}"))
    with Process("--config", config) as gate:
        gate.wait_for("ready")
        offer(config, "g1", {"door": {"held_open_s": 44}})
        gate.wait_for("stopped, the door is locked")
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("127.0.0.1", port))
            thief.listen()
            told = gate.wait_for("are not used")
        gate.wait_for("ready")
        assert gate.end() == 0
    found = kept(config)
    assert str(port) in told
    assert (found.accepted, found.pending) == (None, None)


@pytest.mark.long
def test_a_program_that_is_killed_each_time_gives_up(config: Path) -> None:
    with Process("--config", config) as gate:
        gate.wait_for("ready")
        assert gate.end() == 0
    offer(config, "g1", {"door": {"held_open_s": 44}})
    for _ in range(2):
        with Process("--config", config) as gate:
            gate.wait_for("ready")
            gate.end(signal.SIGKILL)
    with Process("--config", config) as gate:
        gate.wait_for("are not used: the program ended 2 times")
        gate.wait_for("ready")
        assert gate.end() == 0
    found = kept(config)
    assert (found.accepted, found.pending) == (None, None)
    assert found.refused is not None
