"""One look at a database from outside the pool: can it be reached, read and written?"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy.engine import make_url

CONNECT_S = 2
STATEMENT_MS = 2000


@dataclass(frozen=True, slots=True)
class DatabaseTrouble:
    """A fault of a database. code: for programs; says: for people, without names."""

    code: str
    says: str


UNREACHABLE = DatabaseTrouble("database_unreachable", "the database does not answer: is it running")
NO_CONNECTIONS = DatabaseTrouble(
    "database_no_connections", "the database has no connection left: raise max_connections"
)
READ_ONLY = DatabaseTrouble(
    "database_read_only", "the database takes no changes: is it a standby, or its disk read-only"
)
DAMAGED = DatabaseTrouble(
    "database_damaged", "the database cannot be read: see gated doctor, restore a backup"
)
MISSING = DatabaseTrouble("database_missing", "the database is gone: restore a backup")
SILENT = DatabaseTrouble("database_silent", "the database is there and does not answer in time")


def look_at(url: str) -> DatabaseTrouble | None:
    """Find what is wrong with the database at a URL; None: nothing. May take some seconds."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(Path(parsed.database or ""))
    return _postgresql(parsed.set(drivername="postgresql").render_as_string(hide_password=False))


def _sqlite(path: Path) -> DatabaseTrouble | None:
    if not path.is_file():
        return MISSING
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return READ_ONLY
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=CONNECT_S)
        ) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return SILENT
        return DAMAGED if "no such table" in str(error) or path.is_file() else MISSING
    except sqlite3.DatabaseError:
        return DAMAGED
    return None if found else DAMAGED


def damage_in(url: str) -> DatabaseTrouble | None:
    """Read the whole SQLite file at a URL and find damage in it; None: none, or another engine.

    Takes as long as the file takes to be read, and keeps nobody from writing.
    """
    parsed = make_url(url)
    path = Path(parsed.database or "")
    if parsed.get_backend_name() != "sqlite" or not path.is_file():
        return None
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=CONNECT_S)
        ) as connection:
            found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    except sqlite3.OperationalError:
        return None  # busy, or it cannot be opened: `look_at` says so
    except sqlite3.DatabaseError:
        return DAMAGED
    return None if found == ["ok"] else DAMAGED


def _postgresql(url: str) -> DatabaseTrouble | None:
    import psycopg

    try:
        with psycopg.connect(
            url,
            connect_timeout=CONNECT_S,
            options=f"-c statement_timeout={STATEMENT_MS}",
            tcp_user_timeout=CONNECT_S * 1000,
            autocommit=True,
        ) as connection:
            return _asked(connection)
    except psycopg.Error as error:
        if error.sqlstate == "53300" or any(mark in str(error) for mark in _FULL):
            return NO_CONNECTIONS
        return SILENT if error.sqlstate == "57014" else UNREACHABLE


_FULL = ("too many clients", "remaining connection slots", "too many connections")


def _asked(connection: Any) -> DatabaseTrouble | None:
    row = connection.execute(
        "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool, "
        "to_regclass('alembic_version') IS NULL"
    ).fetchone()
    read_only, empty = row
    if read_only:
        return READ_ONLY
    return DAMAGED if empty else None
