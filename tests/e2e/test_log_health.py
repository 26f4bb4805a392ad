"""What `gated journal verify` calls a failure is in the health of a real program, over HTTP."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from gated.config import load
from gated.journal.journal import Entry
from tests.e2e.process import Process, gated
from tests.people.people import NOW
from tests.workspaces import open_workspace

CONFIG = """
gate: {{name: hub, role: hub, site: works}}
camera: {{driver: none}}
door: {{driver: none}}
storage: {{state_dir: {state}}}
api: {{port: 0}}
"""


def problems(url: str) -> list[str]:
    return list(httpx.get(f"{url}/health", timeout=20, trust_env=False).json()["problems"])


def started(process: Process) -> str:
    found = re.search(r"https?://127\.0\.0\.1:\d+", process.wait_for("ready"))
    assert found is not None
    return found[0]


def damage(state: Path) -> None:
    with closing(sqlite3.connect(state / "attendance.db")) as database, database:
        database.execute("UPDATE journal SET at_utc = at_utc + 1 WHERE kind = 'door_opened'")


def config_in(folder: Path) -> Path:
    file = folder / "gate.yaml"
    file.write_text(CONFIG.format(state=folder / "state"))
    with open_workspace(load(file)) as workspace:
        workspace.journal.append([Entry(NOW, "door_opened", {})])
    return file


def awaited(url: str, seconds: float) -> list[str]:
    """The problems, once the journal is among them, or when the time is over."""
    end = time.monotonic() + seconds
    while "journal_broken" not in (found := problems(url)) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def test_a_program_that_starts_says_so_at_once(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    damage(tmp_path / "state")
    assert gated("journal", "verify", "--config", config).returncode == 1
    with Process("--config", config) as process:
        assert "journal_broken" in awaited(started(process), 30)
        assert process.end() == 0


@pytest.mark.long
def test_a_program_that_runs_says_so_within_its_minute(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    with Process("--config", config) as process:
        url = started(process)
        assert "journal_broken" not in problems(url)
        with closing(sqlite3.connect(tmp_path / "state" / "attendance.db")) as database, database:
            database.execute("DELETE FROM journal_seal")
        assert "journal_broken" in awaited(url, 90)
        assert gated("journal", "verify", "--config", config).returncode == 1
        assert process.end() == 0
