"""Who may do what: every route × every role, and nothing without a role by oversight."""

from __future__ import annotations

from typing import cast

import jwt
import pytest

from gated.api.app import PUBLIC, create_app, route_roles
from gated.services.tokens import load_key
from tests.api.conftest import PASSWORD, ROLES, Running

ALLOWED = {
    "self": {"self", "viewer", "operator", "admin", "auditor"},
    "viewer": {"viewer", "operator", "admin"},
    "operator": {"operator", "admin"},
    "admin": {"admin"},
}
"""Role that a route names -> roles that get in."""

EXPECTED = {
    ("GET", "/api/auth/me"): "self",
    ("POST", "/api/auth/password"): "self",
    ("GET", "/api/attendance"): "viewer",
    ("GET", "/api/gate"): "viewer",
    ("GET", "/api/persons"): "viewer",
    ("GET", "/api/persons/{id}"): "viewer",
    ("POST", "/api/persons"): "operator",
    ("PUT", "/api/persons/{id}"): "operator",
    ("DELETE", "/api/persons/{id}"): "admin",
    ("PATCH", "/api/persons/{id}/toggle-active"): "operator",
    ("PATCH", "/api/persons/{id}/activate"): "operator",
    ("PATCH", "/api/persons/{id}/deactivate"): "operator",
}
"""What the contract says of the routes that are here."""


def routes(server: Running) -> list[tuple[str, str, str | None]]:
    app = create_app(server.services)
    return [
        (method, path, role)
        for path, methods, role in route_roles(app)
        for method in methods
        if method != "HEAD"
    ]


def test_every_route_names_a_role_or_is_public(server: Running) -> None:
    found = routes(server)
    assert {(m, p) for m, p, role in found if role is None} == {
        ("POST", p) if p.startswith("/api/auth/") else ("GET", p) for p in PUBLIC
    }
    named = {(m, p): role for m, p, role in found if role is not None}
    assert {key: named.get(key) for key in EXPECTED} == EXPECTED


def test_a_route_without_a_role_is_refused_at_the_start(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gated.api.routers import general

    router = type(general.router)()
    router.include_router(general.router)
    router.add_api_route("/api/forgotten", lambda: None)
    monkeypatch.setattr(general, "router", router)
    with pytest.raises(RuntimeError, match="/api/forgotten"):
        create_app(server.services)


def test_the_walk_sees_what_fastapi_serves(server: Running) -> None:
    app = create_app(server.services)
    described = {
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    assert described <= {(m, p) for m, p, _ in routes(server)}
    assert ("GET", "/api/attendance") in described


@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_exactly_what_it_may(server: Running, role: str) -> None:
    with server.client(role) as client:
        for method, path, needed in routes(server):
            if needed is None:
                continue
            allowed = role in ALLOWED[needed]
            answer = client.request(method, path.replace("{id}", "999999"))
            assert (answer.status_code != 403) == allowed, (method, path)
            assert answer.status_code not in {401, 500}, (method, path)


def test_without_a_good_token_there_is_nothing(server: Running) -> None:
    key = load_key(None, server.services.settings.storage.state_dir)
    good, _ = server.services.accounts.sign_in("the-admin", PASSWORD, "test")
    claims = jwt.decode(good, key, algorithms=["HS256"], audience="gated-api")
    revoked, _ = server.services.accounts.sign_in("the-self", PASSWORD, "test")
    server.services.accounts.disable("the-self", actor="test")
    server.services.accounts.enable("the-self", actor="test")
    tokens = {
        "none": None,
        "basic": "Basic dGhlLWFkbWluOng=",
        "empty": "Bearer",
        "noise": "Bearer \xff\xfe",
        "altered": f"Bearer {good[:-4]}AAAA",
        "expired": "Bearer " + jwt.encode(claims | {"exp": 1}, key, "HS256"),
        "other key": "Bearer " + jwt.encode(claims, "k" * 40, "HS256"),
        "no algorithm": "Bearer " + jwt.encode(claims, "", "none"),
        "revoked": f"Bearer {revoked}",
    }
    with server.client() as client:
        for what, token in tokens.items():
            headers = {} if token is None else {"Authorization": token.encode("latin-1")}
            for method, path, needed in routes(server):
                if needed is None:
                    continue
                answer = client.request(
                    method, path.replace("{id}", "1"), headers=cast(dict[str, str], headers)
                )
                assert answer.status_code == 401, (what, method, path)
                assert answer.headers["WWW-Authenticate"] == "Bearer"
