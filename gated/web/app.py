"""The HTTP interface: routes, who may use them, and what surrounds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from gated import __version__
from gated.access import credential_routes
from gated.access import routes as access
from gated.accounts import audit_routes, sign_in_routes
from gated.accounts import routes as accounts
from gated.attendance import correction_routes
from gated.attendance import routes as attendance
from gated.backup import routes as backups
from gated.door import routes as door
from gated.enrollment import job_routes
from gated.enrollment import routes as enrollment
from gated.fleet.gate import routes as edits
from gated.fleet.gate import settings_routes
from gated.fleet.hub import rollout_routes, sync_routes
from gated.fleet.hub import routes as fleet
from gated.fleet.hub.callers import RequireGate
from gated.http import problems
from gated.http.callers import CSRF, Require
from gated.http.hosts import Hosts
from gated.ldap import routes as ldap
from gated.live import (
    display_routes,
    gate_routes,
    general_routes,
    journal_routes,
    kiosk_routes,
    metrics_routes,
    unknown_routes,
)
from gated.live import routes as live
from gated.oidc import routes as company
from gated.passkeys import routes as passkeys
from gated.people import bulk_routes, group_routes
from gated.people import routes as persons
from gated.privacy import own_routes as own_privacy
from gated.privacy import routes as privacy
from gated.scim import routes as directory
from gated.scim.errors import ScimErrors
from gated.ui import pages
from gated.web import docs
from gated.web.addresses import Addresses
from gated.web.admission import Admission, GuardedRoute, Proof
from gated.web.heads import Heads
from gated.web.middleware import BodyLimit, ConcurrencyLimit, RequestFrame
from gated.web.services import ApiServices
from gated.web.still import StillAllowed
from gated.webhooks import routes as webhooks

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

VALUES = 20_000
"""In a body of JSON: such a one is read within some milliseconds, whatever it nests."""

OWN_VALUES = {
    "/api/sync/journal": 500_000,
    "/api/sync/edits": 100,
    "/api/sync/pictures": 100,
}

CROWDS = {
    # a batch is some megabytes while it is read and checked
    "/api/sync/journal": 64,
}
"""Requests to a path that are open at a time."""

_SIGNING_IN = tuple(f"/api/auth/{way}" for way in ("login", "sign-in", "register", "setup"))

PUBLIC = frozenset(
    {
        "/",
        "/health",
        "/health/live",
        "/health/ready",
        "/api/meta",
        "/api/codes",
        "/api/sync/join",
        *_SIGNING_IN,
        *company.PATHS,
        *passkeys.PATHS,
        *docs.PATHS,
        *pages.PATHS,
    }
)
"""What needs no token."""

EXPOSED = (
    *("Allow", "Content-Disposition", "ETag", "Link", "Location", "Retry-After"),
    *("WWW-Authenticate", "X-Request-ID", "X-Total-Count"),
)
"""What scripts of another origin may read of an answer, beside what every one may."""

_HSTS = {"Strict-Transport-Security": "max-age=31536000"}


ROUTERS = (
    # first, as routes are looked through in this order: no other is asked for as often
    sync_routes,
    general_routes,
    metrics_routes,
    sign_in_routes,
    company,
    passkeys,
    accounts,
    persons,
    enrollment,
    attendance,
    correction_routes,
    gate_routes,
    audit_routes,
    journal_routes,
    kiosk_routes,
    display_routes,
    group_routes,
    bulk_routes,
    access,
    credential_routes,
    privacy,
    own_privacy,
    live,
    unknown_routes,
    door,
    job_routes,
    backups,
    fleet,
    rollout_routes,
    edits,
    settings_routes,
    webhooks,
    ldap,
)


def create_app(services: ApiServices) -> FastAPI:
    """The application; RuntimeError when a route has neither a role nor a place in PUBLIC."""
    app = docs.Described(
        title="gated",
        version=__version__,
        description=docs.ABOUT,
        openapi_tags=[{"name": name, "description": what} for name, what in docs.TAGS.items()],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        routes=_routes(services.settings.scim.enabled),
    )
    app.state.services = services
    problems.install(app)
    if services.settings.api.docs:
        docs.install(app)
    if services.settings.ui.enabled:
        pages.install(app)
    for path, methods, role in route_roles(app):
        if role is None and path not in PUBLIC:
            raise RuntimeError(f"{'/'.join(methods)} {path} needs a role")
    _surround(app, services)
    return app


def _routes(scim: bool) -> list[BaseRoute]:
    """Return the routes of all rooms as they are; to include a router builds each of them anew."""
    routers = [module.router for module in ROUTERS]
    routers += [
        general_routes.of_api,
        enrollment.withdrawal,
        access.of_others,
        sign_in_routes.kiosk,
        live.capturing,
        door.alarms,
        job_routes.importing,
        job_routes.checking,
        *([directory.router] if scim else ()),
    ]
    return [route for router in routers for route in router.routes]


def _surround(app: FastAPI, services: ApiServices) -> None:
    """Put what every request passes around the routes; what is added last comes first."""
    api, routes = services.settings.api, _guarded(app)
    app.add_middleware(StillAllowed)
    app.add_middleware(Proof, services=services)
    app.add_middleware(
        BodyLimit,
        limit=BODY_LIMIT,
        upload_limit=UPLOAD_LIMIT,
        own_limits=OWN_LIMITS,
        values=VALUES,
        own_values=OWN_VALUES,
    )
    app.add_middleware(ConcurrencyLimit, most=CROWDS)
    app.add_middleware(Admission, routes=routes, services=services)
    app.add_middleware(Heads, routes=routes)
    app.add_middleware(Addresses, routes=routes)
    app.add_middleware(Hosts, settings=api)
    hsts = _HSTS if api.tls_certificate else {}
    app.add_middleware(RequestFrame, own_headers=hsts, zone_of=services.zone_here)
    if services.settings.scim.enabled:
        app.add_middleware(ScimErrors)
    if api.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(api.cors_origins),
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-Match", "Last-Event-ID", CSRF],
            expose_headers=EXPOSED,
        )


def _guarded(app: FastAPI) -> list[GuardedRoute]:
    """Every route with what lets its callers pass, in the order in which they are looked for."""
    return [GuardedRoute.of(path, methods, guard) for path, methods, guard in _guards(app)]


def route_roles(app: FastAPI) -> Iterator[tuple[str, list[str], str | None]]:
    """(path, methods, role or None) of every route."""
    for path, methods, guard in _guards(app):
        yield path, methods, None if guard is None else guard.role.value


def _guards(app: FastAPI) -> Iterator[tuple[str, list[str], Require | RequireGate | None]]:
    for route in app.routes:
        found: Any = route
        dependant = getattr(found, "dependant", None)
        guards = () if dependant is None else _guards_in(dependant)
        yield str(found.path), sorted(found.methods or ()), next(iter(guards), None)


def _guards_in(dependant: Dependant) -> Iterator[Require | RequireGate]:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Require | RequireGate):
            yield inner.call
        yield from _guards_in(inner)
