"""What surrounds every request, as pure ASGI: an id, the security headers, a limit on the body."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gated.api.errors import Problem, internal_error, problem_of
from gated.errors import Busy
from gated.services.audit import request_from

log = logging.getLogger("gated.api.requests")

REQUEST_ID = "X-Request-ID"
CROWD_S = 2.0

_DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_POLICY = "default-src 'none'; frame-ancestors 'none'"
DOCS_PATHS = frozenset({"/docs", "/redoc"})

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Edge:
    """Gives each request an id, which answer and log repeat; answers what nobody else caught.

    Paths are logged without their query. `own_headers` are set unless a route set them itself.
    """

    def __init__(self, app: ASGIApp, own_headers: Mapping[str, str]) -> None:
        self.app = app
        self.own_headers = {**_ALWAYS, **own_headers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        address = scope["client"][0] if scope.get("client") else "unknown"
        began = time.monotonic()
        status = 0

        async def finish(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(MutableHeaders(scope=message), scope["path"], request_id)
            await send(message)

        try:
            if "\0" in scope["path"] or b"%00" in scope["query_string"]:
                await Problem(422, "the address holds the character NUL")(scope, receive, finish)
                return
            with request_from(address, request_id):
                await self.app(scope, receive, finish)
        except Exception:
            log.exception("request %s failed", request_id)
            if status:
                raise  # too late for another answer: the server cuts the connection
            await internal_error()(scope, receive, finish)
        finally:
            took = (time.monotonic() - began) * 1000
            log.info(
                "%s %r %d %.0f ms %s", scope["method"], scope["path"], status, took, request_id
            )

    def _complete(self, headers: MutableHeaders, path: str, request_id: str) -> None:
        headers[REQUEST_ID] = request_id
        for name, value in self.own_headers.items():
            headers.setdefault(name, value)
        policy = _DOCS_POLICY if path in DOCS_PATHS else _POLICY
        headers.setdefault("Content-Security-Policy", policy)
        if path.startswith("/api/"):
            headers.setdefault("Cache-Control", "no-store")


class Crowd:
    """Sends away (503, with Retry-After) whoever comes while `most` requests to a path are open.

    Before the body is read: so many bodies at most are in memory.
    """

    def __init__(self, app: ASGIApp, most: Mapping[str, int]) -> None:
        self.app = app
        self.most = most
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path not in self.most:
            await self.app(scope, receive, send)
            return
        if self._open[path] >= self.most[path]:
            busy = Busy("too many are sending at once", retry_after=CROWD_S)
            await problem_of(busy)(scope, receive, send)
            return
        self._open[path] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._open[path] -= 1


class BodyLimit:
    """Refuses bodies of more bytes than `limit`, or `upload_limit` for multipart forms (413).

    own_limits: of bodies to particular paths, whatever they are.
    """

    def __init__(
        self, app: ASGIApp, limit: int, upload_limit: int, own_limits: Mapping[str, int]
    ) -> None:
        self.app = app
        self.limit = limit
        self.upload_limit = upload_limit
        self.own_limits = own_limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        upload = headers.get("content-type", "").lower().startswith("multipart/")
        usual = self.upload_limit if upload else self.limit
        limit = self.own_limits.get(scope["path"], usual)
        too_large = f"the body is larger than {limit} bytes"
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > limit:
            await Problem(413, too_large)(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, too_large)
            return message

        await self.app(scope, limited, send)
