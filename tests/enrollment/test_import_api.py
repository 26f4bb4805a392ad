"""Enrolling many from a ZIP, as a job."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.core.roles import Role
from gated.enrollment.jobs import Job
from tests.assets import require_assets
from tests.enrollment.test_archive import zipped
from tests.enrollment.test_enrollment_api import journal, stored
from tests.fixtures.server import Running, running


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
        ("N", "Nobody"),
    ]
    assert job["report"]["without_photo"] == ["N"]
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


def test_a_table_of_another_language_and_encoding_is_imported(client: httpx.Client) -> None:
    table = "sep=;\nPersonalnummer;Bild;Vorname;Abteilung;Schuhgröße\nM1;;Jörg;Büro;43\n"
    for data in (table.encode("utf-16"), table.encode("cp1252")):
        job = finished(client, send(client, data))
        assert job["state"] == "done"
    (person,) = client.get("/api/persons").json()
    assert (person["first_name"], person["department"]) == ("Jörg", "Büro")
    assert any("'Schuhgröße' is not imported" in note for note in job["report"]["notes"])


def test_other_headings_are_told_beside_the_table(client: httpx.Client) -> None:
    table = {"file": ("people.csv", b"ID,pic,Given\nE1,,Anna\n")}
    assert client.post("/api/enrollment/import", files=table).status_code == 422
    told = {"columns": "personnel_code=ID,photo=pic,first_name=Given"}
    job = finished(client, client.post("/api/enrollment/import", files=table, data=told))
    assert job["report"]["without_photo"] == ["E1"]
    for wrong in ("shoe=ID", "personnel_code=Nr"):
        answer = client.post("/api/enrollment/import", files=table, data={"columns": wrong})
        assert answer.status_code == 422, answer.text
        assert wrong.partition("=")[2] in answer.json()["detail"]


def test_what_failed_can_be_mended_and_imported_again(gate: Running, client: httpx.Client) -> None:
    photos = require_assets("demo")
    table = (
        "personnel_code,photo,first_name,last_name,phone\r\n"
        'K50,1.jpg,Anna,Berg,+49 1\r\nK50,b.jpg,Carl,Dorn,\r\nK51,,"Eva "E" X",,\r\n'
        "K52,no.jpg,Ida,,\r\nK53,,Max,,\r\n"
    )
    files = [
        ("file", ("people.csv", table.encode())),
        ("photos", ("1.jpg", photos.read("obama.jpg"))),
        ("photos", ("B.JPG", photos.read("biden.jpg"))),
        ("photos", ("left.jpg", b"")),
    ]
    job = finished(client, client.post("/api/enrollment/import", files=files))
    report = job["report"]
    assert (job["state"], report["enrolled"]) == ("done", [])
    assert report["skipped"] == ["1.jpg", "B.JPG", "left.jpg"]
    assert [(r["photo"], r["lines"]) for r in report["refused"]] == [
        ("K50", [2, 3]),
        ("K51", [4]),
        ("K52 no.jpg", [5]),
    ]
    assert stored(gate) == []
    answer = client.get(f"/api/jobs/{job['id']}/failures")
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.content.decode("utf-8-sig").splitlines()
    assert lines[0].startswith("line,problem,personnel_code,photo,first_name,last_name")
    assert [line.partition(",")[0] for line in lines[1:]] == ["2", "3", "4", "5"]
    mended = answer.content.replace(b"K50,b.jpg", b"K60,b.jpg").replace(b"no.jpg", b"")
    files[0] = ("file", ("people.csv", mended))
    again = finished(client, client.post("/api/enrollment/import", files=files[:3]))
    assert again["report"]["enrolled"] == ["K50 1.jpg", "K60 B.JPG"]
    assert (again["report"]["refused"], again["report"]["skipped"]) == ([], [])
    phones = {p["personnel_code"]: p["phone"] for p in client.get("/api/persons").json()}
    assert phones["K50"] == "+49 1"


def test_a_wrapped_archive_makes_the_people_and_nobody_else(client: httpx.Client) -> None:
    photos = require_assets("demo")
    files = {
        "staff/E17.jpg": photos.read("obama.jpg"),
        "staff/E18.jpg": photos.read("biden.jpg"),
        "staff/E19.jpg": b"RIFF\x10\0\0\0WEBPVP8 ",
        "__MACOSX/staff/._E17.jpg": b"x",
        "staff/.DS_Store": b"x",
    }
    job = finished(client, send(client, zipped(files)))
    assert [p["personnel_code"] for p in client.get("/api/persons").json()] == ["E17", "E18"]
    (refused,) = job["report"]["refused"]
    assert refused["photo"] == "E19 E19.jpg"
    assert "a WebP file" in refused["detail"]


@pytest.mark.long
def test_three_thousand_rows_are_imported(client: httpx.Client) -> None:
    rows = (f"E{i:04};;Anna {i};Berg;Abteilung {i % 7}" for i in range(3000))
    table = "Personalnummer;Foto;Vorname;Nachname;Abteilung\n" + "\n".join(rows)
    answer = send(client, table.encode("cp1252"))
    seen = set()
    while (job := client.get(answer.headers["Location"]).json())["state"] == "running":
        seen.add(job["done"])
        time.sleep(0.2)
    assert (job["state"], job["done"], len(job["report"]["without_photo"])) == ("done", 3000, 3000)
    assert len(seen) > 2, "nobody was told how far it is"
    again = finished(client, send(client, (table + "\nE0001;;Carl;;").encode("cp1252")))
    assert again["report"]["without_photo"] == []
    assert [r["lines"] for r in again["report"]["refused"]] == [[3, 3002]]


def test_only_an_import_has_rows_to_mend(gate: Running, client: httpx.Client) -> None:
    """A reading of the directory refuses people, too, and has no rows of a table."""
    refused = {"refused": [{"what": "cn=Ada", "code": "invalid", "detail": "no code"}]}
    with gate.services.jobs.reserved("directory", "the-admin") as start:
        job = start(lambda job: job.progress(1, 1, refused))
    answer = client.get(f"/api/jobs/{job.id}/failures")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.get(f"/api/jobs/{job.id}").json()["kind"] == "directory"


def test_an_operator_ends_no_job_that_an_admin_alone_may_begin(
    gate: Running, client: httpx.Client
) -> None:
    cancelled = threading.Event()

    def work(job: Job) -> None:
        if job.cancelled.wait(20):
            cancelled.set()

    with gate.services.jobs.reserved("directory", "the-admin", Role.ADMIN) as start:
        job = start(work)
    answer = client.delete(f"/api/jobs/{job.id}")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert client.get(f"/api/jobs/{job.id}").json()["state"] == "running"
    gate.services.jobs.cancel(job.id, Role.ADMIN)
    assert cancelled.wait(20)
