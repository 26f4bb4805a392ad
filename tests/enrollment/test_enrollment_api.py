"""Enrollment as a client sees it: real photos, real models, a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.vision.assets import AssetStore
from gated.vision.decoding import MAX_BYTES, decode
from tests.assets import require_assets
from tests.fixtures.server import Running, running


@pytest.fixture(scope="module")
def portraits() -> AssetStore:
    return require_assets("default", "demo")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, roles=("viewer", "operator", "admin")) as gate:
        yield gate


@pytest.fixture
def client(gate: Running) -> Iterator[httpx.Client]:
    with gate.client("operator") as client:
        yield client


@pytest.fixture(scope="module")
def desk(server: Running) -> Iterator[httpx.Client]:
    """An operator for whom nothing needs to be new."""
    with server.client("operator") as client:
        person(client, "FORMS")
        yield client


def person(client: httpx.Client, code: str) -> int:
    body = {"first_name": "F", "last_name": "L", "personnel_code": code}
    return int(client.post("/api/persons", json=body).json()["id"])


def upload(
    client: httpx.Client, person_id: int, photo: bytes, name: str = "photo", **fields: str
) -> httpx.Response:
    return client.post(
        "/api/enrollment",
        data={"person_id": str(person_id), **fields},
        files={"file": (name, photo, "text/plain")},
    )


def stored(gate: Running) -> list[str]:
    """The sealed files on disk."""
    uploads = gate.services.settings.storage.uploads
    return sorted(str(p.relative_to(uploads)) for p in uploads.rglob("*") if p.is_file())


def journal(gate: Running, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(body, who acted) of the journal rows of a kind."""
    with gate.services.workspace.database.read() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT j.body, p.payload FROM journal j JOIN journal_private p "
            "ON (p.chain, p.seq, p.role) = (j.chain, j.seq, 'actor') WHERE kind = ? ORDER BY j.seq",
            (kind,),
        )
        return [(json.loads(body), json.loads(actor)) for body, actor in rows]


def test_a_photo_is_enrolled_shown_switched_and_removed(
    gate: Running, client: httpx.Client, portraits: AssetStore
) -> None:
    who = person(client, "A")
    answer = upload(client, who, portraits.read("obama.jpg"))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["person_id"] == who
    assert 0.5 < made["confidence_score"] <= 1.0
    assert made["is_active"] is True
    assert made["quality"]["eye_distance"] > 30
    assert (made.pop("advice"), made.pop("advice_codes")) == ([], [])
    advice = made.pop("photo_advice")
    assert (advice["usable"], advice["another_advised"], advice["reason"]) == (1, True, "one_photo")
    again = upload(client, who, portraits.read("obama.jpg"))
    assert again.status_code == 200
    assert again.json()["photo_advice"]["reason"] == "same_photo"
    here = answer.headers["Location"]
    assert stored(gate) == sorted([made["face_image_path"], made["face_encoding_path"]])

    assert client.get(here).json() == made
    assert [e["id"] for e in client.get("/api/enrollment").json()] == [made["id"]]
    assert client.get("/api/enrollment", params={"person_id": who + 1}).json() == []
    assert client.patch(f"{here}/toggle-active").json()["is_active"] is False
    assert client.get("/api/enrollment", params={"is_active": True}).json() == []
    assert client.patch(f"{here}/toggle-active").json()["is_active"] is True

    assert client.delete(here).status_code == 204
    assert client.get(here).status_code == 404
    assert client.get(f"/api/persons/{who}").json()["enrollments"] == []
    assert stored(gate) == []


def test_the_same_photo_again_changes_nothing(
    gate: Running, client: httpx.Client, portraits: AssetStore
) -> None:
    who = person(client, "A")
    first = upload(client, who, portraits.read("obama.jpg"))
    again = upload(client, who, portraits.read("obama.jpg"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert len(stored(gate)) == 2


def test_a_look_at_the_photo_is_journaled(
    gate: Running, client: httpx.Client, portraits: AssetStore
) -> None:
    made = upload(client, person(client, "A"), portraits.read("obama.jpg")).json()
    photo = client.get(f"/api/enrollment/{made['id']}/image")
    assert photo.headers["Content-Type"] == "image/jpeg"
    assert photo.headers["Cache-Control"] == "no-store"
    assert decode(photo.content).shape == decode(portraits.read("obama.jpg")).shape
    assert b"Exif" not in photo.content
    ((body, actor),) = journal(gate, "photo_viewed")
    assert (body["enrollment"], actor["name"]) == (made["uid"], "the-operator")


def test_looks_at_thumbnails_are_journaled_once(
    gate: Running, client: httpx.Client, portraits: AssetStore
) -> None:
    who = person(client, "A")
    upload(client, who, portraits.read("obama.jpg"))
    for _ in range(3):
        small = client.get(f"/api/persons/{who}/thumbnail")
        assert small.headers["Cache-Control"] == "no-store"
        assert max(decode(small.content).shape[:2]) == 128
    ((_, actor),) = journal(gate, "photos_browsed")
    assert actor["name"] == "the-operator"


def test_another_s_face_is_refused_and_may_be_overridden_with_a_reason(
    gate: Running, client: httpx.Client, portraits: AssetStore
) -> None:
    first, second = person(client, "A"), person(client, "B")
    upload(client, first, portraits.read("obama.jpg"))
    refused = upload(client, second, portraits.read("obama3.jpg"))
    assert refused.status_code == 409
    assert (refused.json()["code"], refused.json()["person_id"]) == ("duplicate_face", first)
    assert len(stored(gate)) == 2
    forbidden = upload(client, second, portraits.read("obama3.jpg"), override="he said so")
    assert forbidden.status_code == 403
    with gate.client("admin") as admin:
        done = upload(admin, second, portraits.read("obama3.jpg"), override="twins")
    assert done.status_code == 201, done.text
    ((body, actor),) = journal(gate, "duplicate_overridden")
    assert body["enrollment"] == done.json()["uid"]
    assert (actor["name"], actor.get("reason")) == ("the-admin", None), "it goes with the person"
    (doubt,) = client.get(f"/api/persons/{second}/photo-doubts").json()
    assert (doubt["enrollment_id"], doubt["reason"]) == (done.json()["id"], "other_person")
    assert doubt["other"]["id"] == first
    assert client.get("/api/persons/999/photo-doubts").status_code == 404
    assert gate.services.workspace.journal.verify().ok


def test_a_photo_is_replaced_only_by_one_of_the_same_person(
    gate: Running, client: httpx.Client, portraits: AssetStore
) -> None:
    made = upload(client, person(client, "A"), portraits.read("obama.jpg"))
    here, before = made.headers["Location"], stored(gate)
    refused = client.put(here, files={"file": ("x", portraits.read("biden.jpg"))})
    assert (refused.status_code, refused.json()["code"]) == (422, "not_same_person")
    assert stored(gate) == before
    stale = client.put(
        here, files={"file": ("x", portraits.read("obama3.jpg"))}, headers={"If-Match": '"77"'}
    )
    assert stale.status_code == 412
    assert stored(gate) == before
    assert client.put(here, json={}, headers={"If-Match": '"77"'}).status_code == 412
    done = client.put(here, files={"file": ("x", portraits.read("obama3.jpg"))})
    assert done.status_code == 200, done.text
    assert done.json()["id"] == made.json()["id"]
    assert len(stored(gate)) == 2
    assert not set(stored(gate)) & set(before)
    off = client.put(here, json={"is_active": False})
    assert off.json()["is_active"] is False
    back = client.put(
        here,
        data={"is_active": "true"},
        files={"file": ("x", portraits.read("obama.jpg"))},
        headers={"If-Match": off.headers["ETag"]},
    )
    assert back.json()["is_active"] is True, back.text
    over = client.put(
        here,
        data={"is_active": "false"},
        files={"file": ("x", portraits.read("obama.jpg"))},
        headers={"If-Match": off.headers["ETag"]},
    )
    assert over.status_code == 412, "the photo is there already, but what was read is over"
    assert client.get(here).json()["is_active"] is True


def test_biometrics_are_withdrawn_and_the_person_stays(
    gate: Running, client: httpx.Client, portraits: AssetStore
) -> None:
    who = person(client, "A")
    for name in ("obama.jpg", "obama3.jpg"):
        assert upload(client, who, portraits.read(name)).status_code == 201
    packed = gate.services.settings.storage.state_dir / "cache" / "gallery.bin"
    assert packed.exists()
    receipt = client.post(f"/api/persons/{who}/withdraw-biometrics").json()
    assert (receipt["enrollments"], receipt["files"]) == (2, 4)
    assert stored(gate) == []
    assert not packed.exists()
    assert client.get(f"/api/persons/{who}").json()["enrollments"] == []
    ((body, actor),) = journal(gate, "biometrics_withdrawn")
    assert (body["person"], actor["name"]) == (receipt["uid"], "the-operator")
    assert upload(client, who, portraits.read("obama.jpg")).status_code == 201


def test_refusals_say_what_to_do_and_what_was_measured(
    gate: Running, client: httpx.Client, portraits: AssetStore
) -> None:
    group = upload(client, person(client, "A"), portraits.read("t1.jpg"))
    assert (group.status_code, group.json()["code"]) == (422, "multiple_faces")
    assert group.json()["measured"]["faces"] > 1
    assert "alone" in group.json()["detail"]
    assert stored(gate) == []


@pytest.mark.parametrize(
    ("fields", "files", "status"),
    [
        ({"person_id": "999999"}, {"file": ("x", b"\xff\xd8\xff")}, 404),
        ({"person_id": "1e3"}, {"file": ("x", b"\xff\xd8\xff")}, 422),
        ({"person_id": "9" * 400}, {"file": ("x", b"\xff\xd8\xff")}, 404),
        ({"person_id": "1", "role": "admin"}, {"file": ("x", b"\xff\xd8\xff")}, 422),
        ({"person_id": ["1", "2"]}, {"file": ("x", b"\xff\xd8\xff")}, 422),
        ({"person_id": "1"}, {}, 422),
        ({"person_id": "1", "file": "x"}, {"other": ("x", b"")}, 422),
        ({"person_id": "1"}, {"file": ("x", b"a"), "file2": ("y", b"b")}, 400),
        ({"person_id": "1" * 5000}, {"file": ("x", b"\xff\xd8\xff")}, 400),
    ],
)
def test_a_form_that_is_wrong(
    desk: httpx.Client, fields: dict[str, Any], files: dict[str, Any], status: int
) -> None:
    answer = desk.post("/api/enrollment", data=fields, files=files or {"nothing": ("x", b"")})
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("text/plain", b"x", 415),
        ("application/json", b"{", 400),
        ("application/json", b"[]", 422),
        ("application/json", b'{"person_id": 1}', 422),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=a", b"x", 400),
        ("multipart/form-data; boundary=a; charset=nonsense", b"--a--", 422),
    ],
)
def test_a_body_that_is_no_form(desk: httpx.Client, kind: str, content: bytes, status: int) -> None:
    answer = desk.post("/api/enrollment", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text


def test_a_photo_that_is_too_large_is_refused_before_it_is_decoded(client: httpx.Client) -> None:
    who = person(client, "A")
    answer = upload(client, who, b"\xff\xd8\xff" + bytes(MAX_BYTES))
    assert (answer.status_code, answer.json()["code"]) == (413, "unreadable_image")


def test_the_body_of_a_stranger_is_not_read(gate: Running) -> None:
    with gate.client() as nobody:
        nobody.headers["Content-Type"] = "multipart/form-data; boundary=a"
        assert nobody.post("/api/enrollment", content=b"x").status_code == 401
    with gate.client("viewer") as viewer:
        viewer.headers["Content-Type"] = "multipart/form-data; boundary=a"
        assert viewer.post("/api/enrollment", content=b"x").status_code == 403


def test_too_many_photos_at_a_time_are_sent_away(tmp_path: Path) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow() -> Any:
        begun.release()
        assert go_on.wait(20)
        raise OSError("the models are not needed here")

    with running(tmp_path, roles=("operator",)) as gate:
        desk = EnrollmentQueue(gate.services.workspace, slow, slots=1)
        object.__setattr__(gate.services, "enrollment_queue", desk)
        with gate.client("operator") as client, gate.client("operator") as other:
            first = threading.Thread(target=upload, args=(client, 1, b"\xff\xd8\xff"))
            first.start()
            assert begun.acquire(timeout=20)
            refused = upload(other, 1, b"\xff\xd8\xff")
            assert (refused.status_code, refused.json()["code"]) == (503, "busy")
            assert int(refused.headers["Retry-After"]) >= 1
            assert other.get("/health").status_code == 200
            go_on.set()
            first.join(20)
            assert not first.is_alive()
            assert upload(other, 1, b"\xff\xd8\xff").status_code == 500, "the seat is free again"


def several(client: httpx.Client, person_id: int, *photos: bytes) -> httpx.Response:
    files = [("photos", (f"{n}.jpg", photo, "image/jpeg")) for n, photo in enumerate(photos)]
    return client.post(
        "/api/enrollment/several", data={"person_id": str(person_id)}, files=files or None
    )


def test_several_photos_are_judged_one_by_one(client: httpx.Client, portraits: AssetStore) -> None:
    known, other, stranger = (
        portraits.read(name) for name in ("obama.jpg", "obama2.jpg", "biden.jpg")
    )
    id_ = person(client, "P1")
    answer = several(client, id_, known, b"no photo", other, stranger)
    assert answer.status_code == 200
    first, broken, second, foreign = answer.json()
    assert [r["name"] for r in answer.json()] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert first["problem"] is second["problem"] is None
    assert (broken["problem"]["status"], broken["enrolled"]) == (415, None)
    assert (foreign["problem"]["code"], foreign["enrolled"]) == ("not_same_person", None)
    listed = client.get("/api/enrollment", params={"person_id": id_}).json()
    assert {e["id"] for e in listed} == {first["enrolled"]["id"], second["enrolled"]["id"]}
    assert several(client, id_, known).json()[0]["enrolled"]["id"] == first["enrolled"]["id"]
    assert len(client.get("/api/enrollment", params={"person_id": id_}).json()) == 2


def test_several_needs_photos_a_person_and_a_bound(desk: httpx.Client) -> None:
    found = desk.get("/api/persons", params={"q": "FORMS"}).json()[0]["id"]
    assert several(desk, 999_999, b"x").status_code == 404
    assert several(desk, found, *[b"x"] * 11).status_code == 422
    assert several(desk, found).status_code in (415, 422)
