"""Lists with `limit` and `offset` are walked in one way, whatever is in them."""

from __future__ import annotations

import httpx
import pytest

from gated.core.messages import RecordEvent
from gated.core.values import Instant
from gated.enrollment import enrollment_store
from gated.live.recording import Recorder
from tests.attendance.test_attendance_api import person
from tests.fixtures.server import PASSWORD, Running

LISTS = ("/api/persons", "/api/enrollment", "/api/correction-requests", "/api/alarms")
IN_EACH = 5


@pytest.fixture(scope="module")
def filled(server: Running) -> Running:
    workspace, accounts = server.services.workspace, server.services.accounts
    people = [person(server) for _ in range(IN_EACH)]
    accounts.create("ada", "self", PASSWORD, actor="test", person_id=people[0].id)
    token, _ = accounts.sign_in("ada", PASSWORD, "test")
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=server.address, headers=headers, timeout=60, trust_env=False) as ada:
        for hour in range(IN_EACH):
            wish = {"created_at": f"2026-03-02T0{hour}:00Z", "direction": "exit", "reason": "left"}
            assert ada.post("/api/correction-requests", json=wish).status_code == 201
    with workspace.database.write() as session:
        for who in people:
            enrollment_store.add(
                session,
                enrollment_store.NewEnrollment(
                    person_id=who.id,
                    face_encoding_path=None,
                    face_image_path=None,
                    confidence_score=0.9,
                    model="m",
                ),
            )
    happened = Instant(100.0, 1_800_000_000.0)
    kinds = [f"trial_{n}" for n in range(IN_EACH)]
    Recorder(workspace, workspace.settings).append(
        [RecordEvent(happened, kind, {}, "alarm") for kind in kinds]
    )
    return server


@pytest.mark.parametrize("path", LISTS)
def test_pages_lead_through_a_list_once(filled: Running, path: str) -> None:
    with filled.client("admin") as client:
        whole = client.get(path)
        assert whole.headers["X-Total-Count"] == str(IN_EACH)
        assert "Link" not in whole.headers
        found, address, pages = [], f"{path}?limit=2", 0
        while address:
            page = client.get(address)
            assert page.headers["X-Total-Count"] == str(IN_EACH)
            found += [row["id"] for row in page.json()]
            address, pages = page.links.get("next", {}).get("url", ""), pages + 1
        assert found == [row["id"] for row in whole.json()]
        assert pages == 3
        beyond = client.get(f"{path}?limit=2&offset={10**30}")
        assert (beyond.status_code, beyond.json()) == (200, [])


def test_who_asks_for_corrections_counts_their_own(filled: Running) -> None:
    with filled.client("self") as nobody:
        answer = nobody.get("/api/correction-requests/me?limit=2")
    assert (answer.json(), answer.headers["X-Total-Count"]) == ([], "0")
