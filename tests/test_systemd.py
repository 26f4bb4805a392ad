"""The units and the installer: what can be checked without booting."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from gated.config import CameraSettings, load
from gated.daemon.door_process import DoorProcess
from gated.daemon.process import CRASH_EXIT, LAST_RESORT_S, Process
from gated.daemon.service_process import ServiceProcess
from gated.daemon.whole import Daemon
from gated.devices.bus_door import LONGEST_PAUSE_S, BusDoor
from gated.devices.supervised import LONGEST_DELAY_S
from gated.devices.timed_door import TimedDoor
from gated.link.loop import STOP_S, Loop
from gated.runtime.capture import Capture
from gated.runtime.controller import Controller
from gated.runtime.inference import Inference
from gated.runtime.journal_writer import JournalWriter
from gated.runtime.watchdog import interval

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "systemd"
UNITS = ("gated.service", "gated-service.service", "gated-hub.service")
EXPOSURE = {"gated.service": 15, "gated-service.service": 20, "gated-hub.service": 20}
"""Tenths, as `systemd-analyze security` rates it at most."""
TOOLS = ("apt-get", "make", "setpriv", "rm", "systemctl")
SCRIPTS = (
    *("systemd/install.sh", "packaging/common/gated", "packaging/common/install-program"),
    *("packaging/common/postinst", "packaging/common/prerm", "packaging/common/postrm"),
    *("tests/packaging/in_tree.sh", "tests/machine/in_debian.sh", "packaging/build.sh"),
    *("tests/packaging/try_package.sh", "tests/packaging/variant.sh"),
    *("tests/machine/make_machine.sh", "tests/machine/guest/header.sh"),
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
    most = f"--threshold={EXPOSURE[installed.name]}"
    done = run("systemd-analyze", "security", "--offline=true", most, str(installed))
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("unit", UNITS)
def test_a_driver_cannot_wait_longer_than_half_of_the_watchdog(unit: str) -> None:
    half = float(settings(unit)["WatchdogSec"][0]) / 2
    for limit in ("open_timeout_s", "read_timeout_s"):
        with pytest.raises(ValidationError):
            CameraSettings.model_validate({"source": "demo", limit: half})
    for line in settings(unit).get("Environment", []):
        name, _, value = line.partition("=")
        assert name != "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT" or float(value) < half


PROCESSES: dict[str, type[Process]] = {
    "gated.service": DoorProcess,
    "gated-service.service": ServiceProcess,
    "gated-hub.service": Daemon,
}
MIB = {"M": 1, "G": 1024}


@pytest.mark.parametrize("unit", UNITS)
def test_a_process_bounds_its_memory_where_the_kernel_does_not(unit: str) -> None:
    (most,) = settings(unit)["MemoryMax"]
    assert int(most[:-1]) * MIB[most[-1]] == PROCESSES[unit].MEMORY_LIMIT_MB


SMALL = """
import asyncio, sys, time
from pathlib import Path
from gated.cli.screen import LogOnly
from gated.config import load
from gated.daemon.whole import Daemon

class Small(Daemon):
    MEMORY_LIMIT_MB = 1

sys.exit(asyncio.run(Small(load(Path(sys.argv[1]), {}), LogOnly()).run(exit_after=3)))
"""


@pytest.mark.parametrize(("supervised", "code"), [(True, CRASH_EXIT), (False, 0)])
def test_a_process_that_grew_too_large_ends_where_it_is_started_again(
    tmp_path: Path, supervised: bool, code: int
) -> None:
    """And goes on where it is not: a gate that is slow is better than none."""
    config = tmp_path / "hub.yaml"
    config.write_text(
        "gate: {name: hub, role: hub, site: works}\ncamera: {driver: none}\n"
        f"door: {{driver: none}}\nstorage: {{state_dir: {tmp_path / 'state'}}}\n"
        "api: {enabled: false}\n"
    )
    environ = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
    if supervised:
        environ["NOTIFY_SOCKET"] = str(tmp_path / "nobody")
    done = subprocess.run(
        [sys.executable, "-c", SMALL, str(config)],
        env=environ, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert ("MiB are held, 1 at most" in done.stderr) is supervised


CRASHES = """
import sys
from pathlib import Path
from gated.cli.screen import LogOnly
from gated.config import load
from gated.daemon.process import Part, Process
from gated.errors import DeviceError

class Gone(Part):
    def lock(self):
        raise DeviceError("the chip is gone")

process = Process(load(Path(sys.argv[1]), {}), LogOnly())
process.parts = [Gone()]
process.crash("camera", RuntimeError("a bug"))
print(process.stopping())
"""


def test_a_crash_ends_the_program_in_order_also_when_the_door_cannot_be_locked(
    tmp_path: Path,
) -> None:
    """Records that wait are written before the end."""
    config = tmp_path / "gate.yaml"
    config.write_text(
        "gate: {name: door, site: works}\ncamera: {source: demo}\ndoor: {driver: simulated}\n"
        f"storage: {{state_dir: {tmp_path / 'state'}}}\n"
    )
    done = run(sys.executable, "-c", CRASHES, str(config))
    assert done.stdout == "True\n", done.stderr


def loops_of_the_door() -> set[type[Loop]]:
    """Every kind of loop that a door process watches."""
    import gated.daemon.gate_runtime
    import gated.runtime.link_loop  # noqa: F401

    found, waiting = set[type[Loop]](), [Loop]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.startswith(("gated.runtime", "gated.daemon.service_child")):
                found.add(kind)
    return found


def test_the_watchdog_bites_within_two_minutes_when_any_loop_of_the_door_hangs() -> None:
    """A loop that hangs is noticed after its limit; from then on systemd hears nothing."""
    watchdog_s = float(settings("gated.service")["WatchdogSec"][0])
    abort_s = float(settings("gated.service")["TimeoutAbortSec"][0])
    names = {kind.__name__ for kind in loops_of_the_door()}
    assert {"Capture", "Inference", "Controller", "JournalWriter"} <= names
    for kind in loops_of_the_door():
        assert kind.beat_limit_s + watchdog_s + abort_s <= 120, kind
    for limit_s in (TimedDoor.beat_limit_s, BusDoor.link_limit_s):
        assert limit_s + watchdog_s + abort_s <= 120
    assert BusDoor.link_limit_s > LONGEST_PAUSE_S + TimedDoor.beat_limit_s / 2
    assert {Inference.beat_limit_s, Controller.beat_limit_s, JournalWriter.beat_limit_s} == {15.0}
    usec = str(round(watchdog_s * 1e6))
    assert interval({"WATCHDOG_USEC": usec}) <= watchdog_s / 3


WATCHED = """
import asyncio, sys, time
from pathlib import Path
from gated.cli.screen import LogOnly
from gated.config import load
from gated.daemon.door_process import DoorProcess
from gated.daemon.process import Part

door = DoorProcess(load(Path(sys.argv[1]), {}), LogOnly())
seen = set()

class Look(Part):
    def watch(self):
        # a thread has its name once it has run
        names, until = {loop.name for loop in door.loops} - {"service"}, time.monotonic() + 30
        while not names <= seen and time.monotonic() < until:
            seen.update(task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm"))
            time.sleep(0.01)

door.parts.append(Look())
code = asyncio.run(door.run(exit_after=0.1))
print(*(loop.name for loop in door.loops))
print(*seen)
sys.exit(code)
"""


def test_the_thread_that_ends_every_release_is_among_what_the_watchdog_waits_for(
    tmp_path: Path,
) -> None:
    config = tmp_path / "gate.yaml"
    config.write_text(
        "gate: {name: door, site: works}\ncamera: {source: demo}\ndoor: {driver: simulated}\n"
        f"storage: {{state_dir: {tmp_path / 'state'}}}\napi: {{enabled: false}}\n"
    )
    done = run(sys.executable, "-c", WATCHED, str(config))
    assert done.returncode == 0, done.stderr
    waited_for, threads = (set(line.split()) for line in done.stdout.splitlines()[-2:])
    assert {"door", "capture", "inference", "controller"} <= waited_for
    assert waited_for - {"service"} <= threads, "`top -H` names them as the log does"


def test_no_loop_hangs_by_what_its_driver_may_take() -> None:
    """The longest pause before a camera is opened again, and what opening and a read may take."""
    fields = CameraSettings.model_fields
    longest = sum(
        max(getattr(bound, "le", 0.0) for bound in fields[name].metadata)
        for name in ("open_timeout_s", "read_timeout_s")
    )
    assert longest > 0
    assert Capture.beat_limit_s > LONGEST_DELAY_S + longest


def test_the_machines_own_watchdog_is_set_as_far_as_a_raspberry_pi_counts() -> None:
    assert "systemd/watchdog.conf" in (ROOT / "packaging" / "build.sh").read_text()
    (seconds,) = settings("watchdog.conf")["RuntimeWatchdogSec"]
    assert 10 <= int(seconds.removesuffix("s")) < 16


def test_what_is_stopped_is_killed_no_sooner_than_it_may_take_to_end() -> None:
    for unit in UNITS:
        found = settings(unit)
        assert float(found["TimeoutStopSec"][0]) >= STOP_S + LAST_RESORT_S
        assert float(found["TimeoutAbortSec"][0]) >= LAST_RESORT_S
        assert float(found["RestartSec"][0]) >= 1.0, "a start that fails must not take all time"


def test_the_gate_is_restarted_for_ever_and_locked_after_every_stop() -> None:
    unit = settings("gated.service")
    assert unit["Type"] == ["notify"]
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["ExecStopPost"] == ["/opt/gated/bin/gated door lock --config /etc/gated/gate.yaml"]


def test_the_door_has_no_network_and_the_service_no_device() -> None:
    door, service = settings("gated.service"), settings("gated-service.service")
    assert door["RestrictAddressFamilies"] == ["AF_UNIX AF_NETLINK"]
    assert door["IPAddressDeny"] == ["any"]
    assert door["ExecStart"] == ["/opt/gated/bin/gated run door --config /etc/gated/gate.yaml"]
    assert service["PrivateDevices"] == ["yes"]
    assert "DeviceAllow" not in service
    assert "SupplementaryGroups" not in service
    assert "ExecStopPost" not in service, "the door is not the service's to lock"
    for key in ("Requires", "BindsTo", "PartOf", "Conflicts"):
        assert key not in door, "a failure of the service never stops the door"
        assert key not in service
    assert int(door["CPUWeight"][0]) > 100 > int(service["CPUWeight"][0])
    assert int(door["OOMScoreAdjust"][0]) < 0 < int(service["OOMScoreAdjust"][0])
    assert door["StateDirectory"] == service["StateDirectory"]
    assert door["User"] == service["User"]


def test_neither_unit_of_a_gate_is_held_back_until_the_other_has_started() -> None:
    units = {"gated.service", "gated-service.service"}
    for unit in units:
        waits_for = {name for line in settings(unit)["After"] for name in line.split()}
        # the door may wait at its start for people whom the service brings up to date
        assert waits_for & units == set()


@pytest.mark.parametrize("unit", UNITS)
def test_the_groups_of_a_unit_are_made(unit: str) -> None:
    made = re.findall(r"^[ug] (\S+)", (FOLDER / "gated.sysusers.conf").read_text(), re.MULTILINE)
    groups = " ".join(settings(unit).get("SupplementaryGroups", [])).split()
    assert {*groups, *settings(unit)["User"]} <= set(made)


PYTHON_STUB = """#!/bin/sh
case "$*" in
*print*) echo 3.11 ;;
*venv*) shift 3; mkdir -p "$1/bin"; cp "$0" "$1/bin/python"; cp "$0" "$1/bin/gated" ;;
*) echo program >>{log} ;;
esac
"""


@pytest.mark.skipif(shutil.which("sh") is None, reason="sh is missing")
def test_a_new_program_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    tmp_path: Path,
) -> None:
    """A power cut in between leaves the old one, or the whole new one."""
    tools, lib, log = tmp_path / "tools", tmp_path / "lib", tmp_path / "log"
    old = tmp_path / "opt/releases/1-py3.11"
    for folder in (tools, lib / "locks", old / "bin"):
        folder.mkdir(parents=True)
    (lib / "locks/lock-3.11").touch()
    (lib / "version").write_text("2")
    stubs = {"python3": PYTHON_STUB.format(log=log)}
    stubs |= {
        name: f'#!/bin/sh\necho {name} >>{log}\nexec /bin/{name} "$@"\n' for name in ("mv", "rm")
    }
    stubs["sync"] = f"#!/bin/sh\necho sync >>{log}\n"
    for name, text in stubs.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    text = (ROOT / "packaging/common/install-program").read_text()
    script = tmp_path / "install-program"
    script.write_text(
        text.replace("/usr/lib/gated", str(lib)).replace("/opt/gated", f"{tmp_path}/opt")
    )
    done = run("env", f"PATH={tools}:{os.environ['PATH']}", "sh", str(script))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "opt/bin").readlink() == Path("releases/2-py3.11/bin")
    assert not old.exists()
    steps = log.read_text().split()
    assert steps[-3:] == ["sync", "mv", "rm"], steps
    assert "program" in steps[:-3], "the program was installed before that"


@pytest.mark.skipif(shutil.which("sh") is None, reason="sh is missing")
@pytest.mark.parametrize(
    ("options", "last"),
    [
        ([], "dist/gated_"),
        (["--hub"], "dist/gated-hub_"),
        (["--uninstall"], "apt-get remove -y -q gated"),
        (["--uninstall", "--purge", "--hub"], "apt-get purge -y -q gated-hub"),
    ],
)
def test_a_dry_run_tells_every_step_and_changes_nothing(
    options: list[str], last: str, tmp_path: Path
) -> None:
    script, touched = str(FOLDER / "install.sh"), tmp_path / "touched"
    for name in TOOLS:
        tool = tmp_path / name
        tool.write_text(f'#!/bin/sh\necho "$0 $*" >> {touched}; exit 1\n')
        tool.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = run("env", f"PATH={path}", "sh", script, "--dry-run", *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not touched.exists()
    assert "nothing is changed" in done.stdout
    assert last in done.stdout.splitlines()[-1]


@pytest.mark.skipif(shutil.which("sh") is None, reason="sh is missing")
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_shell_understands_every_script(script: str) -> None:
    first = (ROOT / script).read_text().splitlines()[0]
    shell = "bash" if "bash" in first else "sh"
    done = run(shell, "-n", str(ROOT / script))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "role"), [("gated/gate.yaml", "gate"), ("gated-hub/hub.yaml", "hub")]
)
def test_the_configuration_of_a_package_is_right(file: str, role: str) -> None:
    settings = load(ROOT / "packaging" / file, {})
    assert settings.gate.role == role
    state = Path("/var/lib/gated" if role == "gate" else "/var/lib/gated-hub")
    assert settings.storage.state_dir == state
    if role == "gate":
        assert settings.api.tls_certificate == state / "keys" / "tls.crt"
        assert settings.door.driver == "simulated", "no door moves before it is wired"


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
