"""A balancer asks /health, and must hear within a second that the database cannot be used."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from gated.accounts.accounts import Accounts
from gated.config import ApiSettings, GateSettings, Settings, StorageSettings
from gated.link.status_board import StatusBoard
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import api_services
from tests.databases import Server, postgresql_server
from tests.fixtures.server import PASSWORD, Running, serving
from tests.workspaces import open_workspace

LONGEST_S = 4.5
"""A second, and what a busy machine adds to it; who asked the server itself would wait for five."""


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that these tests may stop."""
    with postgresql_server() as server:
        yield server


@contextmanager
def hub(folder: Path, url: str) -> Iterator[Running]:
    settings = Settings(
        gate=GateSettings(name="hub", site="office"),
        storage=StorageSettings(state_dir=folder, database_url=url),
        api=ApiSettings(port=0),
    )
    with open_workspace(settings) as workspace:
        services = api_services(settings, workspace, Accounts.of(workspace), StatusBoard())
        with serving(ApiServer(create_app(services), settings.api)) as address:
            yield Running(services, address)
        services.bell.stop()


@pytest.fixture
def running(own_server: Server, tmp_path: Path) -> Iterator[Running]:
    with hub(tmp_path / "hub", own_server.migrated()) as running:
        yield running


def health(running: Running) -> tuple[int, dict[str, object]]:
    began = time.monotonic()
    answer = httpx.get(f"{running.address}/health", timeout=10, trust_env=False)
    assert time.monotonic() - began < LONGEST_S
    return answer.status_code, answer.json()


def names(running: Running, code: str | None, within_s: float = 60.0) -> None:
    """Within some time health says just this, and each of its answers comes in time."""
    end = time.monotonic() + within_s
    while True:
        status, told = health(running)
        right = (503, "unavailable", [code]) if code else (200, "ok", [])
        if (status, told["status"], told["problems"]) == right:
            return
        assert time.monotonic() < end, (status, told)
        time.sleep(0.05)


def test_a_server_that_is_stopped_is_named_and_so_is_its_return(
    running: Running, own_server: Server
) -> None:
    names(running, None)
    own_server.stop()
    try:
        names(running, "database_unreachable", 10.0)
    finally:
        own_server.start()
    names(running, None)


def test_a_server_without_a_free_connection_is_named(running: Running, own_server: Server) -> None:
    names(running, None)
    own_server.stop()
    own_server.start("-c max_connections=12 -c superuser_reserved_connections=0")
    engine = sa.create_engine(own_server.url.replace("://", "+psycopg://"), poolclass=sa.NullPool)
    with ExitStack() as held:
        try:
            with contextlib.suppress(sa.exc.OperationalError):
                while True:
                    held.enter_context(engine.connect())
            names(running, "database_no_connections")
        finally:
            held.close()
            names(running, None)
            own_server.stop()
            own_server.start()


def test_a_server_that_hangs_is_named(running: Running, own_server: Server) -> None:
    names(running, None)
    with hanging(own_server):
        names(running, "database_silent")
    names(running, None)


@contextmanager
def hanging(server: Server) -> Iterator[None]:
    """The server accepts connections and does nothing with them while the block runs."""
    file = Path(server.url.partition("host=")[2]) / "data" / "postmaster.pid"
    pid = int(file.read_text().split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_standby_takes_no_changes_and_no_row_of_it_comes_into_a_log(
    running: Running, own_server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running.services.accounts.create("the-admin", "admin", PASSWORD, actor="test")
    with own_server.standby() as url, hub(tmp_path / "standby", url) as standby:
        names(standby, "database_read_only")
        signing = {"username": "the-admin", "password": PASSWORD}
        with caplog.at_level(logging.DEBUG):
            answer = httpx.post(
                f"{standby.address}/api/auth/login", data=signing, trust_env=False, timeout=60
            )
        assert (answer.status_code, answer.json()["code"]) == (503, "storage")
        assert "standby" in caplog.text
        for quoted in ("INSERT", "journal_identity", "parameters"):
            assert quoted not in caplog.text


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda file: file.unlink(), "database_missing"),
        (lambda file: os.truncate(file, 0), "database_damaged"),
        (lambda file: file.write_bytes(os.urandom(8192)), "database_damaged"),
    ],
    ids=["gone", "emptied", "overwritten"],
)
def test_a_gate_names_what_happened_to_its_file(
    tmp_path: Path, harm: Callable[[Path], object], code: str
) -> None:
    file = tmp_path / "gate" / "attendance.db"
    with hub(tmp_path / "gate", f"sqlite:///{file}") as gate:
        names(gate, None)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        kept = file.read_bytes()
        harm(file)
        names(gate, code, 10.0)
        file.write_bytes(kept)
        names(gate, None)


def test_health_answers_while_every_other_request_waits(
    running: Running, own_server: Server
) -> None:
    """More requests than there are threads hang in a server that hangs."""
    running.services.accounts.create("the-admin", "admin", PASSWORD, actor="test")
    with running.client("admin") as client:
        names(running, None)
        running.services.workspace.database.engine.dispose()
        with hanging(own_server):
            for _ in range(3):
                with pytest.raises(httpx.TimeoutException):
                    client.get("/api/persons", timeout=0.2)
            names(running, "database_silent")
        names(running, None)
