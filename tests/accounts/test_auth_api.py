"""Signing in over HTTP."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Literal

import pytest

from gated.config import AuthSettings
from tests.changes import done_by
from tests.fixtures.server import PASSWORD, Running, running

Registration = Literal["closed", "approval", "open"]
GOOD = {"username": "the-viewer", "password": PASSWORD}


def test_login_by_form_and_by_json(server: Running) -> None:
    with server.client() as client:
        for answer in (
            client.post("/api/auth/login", data={**GOOD, "grant_type": "password", "scope": ""}),
            client.post("/api/auth/login", json=GOOD),
            client.post("/api/auth/login", files={k: (None, v) for k, v in GOOD.items()}),
        ):
            assert answer.status_code == 200
            body = answer.json()
            assert set(body) == {"access_token", "token_type", "expires_in"}
            assert (body["token_type"], body["expires_in"]) == ("bearer", 1800)
            assert answer.headers["Cache-Control"] == "no-store"
            me = client.get(
                "/api/auth/me", headers={"Authorization": f"Bearer {body['access_token']}"}
            )
            assert me.json() == {
                "account_id": me.json()["account_id"],
                "username": "the-viewer",
                "role": "viewer",
                "person_id": None,
            }


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 422),
        (b'{"username": "x"}', "application/json", 422),
        (b'{"username": "x", "password": 5}', "application/json", 422),
        (b'{"username": "x", "password": ""}', "application/json", 422),
        (b'{"username": "\\ud800", "password": "x"}', "application/json", 422),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 10_000, "application/json", 400),
        (b"username=x", "application/x-www-form-urlencoded", 422),
        (b"a=1&" * 50, "application/x-www-form-urlencoded", 400),
        (b"x", "multipart/form-data", 400),
        (b"<x/>", "text/xml", 415),
        (b"", "", 415),
    ],
)
def test_what_cannot_be_understood_is_said_and_repeats_no_password(
    server: Running, body: bytes, kind: str, status: int
) -> None:
    with server.client() as client:
        answer = client.post("/api/auth/login", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "input" not in answer.text


def test_a_wrong_password_is_401_and_the_sixth_try_429(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server, server.client() as client:
        took = []
        for name in ("the-viewer", "nobody"):
            began = time.monotonic()
            answer = client.post("/api/auth/login", json={"username": name, "password": "wrong"})
            took.append(time.monotonic() - began)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_credentials")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert min(took) >= 1.0, "an answer that comes early tells what was found"
        for _ in range(4):
            with pytest.raises(Exception, match="wrong"):
                server.services.accounts.authenticate("the-viewer", "wrong", "127.0.0.1")
        answer = client.post("/api/auth/login", json=GOOD)
        assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert statistics.fmean(took) < 20


def test_a_changed_password_ends_the_session(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server, server.client("viewer") as client:
        assert client.get("/api/gate").status_code == 200
        wrong = {"current_password": "not this one", "new_password": PASSWORD + "!"}
        assert client.post("/api/auth/password", json=wrong).status_code == 401
        weak = {"current_password": PASSWORD, "new_password": "short"}
        answer = client.post("/api/auth/password", json=weak)
        assert (answer.status_code, answer.json()["code"]) == (422, "weak_password")
        right = {"current_password": PASSWORD, "new_password": PASSWORD + "!"}
        answer = client.post("/api/auth/password", json=right)
        assert answer.status_code == 200
        fresh = answer.json()["access_token"]
        assert client.get("/api/gate").status_code == 401
        client.headers["Authorization"] = f"Bearer {fresh}"
        assert client.get("/api/gate").status_code == 200
        assert client.post("/api/auth/login", json=GOOD).status_code == 401


NEW = {"first_name": "S", "last_name": "T", "personnel_code": "R1", "email": "s@example.org"}


@pytest.mark.parametrize(
    ("registration", "status", "active"),
    [("closed", 403, None), ("approval", 201, False), ("open", 201, True)],
)
def test_registration_is_as_configured(
    tmp_path: Path, registration: Registration, status: int, active: bool | None
) -> None:
    auth = AuthSettings(registration=registration)
    with running(tmp_path / "state", auth) as server, server.client() as client:
        answer = client.post("/api/auth/register", json={**NEW, "password": PASSWORD})
        assert answer.status_code == status
        assert PASSWORD not in answer.text
        login = {"username": "s@example.org", "password": PASSWORD}
        if active is None:
            assert answer.json()["code"] == "forbidden"
            return
        assert answer.json()["is_active"] is active
        signed_in = client.post("/api/auth/login", json=login)
        assert signed_in.status_code == (200 if active else 401)
        if not active:
            done_by("test", server.services.people.set_active, answer.json()["id"], True)
            signed_in = client.post("/api/auth/login", json=login)
        client.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
        assert client.get("/api/auth/me").json()["role"] == "self"
        assert client.get("/api/persons").status_code == 403


def test_a_registration_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server, server.client() as client:
        for wrong, status in (
            ({"password": "short"}, 422),
            ({"personnel_code": "the-admin"}, 409),
            ({"personnel_code": "boss@example.org"}, 422),
            ({"email": "nope"}, 422),
            ({"role": "admin"}, 422),
            ({"is_active": True}, 422),
        ):
            body = {**NEW, "password": PASSWORD, **wrong}
            assert client.post("/api/auth/register", json=body).status_code == status, wrong
        assert server.services.people.list_()[1] == 0
        body = {**NEW, "password": PASSWORD}
        statuses = [
            client.post("/api/auth/register", json={**body, "personnel_code": f"R{n}"}).status_code
            for n in range(6)
        ]
        assert statuses[0] == 201
        assert statuses[-1] == 429
