"""Browsers: a cookie that no script reads, a token that no other site knows, CORS."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gated.config import ApiSettings
from gated.errors import NotSignedIn
from gated.http.callers import LONGEST_S
from gated.web.app import create_app
from gated.web.server import ApiServer
from tests.fixtures.server import PASSWORD, Running, serving

ME = {"username": "the-admin", "password": PASSWORD}
GROUP = "/api/groups"


@pytest.fixture
def browser(server: Running) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def test_a_session_reads_with_its_cookie_alone(browser: httpx.Client) -> None:
    begun = browser.post("/api/auth/sign-in", json=ME)
    cookie = begun.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie, "a browser would never send it back over http"
    assert browser.cookies["gated_session"] not in begun.text
    assert browser.get("/api/persons").status_code == 200
    assert browser.get("/api/auth/session").json() == begun.json()


def test_a_session_changes_nothing_without_its_token(browser: httpx.Client) -> None:
    token = browser.post("/api/auth/sign-in", json=ME).json()["csrf_token"]
    other = browser.post("/api/auth/sign-in", json=ME).json()["csrf_token"]
    for header in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": token}, {"X-CSRF-Token": "é"}):
        sent = {k: v.encode() for k, v in header.items()}
        answer = browser.post(GROUP, json={"name": "forged"}, headers=list(sent.items()))  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf"), header
    assert "forged" not in browser.get(GROUP).text
    right = {"X-CSRF-Token": other}
    assert browser.post(GROUP, json={"name": "meant"}, headers=right).status_code == 201
    assert browser.delete("/api/auth/session").status_code == 403
    assert browser.delete("/api/auth/session", headers=right).status_code == 204
    assert browser.get(GROUP).status_code == 401


def test_a_bearer_token_needs_no_second_one(server: Running, browser: httpx.Client) -> None:
    browser.post("/api/auth/sign-in", json=ME)
    with server.client("operator") as other:
        browser.headers["Authorization"] = other.headers["Authorization"]
    assert browser.post(GROUP, json={"name": "by bearer"}).status_code == 201
    assert browser.get("/api/auth/me").json()["username"] == "the-operator"
    assert browser.get("/api/auth/session").json()["csrf_token"] is None
    browser.headers["Authorization"] = "Bearer nonsense"
    assert browser.get(GROUP).status_code == 401, "the cookie does not stand in for a bad token"


def test_signing_out_voids_every_copy(server: Running, browser: httpx.Client) -> None:
    csrf = browser.post("/api/auth/sign-in", json=ME).json()["csrf_token"]
    stolen = {"Cookie": f"gated_session={browser.cookies['gated_session']}"}
    as_bearer = {"Authorization": f"Bearer {browser.cookies['gated_session']}"}
    with server.client() as thief, server.client("admin") as other_session:
        assert thief.get(GROUP, headers=stolen).status_code == 200
        left = browser.delete("/api/auth/session", headers={"X-CSRF-Token": csrf})
        assert left.status_code == 204
        assert thief.get(GROUP, headers=stolen).status_code == 401
        assert thief.get(GROUP, headers=as_bearer).status_code == 401
        assert other_session.get(GROUP).status_code == 200
    workspace = server.services.workspace
    again = type(server.services.accounts).of(workspace)
    with pytest.raises(NotSignedIn):
        again.verify_token(as_bearer["Authorization"].removeprefix("Bearer "))
    (told,) = server.services.audit.page(limit=1, kind="signed_out").rows
    assert told.actor is not None
    assert told.actor["name"] == "the-admin"


def test_a_bearer_token_can_be_ended_too(server: Running) -> None:
    with server.client("viewer") as client:
        assert client.delete("/api/auth/session").status_code == 204
        assert client.get(GROUP).status_code == 401


def test_a_wrong_password_begins_no_session(browser: httpx.Client) -> None:
    answer = browser.post("/api/auth/sign-in", json={**ME, "password": "wrong"})
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_the_cookie_of_a_kiosk_begins_anew_whenever_it_asks(
    server: Running, browser: httpx.Client
) -> None:
    with server.client("device") as kiosk:
        assert "Set-Cookie" not in kiosk.get("/api/kiosk/session").headers
        bearer = {"Authorization": kiosk.headers["Authorization"]}
    assert browser.post("/api/kiosk/session", headers=bearer).status_code == 200
    again = browser.get("/api/kiosk/session")
    assert f"Max-Age={LONGEST_S}" in again.headers["Set-Cookie"]
    assert f"gated_session={browser.cookies['gated_session']}" in again.headers["Set-Cookie"]


def test_other_sites_are_let_in_by_name_only(server: Running) -> None:
    friend = "https://hr.example.org"
    settings = ApiSettings(port=0, cors_origins=(friend,))
    whole = server.services.settings.model_copy(update={"api": settings})
    services = dataclasses.replace(server.services, settings=whole)
    ask = {"Access-Control-Request-Method": "PUT"}
    with serving(ApiServer(create_app(services), settings)) as address:
        for origin, allowed in ((friend, friend), ("https://evil.example", None)):
            for method, headers in (("OPTIONS", ask), ("GET", {})):
                answer = httpx.request(
                    method,
                    f"{address}/api/persons",
                    headers={"Origin": origin, **headers},
                    trust_env=False,
                    timeout=60,
                )
                assert answer.headers.get("Access-Control-Allow-Origin") == allowed
                assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["*", "https://", "hr.example.org", "https://a.b/path"])
def test_what_is_no_origin_is_refused(origin: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no origin"):
        ApiSettings(cors_origins=(origin,))


def test_a_session_is_renewed_by_its_cookie(server: Running, browser: httpx.Client) -> None:
    begun = browser.post("/api/auth/sign-in", json=ME).json()
    right = {"X-CSRF-Token": begun["csrf_token"]}
    assert browser.post("/api/auth/session").status_code == 403
    renewed = browser.post("/api/auth/session", headers=right)
    assert renewed.json()["csrf_token"] == begun["csrf_token"]
    assert "HttpOnly" in renewed.headers["Set-Cookie"]
    with server.client("operator") as bearer:
        assert bearer.post("/api/auth/session").status_code == 409
