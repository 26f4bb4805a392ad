"""The units and the installer: what can be checked without booting."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from gated.config import CameraSettings

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "systemd"
UNITS = ("gated.service", "gated-hub.service")
TOOLS = (
    *("apt-get", "install", "rm", "udevadm"),
    *("systemctl", "systemd-sysusers", "systemd-tmpfiles"),
)

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing"
)


def settings(unit: str) -> dict[str, list[str]]:
    """Every key of a unit with all its values."""
    found: dict[str, list[str]] = {}
    for line in (FOLDER / unit).read_text().splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture(params=UNITS)
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit as on a machine where its program is installed."""
    name = str(request.param)
    text = (FOLDER / name).read_text()
    assert "/opt/gated/bin/gated run" in text
    unit = tmp_path / name
    unit.write_text(text.replace("/opt/gated/bin/gated", "/bin/true"))
    return unit


@needs_analyze
def test_systemd_understands_every_line(installed: Path) -> None:
    done = run("systemd-analyze", "verify", str(installed))
    assert done.stderr == "", "it returns 0 for unknown keys as well"
    assert done.returncode == 0


@needs_analyze
def test_the_sandbox_is_tight(installed: Path) -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(installed))
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("unit", UNITS)
def test_a_driver_cannot_wait_longer_than_half_of_the_watchdog(unit: str) -> None:
    half = float(settings(unit)["WatchdogSec"][0]) / 2
    for limit in ("open_timeout_s", "read_timeout_s"):
        with pytest.raises(ValidationError):
            CameraSettings.model_validate({"source": "demo", limit: half})
    for line in settings(unit)["Environment"]:
        name, _, value = line.partition("=")
        assert name != "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT" or float(value) < half


def test_the_gate_is_restarted_for_ever_and_locked_after_every_stop() -> None:
    unit = settings("gated.service")
    assert unit["Type"] == ["notify"]
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["ExecStopPost"] == ["/opt/gated/bin/gated door lock --config /etc/gated/gate.yaml"]


@pytest.mark.parametrize("unit", UNITS)
def test_the_groups_of_a_unit_are_made(unit: str) -> None:
    made = re.findall(r"^[ug] (\S+)", (FOLDER / "gated.sysusers.conf").read_text(), re.MULTILINE)
    groups = " ".join(settings(unit).get("SupplementaryGroups", [])).split()
    assert {*groups, *settings(unit)["User"]} <= set(made)


@pytest.mark.skipif(shutil.which("sh") is None, reason="sh is missing")
@pytest.mark.parametrize("options", [[], ["--hub"], ["--uninstall"], ["--uninstall", "--purge"]])
def test_a_dry_run_tells_every_step_and_changes_nothing(options: list[str], tmp_path: Path) -> None:
    script, touched = str(FOLDER / "install.sh"), tmp_path / "touched"
    for name in (*TOOLS, "python3"):
        tool = tmp_path / name
        # python3 is asked for its version; everything else would change the machine
        tool.write_text(f'#!/bin/sh\n[ "$1" = -c ] || {{ echo "$0 $*" >> {touched}; exit 1; }}\n')
        tool.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = run("env", f"PATH={path}", "sh", script, "--dry-run", *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not touched.exists()
    assert "nothing is changed" in done.stdout
    named = re.findall(rf"{re.escape(str(ROOT))}/(\S+)", done.stdout)
    assert all((ROOT / name).exists() for name in named), "every file it copies is there"
    assert ("rm -rf /var/lib/" in done.stdout) == ("--purge" in options)
    for unit in (line for line in named if line.endswith(".service")):
        assert (unit == "systemd/gated-hub.service") == ("--hub" in options)


@pytest.mark.skipif(shutil.which("sh") is None, reason="sh is missing")
def test_the_shell_understands_the_installer() -> None:
    done = run("sh", "-n", str(FOLDER / "install.sh"))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_installer_refuses_what_it_does_not_know() -> None:
    done = run("sh", str(FOLDER / "install.sh"), "--frob")
    assert done.returncode == 2
    assert "unknown option --frob" in done.stderr


def versions(lock: str) -> dict[str, str]:
    pins = re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return dict(pins)


def test_gates_run_the_versions_that_were_tested() -> None:
    gate, tested = versions("requirements-gate.lock"), versions("requirements.lock")
    assert gate
    assert {name: tested.get(name) for name in gate} == gate
    assert {"pytest", "mypy", "ruff"} & set(gate) == set(), "no tools of developers on a gate"
