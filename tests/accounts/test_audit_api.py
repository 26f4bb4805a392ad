"""Who did what, when, to whom and from where."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.fixtures.server import PASSWORD, Running

ANNA = {"first_name": "Anna", "last_name": "Arendt", "personnel_code": "A-77"}


@pytest.fixture
def admin(server: Running) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client


def test_a_change_is_found_with_who_whom_and_from_where(
    server: Running, admin: httpx.Client
) -> None:
    with server.client("operator") as operator:
        made = operator.post("/api/persons", json=ANNA)
    row = admin.get("/api/audit", params={"kind": "person_created"}).json()[0]
    assert row["actor"]["name"] == "the-operator"
    assert row["actor"]["address"] == "127.0.0.1"
    assert row["actor"]["request"] == made.headers["X-Request-ID"]
    assert row["subject"]["person_id"] == made.json()["id"]
    assert "Anna" not in str(row["body"])


def test_filters_and_pages_walk_through_every_act_once(admin: httpx.Client) -> None:
    person = admin.post("/api/persons", json=ANNA | {"personnel_code": "A-78"}).json()["id"]
    for position in "abcde":
        admin.put(f"/api/persons/{person}", json={"position": position})
    mine = {"person_id": person, "actor": "the-admin", "limit": 2}
    seen, path = [], "/api/audit"
    answer = admin.get(path, params=mine)
    while True:
        seen += [(row["seq"], row["kind"]) for row in answer.json()]
        if "next" not in answer.links:
            break
        answer = admin.get(answer.links["next"]["url"])
    assert [kind for _, kind in seen] == ["person_changed"] * 5 + ["person_created"]
    assert [seq for seq, _ in seen] == sorted({seq for seq, _ in seen}, reverse=True)
    assert admin.get("/api/audit", params=mine | {"actor": "The-Admin"}).json() == []
    since = {"person_id": person, "from": "2999-01-01T00:00:00Z"}
    assert admin.get("/api/audit", params=since).json() == []


@pytest.mark.parametrize("cursor", ["x", "bnVsbA", "WzEsICJhIiwgMWU5OTk5XQ", "!" * 300])
def test_a_strange_cursor_is_refused(admin: httpx.Client, cursor: str) -> None:
    assert admin.get("/api/audit", params={"cursor": cursor}).status_code == 422


def test_sign_ins_are_on_record_and_what_was_typed_is_not(
    server: Running, admin: httpx.Client
) -> None:
    typed = {"username": "my-secret-typed-in-the-wrong-field", "password": PASSWORD}
    with server.client() as anyone:
        assert anyone.post("/api/auth/login", json=typed).status_code == 401
    failed = admin.get("/api/audit", params={"kind": "sign_in_failed"})
    assert failed.json()[0]["actor"] == {
        "name": "unknown",
        "address": "127.0.0.1",
        "request": failed.json()[0]["actor"]["request"],
        "reason": None,
        "filters": None,
    }
    assert "my-secret" not in admin.get("/api/audit?limit=1000").text
    signed_in = admin.get("/api/audit", params={"kind": "signed_in", "actor": "the-admin"})
    assert signed_in.json()


def test_an_erased_actor_leaves_the_act(server: Running, admin: httpx.Client) -> None:
    boss = admin.post("/api/persons", json=ANNA | {"personnel_code": "A-79"}).json()["id"]
    account = {"username": "boss", "role": "operator", "password": PASSWORD, "person_id": boss}
    assert admin.post("/api/accounts", json=account).status_code == 201
    credentials = {"username": "boss", "password": PASSWORD}
    token = admin.post("/api/auth/login", json=credentials).json()["access_token"]
    made = admin.post(
        "/api/persons",
        json=ANNA | {"personnel_code": "A-80"},
        headers={"Authorization": f"Bearer {token}"},
    ).json()["id"]
    assert admin.delete(f"/api/persons/{boss}").status_code == 200
    (row,) = admin.get("/api/audit", params={"person_id": made}).json()
    assert row["actor"] is None
    assert server.services.workspace.journal.verify().ok
