"""Routes of the program itself: health, name and version, codes."""

from __future__ import annotations

import html
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from gated import __version__
from gated.http.answers import NamedRoute, Route
from gated.http.codes import CODES
from gated.link.status_board import ERASURE_PENDING, erasure_pending
from gated.live.dependencies import LiveServices, Services
from gated.live.schemas import CodeOut, HealthOut, MetaOut, RootOut

router = APIRouter(tags=["general"], route_class=NamedRoute)
of_api = APIRouter(prefix="/api", tags=["general"], route_class=Route)


@router.get(
    "/health",
    response_model=HealthOut,
    response_model_exclude_none=True,
    responses={503: {"model": HealthOut, "description": "The database cannot be used"}},
)
async def health(services: Services) -> Response:
    """Return the health of the program, and its problems; 503 without its database.

    Answers within a second, whatever the database does: it uses no thread that others wait for.
    """
    status = services.board.snapshot()
    trouble = await services.database_health.trouble()
    problems, details = list(status.problems), dict(status.troubles)
    since = services.workspace.traces_since
    if since is not None and ERASURE_PENDING not in problems:
        problems.append(ERASURE_PENDING)
        details[ERASURE_PENDING] = erasure_pending(since)
    if trouble is not None:
        problems = [trouble.code, *(p for p in problems if p != trouble.code)]
        details[trouble.code] = trouble.says
    summary: Literal["ok", "degraded", "unavailable"] = "degraded" if problems else "ok"
    if trouble is not None:
        summary = "unavailable"
    body = HealthOut(status=summary, problems=problems, details=details or None)
    code = HTTPStatus.OK if trouble is None else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse(body.model_dump(exclude_none=True), code)


UI = "/ui/"
VARIES = {"Vary": "Accept"}

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<meta name="viewport" content="width=device-width"></head>
<body><h1>{name}</h1><p>gated {version}, the daemon on a face-recognition gate.</p>
<ul>
{links}
</ul>
<p>There are no other pages: everything else is done over the API, with a token from
<code>POST /api/auth/login</code>.</p></body></html>
"""


@of_api.get("/codes")
def codes() -> list[CodeOut]:
    """List every code of a problem: its statuses, its meaning, and what to do."""
    return [CodeOut.model_validate(found) for found in CODES.values()]


@of_api.get("/meta")
def meta(services: Services) -> MetaOut:
    """Return name, role and version, for a page before sign-in."""
    settings = services.settings
    return MetaOut(
        name=settings.gate.name,
        role=settings.gate.role,
        version=__version__,
        setup=services.setup.is_open(),
        registration=settings.auth.registration,
        timezone=settings.gate.timezone,
        company_sign_in=settings.oidc.label if settings.oidc.issuer is not None else None,
        passkeys=settings.passkeys.domain,
    )


@router.get(
    "/",
    response_model=RootOut,
    responses={
        200: {"content": {"text/html": {}}},
        303: {"description": "To the web pages, for who accepts `text/html`"},
    },
)
def root(request: Request, services: Services) -> Response:
    """Return name, version and links; a browser is redirected to the web pages."""
    found = _root(services)
    if "text/html" not in request.headers.get("accept", "").lower():
        return JSONResponse(found.model_dump(), headers=VARIES)
    if services.settings.ui.enabled:
        return RedirectResponse(UI, HTTPStatus.SEE_OTHER, headers=VARIES)
    shown = [(n, path) for n, path in found.links.items() if n != "login"]
    links = "\n".join(f'<li><a href="{path}">{name}</a></li>' for name, path in shown)
    name = html.escape(services.settings.gate.name)
    return HTMLResponse(PAGE.format(name=name, version=found.version, links=links), headers=VARIES)


def _root(services: LiveServices) -> RootOut:
    links = {"health": "/health", "login": "/api/auth/login"}
    if services.settings.api.docs:
        links |= {"docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json"}
    if services.settings.ui.enabled:
        links["ui"] = UI
    return RootOut(name="gated", version=__version__, links=links)
