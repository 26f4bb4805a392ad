"""A backup is made while the gate runs and put in place here or elsewhere, without false alarms."""

from __future__ import annotations

import contextlib
import io
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from gated.backup.backup import make_backup
from gated.backup.restore import RestoreOptions, RestoreReport, restore
from gated.backup.sealed_stream import PrivateKey, PublicKey
from gated.config import Settings
from gated.core.values import PersonRef
from gated.database import migrate
from gated.database.migrations import HEAD
from gated.database.state_lock import StateLock
from gated.database.tables import persons
from gated.devices.clock import ManualClock, SystemClock
from gated.errors import Conflict, NotFound, SealError, SourceError, StateLocked
from gated.fleet.hub.restored import recover
from gated.journal import alarm_store
from gated.journal.chain_tip import read_head
from gated.journal.journal import BROKEN
from gated.live.journal_review import JournalReview
from gated.people.people import People
from gated.privacy.privacy import Privacy
from gated.vault import state_swap
from tests.changes import done_by
from tests.databases import Server
from tests.people.test_privacy import ANNA, World
from tests.vault.test_state_swap import Cut, PowerCut
from tests.workspaces import open_workspace

KEY = PrivateKey.make()
BERT = {**ANNA, "personnel_code": "E2", "email": None, "first_name": "Bert"}
LOOK, REPLACE = RestoreOptions(check=True), RestoreOptions(replace=True)


def settings_of(state: Path, url: str | None = None) -> Settings:
    return Settings.model_validate(
        {"storage": {"state_dir": state, **({"database_url": url} if url else {})}}
    )


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[World]:
    with open_workspace(settings) as workspace:
        clock = ManualClock(utc=1_800_000_000.0)
        yield World(workspace, clock, People(workspace, clock), Privacy(workspace, clock))


def backup_of(settings: Settings) -> bytes:
    target = io.BytesIO()
    make_backup(settings, target, PublicKey(KEY.key.public_key()))
    return target.getvalue()


def put_back(settings: Settings, data: bytes, wishes: RestoreOptions = REPLACE) -> RestoreReport:
    return restore(settings, io.BytesIO(data), KEY, wishes)


def alarms(world: World) -> list[str]:
    with world.workspace.database.read() as session:
        return [alarm.kind for alarm in alarm_store.list_(session, standing=False, limit=20)]


def codes(world: World) -> list[str]:
    with world.workspace.database.read() as session:
        found = session.execute(sa.select(persons.c.personnel_code).order_by(persons.c.id))
        return list(found.scalars())


@dataclass
class Gate:
    """A gate with two people, one of them enrolled, and passages; and another machine."""

    settings: Settings
    other: Settings
    anna: PersonRef
    photos: tuple[str, str]


@pytest.fixture
def gate(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gate]:
    url = other_url = None
    server: Server | None = None
    if engine == "postgresql":
        server = request.getfixturevalue("postgresql")
        url = server.empty()
        with server.admin.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE IF EXISTS other WITH (FORCE)")
            connection.exec_driver_sql("CREATE DATABASE other")
        other_url = url.replace("/postgres?", "/other?")
    settings, other = (
        settings_of(tmp_path / "here", url),
        settings_of(tmp_path / "there", other_url),
    )
    with opened(settings) as world:
        anna = done_by("test", world.people.create, ANNA)
        done_by("test", world.people.create, BERT)
        photos = world.enroll(anna)
        world.passage(anna.ref)
    yield Gate(settings, other, anna.ref, photos)
    if server is not None:
        with server.admin.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE other WITH (FORCE)")
            found = connection.exec_driver_sql("SELECT nspname FROM pg_namespace")
            for name in [n for (n,) in found if n.startswith(("before_", "gated_"))]:
                connection.exec_driver_sql(f'DROP SCHEMA "{name}" CASCADE')


def test_the_state_comes_to_other_hardware_without_an_alarm(gate: Gate) -> None:
    data = backup_of(gate.settings)
    report = put_back(gate.other, data, RestoreOptions())
    assert (report.people, report.photos, report.notes) == (2, 1, [])
    with opened(gate.other) as world:
        assert world.people.get(gate.anna.id).name == "Anna Arendt"
        assert world.workspace.files.load_image(gate.photos[0]) == b"a photo of Anna"
        assert world.workspace.files.load_encoding(gate.photos[1])[1] == "m1"
        recover(world.workspace, SystemClock())
        world.passage(gate.anna)
        assert len(world.named()) == 2
        assert world.workspace.journal.verify().first_problem is None
        assert alarms(world) == []
        new = done_by("test", world.people.create, {**BERT, "personnel_code": "E3"})
        assert new.id > 2, "numbers go on where they were"
    with opened(gate.settings) as world:
        world.passage(None)
    ours, theirs = (
        read_head(s.storage.state_dir / "journal.head") for s in (gate.settings, gate.other)
    )
    assert ours is not None
    assert theirs is not None
    assert ours.gate == theirs.gate
    assert ours.chain != theirs.chain, "no row may stand in the place of another one"


def test_a_check_changes_nothing(gate: Gate, tmp_path: Path) -> None:
    data = backup_of(gate.settings)
    state = gate.settings.storage.state_dir
    before = sorted(p.relative_to(state) for p in state.rglob("*"))
    assert put_back(gate.settings, data, LOOK).people == 2
    assert sorted(p.relative_to(state) for p in state.rglob("*")) == before
    assert put_back(gate.other, data, LOOK).people == 2
    assert not gate.other.storage.state_dir.exists(), "a check on a fresh machine leaves nothing"


def test_what_is_there_is_kept_beside_and_only_replaced_when_asked(gate: Gate) -> None:
    data = backup_of(gate.settings)
    with opened(gate.settings) as world:
        done_by("test", world.people.create, {**BERT, "personnel_code": "E3"})
    with pytest.raises(Conflict, match="--replace"):
        put_back(gate.settings, data, RestoreOptions())
    report = put_back(gate.settings, data)
    with opened(gate.settings) as world:
        assert codes(world) == ["E1", "E2"]
    state = gate.settings.storage.state_dir
    (kept,) = state.glob("before-*")
    assert (kept / "keys" / "seal.key").read_bytes() == (state / "keys" / "seal.key").read_bytes()
    assert report.kept is not None
    assert report.kept.startswith(str(kept))
    assert not list(state.rglob(state_swap.STAGING))
    if gate.settings.storage.database_url is None:
        with closing(sqlite3.connect(kept / "attendance.db")) as old:
            assert old.execute("SELECT count(*) FROM persons").fetchone() == (3,)


def test_rows_written_since_are_told_and_no_alarm(gate: Gate) -> None:
    data = backup_of(gate.settings)
    with opened(gate.settings) as world:
        for _ in range(3):
            world.passage(gate.anna)
    put_back(gate.settings, data, RestoreOptions(replace=True, reason="the disk broke"))
    with opened(gate.settings) as world:
        assert world.workspace.journal.verify().first_problem is None
        notes = world.workspace.journal.verify().notes
        assert any("missing at the end" in n and "acknowledged" in n for n in notes), notes
        recover(world.workspace, SystemClock())
        world.passage(gate.anna)
        assert world.workspace.journal.verify().first_problem is None
        assert alarms(world) == []
        body = world.workspace.journal.last_body
        with world.workspace.database.read() as session:
            assert (body(session, "state_restored") or {})["same_gate"] is True


def test_a_backup_of_an_altered_journal_acknowledges_nothing(gate: Gate) -> None:
    with opened(gate.settings) as world, world.workspace.database.write() as session:
        session.execute(sa.text("UPDATE journal SET body = replace(body, 'north', 'south')"))
    report = put_back(gate.other, backup_of(gate.settings), RestoreOptions())
    assert any("did not add up" in note for note in report.notes)
    with opened(gate.other) as world:
        assert not world.workspace.journal.verify().ok


def test_who_was_erased_since_stays_erased(gate: Gate) -> None:
    data = backup_of(gate.settings)
    with opened(gate.settings) as world:
        done_by("test", world.people.delete, gate.anna.id)
    assert put_back(gate.settings, data).erased_again == 2, "a person and a photo"
    with opened(gate.settings) as world:
        with pytest.raises(NotFound):
            world.people.get(gate.anna.id)
        assert not any(world.is_there(path) for path in gate.photos)
        assert world.named() == [None]
        assert world.workspace.journal.verify().ok


def test_another_machine_needs_a_newer_ledger_to_know_who_was_erased(
    gate: Gate, tmp_path: Path
) -> None:
    data = backup_of(gate.settings)
    with opened(gate.settings) as world:
        done_by("test", world.people.delete, gate.anna.id)
        ledger = shutil.copy(world.workspace.journal.ledger.path, tmp_path / "ledger")
    put_back(gate.other, data, RestoreOptions(ledger=Path(ledger)))
    with opened(gate.other) as world, pytest.raises(NotFound):
        world.people.get(gate.anna.id)


def test_a_rotated_key_stays_in_force(gate: Gate) -> None:
    data = backup_of(gate.settings)
    with opened(gate.settings) as world:
        JournalReview.of(world.workspace).rotate_key(actor="test", reason="a rule")
        new = world.workspace.journal.public_key
    put_back(gate.settings, data)
    with opened(gate.settings) as world:
        assert world.workspace.journal.public_key == new
        world.passage(gate.anna)
        assert world.workspace.journal.verify().first_problem is None
        assert BROKEN not in alarms(world)


def test_nothing_is_touched_while_the_program_runs(gate: Gate) -> None:
    data = backup_of(gate.settings)
    with StateLock(gate.settings.storage.state_dir), pytest.raises(StateLocked):
        put_back(gate.settings, data)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_damaged_backup_touches_nothing(gate: Gate) -> None:
    data = backup_of(gate.settings)
    with opened(gate.settings) as world:
        world.passage(gate.anna)
    for spoilt in (data[:-1], data[: len(data) // 2], data[:-100] + bytes(100)):
        with pytest.raises(SealError):
            put_back(gate.settings, spoilt)
    with opened(gate.settings) as world:
        assert len(world.named()) == 2
        assert world.workspace.journal.verify().ok
    assert not list(gate.settings.storage.state_dir.glob("*restore.*g"))


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_hubs_backup_is_no_gates(gate: Gate) -> None:
    hub = gate.settings.model_copy(
        update={"gate": gate.settings.gate.model_copy(update={"role": "hub"})}
    )
    with pytest.raises(SourceError, match="that of a gate"):
        put_back(hub, backup_of(gate.settings), LOOK)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_sealing_key_that_is_kept_elsewhere_has_to_be_the_same(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = backup_of(gate.settings)
    monkeypatch.setenv("GATED_SEAL_KEY", "ab" * 32)
    with pytest.raises(Conflict, match="sealing key"):
        put_back(gate.other, data, RestoreOptions())
    key = (gate.settings.storage.state_dir / "keys" / "seal.key").read_text().strip()
    monkeypatch.setenv("GATED_SEAL_KEY", key)
    put_back(gate.other, data, RestoreOptions())
    assert not (gate.other.storage.state_dir / "keys" / "seal.key").exists()
    with opened(gate.other) as world:
        assert world.workspace.files.load_image(gate.photos[0]) == b"a photo of Anna"


def test_a_database_of_the_first_schema_is_backed_up_and_restored(gate: Gate) -> None:
    with opened(gate.settings) as world:
        database = world.workspace.database
        with database.engine.begin() as connection:
            if database.sqlite:
                connection.exec_driver_sql("PRAGMA query_only = OFF")
            command.downgrade(migrate.configuration(connection), "0001")
        data = backup_of(gate.settings)
        assert database.revision() == "0001", "a backup leaves the schema as it is"
    report = put_back(gate.other, data, RestoreOptions())
    assert (report.revision, report.people) == ("0001", 2)
    with opened(gate.other) as world:
        assert world.workspace.database.revision() == HEAD
        assert world.people.get(gate.anna.id).name == "Anna Arendt"
        assert world.workspace.journal.verify().ok


def test_a_backup_is_of_one_moment_while_others_write(gate: Gate) -> None:
    done = threading.Event()
    with opened(gate.settings) as world:

        def write() -> None:
            while not done.is_set():
                world.passage(gate.anna)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            found = [backup_of(gate.settings) for _ in range(3)]
        finally:
            done.set()
            writer.join()
    for data in found:
        assert put_back(gate.settings, data, LOOK).notes == []


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_power_cut_in_the_change_is_ended_by_the_next_start(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = backup_of(gate.settings)
    with opened(gate.settings) as world:
        done_by("test", world.people.create, {**BERT, "personnel_code": "E3"})
    monkeypatch.setattr(Path, "rename", Cut(5))
    with pytest.raises(PowerCut):
        put_back(gate.settings, data)
    monkeypatch.undo()
    assert not (gate.settings.storage.state_dir / "attendance.db").exists()
    with opened(gate.settings) as world:
        assert codes(world) == ["E1", "E2"]
        assert world.workspace.journal.verify().ok
        assert world.workspace.files.load_image(gate.photos[0]) == b"a photo of Anna"
