"""A hub and two gates, each a process: settings go out in stages, until a gate refuses them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tests.assets import require_assets
from tests.e2e.process import Process, gated

HUB = """
gate: {{name: hub, role: hub}}
camera: {{driver: none}}
door: {{driver: none}}
storage: {{state_dir: {state}}}
api: {{port: {port}}}
"""

GATE = """
gate: {{name: {name}, site: works}}
camera: {{driver: replay, source: {pictures}, fps: 2}}
door: {{driver: simulated}}
storage: {{state_dir: {state}}}
sync: {{take_over_within_s: 1, trial_s: 2}}
api: {{enabled: false}}
{more}
"""


class Site:
    """The configurations of a hub and its gates in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.hub = folder / "hub.yaml"
        self.hub.write_text(HUB.format(state=folder / "hub", port=self.port))

    def gate(self, name: str, more: str = "") -> Path:
        """The configuration of a gate that has joined."""
        pictures = self.folder / f"{name}-pictures"
        pictures.mkdir()
        PIL.Image.new("RGB", (64, 48)).save(pictures / "nobody.png")
        file = self.folder / f"{name}.yaml"
        state = self.folder / name
        file.write_text(GATE.format(name=name, pictures=pictures, state=state, more=more))
        code = self.run("invite", name, "--site", "works").split()[-1]
        joined = gated("join", f"http://127.0.0.1:{self.port}", code, "--config", file)
        assert joined.returncode == 0, joined.stderr
        return file

    def run(self, *args: str | Path) -> str:
        done = gated("hub", *args, "--config", self.hub)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> Any:
        return json.loads(self.run("rollout", "status", "--json"))

    def wait_for(self, wanted: Callable[[Any], bool], seconds: float = 60) -> Any:
        end = time.monotonic() + seconds
        while not wanted(found := self.status()):
            assert time.monotonic() < end, found
            time.sleep(1)
        return found


@pytest.mark.long
def test_settings_go_out_in_stages_until_a_gate_refuses(tmp_path: Path) -> None:
    require_assets("default")
    site = Site(tmp_path)
    values = tmp_path / "values.yaml"
    with Process("--config", site.hub) as hub:
        hub.wait_for("ready")
        north = site.gate("north")
        # this one's own file does not go together with what comes
        south = site.gate("south", "privacy: {hold_days: 90}")
        with Process("--config", north) as one, Process("--config", south) as other:
            one.wait_for("hub-down: connected")
            other.wait_for("hub-down: connected")
            values.write_text("privacy: {attendance_days: 30}\nlogging: {level: debug}\n")
            stages = ("--stage", "north", "--stage", "everyone", "--soak", "1")
            site.run("configure", values, *stages)
            one.wait_for("settings of revision 1 work")
            found = site.wait_for(lambda told: told["state"] != "running")
            assert (found["state"], found["stage"]) == ("halted", 2)
            assert found["reason"].startswith("south: refused: ")
            first, second = json.loads(site.run("gates", "--json"))
            assert (first["configuration"], first["reported"]["settings"]["revision"]) == (1, 1)
            assert second["reported"]["settings"]["state"] == "refused"
            assert first["reported"]["gallery"] == second["reported"]["gallery"] is not None
            assert abs(first["reported"]["clock_offset_s"]) < 20
            site.run("rollout", "rollback")
            one.wait_for("settings of revision 0 work")
            assert other.end() == 0
            assert one.end() == 0
        assert "NORTH" in site.run("gates").upper()
        assert hub.end() == 0
    for config in (site.hub, north, south):
        assert gated("journal", "verify", "--config", config).returncode == 0
