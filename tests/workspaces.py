"""Workspaces on a copy of a migrated database: migrations take most of the time of a small test."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from gated.config import Settings
from gated.database.engine import Database
from gated.workspace import Workspace


@functools.cache
def migrated_sqlite() -> bytes:
    """An SQLite database without rows, migrated once in each process of the tests."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "attendance.db"
        database = Database.open(f"sqlite:///{file}")
        database.upgrade()
        database.close()
        return file.read_bytes()


def lay_database(file: Path) -> None:
    """Put a migrated database where none is; its directory and it are private, as a gate's are."""
    if not file.exists():
        file.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(migrated_sqlite())


def open_workspace(settings: Settings, **more: Any) -> Workspace:
    """Open a workspace; where an SQLite database is to be and is not, a migrated one is laid."""
    url = make_url(settings.storage.url)
    if url.get_backend_name() == "sqlite" and url.database is not None:
        lay_database(Path(url.database))
    return Workspace(settings, **more)
