"""A lockdown from the command line: obeyed within a second, and over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.core.messages import RecordEvent
from gated.core.values import Instant
from gated.door.door_memory import DoorMemory, remembered
from tests.assets import require_assets
from tests.e2e.process import Process, demo_config, gated


@pytest.mark.long
def test_a_lockdown_is_obeyed_and_outlives_the_program(tmp_path: Path) -> None:
    require_assets("default", "demo")
    config = demo_config(tmp_path)
    mode = ("door", "mode", "--reason", "drill", "--config", config)
    with Process("--config", config) as gate:
        gate.wait_for("GRANTED")
        assert gated(*mode, "lockdown").returncode == 0
        gate.wait_for("DENIED", "lockdown")
        assert gate.end() == 0
    with Process("--config", config) as gate:
        gate.wait_for("DENIED", "lockdown")
        assert gated(*mode, "normal").returncode == 0
        gate.wait_for("GRANTED")
        assert gate.end() == 0
    assert gated("journal", "verify", "--config", config).returncode == 0


@pytest.mark.long
def test_a_fire_that_was_not_reset_releases_the_door_after_a_restart(tmp_path: Path) -> None:
    require_assets("default", "demo")
    config = demo_config(tmp_path)
    with Process("--config", config) as gate:
        gate.wait_for("GRANTED")
        assert gate.end() == 0
    memory = DoorMemory(tmp_path / "state", "")
    memory.keep([RecordEvent(Instant(1.0, 1.0), "door_fire")])
    with Process("--config", config) as gate:
        gate.wait_for("the door is released")
        done = gated("door", "reset-fire", "--reason", "drill", "--config", config)
        assert done.returncode == 0
        gate.wait_for("the fire release has ended")
        assert gate.end() == 0
    assert not remembered(tmp_path / "state").fire
