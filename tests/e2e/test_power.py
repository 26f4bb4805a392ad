"""Killed in the middle of its work, the program comes back with nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from gated.config import load
from gated.enrollment import enrollment_store
from tests.assets import require_assets
from tests.e2e.process import GATED, demo_config, gated
from tests.workspaces import open_workspace


@pytest.fixture
def config(tmp_path: Path) -> Path:
    store = require_assets("default", "demo")
    for name in ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"):
        folder = tmp_path / "staff" / name.rstrip("123.jpg")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(store.path(name), folder / name)
    return demo_config(tmp_path)


def broken_references(config: Path) -> list[str]:
    """Stored files that an enrollment names and that cannot be read whole."""
    broken = []
    with open_workspace(load(config, {})) as workspace:
        with workspace.database.read() as session:
            rows = enrollment_store.list_(session)
        for row in rows:
            assert row.face_image_path is not None
            assert row.face_encoding_path is not None
            try:
                workspace.files.load_image(row.face_image_path)
                workspace.files.load_encoding(row.face_encoding_path)
            except Exception as error:
                broken.append(f"{row.id}: {error}")
    return broken


@pytest.mark.long
def test_an_import_killed_at_any_moment_goes_on_where_it_was(config: Path) -> None:
    args = [*GATED, "import", str(config.parent / "staff"), "--config", str(config)]
    for delay in (0.7, 1.1, 1.4, 1.7, 2.0):
        process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
        assert broken_references(config) == []
    final = gated("import", config.parent / "staff", "--config", config)
    assert final.returncode == 0, final.stderr
    assert "0 refused" in final.stdout
    again = gated("import", config.parent / "staff", "--config", config)
    assert "0 enrolled, 4 known already, 0 refused" in again.stdout
    assert broken_references(config) == []
    assert gated("journal", "verify", "--config", config).returncode == 0
