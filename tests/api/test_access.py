"""Nothing is open by oversight; who may do what is in test_routes."""

from __future__ import annotations

import pytest

from gated.api.app import PUBLIC, create_app, route_roles
from tests.api.conftest import Running


def routes(server: Running) -> list[tuple[str, str, str | None]]:
    app = create_app(server.services)
    return [
        (method, path, role)
        for path, methods, role in route_roles(app)
        for method in methods
        if method != "HEAD"
    ]


def test_what_needs_no_token_is_listed(server: Running) -> None:
    found = routes(server)
    assert {(m, p) for m, p, role in found if role is None} == {
        ("POST", p) if p.startswith(("/api/auth/", "/api/sync/join")) else ("GET", p)
        for p in PUBLIC
    }


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
