"""A migrated database on each engine, keys and a journal on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gated.storage.engine import Database
from gated.storage.files import FileStore
from gated.storage.journal import Journal
from gated.storage.sealing import Keys, load_keys
from tests.databases import Server


@pytest.fixture
def url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database on each engine."""
    if engine == "sqlite":
        return f"sqlite:///{tmp_path / 'attendance.db'}"
    server: Server = request.getfixturevalue("postgresql")
    return server.empty()


@pytest.fixture
def db(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database on each engine."""
    if engine == "sqlite":
        database = Database.open(f"sqlite:///{tmp_path / 'attendance.db'}")
    else:
        server: Server = request.getfixturevalue("postgresql")
        database = Database.open(server.migrated())
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'attendance.db'}")
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return load_keys(tmp_path, environ={})


@pytest.fixture
def journal(db: Database, keys: Keys, tmp_path: Path) -> Journal:
    return Journal(db, keys.signer, tmp_path / "journal.head", "front door")


@pytest.fixture
def files(keys: Keys, tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "uploads", keys.sealer)
