"""The documentation pages, with their assets from this machine: they work without internet."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import as_file, files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from gated.http import problems

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
    "favicon.png": "image/png",
}
"""Files of the package fastapi-offline -> their types."""

OPENAPI = "/openapi.json"
PATHS = ("/docs", "/redoc", "/docs/{name}", OPENAPI)


ABOUT = """The daemon on a face-recognition gate.

Errors are problem details (RFC 9457): decide by their `code`. Lists have `limit` and `offset` or
`cursor`; the next page is in `Link: rel="next"`, the number of all in `X-Total-Count`. Times are
RFC 3339 with offset; what is sent without one is of the site's clock."""

TAGS: Mapping[str, str] = {
    "general": "Whether the gate is well, what it is, what its codes mean.",
    "accounts": "Sign-in, sessions, accounts and the tokens of devices.",
    "persons": "The people whom the gate may know.",
    "groups": "Groups of people, and who is in them.",
    "enrollment": "Photos by which people are recognised.",
    "credentials": "Cards, badges and PINs.",
    "access": "When and where people pass: schedules, holidays, rules; who is inside, and why not.",
    "privacy": "Consent, and a copy of everything about a person.",
    "attendance": "The log of entries and exits, days and months, corrections by an operator.",
    "corrections": "What people ask to be corrected in their own times.",
    "gate": "The camera, the door, and what happens there.",
    "alarms": "Warnings and alarms, and who has seen to them.",
    "kiosk": "The screen at the gate; from its own machine only.",
    "display": "Screens elsewhere that show Now without anybody's session, and do nothing.",
    "jobs": "Work that goes on after the answer: imports, checks, backups.",
    "backups": "Sealed copies of everything that the gate keeps.",
    "audit": "Who did what, and whether the log is whole.",
    "settings": "The gate's own settings.",
    "webhooks": "Targets that receive events.",
    "fleet": "On a hub: gates, their settings, edits that gates have sent.",
    "sync": "Between a gate and its hub.",
}
"""Tag -> what its routes are for, in the order of the description."""


class Described(FastAPI):
    """An application whose description has the schema of problems, once."""

    def openapi(self) -> dict[str, Any]:
        """Return the description; made once."""
        found = super().openapi()
        found["components"]["schemas"].update(problems.SCHEMAS)
        return found


def install(app: FastAPI) -> None:
    """Add /docs, /redoc and what they load."""
    title = app.title
    with as_file(files("fastapi_offline") / "static") as folder:
        static = folder  # an installed package is a folder, never an archive

    # a route of our own, as FastAPI's would build the description on the event loop; it does not
    # hold the application, as FastAPI keeps routes' functions for good
    @app.get(OPENAPI, include_in_schema=False)
    def openapi(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    @app.get("/docs", include_in_schema=False)
    def swagger() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=OPENAPI,
            title=title,
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
        )

    @app.get("/redoc", include_in_schema=False)
    def redoc() -> HTMLResponse:
        return get_redoc_html(
            openapi_url=OPENAPI,
            title=title,
            redoc_js_url="/docs/redoc.standalone.js",
            redoc_favicon_url="/docs/favicon.png",
            with_google_fonts=False,
        )

    @app.get("/docs/{name}", include_in_schema=False)
    def asset(name: str) -> FileResponse:
        if name not in ASSETS:
            raise HTTPException(404, "there is no such file")
        return FileResponse(static / name, media_type=ASSETS[name])
