"""Persons over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.fixtures.server import Running

COUNT = iter(range(1, 1000))


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client


def fields(**more: Any) -> dict[str, Any]:
    return {"first_name": "F", "last_name": "L", "personnel_code": f"P{next(COUNT)}"} | more


def created(client: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = client.post("/api/persons", json=fields(**more))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/api/persons/{body['id']}"
    return body


def test_a_person_from_beginning_to_end(client: httpx.Client) -> None:
    full = {"department": "IT", "position": "Dev", "email": "p@example.org", "phone": "+123"}
    person = created(client, **full)
    assert person | full | {"is_active": True} == person
    path = f"/api/persons/{person['id']}"
    read = client.get(path)
    told = read.json()
    advice = told.pop("photo_advice")
    assert (advice["usable"], advice["another_advised"], advice["reason"]) == (0, True, "no_photo")
    assert told == person | {"enrollments": [], "groups": []}
    changed = client.put(
        path, json={"position": "Lead"}, headers={"If-Match": read.headers["ETag"]}
    )
    assert changed.json()["position"] == "Lead"
    assert changed.json()["department"] == "IT"
    stale = client.put(path, json={"position": "x"}, headers={"If-Match": read.headers["ETag"]})
    assert (stale.status_code, stale.json()["code"]) == (412, "changed_meanwhile")
    for verb, active in (
        ("deactivate", False),
        ("deactivate", False),
        ("activate", True),
        ("toggle-active", False),
        ("toggle-active", True),
    ):
        assert client.patch(f"{path}/{verb}").json()["is_active"] is active
    receipt = client.delete(path)
    assert receipt.status_code == 200
    assert receipt.json()["uid"] == person["uid"]
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


@pytest.mark.parametrize("tag", ['"999"', "1", 'W/"1"', "nonsense"])
def test_another_tag_changes_nothing(client: httpx.Client, tag: str) -> None:
    path = f"/api/persons/{created(client)['id']}"
    before = client.get(path).json()
    assert client.put(path, json={"position": "x"}, headers={"If-Match": tag}).status_code == 412
    assert client.patch(f"{path}/deactivate", headers={"If-Match": tag}).status_code == 412
    assert client.get(path).json() == before
    assert client.put(path, json={"position": "x"}, headers={"If-Match": "*"}).status_code == 200


def test_codes_and_e_mail_addresses_belong_to_one_person(client: httpx.Client) -> None:
    first = created(client, email="one@example.org")
    again = client.post("/api/persons", json=fields(personnel_code=first["personnel_code"]))
    assert (again.status_code, again.json()["code"]) == (409, "personnel_code_taken")
    mail = client.post("/api/persons", json=fields(email="ONE@example.org"))
    assert (mail.status_code, mail.json()["code"]) == (409, "email_taken")
    other = created(client)
    answer = client.put(f"/api/persons/{other['id']}", json={"email": "one@example.org"})
    assert answer.status_code == 409


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_name": ""},
        {"first_name": "  "},
        {"first_name": None},
        {"first_name": 5},
        {"first_name": "x" * 201},
        {"first_name": "a\x00b"},
        {"first_name": "\ud800"},
        {"personnel_code": "two words"},
        {"personnel_code": "x" * 65},
        {"email": "nope"},
        {"email": "a@b"},
        {"email": "a b@c.de"},
        {"phone": "call me"},
        {"salary": 1},
        {"id": 5},
    ],
)
def test_what_a_person_cannot_be(client: httpx.Client, wrong: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json"}  # json= could not encode half a character
    answer = client.post("/api/persons", content=json.dumps(fields(**wrong)), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"][0]["at"].startswith(f"body.{next(iter(wrong))}")
    person = created(client)
    path = f"/api/persons/{person['id']}"
    assert client.put(path, content=json.dumps(wrong), headers=headers).status_code == 422


def test_lists_are_filtered_sorted_and_paged(client: httpx.Client) -> None:
    for name in ("Zoë", "Ärne", "Bo"):
        created(client, first_name=name, department="Stage")
    stage = client.get("/api/persons?department=Stage&sort=-first_name")
    assert stage.headers["X-Total-Count"] == "3"
    assert len(stage.json()) == 3
    assert [p["first_name"] for p in client.get("/api/persons?q=zoe").json()] == ["Zoë"]
    address, seen = "/api/persons?department=Stage&limit=2&sort=id", []
    while True:
        page = client.get(address)
        seen += [p["first_name"] for p in page.json()]
        assert page.headers["X-Total-Count"] == "3"
        if "next" not in page.links:
            break
        address = page.links["next"]["url"]
    assert seen == ["Zoë", "Ärne", "Bo"]
    client.patch(f"/api/persons/{stage.json()[0]['id']}/deactivate")
    active = client.get("/api/persons?department=Stage&is_active=true").json()
    assert len(active) == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"x"', b"null"])
def test_a_body_that_is_no_object_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/api/persons", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_fifty_clients_write_at_once_and_nothing_is_lost(server: Running) -> None:
    with server.client("operator") as client:
        headers = dict(client.headers)

    def write(n: int) -> list[int]:
        with httpx.Client(
            base_url=server.address, headers=headers, timeout=60, trust_env=False
        ) as client:
            person = {"first_name": "A", "last_name": "B", "personnel_code": f"fifty-{n}"}
            made = client.post("/api/persons", json=person)
            punch = {"person_id": made.json()["id"], "direction": "entry", "reason": "at once"}
            return [made.status_code, client.post("/api/attendance", json=punch).status_code]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(write, range(50)))
    assert answers == [[201, 201]] * 50
    with server.client("viewer") as viewer:
        found = viewer.get("/api/persons", params={"q": "fifty-"}).json()
        assert len(found) == 50
        for person in found:
            assert len(viewer.get(f"/api/attendance?person_id={person['id']}").json()) == 1
    assert server.services.workspace.journal.verify().ok


@pytest.mark.parametrize("field", ["first_name", "last_name", "personnel_code", "department"])
@pytest.mark.parametrize("char", ["\u202e", "\u200b", "\ufeff"])
def test_what_nobody_sees_is_refused_with_its_place(
    client: httpx.Client, field: str, char: str
) -> None:
    answer = client.post("/api/persons", json=fields(**{field: f"ab{char}c"}))
    assert answer.status_code == 422
    (wrong,) = answer.json()["errors"]
    assert wrong["at"] == f"body.{field}"
    assert f"U+{ord(char):04X}" in wrong["detail"]
    assert "the 3rd of 4" in wrong["detail"]


def test_one_code_in_six_spellings_is_one_person(client: httpx.Client) -> None:
    created(client, personnel_code="K77")
    for spelling in ("k77", "Ｋ７７", "\u212a77", "K７7", "ｋ77"):
        answer = client.post("/api/persons", json=fields(personnel_code=spelling))
        assert (answer.status_code, answer.json()["code"]) == (409, "personnel_code_taken")


def test_lists_say_more_of_persons_and_find_who_lacks_what(client: httpx.Client) -> None:
    ada, bob = (created(client, last_name="Overviewed") for _ in range(2))
    client.post("/api/groups", json={"name": "Overviewed"})
    group = next(g for g in client.get("/api/groups").json() if g["name"] == "Overviewed")
    client.put(f"/api/groups/{group['id']}/members/{ada['id']}")
    client.put(f"/api/persons/{bob['id']}/access", json={"visitor": True})
    consent = {"notice_version": "1", "given_at": "2026-01-01T00:00:00Z", "method": "form"}
    assert client.put(f"/api/persons/{ada['id']}/consent", json=consent).status_code == 200
    client.put(f"/api/persons/{ada['id']}", json={"leaves_on": "2099-01-01"})

    told = client.get("/api/persons/overview", params={"ids": f"{bob['id']},{ada['id']}"}).json()
    nothing = {"photos": 0, "last_seen": None}
    assert [one.pop("photo_advice")["reason"] for one in told] == ["no_photo", "no_photo"]
    assert told == [
        {"id": ada["id"], "consent": "given", "visitor": False, "groups": ["Overviewed"]} | nothing,
        {"id": bob["id"], "consent": "missing", "visitor": True, "groups": []} | nothing,
    ]

    def found(**asked: bool) -> list[int]:
        answer = client.get("/api/persons", params={"q": "overviewed", **asked})
        return [person["id"] for person in answer.json()]

    assert found(consent_missing=True) == [bob["id"]]
    assert found(visitors=True) == [bob["id"]]
    assert found(visitors=False) == [ada["id"]]
    assert found(without_photo=True) == [ada["id"], bob["id"]]
    assert found(one_photo=True) == []
    assert found(one_photo=False) == [ada["id"], bob["id"]]
    assert found(left=True) == []
    for wrong in ("x", "1,,2", "9" * 19):
        assert client.get("/api/persons/overview", params={"ids": wrong}).status_code == 422


def test_a_person_without_photo_has_no_thumbnail(client: httpx.Client) -> None:
    assert client.get(f"/api/persons/{created(client)['id']}/thumbnail").status_code == 404


def test_several_people_are_changed_at_once_and_each_is_told_of(client: httpx.Client) -> None:
    ada, bob = (created(client)["id"] for _ in range(2))
    gone = 10**9
    answer = client.post("/api/persons/bulk", json={"ids": [ada, gone, bob], "act": "deactivate"})
    assert answer.status_code == 200
    assert [(one["person_id"], one["done"], one["code"]) for one in answer.json()] == [
        (ada, True, None),
        (gone, False, "not_found"),
        (bob, True, None),
    ]
    assert [client.get(f"/api/persons/{i}").json()["is_active"] for i in (ada, bob)] == [False] * 2

    group = client.post("/api/groups", json={"name": "Several"}).json()["id"]
    for act, members in (("join", [ada, bob]), ("leave", [])):
        body = {"ids": [ada, bob, ada], "act": act, "group": group}
        done = client.post("/api/persons/bulk", json=body).json()
        assert [(one["person_id"], one["done"]) for one in done] == [(ada, True), (bob, True)]
        found = client.get("/api/persons", params={"group": "Several"}).json()
        assert [person["id"] for person in found] == members


@pytest.mark.parametrize(
    "body",
    [
        {"ids": [], "act": "activate"},
        {"ids": list(range(1, 102)), "act": "activate"},
        {"ids": [1], "act": "erase"},
        {"ids": [1], "act": "join"},
        {"ids": [1], "act": "activate", "group": 1},
        {"ids": [0], "act": "activate"},
    ],
)
def test_an_act_on_several_people_that_makes_no_sense_is_refused(
    client: httpx.Client, body: dict[str, Any]
) -> None:
    assert client.post("/api/persons/bulk", json=body).status_code == 422


def test_several_people_are_erased_by_an_admin_who_has_counted_them(
    client: httpx.Client, server: Running
) -> None:
    ids = [created(client)["id"] for _ in range(2)]
    body = {"ids": ids, "count": 3}
    assert client.post("/api/persons/bulk-erase", json=body).status_code == 422
    with server.client("operator") as operator:
        assert operator.post("/api/persons/bulk-erase", json=body).status_code == 403
    assert [client.get(f"/api/persons/{i}").status_code for i in ids] == [200, 200]
    told = client.post("/api/persons/bulk-erase", json={"ids": ids, "count": 2}).json()
    assert [one["receipt"]["person_id"] for one in told] == ids
    assert told[0]["receipt"]["seq"] < told[1]["receipt"]["seq"]
    assert [client.get(f"/api/persons/{i}").status_code for i in ids] == [404, 404]
    again = client.post("/api/persons/bulk-erase", json={"ids": ids, "count": 2}).json()
    assert [(one["done"], one["code"], one["receipt"]) for one in again] == [
        (False, "not_found", None)
    ] * 2
