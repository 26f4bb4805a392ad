"""The HTTP interface: routes, who may use them, and what surrounds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import iter_route_contexts

from gated import __version__
from gated.api import errors
from gated.api.deps import ApiServices, Require, RequireGate
from gated.api.middleware import BodyLimit, Crowd, Edge
from gated.api.routers import (
    access,
    accounts,
    attendance,
    audit,
    auth,
    corrections,
    credentials,
    docs,
    door,
    edits,
    enrollment,
    fleet,
    gate,
    general,
    groups,
    jobs,
    live,
    persons,
    privacy,
    rollouts,
    sync,
)

__all__ = ["ApiServices", "create_app"]

BODY_LIMIT = 256 * 1024
UPLOAD_LIMIT = 11 * 1024 * 1024
"""A photo of 10 MB and the form around it."""

OWN_LIMITS = {
    # an archive of photos, which is kept in memory
    "/api/enrollment/import": 65 * 1024 * 1024,
    # several photos, which are examined one after the other
    "/api/enrollment/several": 33 * 1024 * 1024,
    # so many rows of a journal that one transaction is worth it
    "/api/sync/journal": 4 * 1024 * 1024,
    # an edit with a photo of 6 MB, sealed
    "/api/sync/edits": 13 * 1024 * 1024,
    "/api/sync/pictures": 2 * 1024 * 1024,
}

CROWDS = {
    # a batch is some megabytes while it is read and checked
    "/api/sync/journal": 64,
}
"""Requests to a path that are open at a time."""

_SIGNING_IN = tuple(f"/api/auth/{way}" for way in ("login", "sign-in", "register", "setup"))

PUBLIC = frozenset({"/", "/health", "/api/sync/join", *_SIGNING_IN, *docs.PATHS})
"""What needs no token."""

_HSTS = {"Strict-Transport-Security": "max-age=31536000"}


ROUTERS = (
    # first, as routes are looked through in this order: no other is asked for as often
    sync,
    general,
    auth,
    accounts,
    persons,
    enrollment,
    attendance,
    corrections,
    gate,
    audit,
    groups,
    access,
    credentials,
    privacy,
    live,
    door,
    jobs,
    fleet,
    rollouts,
    edits,
)


def create_app(services: ApiServices) -> FastAPI:
    """The application; RuntimeError when a route has neither a role nor a place in PUBLIC."""
    api = services.settings.api
    app = FastAPI(
        title="gated",
        version=__version__,
        description="The daemon on a face-recognition gate.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.add_middleware(
        BodyLimit, limit=BODY_LIMIT, upload_limit=UPLOAD_LIMIT, own_limits=OWN_LIMITS
    )
    app.add_middleware(Crowd, most=CROWDS)
    app.add_middleware(Edge, own_headers=_HSTS if api.tls_certificate else {})
    if api.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(api.cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-Match"],
            expose_headers=["ETag", "Link", "Location", "X-Total-Count", "X-Request-ID"],
        )
    errors.install(app)
    for module in ROUTERS:
        app.include_router(module.router)
    app.include_router(enrollment.withdrawal)
    app.include_router(access.of_others)
    app.include_router(live.capturing)
    app.include_router(door.alarms)
    app.include_router(jobs.importing)
    app.include_router(jobs.checking)
    if api.docs:
        docs.install(app)
    for path, methods, role in route_roles(app):
        if role is None and path not in PUBLIC:
            raise RuntimeError(f"{'/'.join(methods)} {path} needs a role")
    return app


def route_roles(app: FastAPI) -> Iterator[tuple[str, list[str], str | None]]:
    """(path, methods, role or None) of every route."""
    for route in iter_route_contexts(app.routes):
        found: Any = route
        path, methods = str(found.path), sorted(found.methods or ())
        dependant = getattr(found, "dependant", None)
        roles = [] if dependant is None else list(_roles(dependant))
        yield path, methods, roles[0] if roles else None


def _roles(dependant: Dependant) -> Iterator[str]:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Require | RequireGate):
            yield inner.call.role.value
        yield from _roles(inner)
