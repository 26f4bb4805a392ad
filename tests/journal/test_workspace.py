"""The state directory: made once, private, and looked after."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from gated.config import Settings, StorageSettings
from gated.enrollment import enrollment_store
from gated.errors import SchemaTooNew, StorageError
from gated.live.file_sweep import sweep_files, unreadable_files
from gated.people.people import People
from gated.workspace import Workspace, has_database
from tests.changes import done_by


def settings_in(state: Path, **storage: object) -> Settings:
    return Settings(storage=StorageSettings(state_dir=state, **storage))  # type: ignore[arg-type]


def test_everything_lies_below_the_state_directory_and_is_private(tmp_path: Path) -> None:
    state = tmp_path / "var" / "gated"
    with Workspace(settings_in(state)) as workspace:
        done_by("eve", People.of(workspace).create, {"personnel_code": "E1"})
    assert [p.name for p in tmp_path.iterdir()] == ["var"]
    assert state.stat().st_mode & 0o777 == 0o700
    files = [p for p in state.rglob("*") if p.is_file()]
    assert {"attendance.db", "journal.head", "seal.key", "journal.key"} <= {p.name for p in files}
    assert all(p.stat().st_mode & 0o077 == 0 for p in files)


def test_a_second_opening_finds_what_the_first_left(tmp_path: Path) -> None:
    with Workspace(settings_in(tmp_path)) as workspace:
        done_by("eve", People.of(workspace).create, {"personnel_code": "E1"})
        image = workspace.files.save_image(b"jpeg")
    with Workspace(settings_in(tmp_path), create=False) as workspace:
        assert People.of(workspace).by_code("E1").personnel_code == "E1"
        assert workspace.files.load_image(image) == b"jpeg"
        assert workspace.journal.verify().ok


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_who_only_looks_makes_nothing(tmp_path: Path, scheme: str) -> None:
    state = tmp_path / "state"
    settings = settings_in(state, database_url=f"{scheme}:///{state}/other.db")
    assert not has_database(settings)
    with pytest.raises(StorageError, match="has the gate run here"):
        Workspace(settings, create=False)
    assert list(tmp_path.iterdir()) == []
    Workspace(settings).close()
    assert has_database(settings)
    assert has_database(settings_in(state, database_url="postgresql://hub/gated"))


def test_a_file_in_place_of_the_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be made"):
        Workspace(settings_in(tmp_path / "state"))


def test_a_database_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    Workspace(settings_in(tmp_path)).close()
    with sqlite3.connect(tmp_path / "attendance.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    for _ in range(2):
        with pytest.raises(SchemaTooNew, match="newer gated"):
            Workspace(settings_in(tmp_path))


def test_the_sweep_removes_old_files_that_no_row_names(tmp_path: Path) -> None:
    with Workspace(settings_in(tmp_path)) as workspace:
        old, new = workspace.files.save_image(b"old"), workspace.files.save_image(b"new")
        hour_ago = time.time() - 3600
        os.utime(tmp_path / "uploads" / old, (hour_ago, hour_ago))
        assert sweep_files(workspace, 2 * 3600.0) == 0
        assert sweep_files(workspace) == 1
        assert not (tmp_path / "uploads" / old).exists()
        assert workspace.files.load_image(new) == b"new"


def test_photos_and_templates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with Workspace(settings_in(tmp_path)) as workspace:
        person = done_by("eve", People.of(workspace).create, {"personnel_code": "E1"})
        image = workspace.files.save_image(b"x")
        template = workspace.files.save_encoding(np.zeros(4, np.float32), "model")
        with workspace.database.write() as session:
            enrollment_store.add(
                session, enrollment_store.NewEnrollment( person_id=person.id, face_image_path=image,
                face_encoding_path=template, confidence_score=1.0, model="model",
            ))  # fmt: skip
        assert unreadable_files(workspace) is None
        (tmp_path / "uploads" / image).unlink()
        told = unreadable_files(workspace)
        assert told is not None
        assert image in told
        assert template not in told


def test_changes_are_seen_from_elsewhere_once(tmp_path: Path) -> None:
    with Workspace(settings_in(tmp_path)) as workspace, Workspace(settings_in(tmp_path)) as other:
        assert not workspace.changed()
        before = workspace.gallery_stamp()
        done_by("eve", People.of(other).create, {"personnel_code": "E1"})
        assert workspace.changed()
        assert not workspace.changed()
        assert workspace.gallery_stamp() != before
