"""Bad input and broken surroundings: one clear line each, and the documented exit code."""

from __future__ import annotations

import os
import shutil
import site
import sqlite3
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from gated.config import ENVIRONMENT, Settings, StorageSettings
from gated.database.state_lock import StateLock
from gated.vision.manifest import SFACE, YUNET
from gated.workspace import Workspace
from tests.assets import require_assets
from tests.cli.conftest import GATE, Gated

ROOT = Path(__file__).resolve().parents[2]


def process(
    *args: str | Path, python: str = sys.executable, **environ: str
) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own, as a shell would run it."""
    inherited = {k: v for k, v in os.environ.items() if k not in ENVIRONMENT}
    return subprocess.run(
        [python, "-m", "gated", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**inherited, **environ},
        check=False,
    )


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


# --- 2: usage, unreadable input -------------------------------------------------------------------


@pytest.mark.parametrize(
    "args", [("nonsense",), ("run", "--nonsense"), ("enroll", "E1"), ("run", "--exit-after", "-1")]
)
def test_wrong_usage_is_2(gated: Gated, args: tuple[str, ...]) -> None:
    result = gated(*args)
    assert result.code == 2
    assert "Error" in result.err


def test_sources_that_cannot_be_played_are_2(gated: Gated, config: Path, tmp_path: Path) -> None:
    empty, broken = tmp_path / "empty", tmp_path / "broken"
    for folder in (empty, broken):
        folder.mkdir()
    (empty / "notes.txt").write_text("x")
    (broken / "frame1.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    (tmp_path / "video.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(1000))
    (tmp_path / "zero.mp4").write_bytes(b"")
    for source in (empty, broken, tmp_path / "video.mp4", tmp_path / "zero.mp4", tmp_path / "no"):
        result = gated("replay", source, "--config", config)
        assert result.code == 2, source
        assert len(lines(result.err)) == 1
        assert str(source) in result.err
    assert not (tmp_path / "state").exists()


# --- 3: configuration -----------------------------------------------------------------------------

FIVE_MISTAKES = """\
camera:
  driver: webcam
  fps: fast
door:
  relay_pinn: 17
storage:
  database_url: mysql://localhost/gated
gait:
  name: north
"""


def test_five_mistakes_are_five_lines(gated: Gated, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(FIVE_MISTAKES)
    for args in (("check-config", file), ("run", "--config", file), ("door", "lock", "-c", file)):
        result = gated(*args)
        assert result.code == 3
        told = lines(result.err.removeprefix("gated: "))
        assert len(told) == 5
        for number, (line, word) in enumerate(
            zip(told, ("driver", "fps", "relay_pin?", "database_url", "gate?"), strict=True)
        ):
            assert f"bad.yaml:{(2, 3, 5, 7, 8)[number]}: " in line
            assert word in line


def test_a_configuration_that_is_not_there_is_3(gated: Gated, tmp_path: Path) -> None:
    result = gated("run", "--config", tmp_path / "absent.yaml")
    assert (result.code, len(lines(result.err))) == (3, 1)


# --- 4: assets ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an installation that has no assets of its own."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    return str(folder / "bin" / "python")


def test_missing_and_truncated_models_are_4(bare: str, tmp_path: Path) -> None:
    packages = os.pathsep.join([str(ROOT), *site.getsitepackages()])
    store = require_assets("default", "demo")
    config = tmp_path / "gate.yaml"
    config.write_text(GATE.format(assets=tmp_path / "models", state=tmp_path / "state"))
    run = ("run", "--exit-after", "1", "--config", config)
    missing = process(*run, python=bare, PYTHONPATH=packages)
    assert missing.returncode == 4
    assert lines(missing.stderr)[-1].endswith(
        f"{YUNET} is not installed: run `gated assets install default`"
    )

    (tmp_path / "models").mkdir()
    shutil.copy(store.path(YUNET), tmp_path / "models")
    (tmp_path / "models" / SFACE).write_bytes(store.read(SFACE)[:-1])
    enroll = ("enroll", "E1", store.path("obama.jpg"), "--config", config)
    truncated = process(*enroll, python=bare, PYTHONPATH=packages)
    assert truncated.returncode == 4
    told = f"{SFACE} is damaged or another file: run `gated assets install default`\n"
    assert truncated.stderr.endswith(told)
    assert len(lines(truncated.stderr)) == 1


def test_what_cannot_be_fetched_is_4(gated: Gated, tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("x")
    stick = tmp_path / "stick"
    stick.mkdir()
    store = require_assets("default")
    for name in (YUNET, SFACE):
        shutil.copy(store.path(name), stick)
    result = gated("assets", "install", "--from", stick, "--into", tmp_path / "in the way" / "x")
    assert (result.code, len(lines(result.err))) == (4, 1)


# --- 5 and 7: storage -----------------------------------------------------------------------------


def state_at(config: Path) -> Path:
    state = config.parent / "state"
    Workspace(Settings(storage=StorageSettings(state_dir=state))).close()
    return state


def test_a_file_in_place_of_the_state_directory_is_5(gated: Gated, config: Path) -> None:
    (config.parent / "state").write_text("in the way")
    for args in (("user", "list"), ("db", "upgrade"), ("run", "--exit-after", "1")):
        result = gated(*args, "--config", config)
        assert result.code == 5, args
        assert len(lines(result.err)) == 1


def test_a_second_program_is_5(gated: Gated, config: Path) -> None:
    with StateLock(state_at(config)):
        result = gated("run", "--exit-after", "1", "--config", config)
    assert result.code == 5
    assert f"process {os.getpid()}" in result.err


def test_what_is_no_database_is_5(gated: Gated, config: Path) -> None:
    state = state_at(config)
    (state / "attendance.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    for old in state.glob("attendance.db-*"):
        old.unlink()
    result = gated("user", "list", "--config", config)
    assert (result.code, len(lines(result.err))) == (5, 1)


def test_a_read_only_disk_is_5(config: Path) -> None:
    state = state_at(config)
    mount = f"mount --bind {state} {state} && mount -o remount,ro,bind {state}"
    probe = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        pytest.skip("a read-only mount cannot be made here (needs root and unshare)")
    for args in ("user list", "run --exit-after 1"):
        command = f"{mount} && exec {sys.executable} -m gated {args} --config {config}"
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 5, done.stderr
        assert len(lines(done.stderr)) == 1
        assert "Traceback" not in done.stderr


def test_a_database_of_a_newer_program_is_7(gated: Gated, config: Path) -> None:
    with sqlite3.connect(state_at(config) / "attendance.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    for args in (("user", "list"), ("journal", "verify"), ("run", "--exit-after", "1")):
        result = gated(*args, "--config", config)
        assert (result.code, len(lines(result.err))) == (7, 1)
        assert "newer gated" in result.err


# --- output that nobody takes ---------------------------------------------------------------------


@pytest.mark.parametrize("args", [("completion", "bash"), ("--version",)], ids=["long", "short"])
def test_a_reader_that_is_gone_is_no_negative_result(args: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "gated", *args]
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, cwd=ROOT, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_standard_output_that_was_closed_is_no_defect(gated: Gated, config: Path) -> None:
    assert gated("db", "upgrade", "-c", config).code == 0
    names = ("--first-name", "Anna", "--last-name", "Berg")
    assert gated("persons", "add", "E1", *names, "-c", config).code == 0
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "gated"]
    command = [*closed, "persons", "list", "--config", str(config)]
    done = subprocess.run(
        command, stderr=subprocess.PIPE, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- 6 and 70 -------------------------------------------------------------------------------------


def test_a_relay_that_cannot_be_driven_is_6(gated: Gated, tmp_path: Path) -> None:
    if list(Path("/dev").glob("gpiochip*")):
        pytest.skip("this machine has GPIO: the test would drive a real pin")
    config = tmp_path / "gate.yaml"
    config.write_text("camera: {driver: v4l2}\ndoor: {driver: gpiozero, relay_pin: 17}\n")
    result = gated("door", "lock", "--config", config)
    assert (result.code, len(lines(result.err))) == (6, 1)


def test_a_broken_installation_is_a_crash(config: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sqlalchemy.py").write_text("raise RuntimeError('torn')\n")
    result = process("user", "list", "--config", config, PYTHONPATH=f"{broken}:{ROOT}")
    assert result.returncode == 70
    assert "RuntimeError: torn" in result.stderr
    assert "defect of the program" in lines(result.stderr)[-1]


# --- as a shell sees it ---------------------------------------------------------------------------


def test_the_script_works_from_any_folder(config: Path, tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("gated")
    if not script.is_file():
        pytest.skip("the console script is not installed beside this Python")
    done = subprocess.run(
        [script, "check-config", config], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    bad = tmp_path / "bad.yaml"
    bad.write_text(FIVE_MISTAKES)
    done = subprocess.run(
        [script, "check-config", "bad.yaml"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout, len(lines(done.stderr))) == (3, "", 5)


def test_a_reader_that_goes_away_is_no_crash(config: Path) -> None:
    command = f"{sys.executable} -m gated assets list --config {config} | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert len(lines(done.stdout)) == 1
    assert "Traceback" not in done.stderr
