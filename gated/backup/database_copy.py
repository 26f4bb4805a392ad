"""Copies of a database in use, each of one moment, and how a new one is made of them.

SQLite is copied page by page within one reading transaction, PostgreSQL table by table (COPY)
within one snapshot; whoever writes waits for neither.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import sqlalchemy as sa
from alembic import command
from sqlalchemy.engine import Connection

from gated.database.engine import Database
from gated.database.migrate import configuration
from gated.errors import StorageError

SQLITE, POSTGRESQL = "sqlite", "postgresql"
STAGING_SCHEMA = "gated_restore"
PAGES = 512
"""Copied at a time, 2 MB: between them others have their turn."""
BLOCK = 1 << 20

Step = Callable[[int], None]
"""Told how many more bytes are done."""


@dataclass
class DatabaseCopy:
    """A database as files that nobody else sees, each by the name that it has in a backup.

    revision: of the schema; None: no tables yet. counters: of PostgreSQL, by sequence.
    """

    kind: str
    revision: str | None
    files: dict[str, BinaryIO] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)


@contextmanager
def copied(database: Database, folder: Path, step: Step) -> Iterator[DatabaseCopy]:
    """A copy of the database while the block runs; takes as much room in `folder`. StorageError."""
    copy = DatabaseCopy(SQLITE if database.sqlite else POSTGRESQL, database.revision())
    try:
        if database.sqlite:
            copy.files["database.sqlite"] = _copy_sqlite(Path(database.name), folder, step)
        else:
            _copy_tables(database, folder, copy, step)
        yield copy
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"the database cannot be copied: {error}") from error
    finally:
        for file in copy.files.values():
            file.close()


def _copy_sqlite(source: Path, folder: Path, step: Step) -> BinaryIO:
    path = folder / f".backup.{secrets.token_hex(8)}.tmp"
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    file = open(path, "rb")  # noqa: SIM115  # it has no name any more below
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)) as live,
            closing(sqlite3.connect(path)) as copy,
        ):
            path.unlink()
            copy.execute("PRAGMA journal_mode = OFF")
            # one snapshot: without it each commit of others would make the copy begin anew
            live.execute("BEGIN")
            live.execute("SELECT count(*) FROM sqlite_master").fetchone()
            page = live.execute("PRAGMA page_size").fetchone()[0]
            done = 0

            def told(_status: int, left: int, total: int) -> None:
                nonlocal done
                step((total - left - done) * page)
                done = total - left

            live.backup(copy, pages=PAGES, progress=told, sleep=0.0)
    except BaseException:
        path.unlink(missing_ok=True)
        file.close()
        raise
    return file


def _copy_tables(database: Database, folder: Path, copy: DatabaseCopy, step: Step) -> None:
    with database.read() as session:
        connection = session.connection()
        driver: Any = connection.connection.driver_connection
        for table in _tables(connection):
            file = copy.files[f"tables/{table.name}.copy"] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
            with driver.cursor() as cursor, cursor.copy(_copying(table, "TO STDOUT")) as rows:
                for block in rows:
                    file.write(block)
                    step(len(block))
            file.flush()
        found = connection.exec_driver_sql(
            "SELECT sequencename, last_value FROM pg_sequences "
            "WHERE schemaname = current_schema() AND last_value IS NOT NULL"
        )
        copy.counters = {name: int(value) for name, value in found}


def _tables(connection: Connection) -> list[sa.Table]:
    """The tables that there are, those that others refer to first."""
    there = sa.MetaData()
    there.reflect(connection)
    return [t for t in there.sorted_tables if t.name != "alembic_version"]


def _copying(table: sa.Table, how: str) -> str:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    return f'COPY "{table.name}" ({columns}) {how}'


def staging_url(url: str) -> str:
    """The address of the same PostgreSQL database, with the tables that are staged."""
    option = quote(f"-csearch_path={STAGING_SCHEMA}", safe="")
    return f"{url}{'&' if '?' in url else '?'}options={option}"


def drop_staging(url: str) -> None:
    """Remove what is staged in PostgreSQL. StorageError."""
    live = Database.open(url)
    try:
        with live.write() as session:
            session.execute(sa.text(f"DROP SCHEMA IF EXISTS {STAGING_SCHEMA} CASCADE"))
    finally:
        live.close()


def begin_staging(url: str, revision: str) -> Database:
    """Make empty tables of an older or the present revision beside those in use. StorageError."""
    drop_staging(url)
    live = Database.open(url)
    try:
        with live.write() as session:
            session.execute(sa.text(f"CREATE SCHEMA {STAGING_SCHEMA}"))
    finally:
        live.close()
    staged = Database.open(staging_url(url))
    try:
        with staged.write() as session:
            command.upgrade(configuration(session.connection()), revision)
    except BaseException:
        staged.close()
        raise
    return staged


def fill_tables(
    staged: Database, files: Mapping[str, BinaryIO], counters: Mapping[str, int], step: Step
) -> None:
    """Fill empty tables, all or none. StorageError."""
    with staged.write() as session:
        connection = session.connection()
        driver: Any = connection.connection.driver_connection
        for table in _tables(connection):
            # a migration may have put rows there already
            session.execute(sa.delete(table))
        for table in _tables(connection):
            file = files.get(f"tables/{table.name}.copy")
            if file is None:
                raise StorageError(f"the backup has no table {table.name}")
            with driver.cursor() as cursor, cursor.copy(_copying(table, "FROM STDIN")) as rows:
                while block := file.read(BLOCK):
                    rows.write(block)
                    step(len(block))
        for name, value in counters.items():
            session.execute(
                sa.text("SELECT setval(CAST(:name AS regclass), :value)"),
                {"name": f'"{name}"', "value": value},
            )


def put_in_force(url: str, name: str) -> str:
    """Let the staged tables take the place of those in use, which are kept; the schema of these."""
    live = Database.open(url)
    kept = f"before_{name.replace('-', '_')}"
    try:
        with live.write() as session:
            now = session.execute(sa.text("SELECT current_schema()")).scalar_one()
            session.execute(sa.text(f'ALTER SCHEMA "{now}" RENAME TO "{kept}"'))
            session.execute(sa.text(f'ALTER SCHEMA {STAGING_SCHEMA} RENAME TO "{now}"'))
    finally:
        live.close()
    return kept
