from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gated.database import change_feed, migrate, stored_settings
from gated.database.engine import Database
from gated.database.migrations import HEAD
from gated.database.tables import metadata
from gated.errors import SchemaTooNew, StorageError
from gated.people import person_store
from tests.databases import Server
from tests.people.people import add_person

NOBODY = 65534


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- migrations ---


def test_upgrading_an_empty_database_gives_the_schema_of_the_tables(db: Database) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    assert db.revision() == HEAD


def test_indexes_of_some_rows_are_those_of_the_tables(db: Database, engine: str) -> None:
    meant = {
        str(index.name): str(where)
        for table in metadata.sorted_tables
        for index in table.indexes
        if (where := index.dialect_options["sqlite"]["where"]) is not None
    }
    inspector = sa.inspect(db.engine)
    found = {
        str(index["name"]): str(where)
        for table in metadata.sorted_tables
        for index in inspector.get_indexes(table.name)
        if (where := index.get("dialect_options", {}).get(f"{engine}_where")) is not None
    }
    assert found.keys() == meant.keys()
    assert len(found) >= 3
    if engine == "sqlite":  # PostgreSQL tells a condition in words of its own
        assert found == meant


def test_a_feed_for_which_there_is_no_connection_says_so(postgresql: Server) -> None:
    """As while a server is away: whoever listens for changes tries again."""
    with closing(Database.open(postgresql.migrated())) as database, ExitStack() as held:
        for _ in range(40):
            held.enter_context(database.engine.connect())
        with pytest.raises(StorageError), closing(change_feed.listen(database, 1)) as heard:
            next(heard)


def test_a_process_on_sqlite_loads_nothing_of_postgresql() -> None:
    program = "import sys, gated.daemon.door_process; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = told.stdout.split()
    assert "sqlalchemy.dialects.sqlite" in loaded
    assert [name for name in loaded if name.startswith("sqlalchemy.dialects.postgresql")] == []


def test_the_known_head_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(migrate.configuration()).get_heads() == [HEAD]


def test_upgrading_again_changes_nothing(db: Database) -> None:
    with db.write() as session:
        stored_settings.set_(session, "kept", 1)
    db.upgrade()
    with db.read() as session:
        assert stored_settings.get(session, "kept") == 1


def test_migrations_can_be_undone_and_done_again(db: Database) -> None:
    with db.engine.begin() as connection:
        if db.sqlite:
            connection.exec_driver_sql("PRAGMA query_only = OFF")
        command.downgrade(migrate.configuration(connection), "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    db.upgrade()
    db.check_schema()


def test_a_migration_that_fails_half_way_leaves_nothing(url: str) -> None:
    db = Database.open(url)
    with db.write() as session:
        session.execute(sa.text("CREATE TABLE journal_seal (x INTEGER)"))
    with pytest.raises((StorageError, sa.exc.ProgrammingError), match="already exists"):
        db.upgrade()
    with db.engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {"journal_seal"}
    db.close()


def test_a_database_of_a_newer_program_is_refused(db: Database) -> None:
    with db.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for refused in (db.upgrade, db.check_schema):
        with pytest.raises(SchemaTooNew, match="newer gated"):
            refused()
    with db.write() as session:
        session.execute(sa.text("DROP TABLE alembic_version"))


def test_a_database_without_tables_says_what_to_do(url: str) -> None:
    db = Database.open(url)
    with pytest.raises(StorageError, match="gated db upgrade"):
        db.check_schema()
    db.close()


# --- opening ---


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("mysql://root@localhost/x", "not supported"),
        ("what is this", "cannot be read"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("postgresql://gated:hidden@127.0.0.1:1/gated?connect_timeout=2", "cannot be used"),
    ],
)
def test_urls_that_cannot_be_used(bad: str, told: str) -> None:
    with pytest.raises(StorageError, match=told) as caught:
        Database.open(bad)
    assert "hidden" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "attendance.db"
    path.write_text("Dear diary, this is certainly no database. " * 50)
    with pytest.raises(StorageError, match="no SQLite database"):
        Database.open(f"sqlite:///{path}")


def test_a_damaged_database_gives_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "attendance.db"
    db = Database.open(f"sqlite:///{path}")
    db.upgrade()
    with db.write() as session:
        for n in range(200):
            stored_settings.set_(session, f"key {n}", "x" * 200)
    db.truncate_log()
    db.close()
    with path.open("r+b") as f:
        size = f.seek(0, os.SEEK_END)
        f.seek(4096)
        f.write(os.urandom(size - 4096))
    with pytest.raises(StorageError, match="damaged"):  # noqa: PT012
        db = Database.open(f"sqlite:///{path}")
        with db.read() as session:
            stored_settings.get(session, "key 7")


def test_what_we_make_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        db = Database.open(f"sqlite:///{tmp_path}/new/state/attendance.db")
        db.upgrade()
    finally:
        os.umask(before)
    folder = tmp_path / "new" / "state"
    assert _mode(folder) == 0o700
    assert {_mode(p) for p in folder.iterdir()} == {0o600}
    assert {p.name for p in folder.iterdir()} >= {"attendance.db", "attendance.db-wal"}
    db.close()


def test_a_database_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "attendance.db"
    path.touch()
    path.chmod(0o644)
    Database.open(f"sqlite:///{path}").close()
    assert _mode(path) == 0o600


@pytest.mark.parametrize("what", ["directory", "file"])
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, what: str) -> None:
    path = tmp_path / "state" / "attendance.db"
    Database.open(f"sqlite:///{path}").close()
    if what == "file":
        path.chmod(0o444)
        path.parent.chmod(0o777)
    else:
        path.chmod(0o666)
        path.parent.chmod(0o555)
    for parent in [*tmp_path.parents][:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    program = (
        "import os, sys\n"
        "from gated.database.engine import Database\n"
        "from gated.errors import StorageError\n"
        f"if os.geteuid() == 0: os.setuid({NOBODY})\n"
        "try: Database.open(sys.argv[1]).upgrade()\n"
        "except StorageError as e: print(e)\n"
    )
    words = [sys.executable, "-c", program, f"sqlite:///{path}"]
    told = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    assert "cannot be written" in told.stdout
    assert told.stderr == ""


def test_pragmas_that_keep_data_safe(sqlite: Database) -> None:
    with sqlite.read() as session:
        got = {
            name: session.execute(sa.text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    assert got == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


# --- sessions ---


def test_an_error_rolls_everything_back(db: Database) -> None:
    def fail() -> None:
        with db.write() as session:
            stored_settings.set_(session, "a", 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with db.read() as session:
        assert stored_settings.get(session, "a") is None


def test_a_read_session_cannot_write(db: Database) -> None:
    with pytest.raises((StorageError, sa.exc.InternalError)), db.read() as session:
        stored_settings.set_(session, "a", 1)
    with db.write() as session:
        stored_settings.set_(session, "a", 2)
    with db.read() as session:
        assert stored_settings.get(session, "a") == 2


def test_a_reader_keeps_its_snapshot(db: Database) -> None:
    with db.read() as reader:
        assert stored_settings.get(reader, "a") is None
        with db.write() as session:
            stored_settings.set_(session, "a", 1)
        assert stored_settings.get(reader, "a") is None
    with db.read() as reader:
        assert stored_settings.get(reader, "a") == 1


def test_write_inside_write_is_a_mistake_and_no_deadlock(sqlite: Database) -> None:
    with sqlite.write(), pytest.raises(RuntimeError, match="inside"), sqlite.write():
        pass
    with sqlite.write() as session:
        stored_settings.set_(session, "a", 1)


def test_what_a_writer_read_cannot_change_under_it(db: Database) -> None:
    """Fifty threads count together; lost updates would show as a smaller number."""
    with db.write() as session:
        stored_settings.set_(session, "n", 0)

    def count(_: int) -> None:
        for _ in range(5):
            with db.write() as session:
                stored_settings.set_(session, "n", stored_settings.get_locked(session, "n") + 1)

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(count, range(50)))
    with db.read() as session:
        assert stored_settings.get(session, "n") == 250


def test_fifty_writers_of_several_processes_write_together(sqlite: Database) -> None:
    program = (
        "import sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from gated.database.engine import Database\n"
        "from gated.database import stored_settings as settings\n"
        "db = Database.open(sys.argv[1]); db.upgrade()\n"
        "def write(_):\n"
        "    for _ in range(5):\n"
        "        with db.write() as s: settings.set_(s, 'n', settings.get(s, 'n', 0) + 1)\n"
        "with ThreadPoolExecutor(10) as pool: list(pool.map(write, range(10)))\n"
    )
    words = [sys.executable, "-c", program, f"sqlite:///{sqlite.name}"]
    running = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(5)]
    for process in running:
        assert process.communicate(timeout=60)[1] == b""
    with sqlite.read() as session:
        assert stored_settings.get(session, "n") == 250


def test_processes_may_make_the_database_together(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from gated.database.engine import Database\n"
        "db = Database.open(sys.argv[1]); db.upgrade(); db.check_schema()\n"
    )
    words = [sys.executable, "-c", program, f"sqlite:///{tmp_path / 'attendance.db'}"]
    running = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(3)]
    assert [p.communicate(timeout=60)[1] for p in running] == [b""] * 3
    assert [p.returncode for p in running] == [0] * 3


# --- noticing what others did ---


def test_data_version_tells_of_commits_by_others_and_of_ours(db: Database) -> None:
    other = Database.open(db.engine.url.render_as_string(hide_password=False))
    versions = [db.data_version()]
    with other.write() as session:
        add_person(session)
    versions.append(db.data_version())
    with db.write() as session:
        add_person(session)
    versions.append(db.data_version())
    assert len(set(versions)) == 3
    other.close()


def test_data_version_stays_while_nobody_writes(sqlite: Database) -> None:
    before = sqlite.data_version()
    with sqlite.read() as session:
        person_store.list_(session)
    assert sqlite.data_version() == before


def test_data_version_may_be_asked_from_any_thread(db: Database) -> None:
    db.data_version()
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(db.data_version()))
    thread.start()
    thread.join()
    assert len(found) == 1


def test_data_version_never_comes_back_after_the_watching_connection_was_lost(
    sqlite: Database,
) -> None:
    seen = [sqlite.data_version()]
    sqlite.close()
    seen.append(sqlite.data_version())
    assert seen[1] != seen[0]
