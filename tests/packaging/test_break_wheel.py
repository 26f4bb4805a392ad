"""The broken build of the package tests: it has to be broken, and newer than the program."""

from __future__ import annotations

import zipfile
from pathlib import Path

from gated.database.migrations import HEAD
from tests.packaging import break_wheel

ROOT = Path(__file__).parent.parent.parent


def test_a_broken_wheel_changes_the_database_and_does_not_run(tmp_path: Path) -> None:
    wheel = tmp_path / "gated.whl"
    files = (ROOT / "gated/database/migrations/versions").glob("*.py")
    with zipfile.ZipFile(wheel, "w") as made:
        for file in (*files, *(ROOT / name for name in break_wheel.BROKEN)):
            made.write(file, str(file.relative_to(ROOT)))

    break_wheel.main(wheel)

    with zipfile.ZipFile(wheel) as broken:
        migration = broken.read("gated/database/migrations/versions/9999_from_the_future.py")
        ends = {name: broken.read(name).decode().splitlines()[-1] for name in break_wheel.BROKEN}
    assert f'down_revision = "{HEAD}"'.encode() in migration
    assert ends == break_wheel.BROKEN
