"""Is it alive, what is it, and how does it describe itself."""

from __future__ import annotations

import html

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from gated import __version__
from gated.api.deps import ApiServices, Services
from gated.api.schemas import HealthOut, RootOut

router = APIRouter(tags=["general"])


@router.get("/health")
def health(services: Services) -> HealthOut:
    """Whether the program is alive, and what keeps the gate from its work."""
    problems = services.board.snapshot().problems
    return HealthOut(status="degraded" if problems else "ok", problems=problems)


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


@router.get("/", response_model=RootOut, responses={200: {"content": {"text/html": {}}}})
def root(request: Request, services: Services) -> Response:
    """Name, version and where to go on; a page for who accepts `text/html`."""
    found = _root(services)
    if "text/html" not in request.headers.get("accept", "").lower():
        return JSONResponse(found.model_dump(), headers=VARIES)
    shown = [(n, path) for n, path in found.links.items() if n != "login"]
    links = "\n".join(f'<li><a href="{path}">{name}</a></li>' for name, path in shown)
    name = html.escape(services.settings.gate.name)
    return HTMLResponse(PAGE.format(name=name, version=found.version, links=links), headers=VARIES)


def _root(services: ApiServices) -> RootOut:
    links = {"health": "/health", "login": "/api/auth/login"}
    if services.settings.api.docs:
        links |= {"docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json"}
    return RootOut(name="gated", version=__version__, links=links)
