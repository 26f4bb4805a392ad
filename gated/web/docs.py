"""The documentation pages, with their assets from this machine: they work without internet."""

from __future__ import annotations

from importlib.resources import as_file, files

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
    "favicon.png": "image/png",
}
"""Files of the package fastapi-offline -> their types."""

OPENAPI = "/openapi.json"
PATHS = ("/docs", "/redoc", "/docs/{name}", OPENAPI)


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
