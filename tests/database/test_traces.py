"""What was erased is found in no file once the receipt says so, and until then nobody says so."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.config import PrivacySettings, Settings, StorageSettings
from gated.database import traces
from gated.database.tables import metadata
from gated.devices.clock import ManualClock
from gated.enrollment import enrollment_store
from gated.enrollment.enrollments import Enrollments
from gated.live import snapshot_store
from gated.people.people import People
from gated.privacy.privacy import Privacy
from gated.workspace import Workspace
from tests.changes import done_by
from tests.e2e.process import Process, gated
from tests.fixtures.server import PASSWORD, running
from tests.workspaces import open_workspace

MARK = "Quennell-Zarathustra"
ZOE: dict[str, Any] = {
    "first_name": "Zoe",
    "last_name": MARK,
    "personnel_code": "Z1",
    "email": f"zoe@{MARK.lower()}.org",
    "phone": "+49 30 5550199",
}
THEN = datetime(2026, 1, 1, tzinfo=UTC)
MARKS = (MARK, "5550199")


@contextmanager
def reading(state: Path) -> Iterator[None]:
    """Somebody reads the database as it is at the beginning of the block, until its end."""
    address = f"file:{state}/attendance.db?mode=ro"
    with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM persons").fetchone()
        yield


def found(state: Path, marks: tuple[str, ...] = MARKS) -> set[str]:
    """The marks that some file of the state directory holds, in any case."""
    texts = [f.read_bytes().lower() for f in state.rglob("*") if f.is_file()]
    return {m for m in marks if any(m.lower().encode() in text for text in texts)}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        storage=StorageSettings(state_dir=tmp_path),
        privacy=PrivacySettings(attendance_days=1, access_log_days=1, audit_days=1),
    )


def test_a_receipt_is_pending_while_somebody_reads_what_was_there(
    workspace: Workspace, tmp_path: Path
) -> None:
    people = People.of(workspace)
    person = done_by("eve", people.create, ZOE)
    with reading(tmp_path):
        began = time.monotonic()
        done_by("eve", people.delete, person.id)
        assert time.monotonic() - began < 4.5, "whoever logs passages waits as long"
        assert workspace.traces_state() == "pending"
        assert found(tmp_path) == set(MARKS)
        assert workspace.erase_traces() == "pending"
        assert workspace.traces_since
    assert workspace.erase_traces() == "complete"
    assert vars(workspace)["traces_since"] is None
    assert found(tmp_path) == set()


def test_without_a_reader_it_is_complete_at_once(workspace: Workspace, tmp_path: Path) -> None:
    people = People.of(workspace)
    done_by("eve", people.delete, done_by("eve", people.create, ZOE).id)
    assert workspace.traces_state() == "complete"
    assert found(tmp_path) == set()


def test_a_process_that_dies_between_leaves_it_to_the_next(tmp_path: Path) -> None:
    settings = Settings(storage=StorageSettings(state_dir=tmp_path / "state"))
    workspace = open_workspace(settings)
    people = People.of(workspace)
    person = done_by("eve", people.create, ZOE)
    with reading(tmp_path / "state"):
        done_by("eve", people.delete, person.id)
    # the files as a power cut leaves them
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (tmp_path / "state").glob("attendance.db*"):
        (copy / file.name).write_bytes(file.read_bytes())
    workspace.close()
    assert found(copy) == set(MARKS)
    with Workspace(Settings(storage=StorageSettings(state_dir=copy))) as after:
        with after.database.read() as session:
            assert traces.left(session) is not None
        assert after.erase_traces() == "complete"
        assert found(copy) == set()


def _withdraw(workspace: Workspace, person: int) -> object:
    return done_by("eve", Enrollments.of(workspace).withdraw_biometrics, person)


def _consent(workspace: Workspace, person: int) -> object:
    done_by("eve", Privacy.of(workspace).withdraw_consent, person)
    return None


def _retention(workspace: Workspace, person: int) -> object:
    # days pass while the program runs, so that its clock is right all the while
    later = ManualClock(
        mono=workspace.clock.now().mono + 10 * 86_400, utc=time.time() + 10 * 86_400
    )
    return Privacy(workspace, later).apply()


def _pictures(workspace: Workspace, person: int) -> object:
    with workspace.database.write() as session:
        return snapshot_store.delete_older(session, datetime(2100, 1, 1, tzinfo=UTC), 10)


@pytest.mark.parametrize("act", [_withdraw, _consent, _retention, _pictures])
def test_whatever_takes_away_what_is_about_people_is_noted_until_it_is_gone(
    workspace: Workspace, tmp_path: Path, act: Callable[[Workspace, int], object]
) -> None:
    person = done_by("eve", People.of(workspace).create, ZOE).id
    given = {"notice_version": "1", "expires_at": None, "method": "form", "given_at": THEN}
    done_by("eve", Privacy.of(workspace).record_consent, person, given)
    with workspace.database.write() as session:
        enrollment_store.add(
            session,
            enrollment_store.NewEnrollment(
                person_id=person,
                face_encoding_path=None,
                face_image_path=None,
                confidence_score=0.9,
                model="m",
            ),
        )
        snapshot_store.add(
            session,
            path=workspace.files.save_image(b"jpeg"),
            person_id=person,
            reason="spoof",
            taken_at=THEN,
            gate_name="north",
            uid="0" * 36,
            visit=1,
        )
    assert workspace.erase_traces() == "complete"
    with reading(tmp_path):
        act(workspace, person)
        assert workspace.erase_traces() == "pending"
    assert workspace.erase_traces() == "complete"


def test_no_table_about_people_is_forgotten() -> None:
    named = {
        table.name
        for table in metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name in ("persons", "enrollments") and table.name != "attendance_logs"
    }
    assert named <= traces.PERSONAL
    assert {"journal_private", "sync_quarantine_private", "persons"} <= traces.PERSONAL


def test_health_says_so_until_it_is_gone(tmp_path: Path) -> None:
    with running(tmp_path, roles=("admin",)) as server, server.client("admin") as client:
        person = client.post("/api/persons", json=ZOE).json()["id"]
        with reading(tmp_path):
            assert client.delete(f"/api/persons/{person}").json()["state"] == "pending"
            health = client.get("/health")
            assert (health.status_code, health.json()["status"]) == (200, "degraded")
            assert health.json()["problems"] == ["erasure_pending"]
            assert "somebody reads" in health.json()["details"]["erasure_pending"]
        assert server.services.workspace.erase_traces() == "complete"
        assert client.get("/health").json() == {"status": "ok", "problems": []}


HUB = """
gate: {{name: hub, role: hub}}
camera: {{driver: none}}
door: {{driver: none}}
storage: {{state_dir: {state}}}
api: {{port: 0}}
"""


def test_a_running_program_tries_again_until_it_is_gone(tmp_path: Path) -> None:
    state, config = tmp_path / "state", tmp_path / "gate.yaml"
    config.write_text(HUB.format(state=state))
    args = ("user", "add", "admin", "--role", "admin", "--password-stdin", "--config", config)
    assert gated(*args, stdin=PASSWORD + "\n").returncode == 0
    with Process("--config", config) as process:
        address = re.search(r"http://[0-9.:]+", process.wait_for("http://"))
        assert address is not None
        with httpx.Client(base_url=address[0], timeout=20, trust_env=False) as admin:
            form = {"username": "admin", "password": PASSWORD}
            token = admin.post("/api/auth/login", data=form).json()["access_token"]
            admin.headers["Authorization"] = f"Bearer {token}"
            person = admin.post("/api/persons", json=ZOE).json()["id"]
            with reading(state):
                receipt = admin.delete(f"/api/persons/{person}").json()
                assert receipt["state"] == "pending"
                assert admin.get("/health").json()["problems"] == ["erasure_pending"]
            end = time.monotonic() + 60
            while admin.get("/health").json()["problems"]:
                assert time.monotonic() < end
                time.sleep(0.1)
            assert found(state) == set()
        assert process.end() == os.EX_OK
