"""A PostgreSQL server of our own, for tests that run on both engines."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from gated.database.tables import metadata


class Server:
    """PostgreSQL with one database, handed out again and again: making one takes long.

    pid: of its first process, the parent of all others. control: pg_ctl with what names the server.
    """

    def __init__(
        self, url: str, pid: int, control: Sequence[str | Path] = (), options: str = ""
    ) -> None:
        self.url = url
        self.pid = pid
        self._control = control
        self._options = options
        self.admin = sa.create_engine(
            url.replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT"
        )

    def empty(self) -> str:
        """Remove all tables; returns the URL."""
        self._run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        return self.url

    def migrated(self) -> str:
        """Remove all rows of all tables; returns the URL."""
        tables = {*metadata.tables, "alembic_version"}
        with self.admin.connect() as connection:
            complete = tables == set(sa.inspect(connection).get_table_names())
        names = ", ".join(metadata.tables)
        if complete:
            self._run(f"TRUNCATE {names} RESTART IDENTITY")
        else:
            self.empty()
        return self.url

    def stop(self) -> None:
        """End the server, as its administrator would at once."""
        self.admin.dispose()
        _as_postgres(*self._control, "-m", "fast", "stop")

    def start(self, more: str = "") -> None:
        """Start it again where it was; more: options beside those of before."""
        _as_postgres(*self._control, "-o", f"{self._options} {more}", "start")

    @contextmanager
    def standby(self) -> Iterator[str]:
        """A hot standby of this server while the block runs; gives its URL."""
        binaries = _server_binaries()
        assert binaries is not None
        root = Path(self.url.partition("host=")[2])
        data, socket = root / "standby", root / "standby-socket"
        _as_postgres(
            binaries / "pg_basebackup", "-h", root, "-U", "gated", "-D", data, "-R", "-c", "fast"
        )
        _as_postgres("mkdir", socket)
        control = binaries / "pg_ctl", "-D", data, "-w", "-l", root / "standby-log"
        options = f"-c listen_addresses= -c unix_socket_directories={socket} -c fsync=off"
        _as_postgres(*control, "-o", options, "start")
        try:
            yield f"postgresql://gated@/postgres?host={socket}"
        finally:
            _as_postgres(*control, "-m", "immediate", "stop")
            _as_postgres("rm", "-r", data, socket)

    def _run(self, *statements: str) -> None:
        with self.admin.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


def _server_binaries() -> Path | None:
    """Where initdb and pg_ctl lie together; Debian keeps them off the PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        candidates.append(Path(found).resolve().parent)
    return next(
        (c for c in candidates if (c / "initdb").exists() and (c / "pg_ctl").exists()), None
    )


def _memory() -> str | None:
    """A file system in memory with room for a server, where there is one."""
    shm = Path("/dev/shm")
    roomy = shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 1 << 30
    return str(shm) if roomy else None


def _as_postgres(*command: str | Path) -> None:
    words = [str(c) for c in command]
    if os.geteuid() == 0:  # the server refuses to run as root
        words = ["su", "postgres", "-s", "/bin/sh", "-c", shlex.join(words)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)


@contextmanager
def postgresql_server(*, durable: bool = False) -> Iterator[Server]:
    """A server of our own while the block runs; skips the test where there is none.

    durable: on disk, and what is committed is there after a power cut, as it must be in earnest.
    """
    binaries = _server_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server programs (initdb) on this machine")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed")
    root = Path(tempfile.mkdtemp(prefix="gated-pg-", dir=None if durable else _memory()))
    try:
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("no user postgres to run the server as")
            os.chown(root, user.pw_uid, user.pw_gid)
        data = root / "data"
        options = f"-c listen_addresses= -c unix_socket_directories={root}"
        options += "" if durable else " -c fsync=off"
        _as_postgres(binaries / "initdb", "-D", data, "-A", "trust", "-U", "gated", "-E", "UTF8")
        control = binaries / "pg_ctl", "-D", data, "-w", "-l", root / "log"
        _as_postgres(*control, "-o", options, "start")
        try:
            pid = int((data / "postmaster.pid").read_text().split()[0])
            server = Server(f"postgresql://gated@/postgres?host={root}", pid, control, options)
            yield server
            server.admin.dispose()
        finally:
            _as_postgres(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)
