"""A migrated database on each engine, keys and a journal on it."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gated.storage.engine import Database
from gated.storage.files import FileStore
from gated.storage.journal import Journal
from gated.storage.sealing import Keys, load_keys

NewUrl = Callable[[], str]


def _server_binaries() -> Path | None:
    """Where initdb and pg_ctl lie together; Debian keeps them off the PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        candidates.append(Path(found).resolve().parent)
    return next(
        (c for c in candidates if (c / "initdb").exists() and (c / "pg_ctl").exists()), None
    )


def _as_postgres(*command: str | Path) -> None:
    words = [str(c) for c in command]
    if os.geteuid() == 0:  # the server refuses to run as root
        words = ["su", "postgres", "-s", "/bin/sh", "-c", shlex.join(words)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def new_postgresql() -> Iterator[NewUrl]:
    """Empties a database on a server of our own and returns its URL; one at a time."""
    binaries = _server_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server programs (initdb) on this machine")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed")
    root = Path(tempfile.mkdtemp(prefix="gated-pg-"))
    try:
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("no user postgres to run the server as")
            os.chown(root, user.pw_uid, user.pw_gid)
        data = root / "data"
        options = f"-c listen_addresses= -c unix_socket_directories={root} -c fsync=off"
        _as_postgres(binaries / "initdb", "-D", data, "-A", "trust", "-U", "gated", "-E", "UTF8")
        control = binaries / "pg_ctl", "-D", data, "-w", "-l", root / "log"
        _as_postgres(*control, "-o", options, "start")
        try:
            url = f"postgresql://gated@/test?host={root}"
            server = f"postgresql+psycopg://gated@/postgres?host={root}"
            admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
            with admin.connect() as connection:
                connection.exec_driver_sql("CREATE DATABASE test")
            tests = sa.create_engine(url.replace("://", "+psycopg://"))

            def new() -> str:
                # emptied rather than made anew, which takes PostgreSQL ten times as long
                with admin.connect() as connection:
                    connection.exec_driver_sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = 'test'"
                    )
                with tests.begin() as connection:
                    connection.exec_driver_sql("DROP SCHEMA public CASCADE")
                    connection.exec_driver_sql("CREATE SCHEMA public")
                tests.dispose()
                return url

            yield new
            admin.dispose()
        finally:
            _as_postgres(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'attendance.db'}"
    new: NewUrl = request.getfixturevalue("new_postgresql")
    return new()


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    database = Database.open(url)
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
