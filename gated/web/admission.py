"""Finds out who sends before a byte of the body is read; what a stranger sends is small.

FastAPI reads and parses a body before it asks its dependencies. So the role that a route needs is
asked here first. A gate's signature is over the body: of a gate whose token is right the body is
read, within its bounds, and parsed when the signature is right.
"""

from __future__ import annotations

import re
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gated.errors import Busy, GatedError, StorageError
from gated.fleet.hub.callers import RequireGate
from gated.http.callers import Require, bearer_of, client_address, presented
from gated.http.problems import Problem, answer_to, problem_of
from gated.web.services import ApiServices

STRANGER_BODY = 16 * 1024
"""Bytes of a body whose sender is not known: a name, a password, the keys of a gate that joins."""

STRANGERS = 32
"""Bodies of all strangers together that are open at a time: half a megabyte."""

STRANGERS_OF_ONE = 8
"""Of them from one address; one from which somebody has signed in has so many besides."""

FAMILIAR_S = 3600.0
FAMILIAR = 4096
"""So many addresses at most are remembered for an hour since somebody was signed in there."""

AWAY_S = 2.0

OF_A_HUB = "/api/sync/"
LOOK_S = 0.5
"""The minimum interval of checking whether a gate has become a hub."""

STRANGER, GUARD = "gated.stranger", "gated.guard"
"""In the scope of a request with a body: that nobody knows its sender, or what has let it pass."""

UNREAD = "unread"
"""The stranger's body is for nobody."""

Guard = Require | RequireGate


@dataclass(frozen=True, slots=True)
class GuardedRoute:
    """One route; guard: what lets its callers pass, None where everybody may."""

    path: re.Pattern[str]
    methods: frozenset[str]
    guard: Guard | None

    @classmethod
    def of(cls, path: str, methods: Sequence[str], guard: Guard | None) -> GuardedRoute:
        return cls(compile_path(path)[0], frozenset(methods), guard)


class Familiar:
    """Addresses from which somebody was signed in lately. Bounded; the longest ago goes first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()

    def saw(self, address: str) -> None:
        """Somebody at this address has just proved who they are."""
        self._seen[address] = time.monotonic()
        self._seen.move_to_end(address)
        while len(self._seen) > FAMILIAR:
            self._seen.popitem(last=False)

    def __contains__(self, address: str) -> bool:
        return time.monotonic() - self._seen.get(address, -FAMILIAR_S) < FAMILIAR_S


class Admission:
    """Asks for token and role before the body, and bounds the bodies of those who have none.

    A body for a route that is not there is not read at all.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[GuardedRoute], services: ApiServices) -> None:
        self.app = app
        self._routes = routes
        self._services = services
        self._familiar = Familiar()
        self._open: Counter[str] = Counter()
        self._is_hub = services.settings.gate.role == "hub"
        self._look_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"].startswith(OF_A_HUB) and not await self._leads():
            await Problem(404, "this gate is no hub")(scope, receive, send)
            return
        if not has_body(scope):
            await self.app(scope, receive, send)
            return
        route = self._found(scope["path"], scope["method"])
        if route is None:  # answered with 404 or 405, and the body is nobody's
            scope[STRANGER] = UNREAD
            await self.app(scope, _nothing, send)
        elif route.guard is None:
            await self._stranger(scope, receive, send)
        else:
            await self._caller(route.guard, scope, receive, send)

    async def _leads(self) -> bool:
        """Return whether gates belong to this one, which is so for good once it is."""
        now = time.monotonic()
        if not self._is_hub and now >= self._look_at:
            self._look_at = now + LOOK_S
            try:
                self._is_hub = await run_in_threadpool(self._services.fleet.leads)
            except StorageError:
                return True  # the route will say that
        return self._is_hub

    def _found(self, path: str, method: str) -> GuardedRoute | None:
        for route in self._routes:
            if method in route.methods and route.path.match(path):
                return route
        return None

    async def _caller(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        try:
            token = await presented(request, await bearer_of(request))
            await run_in_threadpool(guard.admit, request, self._services, token)
        except GatedError as error:
            await answer_to(request, error)(scope, receive, send)
            return
        self._familiar.saw(client_address(request))
        scope[GUARD] = guard
        await self.app(scope, receive, send)

    async def _stranger(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = scope["client"][0] if scope.get("client") else "unknown"
        if not self._has_room(address):
            busy = Busy("too many strangers are sending at once", retry_after=AWAY_S)
            await problem_of(busy)(scope, receive, send)
            return
        scope[STRANGER] = True
        self._open[address] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    def _has_room(self, address: str) -> bool:
        """A full house of strangers keeps nobody out where somebody has signed in before."""
        mine = self._open[address]
        if address in self._familiar:
            return mine < 2 * STRANGERS_OF_ONE
        strange = sum(n for other, n in self._open.items() if other not in self._familiar)
        return mine < STRANGERS_OF_ONE and strange < STRANGERS


class Proof:
    """Lets a gate's body be parsed when its signature over it is right, and not before.

    The body is in memory then, bounded by what lies around this.
    """

    def __init__(self, app: ASGIApp, services: ApiServices) -> None:
        self.app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guard = scope.get(GUARD)
        if not isinstance(guard, RequireGate):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await request.body()
            token = await presented(request, await bearer_of(request))
            await run_in_threadpool(guard, request, self._services, token, body)
        except HTTPException as error:
            await Problem(error.status_code, str(error.detail))(scope, receive, send)
        except GatedError as error:
            await answer_to(request, error)(scope, receive, send)
        else:
            await self.app(scope, _again(body, receive), send)


def _again(body: bytes, receive: Receive) -> Receive:
    """Give what was read once more, then what comes after it."""
    answered = False

    async def repeated() -> Message:
        nonlocal answered
        if answered:
            return await receive()
        answered = True
        return {"type": "http.request", "body": body, "more_body": False}

    return repeated


def has_body(scope: Scope) -> bool:
    """Return whether a request announces a body: by a length that is not 0, or in chunks."""
    headers = Headers(scope=scope)
    return headers.get("content-length", "0").strip("0") != "" or "transfer-encoding" in headers


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
