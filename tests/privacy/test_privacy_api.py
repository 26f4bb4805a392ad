"""Consent, groups, leaving, holds and exports over the API."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.config.settings import PrivacySettings
from gated.privacy.own_routes import BY_MYSELF
from tests.fixtures.server import PASSWORD, Running, running

_numbers = itertools.count()

FORM = {
    "notice_version": "2026-1",
    "given_at": "2026-01-01T08:00:00+01:00",
    "method": "signed form",
}


@pytest.fixture
def admin(server: Running) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client


@pytest.fixture
def anna(admin: httpx.Client) -> dict[str, Any]:
    fields = {"first_name": "Anna", "last_name": "A", "personnel_code": f"P-{next(_numbers)}"}
    made: dict[str, Any] = admin.post("/api/persons", json=fields).json()
    return made


def test_the_life_of_a_consent(admin: httpx.Client, anna: dict[str, Any]) -> None:
    place = f"/api/persons/{anna['id']}/consent"
    assert admin.get(place).status_code == 404
    given = admin.put(place, json=FORM).json()
    assert given["given_at"] == "2026-01-01T07:00:00Z"
    assert given["expires_at"] is None
    assert admin.get(place).json() == given
    assert admin.delete(place).status_code == 204
    assert admin.delete(place).status_code == 404
    assert admin.put("/api/persons/999999/consent", json=FORM).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"given_at": "2026-01-01T25:00"},
        {"method": ""},
        {"expires_at": "2025-12-31T00:00:00Z"},
        {"notice_version": "x" * 201},
    ],
)
def test_a_consent_that_cannot_be(
    admin: httpx.Client, anna: dict[str, Any], wrong: dict[str, str]
) -> None:
    answer = admin.put(f"/api/persons/{anna['id']}/consent", json=FORM | wrong)
    assert answer.status_code == 422


def test_groups_hold_people(admin: httpx.Client, anna: dict[str, Any]) -> None:
    made = admin.post("/api/groups", json={"name": "Night shift"})
    assert made.status_code == 201
    group = made.headers["Location"]
    assert admin.post("/api/groups", json={"name": "NIGHT SHIFT"}).status_code == 409
    member = f"{group}/members/{anna['id']}"
    for _ in range(2):
        assert admin.put(member).status_code == 204
    found = admin.get("/api/persons", params={"group": "night SHIFT"})
    assert [p["id"] for p in found.json()] == [anna["id"]]
    assert found.headers["X-Total-Count"] == "1"
    assert admin.get("/api/persons", params={"group": "nobody's"}).json() == []
    named = admin.get(f"/api/persons/{anna['id']}").json()["groups"]
    assert [g["name"] for g in named] == ["Night shift"]
    assert admin.put(group, json={"description": "22 to 6"}).json()["name"] == "Night shift"
    assert admin.put(f"{group}/members/999999").status_code == 404
    assert admin.delete(group).status_code == 204
    assert admin.get(f"/api/persons/{anna['id']}").json()["groups"] == []
    assert admin.get(group).status_code == 404


def test_the_last_day_is_a_date(admin: httpx.Client, anna: dict[str, Any]) -> None:
    place = f"/api/persons/{anna['id']}"
    later = admin.put(place, json={"leaves_on": "2999-12-31"}).json()
    assert (later["leaves_on"], later["is_active"]) == ("2999-12-31", True)
    over = admin.put(place, json={"leaves_on": "2020-01-01"}).json()
    assert over["is_active"] is False
    assert admin.patch(f"{place}/activate").status_code == 409
    assert admin.put(place, json={"leaves_on": "tomorrow"}).status_code == 422


def test_an_export_is_an_archive_and_on_record(admin: httpx.Client, anna: dict[str, Any]) -> None:
    answer = admin.get(f"/api/persons/{anna['id']}/export")
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert {"person.json", "attendance.json", "journal.json"} <= set(names)
    acts = admin.get("/api/audit", params={"person_id": anna["id"]}).json()
    assert acts[0]["kind"] == "person_exported"


def test_an_erasure_gives_a_receipt(admin: httpx.Client, anna: dict[str, Any]) -> None:
    place = f"/api/persons/{anna['id']}"
    admin.put(f"{place}/consent", json=FORM)
    assert admin.delete(place, params={"override": True}).status_code == 409
    receipt = admin.delete(place, params={"reason": "asked for it"}).json()
    assert (receipt["consents"], receipt["overridden"]) == (1, False)
    assert len(receipt["hash"]) == 64


def _own(server: Running, person_id: int) -> httpx.Client:
    """A client with an account of this person."""
    name = f"own-{person_id}"
    server.services.accounts.create(name, "self", PASSWORD, actor="test", person_id=person_id)
    token, _ = server.services.accounts.sign_in(name, PASSWORD, "test")
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=server.address, headers=headers, trust_env=False, timeout=60)


def test_one_takes_a_copy_of_everything_about_oneself(
    server: Running, admin: httpx.Client, anna: dict[str, Any]
) -> None:
    with _own(server, anna["id"]) as mine:
        answer = mine.get("/api/me/export")
        assert mine.get(f"/api/persons/{anna['id']}/export").status_code == 403
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        told = archive.read("person.json").decode()
    assert anna["personnel_code"] in told
    (row,) = admin.get("/api/audit", params={"kind": "person_exported", "limit": 1}).json()
    assert row["actor"]["name"] == f"own-{anna['id']}"


def test_nobody_consents_without_a_notice_and_anybody_may_withdraw(
    server: Running, admin: httpx.Client, anna: dict[str, Any]
) -> None:
    with _own(server, anna["id"]) as mine:
        assert mine.get("/api/me/consent").json() == {"notice": None, "given": None}
        refused = mine.put("/api/me/consent", json={"notice_version": "2026-1"})
        assert (refused.status_code, refused.json()["code"]) == (409, "consent_required")
        admin.put(f"/api/persons/{anna['id']}/consent", json=FORM)
        assert mine.get("/api/me/consent").json()["given"]["notice_version"] == "2026-1"
        assert mine.delete("/api/me/consent").status_code == 204
        assert mine.delete("/api/me/consent").status_code == 404
    assert admin.get(f"/api/persons/{anna['id']}/consent").status_code == 404


def test_one_consents_to_the_notice_in_force(tmp_path: Path) -> None:
    settings = PrivacySettings(notice="2026-2")
    with running(tmp_path, roles=("admin",), privacy=settings) as server:
        with server.client("admin") as admin:
            fields = {"first_name": "Anna", "last_name": "A", "personnel_code": "P-1"}
            person = admin.post("/api/persons", json=fields).json()["id"]
        with _own(server, person) as mine:
            assert mine.get("/api/me/consent").json() == {"notice": "2026-2", "given": None}
            old = mine.put("/api/me/consent", json={"notice_version": "2026-1"})
            assert old.status_code == 409
            given = mine.put("/api/me/consent", json={"notice_version": "2026-2"}).json()["given"]
            assert (given["notice_version"], given["method"]) == ("2026-2", BY_MYSELF)
            assert mine.get("/api/me/consent").json()["given"] == given


def test_an_account_of_nobody_has_neither_data_nor_consent(server: Running) -> None:
    with server.client("self") as nobody:
        for method, path in (("GET", "consent"), ("DELETE", "consent"), ("GET", "export")):
            assert nobody.request(method, f"/api/me/{path}").status_code == 404, path
