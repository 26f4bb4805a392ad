"""Backups that are made over the API: sealed, kept, downloaded, and put back."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.backup import stored_backups
from gated.backup.restore import RestoreOptions, restore
from gated.backup.sealed_stream import Passphrase
from gated.backup.stored_backups import SPARE, StoredBackups
from gated.enrollment.jobs import Job, JobView
from gated.errors import NoSpace
from gated.workspace import Workspace
from tests.backup.test_restore import settings_of
from tests.devices.waiting import eventually
from tests.fixtures.server import PASSWORD, Running, running
from tests.people.test_privacy import ANNA

PHRASE = "  seven words that nobody would guess "


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "state", roles=("admin",)) as server:
        yield server


@pytest.fixture
def admin(server: Running) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client


def made(admin: httpx.Client) -> dict[str, Any]:
    """Make a backup, and return its job when it has ended."""
    begun = admin.post("/api/backups", json={"passphrase": PHRASE})
    assert begun.status_code == 202, begun.text
    job: dict[str, Any] = {}

    def ended() -> bool:
        job.update(admin.get(begun.headers["Location"]).json())
        return bool(job["state"] != "running")

    assert eventually(ended)
    return job


def acts(admin: httpx.Client) -> list[tuple[str, str]]:
    rows = admin.get("/api/audit").json()
    found = [(r["kind"], r["body"]["file"]) for r in rows if r["kind"].startswith("backup_")]
    return found[::-1]


def test_a_backup_is_made_kept_downloaded_and_put_back(admin: httpx.Client, tmp_path: Path) -> None:
    assert admin.post("/api/persons", json=ANNA).status_code == 201
    job = made(admin)
    assert (job["kind"], job["state"], job["done"]) == ("backup", "done", job["total"])
    (kept,) = admin.get("/api/backups").json()
    assert (kept["name"], kept["path"]) == (job["report"]["file"], job["report"]["path"])
    assert stat.S_IMODE(os.stat(kept["path"]).st_mode) == 0o600
    got = admin.get(f"/api/backups/{kept['name']}")
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert kept["name"] in got.headers["Content-Disposition"]
    assert len(got.content) == kept["bytes"]
    there = settings_of(tmp_path / "elsewhere")
    report = restore(there, io.BytesIO(got.content), Passphrase(PHRASE), RestoreOptions())
    assert (report.gate, report.people) == ("north", 1)
    assert admin.delete(f"/api/backups/{kept['name']}").status_code == 204
    assert admin.get("/api/backups").json() == []
    assert not Path(kept["path"]).exists()
    assert admin.get(f"/api/backups/{kept['name']}").status_code == 404
    names = [(act, kept["name"]) for act in ("made", "downloaded", "deleted")]
    assert acts(admin) == [(f"backup_{act}", name) for act, name in names]


def test_a_short_passphrase_and_an_old_token_make_no_backup(
    server: Running, admin: httpx.Client
) -> None:
    short = admin.post("/api/backups", json={"passphrase": "eleven char"})
    assert short.status_code == 422
    object.__setattr__(server.services.settings.auth, "door_confirmation_s", 0.0)
    refused = admin.post("/api/backups", json={"passphrase": PHRASE})
    assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_required")
    assert admin.get("/api/jobs").json() == []
    again = admin.post("/api/backups", json={"passphrase": PHRASE, "password": PASSWORD})
    assert again.status_code == 202


@pytest.mark.parametrize("name", ["..%2Fattendance.db", "attendance.db", ".x.backup", "a.backup"])
def test_nothing_but_a_backup_is_downloaded_or_removed(admin: httpx.Client, name: str) -> None:
    assert admin.get(f"/api/backups/{name}").status_code == 404
    assert admin.delete(f"/api/backups/{name}").status_code == 404


def backups(workspace: Workspace, free: Callable[[Path], int]) -> StoredBackups:
    return StoredBackups(workspace, None, free)


def a_job() -> Job:
    return Job(JobView("1", "backup", "eve", "running", datetime.now(UTC)))


def test_the_newest_three_are_kept(workspace: Workspace) -> None:
    folder = workspace.settings.storage.state_dir / stored_backups.FOLDER
    folder.mkdir(mode=0o700)
    for n in range(4):
        old = folder / f"north-{n}.backup"
        old.write_bytes(b"older")
        os.utime(old, (n, n))
    kept, job = backups(workspace, lambda _: SPARE * 9), a_job()
    kept.work(Passphrase(PHRASE), "eve")(job)
    made = job.view.report["file"]
    assert [found.name for found in kept.list_()] == [made, "north-3.backup", "north-2.backup"]


def test_a_new_backup_stays_where_the_clock_was_years_ahead_before(workspace: Workspace) -> None:
    folder = workspace.settings.storage.state_dir / stored_backups.FOLDER
    folder.mkdir(mode=0o700)
    ahead = datetime(2040, 1, 1, tzinfo=UTC).timestamp()
    for n in range(3):
        old = folder / f"north-{n}.backup"
        old.write_bytes(b"older")
        os.utime(old, (ahead + n, ahead + n))
    kept, job = backups(workspace, lambda _: SPARE * 9), a_job()
    kept.work(Passphrase(PHRASE), "eve")(job)
    made = job.view.report["file"]
    assert [found.name for found in kept.list_()] == ["north-2.backup", "north-1.backup", made]


@pytest.mark.parametrize("how", ["cancelled", "the disk fills up"])
def test_a_backup_that_is_not_finished_leaves_nothing(workspace: Workspace, how: str) -> None:
    uploads = workspace.settings.storage.uploads / "images"
    uploads.mkdir(parents=True, exist_ok=True)
    (uploads / "large.sealed").write_bytes(os.urandom(40 << 20))
    job, kept = a_job(), backups(workspace, lambda _: SPARE - 1)
    if how == "cancelled":
        job.cancelled.set()
        kept.work(Passphrase(PHRASE), "eve")(job)
    else:
        with pytest.raises(NoSpace):
            kept.work(Passphrase(PHRASE), "eve")(job)
    folder = workspace.settings.storage.state_dir / stored_backups.FOLDER
    assert list(folder.iterdir()) == []


def test_where_there_is_no_room_none_is_begun(workspace: Workspace) -> None:
    with pytest.raises(NoSpace, match="make room"):
        backups(workspace, lambda _: SPARE).require_space()
    backups(workspace, lambda _: SPARE * 2).require_space()
