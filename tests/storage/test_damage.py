"""Pages and files that went bad: each ends in an error that says what to do, or in a whole gate."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from gated.access.access_plan import load_plan
from gated.core.messages import RecordDecision
from gated.core.values import PersonRef
from gated.database.probe import DAMAGED, damage_in
from gated.devices.clock import SystemClock
from gated.enrollment.gallery_cache import GalleryCache, open_gallery
from gated.errors import GatedError, SealError
from gated.fleet.hub.restored import recover
from gated.journal import alarm_store
from gated.link.status_board import StatusBoard
from gated.live.damage_watch import DamageWatch
from gated.live.recording import Recorder
from gated.people import person_store
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by
from tests.people.people import enroll, grant
from tests.storage.writer import settings


def gallery_of(workspace: Workspace) -> GalleryCache:
    return open_gallery(workspace, "m1", "cosine")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a gate with three people and a log, stopped."""
    state = tmp_path_factory.mktemp("whole") / "state"
    with Workspace(settings(state)) as workspace:
        for i in range(3):
            fields = {"first_name": f"Person {i}", "personnel_code": f"code-{i}"}
            person = done_by("test", People.of(workspace).create, fields)
            path = workspace.files.save_encoding(np.full(8, i + 1, "f4"), "m1")
            with workspace.database.write() as session:
                enroll(session, person, face_encoding_path=path, face_image_path=None)
            Recorder(workspace, workspace.settings).append(
                [RecordDecision(grant(person.ref)), RecordDecision(grant(None))]
            )
        with workspace.database.write() as session:
            workspace.journal.erase_person(session, workspace.clock.now(), "nobody", "test")
            workspace.journal.keep_out(session, ["somebody-who-was-erased"])
        assert gallery_of(workspace).load().people == 3
        workspace.database.truncate_log()
    return state


@pytest.fixture
def state(whole: Path, tmp_path: Path) -> Path:
    """A copy of that state, to be harmed."""
    return Path(shutil.copytree(whole, tmp_path / "state"))


def pages(state: Path) -> list[tuple[str, int, int]]:
    """Name, number of the first page and page size, of each table and index that has rows."""
    with closing(sqlite3.connect(state / "attendance.db")) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        found = database.execute(
            "SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0 ORDER BY name"
        )
        return [(name, page, size) for name, page in found]


def start_and_work(state: Path) -> None:
    """Do what a start does, let somebody pass, and look at everything. GatedError."""
    with Workspace(settings(state)) as workspace:
        recover(workspace, SystemClock())
        gallery_of(workspace).load()
        load_plan(workspace)
        with workspace.database.read() as session:
            person_store.list_(session)
        Recorder(workspace, workspace.settings).append(
            [RecordDecision(grant(PersonRef(1, "u", "code-0", "Person 0")))]
        )
        workspace.journal.look()


@pytest.mark.parametrize("count", [8, pytest.param(None, marks=pytest.mark.long)])
def test_a_bad_page_of_any_table_is_an_error_that_names_the_database_or_is_found_by_the_day(
    whole: Path, tmp_path: Path, count: int | None
) -> None:
    names = pages(whole)
    assert len(names) > 50
    random.shuffle(names)
    for name, page, size in names[:count]:
        state = Path(shutil.copytree(whole, tmp_path / name))
        with (state / "attendance.db").open("r+b") as file:
            file.seek((page - 1) * size + (100 if page == 1 else 0))
            file.write(random.randbytes(size - 100))
        assert damage_in(settings(state).storage.url) == DAMAGED, name
        says = refusal_of(state)
        helps = "restore a backup" in says or "run `gated db upgrade`" in says
        assert helps or not says, (name, says)
        shutil.rmtree(state)


def refusal_of(state: Path) -> str:
    """Return why a gate does not start or work on this state; empty when it does."""
    try:
        start_and_work(state)
    except GatedError as error:
        return str(error)
    except Exception as error:
        error.add_note(str(state))
        raise
    return ""


def test_a_whole_database_is_not_called_damaged_while_somebody_writes(state: Path) -> None:
    with Workspace(settings(state)) as workspace, workspace.database.write():
        assert damage_in(workspace.settings.storage.url) is None


def test_damage_is_a_problem_and_one_alarm(state: Path) -> None:
    board = StatusBoard()
    with Workspace(settings(state)) as workspace:
        watch = DamageWatch(workspace, SystemClock(), board)
        watch.look()
        assert board.snapshot().problems == ()
        page, size = next((p, s) for name, p, s in pages(state) if name == "schedules")
        workspace.database.truncate_log()
        with (state / "attendance.db").open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)
        for _ in range(2):
            watch.look()
        assert board.snapshot().problems == ("database_damaged",)
        with workspace.database.read() as session:
            (alarm,) = alarm_store.list_(session, standing=True)
        assert (alarm.kind, alarm.count) == ("database_damaged", 1)


def files(state: Path) -> Iterator[Path]:
    for path in sorted(state.rglob("*")):
        if path.is_file():
            yield path.relative_to(state)


@pytest.mark.parametrize(
    "harm", ["noise", "gone", *(pytest.param(h, marks=pytest.mark.long) for h in ("cut", "empty"))]
)
def test_a_bad_file_is_an_error_that_says_what_to_do_or_is_made_anew(
    whole: Path, tmp_path: Path, harm: str
) -> None:
    """Whichever file of the state directory it is: no other kind of error, and no end of it."""
    for name in files(whole):
        state = Path(shutil.copytree(whole, tmp_path / name.name))
        path = state / name
        content = path.read_bytes()
        if harm == "gone":
            path.unlink()
        else:
            size = len(content)
            path.write_bytes(
                {"noise": os.urandom(size), "cut": content[: size // 2], "empty": b""}[harm]
            )
        says = refusal_of(state)
        assert str(state) in says or not says, (name, says)
        shutil.rmtree(state)


def test_a_lost_sealing_key_is_told_and_the_key_put_back_makes_all_well(state: Path) -> None:
    key = state / "keys" / "seal.key"
    kept = key.read_bytes()
    key.unlink()
    for _ in range(2):  # the second start has a packed gallery of the first
        with Workspace(settings(state)) as workspace:
            cache = gallery_of(workspace)
            assert cache.load().people == 0
            assert cache.unreadable == 3
    key.write_bytes(kept)
    with Workspace(settings(state)) as workspace:
        cache = gallery_of(workspace)
        assert (cache.load().people, cache.unreadable) == (3, 0)


def test_a_template_that_went_bad_is_told_at_every_start_and_keeps_nobody_else_out(
    state: Path,
) -> None:
    (state / "cache" / "gallery.bin").unlink()
    harmed = next((state / "uploads" / "encodings").glob("*.sealed"))
    kept = harmed.read_bytes()
    harmed.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    for _ in range(2):
        with Workspace(settings(state)) as workspace:
            with pytest.raises(SealError):
                workspace.files.load_encoding(f"encodings/{harmed.name}")
            cache = gallery_of(workspace)
            assert (cache.load().people, cache.unreadable) == (2, 1)
    harmed.write_bytes(kept)
    with Workspace(settings(state)) as workspace:
        cache = gallery_of(workspace)
        assert (cache.load().people, cache.unreadable) == (3, 0)
