"""Copies a database in use as one consistent snapshot, and makes a database of a copy.

SQLite is copied page by page within one read transaction, PostgreSQL table by table (COPY) within
one snapshot. Writers wait for neither.
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
"""Pages of one step, 2 MB; other threads run between two steps."""
BLOCK = 1 << 20

Step = Callable[[int], None]
"""Called with the number of further bytes that are done."""


@dataclass
class DatabaseCopy:
    """A copied database as unlinked files, by their names in a backup.

    revision: of the schema; None: no tables yet. counters: values of PostgreSQL's sequences.
    """

    kind: str
    revision: str | None
    files: dict[str, BinaryIO] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)


@contextmanager
def copied(database: Database, folder: Path, step: Step) -> Iterator[DatabaseCopy]:
    """Yield a copy of the database; it takes as much room in `folder`. Raises: StorageError."""
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
    file = open(path, "rb")  # noqa: SIM115  # unlinked below
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)) as live,
            closing(sqlite3.connect(path)) as copy,
        ):
            path.unlink()
            copy.execute("PRAGMA journal_mode = OFF")
            # one snapshot: else each commit of another process would restart the copy
            live.execute("BEGIN")
            live.execute("SELECT count(*) FROM sqlite_master").fetchone()
            page = live.execute("PRAGMA page_size").fetchone()[0]
            done = 0

            def report(_status: int, left: int, total: int) -> None:
                nonlocal done
                step((total - left - done) * page)
                done = total - left

            live.backup(copy, pages=PAGES, progress=report, sleep=0.0)
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
    """Return the tables, referenced ones before those that refer to them."""
    there = sa.MetaData()
    there.reflect(connection)
    return [t for t in there.sorted_tables if t.name != "alembic_version"]


def _copying(table: sa.Table, how: str) -> str:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    return f'COPY "{table.name}" ({columns}) {how}'


def staging_url(url: str) -> str:
    """Return the URL of the same PostgreSQL database with the staging schema."""
    option = quote(f"-csearch_path={STAGING_SCHEMA}", safe="")
    return f"{url}{'&' if '?' in url else '?'}options={option}"


def drop_staging(url: str) -> None:
    """Drop the staging schema of PostgreSQL. Raises: StorageError."""
    live = Database.open(url)
    try:
        with live.write() as session:
            session.execute(sa.text(f"DROP SCHEMA IF EXISTS {STAGING_SCHEMA} CASCADE"))
    finally:
        live.close()


def begin_staging(url: str, revision: str) -> Database:
    """Create empty tables of this revision in the staging schema. Raises: StorageError."""
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
    """Fill the staged tables, all or none. Raises: StorageError."""
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
    """Swap the staged schema with the one in use; return the new name of the latter."""
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
