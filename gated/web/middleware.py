"""Surrounds every request, as pure ASGI: an id, the security headers, a limit on the body."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gated.accounts.audit import request_from
from gated.errors import Busy
from gated.http.problems import Problem, internal_error, problem_of
from gated.http.site_time import ZoneOf, times_of
from gated.web.admission import STRANGER, STRANGER_BODY, UNREAD, has_body

log = logging.getLogger("gated.api.requests")

REQUEST_ID = "X-Request-ID"
CROWD_S = 2.0

STRANGER_S = 10.0
"""A stranger's body has arrived by then."""

BODY_S, LEAST_RATE, MOST_S = 10.0, 8 * 1024, 300.0
"""Others' has so many seconds, and one for so many bytes that have come; and no more in all."""

_BEGINS_A_VALUE = (b",", b"[", b"{")

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


class RequestFrame:
    """Gives each request an id, which answer and log repeat; answers what nobody else caught.

    Paths are logged without their query. `own_headers` are set unless a route set them itself.
    """

    def __init__(self, app: ASGIApp, own_headers: Mapping[str, str], zone_of: ZoneOf) -> None:
        """zone_of: the site's, for times that say no offset."""
        self.app = app
        self.own_headers = {**_ALWAYS, **own_headers}
        self.zone_of = zone_of

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
            with request_from(address, request_id), times_of(self.zone_of):
                await self.app(scope, receive, finish)
        except ClientDisconnect:
            log.debug("request %s was cut off by its sender", request_id)
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
        if path.startswith(("/api/", "/scim/")):
            headers.setdefault("Cache-Control", "no-store")


class ConcurrencyLimit:
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

    own_limits: of bodies to particular paths, whatever they are. Of who is not known STRANGER_BODY,
    within STRANGER_S. Others have BODY_S and then LEAST_RATE (408). JSON of more values than
    `values` (own_values to particular paths) is refused, as nobody else computes while it is read.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: int,
        upload_limit: int,
        own_limits: Mapping[str, int],
        values: int,
        own_values: Mapping[str, int],
    ) -> None:
        self.app = app
        self.limit = limit
        self.upload_limit = upload_limit
        self.own_limits = own_limits
        self.values = values
        self.own_values = own_values

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(scope) or scope.get(STRANGER) == UNREAD:
            await self.app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        kind = headers.get("content-type", "").lower()
        usual = self.upload_limit if kind.startswith("multipart/") else self.limit
        limit = self.own_limits.get(path, usual)
        if scope.get(STRANGER):
            limit = min(limit, STRANGER_BODY)
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > limit:
            await Problem(413, _too_large(limit))(scope, receive, send)
            return
        values = self.own_values.get(path, self.values) if "json" in kind else None
        body = _Body(receive, limit, values, bool(scope.get(STRANGER)))
        await self.app(scope, body.receive, send)


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes"


class _Body:
    """One body on its way in; `receive` raises HTTPException at a bound."""

    def __init__(self, receive: Receive, limit: int, values: int | None, strange: bool) -> None:
        self._receive = receive
        self._limit = limit
        self._values = values
        self._strange = strange
        self._began = time.monotonic()
        self._bytes = self._found = 0
        self._complete = False

    async def receive(self) -> Message:
        """The next part, in time."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout(self._left_s()):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the body did not arrive in time") from None
        part = message.get("body", b"")
        self._complete = not message.get("more_body", False)
        self._bytes += len(part)
        if self._bytes > self._limit:
            raise HTTPException(413, _too_large(self._limit))
        if self._values is not None:
            self._found += sum(map(part.count, _BEGINS_A_VALUE))
            if self._found > self._values:
                raise HTTPException(413, f"the body holds more than {self._values} values")
        return message

    def _left_s(self) -> float:
        allowed = STRANGER_S if self._strange else min(BODY_S + self._bytes / LEAST_RATE, MOST_S)
        return max(0.0, self._began + allowed - time.monotonic())
