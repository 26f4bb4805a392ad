"""People ask for corrections of their own times, operators answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gated.core.values import PersonRef
from tests.attendance.test_attendance_api import passed, person, rows_of
from tests.fixtures.server import PASSWORD, Running

PATH = "/api/correction-requests"


@pytest.fixture
def ada(server: Running) -> PersonRef:
    return person(server)


@pytest.fixture
def herself(server: Running, ada: PersonRef) -> Iterator[httpx.Client]:
    name = f"ada-{ada.id}"
    server.services.accounts.create(name, "self", PASSWORD, actor="test", person_id=ada.id)
    token, _ = server.services.accounts.sign_in(name, PASSWORD, "test")
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(
        base_url=server.address, headers=headers, trust_env=False, timeout=60
    ) as client:
        yield client


@pytest.fixture
def operator(server: Running) -> Iterator[httpx.Client]:
    with server.client("operator") as client:
        yield client


def ask(client: httpx.Client, **wish: Any) -> dict[str, Any]:
    answer = client.post(PATH, json={"reason": "forgot to look", **wish})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def kinds(server: Running, ada: PersonRef) -> list[tuple[str, str]]:
    """What the journal tells of requests, and who acted."""
    page = server.services.audit.page(limit=50, person_id=ada.id)
    found = reversed([r for r in page.rows if r.kind.startswith("correct")])
    return [(r.kind, (r.actor or {}).get("name", "")) for r in found]


def test_an_approved_request_becomes_a_correction(
    server: Running, ada: PersonRef, herself: httpx.Client, operator: httpx.Client
) -> None:
    row = passed(server, ada, 8)
    made = ask(herself, attendance_id=row["id"], direction="exit")
    assert (made["state"], made["created_at"], made["answered_at"]) == ("open", None, None)
    assert operator.get(PATH, params={"state": "open", "person_id": ada.id}).json() == [made]
    done = operator.post(f"{PATH}/{made['id']}/approve").json()
    (now,) = rows_of(operator, ada)
    assert (done["state"], done["result_id"]) == ("approved", now["id"])
    assert (now["direction"], now["reason"]) == ("exit", "corrected")
    version = operator.get(f"/api/attendance/{now['id']}").json()["versions"][-1]
    assert (version["author"], version["cause"]) == ("the-operator", "forgot to look")
    assert herself.get(f"{PATH}/me").json() == [done]
    assert operator.post(f"{PATH}/{made['id']}/approve").status_code == 409
    assert kinds(server, ada) == [
        ("correction_requested", f"ada-{ada.id}"),
        ("corrected", "the-operator"),
        ("correction_approved", "the-operator"),
    ]
    assert server.services.workspace.journal.verify().ok


def test_a_missing_passage_is_put_down(
    server: Running, ada: PersonRef, herself: httpx.Client, operator: httpx.Client
) -> None:
    made = ask(herself, created_at="2026-03-02T17:00:00Z", direction="exit")
    done = operator.post(f"{PATH}/{made['id']}/approve").json()
    (row,) = rows_of(operator, ada)
    assert (row["id"], row["method"]) == (done["result_id"], "manual")
    assert (row["created_at"], row["direction"]) == ("2026-03-02T17:00:00Z", "exit")


def test_a_refused_request_changes_nothing_and_says_why(
    server: Running, ada: PersonRef, herself: httpx.Client, operator: httpx.Client
) -> None:
    row = passed(server, ada, 8)
    made = ask(herself, attendance_id=row["id"], status="void")
    assert operator.post(f"{PATH}/{made['id']}/refuse", json={}).status_code == 422
    answer = operator.post(f"{PATH}/{made['id']}/refuse", json={"reason": "you were there"})
    assert (answer.status_code, answer.json()["answer"]) == (200, "you were there")
    assert herself.get(f"{PATH}/me").json() == [answer.json()]
    assert [r["id"] for r in rows_of(operator, ada, raw=True)] == [row["id"]]
    assert operator.post(f"{PATH}/{made['id']}/approve").status_code == 409
    assert kinds(server, ada)[-1] == ("correction_refused", "the-operator")


def test_what_cannot_be_done_when_it_is_approved_stays_open(
    server: Running, ada: PersonRef, herself: httpx.Client, operator: httpx.Client
) -> None:
    row = passed(server, ada, 8)
    made = ask(herself, attendance_id=row["id"], status="void")
    correction = {"direction": "exit", "reason": "meanwhile"}
    path = f"/api/attendance/{row['id']}/corrections"
    assert operator.post(path, json=correction).status_code == 201
    assert operator.post(f"{PATH}/{made['id']}/approve").status_code == 409
    assert herself.get(f"{PATH}/me").json() == [made]
    again = herself.post(PATH, json={"attendance_id": row["id"], "status": "void", "reason": "no!"})
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({}, 422),
        ({"direction": "exit"}, 422),
        ({"created_at": "2026-03-02T17:00:00Z"}, 422),
        ({"created_at": "2026-03-02T17:00:00Z", "direction": "exit", "status": "void"}, 422),
        ({"attendance_id": 999_999, "status": "void"}, 404),
        ({"attendance_id": 10**30, "status": "void"}, 404),
        ({"attendance_id": "other", "status": "void"}, 404),
        ({"attendance_id": "own"}, 422),
        ({"attendance_id": "own", "direction": "entry"}, 422),
        ({"attendance_id": "own", "person_id": 1}, 422),
    ],
)
def test_requests_that_are_refused_at_once(
    server: Running, ada: PersonRef, herself: httpx.Client, wish: dict[str, Any], status: int
) -> None:
    whose = {"own": ada, "other": person(server)}
    if (who := whose.get(wish.get("attendance_id", ""))) is not None:
        wish = {**wish, "attendance_id": passed(server, who, 8)["id"]}
    answer = herself.post(PATH, json={"reason": "for some reason", **wish})
    assert answer.status_code == status, answer.text
    assert herself.get(f"{PATH}/me").json() == []


def test_an_account_of_nobody_has_nothing_to_ask_for(server: Running) -> None:
    with server.client("self") as nobody:
        wish = {"created_at": "2026-03-02T17:00:00Z", "direction": "exit", "reason": "mine"}
        assert nobody.post(PATH, json=wish).status_code == 409
        assert nobody.get(f"{PATH}/me").json() == []


def test_one_person_cannot_fill_the_desk(
    server: Running, ada: PersonRef, herself: httpx.Client, operator: httpx.Client
) -> None:
    for minute in range(50):
        made = ask(herself, created_at=f"2026-03-02T17:{minute:02}:00Z", direction="exit")
    wish = {"created_at": "2026-03-02T18:00:00Z", "direction": "exit", "reason": "one more"}
    assert herself.post(PATH, json=wish).status_code == 409
    operator.post(f"{PATH}/{made['id']}/refuse", json={"reason": "too many"})
    assert herself.post(PATH, json=wish).status_code == 201
    pages = operator.get(PATH, params={"limit": 20, "person_id": ada.id})
    assert len(pages.json()) == 20
    assert "offset=20" in pages.links["next"]["url"]


def test_an_erasure_takes_requests_along(
    server: Running, ada: PersonRef, herself: httpx.Client
) -> None:
    ask(herself, created_at="2026-03-02T17:00:00Z", direction="exit")
    with server.client("admin") as admin:
        assert admin.delete(f"/api/persons/{ada.id}").status_code == 200
        assert admin.get(PATH, params={"person_id": ada.id}).json() == []
    assert server.services.workspace.journal.verify().ok
