"""Real programs whose UTC clock leaps while the monotonic one goes on."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from gated.config import load
from gated.errors import NotFound
from gated.people.people import People
from tests.changes import done_by
from tests.e2e.process import Process, gated
from tests.workspaces import open_workspace

SOURCE = Path(__file__).with_name("wrong_clock.c")
YEARS = 5 * 365 * 86_400
HUB = """
gate: {{name: hub, role: hub, site: works}}
camera: {{driver: none}}
door: {{driver: none}}
storage: {{state_dir: {state}}}
api: {{port: 0}}
privacy: {{leavers_days: 10}}
"""


class WrongClock:
    """A clock that can be set while programs run. environ: what they are started with."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler (cc)")
        library, self._file = folder / "wrong_clock.so", folder / "ahead"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE], check=True, timeout=60
        )
        self.set(0)
        self.environ = {"LD_PRELOAD": str(library), "WRONG_CLOCK": str(self._file)}

    def set(self, ahead_s: int) -> None:
        """Let programs that run, and those to come, be so far ahead."""
        with open(self._file, "r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", ahead_s))


@pytest.fixture
def clock(tmp_path: Path) -> WrongClock:
    return WrongClock(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "hub.yaml"
    file.write_text(HUB.format(state=tmp_path / "state"))
    return file


def hire(config: Path, code: str, left_days_ago: int) -> int:
    leaves = datetime.now(UTC).date() - timedelta(left_days_ago)
    with open_workspace(load(config, {})) as workspace:
        fields = {"first_name": "Anna", "personnel_code": code, "leaves_on": leaves}
        return done_by("test", People.of(workspace).create, fields).id


def is_there(config: Path, id_: int) -> bool:
    with open_workspace(load(config, {})) as workspace:
        try:
            People.of(workspace).get(id_)
        except NotFound:
            return False
        return True


def health(ready: str) -> list[str]:
    found = re.search(r"https?://[\d.:]+", ready)
    assert found is not None, ready
    answer = httpx.get(f"{found[0]}/health", timeout=20, trust_env=False)
    return list(answer.json()["problems"])


def wait(what: str, done: object, seconds: float = 120) -> None:
    assert callable(done)
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def test_a_hub_that_starts_years_ahead_erases_nobody_and_goes_on_when_its_clock_is_right(
    config: Path, clock: WrongClock
) -> None:
    going, gone = hire(config, "E1", -60), hire(config, "E2", 30)
    clock.set(YEARS)
    with Process("--config", config, **clock.environ) as hub:
        ready = hub.wait_for("ready")
        hub.wait_for("nothing is erased by its date")
        assert health(ready) == ["clock_doubtful"]
        assert is_there(config, going)
        assert is_there(config, gone), "nothing is erased, not even what is due"
        clock.set(0)
        wait("retention goes on by itself", lambda: not is_there(config, gone))
        wait("the problem is over", lambda: health(ready) == [])
        assert is_there(config, going)
        assert hub.end() == 0


@pytest.mark.long
def test_who_has_compared_the_clock_confirms_it(config: Path, clock: WrongClock) -> None:
    gone = hire(config, "E2", 30)
    clock.set(7200)
    shown = gated("clock", "show", "--config", config, **clock.environ)
    assert (shown.returncode, "doubtful" in shown.stdout) == (1, True)
    applied = gated("privacy", "apply", "--config", config, **clock.environ)
    assert applied.returncode == 1
    assert "gated clock confirm" in applied.stderr
    confirmed = gated("clock", "confirm", "--config", config, **clock.environ)
    assert confirmed.returncode == 0, confirmed.stderr
    assert gated("privacy", "apply", "--config", config, **clock.environ).returncode == 0
    assert not is_there(config, gone)
    assert gated("journal", "verify", "--config", config).returncode == 0
