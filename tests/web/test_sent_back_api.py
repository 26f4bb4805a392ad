"""What a GET gave may be sent back by PUT, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.fixtures.server import Running

CARD = {"kind": "card", "number": "77001122", "label": "blue"}
WEEK = [["08:00-18:00"]] * 5 + [[], []]
CONSENT = {"notice_version": "1", "given_at": "2026-03-01T08:00:00Z", "method": "signed form"}


@pytest.fixture(scope="module")
def admin(server: Running) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client


@pytest.fixture(scope="module")
def person(admin: httpx.Client) -> str:
    body = {"first_name": "Ada", "last_name": "Byron", "personnel_code": "B1", "email": "a@b.org"}
    address = admin.post("/api/persons", json=body).headers["Location"]
    admin.put(f"{address}/consent", json=CONSENT)
    return address


@pytest.mark.parametrize("of", ["", "/access", "/consent"])
def test_a_person_is_taken_back(admin: httpx.Client, person: str, of: str) -> None:
    given = admin.get(person + of).json()
    answer = admin.put(person + of, json=given)
    assert answer.status_code == 200, answer.text
    after = admin.get(person + of).json()
    assert {k: v for k, v in after.items() if k != "updated_at"} == {
        k: v for k, v in given.items() if k != "updated_at"
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/groups", {"name": "Cleaners", "planned_hours": 20, "late_after": "08:15"}),
        ("/api/access/schedules", {"name": "Day", "week": WEEK}),
        ("{person}/credentials", CARD),
    ],
)
def test_other_things_are_taken_back(
    admin: httpx.Client, person: str, path: str, body: dict[str, object]
) -> None:
    address = admin.post(path.format(person=person), json=body).headers["Location"]
    given = admin.get(address).json()
    answer = admin.put(address, json=given)
    assert (answer.status_code, answer.json() | {"updated_at": 0}) == (
        200,
        given | {"updated_at": 0},
    )


def test_the_rules_are_taken_back(admin: httpx.Client) -> None:
    given = admin.get("/api/access/rules").json()
    answer = admin.put("/api/access/rules", json=given)
    assert answer.status_code == 200, answer.text


def test_a_put_switches_a_person(admin: httpx.Client, person: str) -> None:
    given = admin.get(person).json()
    assert given["is_active"]
    off = admin.put(person, json=given | {"is_active": False, "position": "x"}).json()
    assert (off["is_active"], off["position"]) == (False, "x")
    assert admin.put(person, json={"position": "y"}).json()["is_active"] is False
    assert admin.put(person, json={"is_active": True}).json()["is_active"] is True


def test_what_no_get_gives_is_refused_as_before(admin: httpx.Client, person: str) -> None:
    assert admin.put(person, json={"positon": "x"}).status_code == 422
    assert admin.post("/api/persons", json={"id": 7}).status_code == 422
