"""Enrolling many from a ZIP, as a job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import Running, running
from tests.api.test_enrollment import journal, stored
from tests.assets import require_assets
from tests.services.test_archive import zipped


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Running]:
    require_assets("default", "demo")
    with running(tmp_path, roles=("operator",)) as gate:
        yield gate


@pytest.fixture
def client(gate: Running) -> Iterator[httpx.Client]:
    with gate.client("operator") as client:
        yield client


def send(client: httpx.Client, archive: bytes) -> httpx.Response:
    return client.post("/api/enrollment/import", files={"file": ("people.zip", archive)})


def finished(client: httpx.Client, answer: httpx.Response) -> Any:
    """The job when it is over."""
    assert answer.status_code == 202, answer.text
    for _ in range(600):
        job = client.get(answer.headers["Location"]).json()
        if job["state"] != "running":
            return job
        time.sleep(0.05)
    raise AssertionError("the import does not end")


def test_a_table_comes_with_photos_beside_it(gate: Running, client: httpx.Client) -> None:
    photos = require_assets("demo")
    files = [
        ("file", ("people.csv", b"personnel_code,photo\nO,1.jpg\nN,no.jpg\nB,b.jpg\n")),
        ("photos", ("1.jpg", photos.read("obama.jpg"))),
        ("photos", ("../b.jpg", photos.read("biden.jpg"))),
    ]
    job = finished(client, client.post("/api/enrollment/import", files=files))
    assert job["report"]["enrolled"] == ["O 1.jpg", "B b.jpg"]
    assert [r["photo"] for r in job["report"]["refused"]] == ["N no.jpg"]
    assert len(stored(gate)) == 4


def test_photos_beside_a_table_are_files(client: httpx.Client) -> None:
    table = ("people.csv", b"personnel_code,photo\nO,1.jpg\n")
    for parts in (
        {"files": [("file", table)], "data": {"photos": "text"}},
        {"files": [("photos", ("1.jpg", b"1"))]},
        {"files": [("file", table), ("file", table)]},
    ):
        answer = client.post("/api/enrollment/import", **parts)
        assert answer.status_code == 422, answer.text
    assert client.post("/api/enrollment", files=[("photos", ("1.jpg", b"1"))]).status_code == 422


def test_the_gallery_is_checked_as_a_job(gate: Running, client: httpx.Client) -> None:
    archive = zipped(
        {f"{n}.jpg": require_assets("demo").read(f"{n}.jpg") for n in ("obama", "biden")}
    )
    finished(client, send(client, archive))
    job = finished(client, client.post("/api/gallery/check"))
    report = job["report"]
    assert (report["people"], report["templates"]) == (2, 2)
    names = {p["personnel_code"] for p in report["closest"]["people"]}
    assert names == {"obama", "biden"}
    assert report["outliers"] == []
    ((_, actor),) = journal(gate, "gallery_checked")
    assert actor["name"] == "the-operator"


def test_people_are_imported_with_a_report(gate: Running, client: httpx.Client) -> None:
    photos = require_assets("demo")
    table = (
        "personnel_code,photo,first_name\nO,1.jpg,Barack\nO,3.jpg,\nB,b.jpg,Joe\nN,no.jpg,Nobody\n"
    )
    archive = zipped(
        {
            "list.csv": table,
            "1.jpg": photos.read("obama.jpg"),
            "3.jpg": photos.read("obama3.jpg"),
            "b.jpg": photos.read("biden.jpg"),
            "no.jpg": b"\xff\xd8\xff",
        }
    )
    job = finished(client, send(client, archive))
    assert (job["state"], job["done"], job["total"]) == ("done", 3, 3)
    assert job["report"]["enrolled"] == ["O 1.jpg", "O 3.jpg", "B b.jpg"]
    (refused,) = job["report"]["refused"]
    assert (refused["photo"], refused["code"]) == ("N no.jpg", "unreadable_image")
    people = client.get("/api/persons").json()
    assert [(p["personnel_code"], p["first_name"]) for p in people] == [
        ("O", "Barack"),
        ("B", "Joe"),
    ]
    assert len(stored(gate)) == 6
    assert {actor["name"] for _, actor in journal(gate, "enrolled")} == {"the-operator"}

    again = finished(client, send(client, archive))
    assert (len(again["report"]["known"]), again["report"]["enrolled"]) == (3, [])
    assert len(stored(gate)) == 6


def test_one_import_at_a_time_and_an_end_on_demand(gate: Running, client: httpx.Client) -> None:
    portrait = require_assets("demo").read("obama.jpg")
    archive = zipped({f"E{i}.jpg": portrait + bytes(i) for i in range(200)})
    begun = send(client, archive)
    busy = send(client, archive)
    assert (busy.status_code, busy.json()["code"]) == (503, "busy")
    assert client.delete(begun.headers["Location"]).status_code == 202
    job = finished(client, begun)
    assert job["state"] == "cancelled"
    assert job["done"] < 200
    assert len(stored(gate)) % 2 == 0


def test_archives_that_cannot_be_used(client: httpx.Client) -> None:
    assert send(client, b"PK").status_code == 422
    assert send(client, zipped({"readme.txt": b""})).status_code == 422
    assert client.post("/api/enrollment/import", json={}).status_code == 422
    large = send(client, bytes(66 << 20))
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    assert client.get("/api/jobs/none").status_code == 404
    assert client.delete("/api/jobs/none").status_code == 404
