"""Serves the pages from memory, compressed once; nothing is rendered, and no data is in them."""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

BASE = "/ui/"
ASSET, SHELL = BASE + "static/{version}/{path:path}", BASE + "{page:path}"
KIOSK, DISPLAY = BASE + "kiosk", BASE + "display"
PATHS = (ASSET, KIOSK, DISPLAY, SHELL)

VERSION_MARK = b"@version"
"""Stands in the pages for what names the files of this program; see `load`."""

TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; media-src 'self' blob:; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Of the pages: no script or style but our files, and no text ever becomes markup or code."""

OWN_CAMERA = "camera=(self), microphone=(), geolocation=()"
"""Photos are taken by the visitor's own camera, too."""

NO_CAMERA = "camera=(), microphone=(), geolocation=()"
"""Kiosk and displays show the gate's camera."""

FOR_GOOD = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it goes out. packed: the same, by gzip."""

    kind: str
    body: bytes
    packed: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """All files by their path; version names exactly this state of them."""

    version: str
    by_path: Mapping[str, StaticFile]


@functools.cache
def load() -> StaticFiles:
    """Read all files of the package. Those that pages name by version may be kept for good."""
    read = dict(_walk(files("gated.ui") / "static", ""))
    version = hashlib.sha256(b"".join(name.encode() + read[name] for name in sorted(read)))
    mark = version.hexdigest()[:12]
    return StaticFiles(mark, {name: _file(name, body, mark) for name, body in read.items()})


def _walk(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{path}{entry.name}/")
        elif entry.name.rpartition(".")[2] in TYPES:
            found.append((path + entry.name, entry.read_bytes()))
    return found


def _file(name: str, body: bytes, version: str) -> StaticFile:
    ending = name.rpartition(".")[2]
    if ending == "html":
        body = body.replace(VERSION_MARK, version.encode())
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    return StaticFile(TYPES[ending], body, gzip.compress(body, 9, mtime=0), tag)


def install(app: FastAPI) -> None:
    """Add the pages below `/ui/`; anybody may have them, as there is nothing in them."""
    static = load()

    @app.get(ASSET, include_in_schema=False)
    async def asset(version: str, path: str, request: Request) -> Response:
        found = static.by_path.get(path)
        if found is None or found.kind.startswith("text/html"):
            raise HTTPException(404, "there is no such file")
        # a page of the program before asks by another name: it is answered, and not kept
        return _answer(found, request, FOR_GOOD if version == static.version else ASK_AGAIN)

    @app.get(KIOSK, include_in_schema=False)
    async def kiosk(request: Request) -> Response:
        return _page("kiosk.html", request, NO_CAMERA)

    @app.get(DISPLAY, include_in_schema=False)
    async def display(request: Request) -> Response:
        return _page("display.html", request, NO_CAMERA)

    @app.get(SHELL, include_in_schema=False)
    async def shell(page: str, request: Request) -> Response:
        return _page("index.html", request, OWN_CAMERA)

    def _page(name: str, request: Request, permissions: str) -> Response:
        answer = _answer(static.by_path[name], request, ASK_AGAIN)
        answer.headers["Content-Security-Policy"] = POLICY
        answer.headers["Permissions-Policy"] = permissions
        return answer


def _answer(found: StaticFile, request: Request, caching: str) -> Response:
    headers = {"ETag": found.tag, "Cache-Control": caching, "Vary": "Accept-Encoding"}
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = found.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = found.packed
    return Response(body, media_type=found.kind, headers=headers)
