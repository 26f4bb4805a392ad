"""The database: SQLite on a gate, PostgreSQL on a hub; sessions, migrations, change detection.

SQLite knows one writer at a time. Writers of this process queue at a lock (SQLite's own waiting is
a lottery in which one may lose for ever); writers of other processes wait for `busy_timeout`.
`write` takes the writer's role at its beginning, so that what it reads cannot change under it.
Readers see one snapshot, on both engines.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from gated.config.addresses import problem_of_database
from gated.database import traces
from gated.database.discreet import made_discreet
from gated.database.migrations import HEAD
from gated.database.tables import UNREADABLE, read_json
from gated.errors import StorageError, Unreadable

BUSY_TIMEOUT_MS = 5000
CHECKPOINT_TIMEOUT_MS = 200
CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 5
"""So long a request waits for one of the program's own connections."""

DEAD_AFTER = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""A server that a cut cable took away is given up in half a minute, not in hours."""

Hook = Callable[[], None]

_HOOKS = "gated_after_commit"


class Database:
    """One open database. Sessions may be used in any thread, each in one at a time."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.sqlite = engine.dialect.name == "sqlite"
        if self.sqlite:
            self._reader = engine
            self._writer = engine.execution_options(gated_write=True)
        else:
            self._reader = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._writer = engine.execution_options(isolation_level="READ COMMITTED")
        self._turn = threading.Lock()
        self._turn_owner: int | None = None
        self._erases = False
        """Whether the transaction of whose turn it is has deleted what is about people."""
        if self.sqlite:
            event.listen(engine, "after_execute", self._executed)
        self._watch: Any = None
        self._watch_lock = threading.Lock()
        self._watches = 0

    @classmethod
    def open(cls, url: str) -> Database:
        """Connect; StorageError when it is unreachable, read-only or no database."""
        parsed = _parse(url)
        engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
        name = parsed.database or "" if parsed.get_backend_name() == "sqlite" else _shown(parsed)
        db = cls(engine, name)
        try:
            with _translated(name), engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
        except StorageError:
            engine.dispose()
            raise
        return db

    @classmethod
    def open_to_read(cls, url: str) -> Database:
        """Connect without writing a byte where an SQLite file is on a read-only file system.

        Raises: StorageError.
        """
        parsed = _parse(url)
        path = Path(parsed.database or "")
        if parsed.get_backend_name() != "sqlite" or not is_read_only(path.parent):
            return cls.open(url)
        return cls(_sqlite_to_read(path), str(path))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session over one snapshot that cannot write."""
        with _translated(self.name), Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def read_any_text(self) -> Iterator[Session]:
        """The same; texts that are no UTF-8 are read with their bytes written out.

        SQLite keeps such texts, and reading them is `Unreadable` otherwise.
        """
        with self.read() as session:
            raw: Any = session.connection().connection.driver_connection
            if not self.sqlite:
                yield session
                return
            raw.text_factory = _any_text
            try:
                yield session
            finally:
                raw.text_factory = str

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that holds the writer's role; commits at the end, rolls back on an error."""
        with self._my_turn(), _translated(self.name):
            hooks: dict[str, Hook] = {}
            with Session(self._writer, expire_on_commit=False) as session, session.begin():
                session.info[_HOOKS] = hooks
                session.connection()  # begins now, not at the first statement
                self._erases = False
                yield session
                if self._erases:
                    traces.note(session)
            for hook in hooks.values():
                hook()

    def _executed(self, _c: Any, statement: Any, _m: Any, _p: Any, _o: Any, result: Any) -> None:
        # only whose turn it is can delete
        if not self._erases and traces.is_erasure(statement, result.rowcount):
            self._erases = True

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if not self.sqlite:
            yield
            return
        if self._turn_owner == threading.get_ident():
            raise RuntimeError("write() inside write(): hand the session on instead")
        with self._turn:
            self._turn_owner = threading.get_ident()
            try:
                yield
            finally:
                self._turn_owner = None

    def revision(self) -> str | None:
        """The schema revision that the database has; None when it has no tables of ours."""
        with _translated(self.name), self._reader.connect() as connection:
            return _revision(connection)

    def check_schema(self) -> None:
        """SchemaTooNew or StorageError unless the schema is the one that this program knows."""
        found = self.revision()
        if found is None:
            raise StorageError(f"{self.name} has no tables yet: run `gated db upgrade`")
        if found != HEAD:
            from gated.database import migrate

            migrate.require_known(found, self.name)
            raise StorageError(f"{self.name} has an older schema: run `gated db upgrade`")

    def upgrade(self) -> None:
        """Bring the schema to this program's, all or nothing; SchemaTooNew when it is ahead."""
        found = self.revision()
        if found == HEAD:
            return
        # Alembic takes a tenth of a second to load, which a start on a current schema need not pay
        from gated.database import migrate

        if found is not None:
            migrate.require_known(found, self.name)
        with self._my_turn(), _translated(self.name), self._writer.begin() as connection:
            migrate.upgrade(connection)

    def data_version(self) -> int:
        """A number that differs after someone else committed, this process included."""
        with self._watch_lock, _translated(self.name):
            try:
                return self._data_version()
            except (sqlite3.Error, DatabaseError):
                self._drop_watch()
                raise

    def _data_version(self) -> int:
        if self.sqlite:
            if self._watch is None:
                self._watch = self.engine.raw_connection()
                self._watches += 1
            cursor = self._watch.execute("PRAGMA data_version")
            # each connection counts for itself: another one may come to the same numbers
            return (self._watches << 48) + int(cursor.fetchone()[0])
        if self._watch is None:
            self._watch = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        # the set of finished transactions; moves also for other databases of the server
        snapshot = self._watch.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one()
        return int.from_bytes(hashlib.sha256(snapshot.encode()).digest()[:7], "big")

    def file_bytes(self) -> int:
        """The size of SQLite's file."""
        return self._pages("page_count")

    def reusable_bytes(self) -> int:
        """Return the size of the empty pages in SQLite's file, which it fills before it grows."""
        return self._pages("freelist_count")

    def _pages(self, which: str) -> int:
        if not self.sqlite:
            return 0
        with _translated(self.name), self._reader.connect() as connection:
            pages, size = (
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in (which, "page_size")
            )
            return int(pages * size)

    def log_bytes(self) -> int:
        """The size of SQLite's write-ahead log, which is filled anew after each checkpoint."""
        try:
            return os.stat(f"{self.name}-wal").st_size if self.sqlite else 0
        except OSError:
            return 0

    def checkpoint(self) -> None:
        """Let SQLite's write-ahead log begin anew in the room that it has, if nobody reads it."""
        self._checkpoint("PASSIVE")

    def truncate_log(self) -> bool:
        """Empty SQLite's write-ahead log, so that erased data is not left in it.

        False when that cannot be at present, as somebody reads an older state: try again.
        """
        return self._checkpoint("TRUNCATE")

    def _checkpoint(self, how: str) -> bool:
        if not self.sqlite:
            return True
        with _translated(self.name), self._my_turn():
            raw = self.engine.raw_connection()
            cursor = raw.cursor()
            try:
                # whoever writes waits meanwhile, the log of the door's passages among them
                cursor.execute(f"PRAGMA busy_timeout = {CHECKPOINT_TIMEOUT_MS}")
                busy, _, _ = cursor.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
                return not busy
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    return False
                raise
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
                cursor.close()
                raw.close()

    def close(self) -> None:
        """Let go of every connection; safe to call twice."""
        with self._watch_lock:
            self._drop_watch()
        self.engine.dispose()

    def _drop_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.invalidate()
            watch.close()


def after_commit(session: Session, name: str, hook: Hook) -> None:
    """Run `hook` once after this session of `Database.write` has committed; the last of a name."""
    session.info[_HOOKS][name] = hook


def is_write_session(session: Session) -> bool:
    """Return whether the session comes from `Database.write`."""
    return _HOOKS in session.info


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StorageError(
            "the database URL cannot be read: use sqlite:///PATH or postgresql://USER@HOST/NAME"
        ) from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StorageError(
            f"{parsed.get_backend_name()} is not supported: use SQLite or PostgreSQL"
        )
    if parsed.get_backend_name() == "postgresql" and (problem := problem_of_database(url)):
        raise StorageError(f"the database URL {problem}")
    return parsed


def _shown(url: URL) -> str:
    """The address without the password, and without the options, where one may stand as well."""
    return str(url.set(query={}))


# --- SQLite -----------------------------------------------------------------------------------


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StorageError("SQLite needs a file: sqlite:///PATH")
    _prepare_file(Path(url.database))
    engine = sa.create_engine(
        url, pool_size=8, max_overflow=32, hide_parameters=True, json_deserializer=read_json
    )
    event.listen(engine, "handle_error", _discreetly)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def is_read_only(folder: Path) -> bool:
    """Return whether the file system of a folder is mounted read-only. Raises: StorageError."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError as e:
        raise StorageError(f"{folder} cannot be read: {e.strerror}") from e


def _sqlite_to_read(path: Path) -> Engine:
    """Open a file on a read-only file system, with what is in its write-ahead log.

    SQLite keeps the index of that log in a file beside it. Without one it can be kept in memory by
    who has the database to himself, and on such a file system nobody here writes.
    """
    beside = {name: path.with_name(f"{path.name}-{name}") for name in ("wal", "shm")}
    logged = beside["wal"].exists() and beside["wal"].stat().st_size > 0
    alone = logged and not beside["shm"].exists()
    how = "&vfs=unix-none" if alone else "" if logged else "&immutable=1"

    def connect() -> sqlite3.Connection:
        uri = f"file:{quote(str(path))}?mode=ro{how}"
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        connection.isolation_level = None  # as in _configure_sqlite
        if alone:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA query_only = ON")
        return connection

    engine = sa.create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True,
        json_deserializer=read_json,
    )  # fmt: skip
    event.listen(engine, "handle_error", _discreetly)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_file(path: Path) -> None:
    """Make the file, or make it private: mode 0600, which its log files inherit."""
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            path.parent.chmod(0o700)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_mode & 0o077:
                os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
    except OSError as e:
        raise StorageError(f"the database {path} cannot be written: {e.strerror}") from e
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StorageError(f"the directory of the database, {path.parent}, cannot be written")


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch to the write-ahead log; the switch itself does not wait for others, so try again."""
    for attempt in range(50):
        try:
            mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as e:
            if "locked" not in str(e) or attempt == 49:
                raise
            time.sleep(0.05)
            continue
        if mode != "wal":
            raise sqlite3.OperationalError(f"the file system allows no write-ahead log ({mode})")
        return


def _any_text(stored: bytes) -> str:
    return stored.decode("utf-8", "backslashreplace")


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("gated_write", False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if writing else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


# --- PostgreSQL -------------------------------------------------------------------------------


def _postgresql(url: URL) -> Engine:
    try:
        engine = sa.create_engine(
            url,
            pool_size=8,
            max_overflow=32,
            pool_pre_ping=True,
            pool_timeout=POOL_TIMEOUT_S,
            hide_parameters=True,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, **DEAD_AFTER},
        )
    except ModuleNotFoundError as e:
        raise StorageError(f"PostgreSQL needs {e.name}: install gated[hub]") from e
    event.listen(engine, "handle_error", _discreetly)
    return engine


# --- errors -----------------------------------------------------------------------------------


def _discreetly(context: Any) -> None:
    """Before anybody sees it: an error must not take names of people into a log."""
    for error in (context.sqlalchemy_exception, context.original_exception):
        if error is not None:
            made_discreet(error)


_BY_STATE = {
    "0A000": "is a standby that takes no changes: use the primary server",
    "25006": "takes no changes at present: it is read-only",
    "42501": "does not let its user write: grant it the tables",
    "53300": "has no connection left: raise max_connections, or stop what holds them",
}
"""By SQLSTATE, as a server may speak another language than English."""

_SENTENCES = (
    ("database is locked", "is busy: another program has been writing for too long"),
    ("malformed", "is damaged: restore a backup"),
    ("not a database", "is no SQLite database"),
    ("file is encrypted", "is no SQLite database"),
    ("readonly database", "cannot be written"),
    ("query_only", "cannot be written"),
    ("unable to open", "cannot be opened"),
    ("disk is full", "cannot grow: the disk is full"),
    ("no such table", "lacks tables: run `gated db upgrade`"),
    ("too many clients", _BY_STATE["53300"]),
    ("remaining connection slots", _BY_STATE["53300"]),
)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Database errors as one sentence; mistakes in our statements stay what they are."""
    try:
        yield
    except (IntegrityError, DataError):
        raise
    except sa.exc.TimeoutError as e:
        raise StorageError(f"the database {name} is busy: all connections are in use") from e
    except (ProgrammingError, NotSupportedError) as e:
        if getattr(e.orig, "sqlstate", None) not in _BY_STATE:
            raise
        raise _storage_error(name, e) from e
    except (DatabaseError, InterfaceError, sqlite3.Error) as e:
        raise _storage_error(name, e) from e


def _storage_error(name: str, e: Exception) -> StorageError:
    made_discreet(e)
    orig = getattr(e, "orig", None) or e
    text = str(orig)
    if "Could not decode" in text:
        return Unreadable(UNREADABLE)
    lines = text.strip().splitlines() or [type(e).__name__]
    sentence = _BY_STATE.get(getattr(orig, "sqlstate", None) or "")
    sentence = sentence or next((s for mark, s in _SENTENCES if mark in text), None)
    sentence = sentence or f"cannot be used: {lines[0]}"
    return StorageError(f"the database {name} {sentence}")
