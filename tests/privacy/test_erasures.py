"""An older database is put back in place: who was erased does not come back with it."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from gated.accounts.accounts import Accounts
from gated.config import Settings, StorageSettings
from gated.devices.clock import ManualClock
from gated.enrollment import enrollment_store
from gated.enrollment.enrollments import Enrollments
from gated.errors import NotFound
from gated.people.people import People
from gated.privacy.erasures import reapply_erasures
from gated.privacy.privacy import Privacy
from tests.changes import done_by
from tests.e2e.process import gated
from tests.people.test_privacy import ANNA, World
from tests.workspaces import open_workspace

Open = Callable[[], World]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the state directory; what was opened before is closed."""
    with ExitStack() as stack:

        def open_() -> World:
            stack.close()
            settings = Settings(storage=StorageSettings(state_dir=tmp_path / "state"))
            workspace = stack.enter_context(open_workspace(settings))
            clock = ManualClock(utc=1_800_000_000.0)
            people = People(workspace, clock)
            return World(workspace, clock, people, Privacy(workspace, clock))

        yield open_


def back_up(world: World, to: Path) -> None:
    back_up_state(world.workspace.settings.storage.state_dir, to)


def back_up_state(state: Path, to: Path) -> None:
    """Database and photos as they are now."""
    to.mkdir()
    with (
        closing(sqlite3.connect(state / "attendance.db")) as source,
        closing(sqlite3.connect(to / "attendance.db")) as copy,
    ):
        source.backup(copy)
    shutil.copytree(state / "uploads", to / "uploads")


def restore(world: World, from_: Path) -> None:
    world.workspace.close()
    restore_state(world.workspace.settings.storage.state_dir, from_)


def restore_state(state: Path, from_: Path) -> None:
    """Put database and photos back, and leave the rest as it is."""
    for file in state.glob("attendance.db*"):
        file.unlink()
    shutil.copytree(from_, state, dirs_exist_ok=True)


def test_an_erased_person_does_not_come_back(opened: Open, tmp_path: Path) -> None:
    world = opened()
    anna = done_by("test", world.people.create, ANNA)
    bert = done_by("test", world.people.create, {**ANNA, "personnel_code": "E2", "email": None})
    paths = world.enroll(anna)
    world.passage(anna.ref)
    back_up(world, tmp_path / "backup")
    done_by("test", world.people.delete, anna.id)
    ledger = world.workspace.journal.ledger.path
    assert ledger.read_text().split() == [anna.uid]
    assert ledger.stat().st_mode & 0o077 == 0
    restore(world, tmp_path / "backup")

    world = opened()
    assert world.people.get(anna.id).name == "Anna Arendt"
    assert any("back" in note for note in world.workspace.journal.verify().notes)
    assert reapply_erasures(world.workspace, world.clock) == 1
    with pytest.raises(NotFound):
        world.people.get(anna.id)
    assert world.people.get(bert.id) == bert
    assert not any(world.is_there(path) for path in paths)
    assert world.named() == [None]
    found = world.workspace.journal.verify()
    assert found.first_problem is not None
    assert "missing at the end" in found.first_problem.what, "the cut stays visible, and only it"
    assert not any("back" in note for note in found.notes)
    assert reapply_erasures(world.workspace, world.clock) == 0


def test_withdrawn_photos_do_not_come_back(opened: Open, tmp_path: Path) -> None:
    world = opened()
    anna = done_by("test", world.people.create, ANNA)
    paths = world.enroll(anna)
    back_up(world, tmp_path / "backup")
    done_by("test", Enrollments(world.workspace, world.clock).withdraw_biometrics, anna.id)
    restore(world, tmp_path / "backup")

    world = opened()
    assert world.is_there(paths[0])
    assert reapply_erasures(world.workspace, world.clock) == 1
    assert not any(world.is_there(path) for path in paths)
    assert world.people.get(anna.id).name == "Anna Arendt"
    later = world.enroll(anna)
    assert reapply_erasures(world.workspace, world.clock) == 0
    assert world.is_there(later[0]), "what is enrolled anew stays"


def test_a_lost_or_torn_ledger_is_made_whole_from_the_journal(opened: Open) -> None:
    world = opened()
    ledger = world.workspace.journal.ledger
    uids = set()
    for code in ("E1", "E2"):
        person = done_by("test", world.people.create, {**ANNA, "personnel_code": code})
        done_by("test", world.people.delete, person.id)
        uids.add(person.uid)
    assert ledger.read() == uids
    ledger.path.write_text(ledger.path.read_text()[:-5])
    assert len(ledger.read()) == 1
    reapply_erasures(world.workspace, world.clock)
    assert ledger.read() == uids
    ledger.path.unlink()
    reapply_erasures(world.workspace, world.clock)
    assert ledger.read() == uids


def test_a_ledger_that_took_a_part_only_says_so(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit on the size of files stands for the end of the disk."""
    ledger = opened().workspace.journal.ledger
    ledger.add([str(uuid.uuid4())])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ledger.path.stat().st_size + 20, hard))
    try:
        ledger.add([str(uuid.uuid4())])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written" in caplog.text
    ledger.add([str(uuid.uuid4())])
    assert len(ledger.read()) == 2


@pytest.mark.parametrize(
    "body",
    ["no JSON", "[]", "{}", '{"enrollments": [[1], 2], "person": 3}', "[" * 100_000, 5, b"\xff"],
)
def test_a_start_does_not_end_over_an_erasure_that_was_altered(opened: Open, body: Any) -> None:
    world = opened()
    people = [
        done_by("test", world.people.create, {**ANNA, "personnel_code": code, "email": None})
        for code in ("E1", "E2")
    ]
    for person in people:
        done_by("test", world.people.delete, person.id)
    ledger = world.workspace.journal.ledger
    ledger.path.unlink()
    database = world.workspace.settings.storage.state_dir / "attendance.db"
    with closing(sqlite3.connect(database)) as file, file:
        file.execute(
            "UPDATE journal SET body = ? WHERE seq = (SELECT min(seq) FROM journal"
            " WHERE kind = 'person_erased')",
            [body],
        )
    assert reapply_erasures(world.workspace, world.clock) == 0
    assert ledger.read() == {people[1].uid}
    assert not world.workspace.journal.verify().ok, "it is named there"


def test_the_last_administrator_is_erased_again_and_the_account_stays(
    opened: Open, tmp_path: Path
) -> None:
    world = opened()
    anna = done_by("test", world.people.create, ANNA)
    paths = world.enroll(anna)
    accounts = Accounts(world.workspace, world.clock)
    password = "Correct-horse-battery-9"
    accounts.create("anna", "admin", password, actor="test", person_id=anna.id)
    back_up(world, tmp_path / "backup")
    accounts.create("bert", "admin", password, actor="test")
    done_by("test", world.people.delete, anna.id)
    restore(world, tmp_path / "backup")

    world = opened()
    reapply_erasures(world.workspace, world.clock)
    assert not world.is_there(paths[0])
    with world.workspace.database.read() as session:
        assert enrollment_store.list_(session) == []
    with pytest.raises(NotFound):
        world.people.get(anna.id)
    (kept,) = Accounts(world.workspace, world.clock).list_()
    assert (kept.username, kept.role, kept.person_id) == ("anna", "admin", None)
    assert Accounts(world.workspace, world.clock).sign_in("anna", password, "192.0.2.1")


def test_a_start_erases_again_before_anything_else(opened: Open, tmp_path: Path) -> None:
    world = opened()
    anna = done_by("test", world.people.create, ANNA)
    back_up(world, tmp_path / "backup")
    done_by("test", world.people.delete, anna.id)
    restore(world, tmp_path / "backup")
    config = tmp_path / "gate.yaml"
    state = world.workspace.settings.storage.state_dir
    config.write_text(
        "gate: {role: hub}\ncamera: {driver: none}\ndoor: {driver: none}\n"
        f"storage: {{state_dir: {state}}}\napi: {{enabled: false}}\n"
    )
    done = gated("run", "--config", config, "--exit-after", "0.1")
    assert done.returncode == 0, done.stderr
    with pytest.raises(NotFound):
        opened().people.get(anna.id)
