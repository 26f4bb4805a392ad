from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.databases import Server
from tests.services.sync.world import World, hub_in


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest) -> str | None:
    """Where the hub keeps everything; None: an SQLite file of its own."""
    if engine == "sqlite":
        return None
    server: Server = request.getfixturevalue("postgresql")
    return server.migrated()


@pytest.fixture
def world(database_url: str | None, tmp_path: Path) -> Iterator[World]:
    """A hub on each engine."""
    with hub_in(tmp_path, database_url) as hub, ExitStack() as stack:
        yield World(tmp_path, hub, stack)
