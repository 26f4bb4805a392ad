"""Accounts and devices over the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.server import PASSWORD, Running, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("state"), roles=["admin"]) as server:
        yield server


@pytest.fixture
def admin(server: Running) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client


def account(name: str, role: str = "viewer") -> dict[str, str]:
    return {"username": name, "role": role, "password": PASSWORD}


def token_of(client: httpx.Client, name: str, password: str = PASSWORD) -> dict[str, str]:
    answer = client.post("/api/auth/login", json={"username": name, "password": password})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_an_account_lives_and_ends(admin: httpx.Client) -> None:
    made = admin.post("/api/accounts", json=account("vera"))
    assert made.status_code == 201
    assert "password" not in made.text
    place = made.headers["Location"]
    assert admin.post("/api/accounts", json=account("VERA")).status_code == 409
    token = token_of(admin, "vera")
    assert admin.get("/api/auth/me", headers=token).json()["role"] == "viewer"
    assert admin.patch(place, json={"role": "operator"}).json()["role"] == "operator"
    assert admin.get("/api/auth/me", headers=token).status_code == 401, (
        "another role, another token"
    )
    token = token_of(admin, "vera")
    assert admin.put(f"{place}/password", json={"password": PASSWORD[::-1]}).status_code == 200
    assert admin.get("/api/auth/me", headers=token).status_code == 401
    token = token_of(admin, "vera", PASSWORD[::-1])
    assert admin.patch(place, json={"is_active": False}).json()["is_active"] is False
    assert admin.get("/api/auth/me", headers=token).status_code == 401
    assert admin.delete(place).status_code == 204
    assert admin.get(place).status_code == 404


def test_the_last_administrator_stays(admin: httpx.Client) -> None:
    me = admin.get("/api/auth/me").json()["account_id"]
    for change in ({"role": "viewer"}, {"is_active": False}):
        assert admin.patch(f"/api/accounts/{me}", json=change).status_code == 409
    assert admin.delete(f"/api/accounts/{me}").status_code == 409
    assert admin.get("/api/auth/me").json()["role"] == "admin"


def test_a_device_has_a_token_and_no_password(admin: httpx.Client) -> None:
    assert admin.post("/api/accounts", json=account("x", "device")).status_code == 422
    made = admin.post("/api/devices", json={"name": "north-gate"}).json()
    place = f"/api/devices/{made['id']}"

    def status(token: str) -> int:
        # what the role may do, and no more: 403 is for those who are known
        return admin.get("/api/persons", headers={"Authorization": f"Bearer {token}"}).status_code

    assert status(made["token"]) == 403
    assert status(made["token"] + "x") == 401
    renewed = admin.post(f"{place}/token").json()["token"]
    assert (status(made["token"]), status(renewed)) == (401, 403)
    assert made["token"] not in admin.get("/api/devices").text
    assert admin.patch(f"/api/accounts/{made['id']}", json={"role": "admin"}).status_code == 409
    given = admin.put(f"/api/accounts/{made['id']}/password", json={"password": PASSWORD})
    assert given.status_code == 409, "it would outlast the token"
    login = {"username": "north-gate", "password": "!"}
    assert admin.post("/api/auth/login", json=login).status_code == 401
    assert admin.delete(place).status_code == 204
    assert status(renewed) == 401


def test_devices_cannot_reach_people_by_the_routes_of_the_others(admin: httpx.Client) -> None:
    me = admin.get("/api/auth/me").json()["account_id"]
    assert admin.delete(f"/api/devices/{me}").status_code == 404
    assert admin.post(f"/api/devices/{me}/token").status_code == 404


def test_the_first_administrator_over_the_api(tmp_path: Path) -> None:
    with running(tmp_path, roles=[]) as server, server.client() as client:
        code = server.services.setup.new_code()
        wanted = {"username": "anna", "password": PASSWORD}
        wrong = client.post("/api/auth/setup", json={**wanted, "code": "nonsense"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "bad_credentials")
        made = client.post("/api/auth/setup", json={**wanted, "code": code})
        assert made.status_code == 201
        token = {"Authorization": f"Bearer {made.json()['access_token']}"}
        assert client.get("/api/auth/me", headers=token).json()["role"] == "admin"
        again = client.post("/api/auth/setup", json={**wanted, "code": code})
        assert again.status_code == 409


def test_accounts_come_in_pages_as_other_lists_do(admin: httpx.Client) -> None:
    for name in ("page-a", "page-b", "page-c"):
        assert admin.post("/api/accounts", json=account(name)).status_code == 201
    whole = admin.get("/api/accounts")
    names = [a["username"] for a in whole.json()]
    assert whole.headers["X-Total-Count"] == str(len(names))
    assert "Link" not in whole.headers
    paged, address = [], "/api/accounts?limit=2"
    while address:
        page = admin.get(address)
        assert len(page.json()) <= 2
        assert page.headers["X-Total-Count"] == str(len(names))
        paged += [a["username"] for a in page.json()]
        address = page.links.get("next", {}).get("url", "")
    assert paged == names
