"""Ends answers that last when who asked for them may not have them any more."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gated.errors import NotSignedIn
from gated.http.problems import problem_of
from gated.http.streams import EVENTS, MOTION

LOOK_S = 0.4
READING = frozenset({"GET", "HEAD"})
STREAMS = (EVENTS, MOTION.partition(";")[0])
"""Media types of answers that may end at any point."""


class StillAllowed:
    """Ends an answer that lasts within a second after who asked may not have it any more.

    Whoever signs out, is switched off or demoted, or changes the password, loses what is open as
    well: streams end, an export is cut off, and a question that waits is answered with 401. What
    was asked to be changed runs to its end. Looks every `LOOK_S`, from then on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = _Asked(scope, asyncio.current_task())
        started: Message | None = None

        async def note(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started, asked.answered = message, True
            await send(message)

        first = asyncio.get_running_loop().call_later(LOOK_S, asked.look)
        try:
            await self.app(scope, receive, note)
        except asyncio.CancelledError:
            if not asked.over or asked.task is None or asked.task.uncancel():
                raise
            await self._end(scope, receive, send, started)
        finally:
            first.cancel()
            asked.done()

    async def _end(
        self, scope: Scope, receive: Receive, send: Send, started: Message | None
    ) -> None:
        if started is None:
            ended = NotSignedIn("the session has ended: sign in again")
            await problem_of(ended)(scope, receive, send)
        elif Headers(raw=started["headers"]).get("content-type", "").startswith(STREAMS):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        # else without an end: half an export must not look like a whole one


class _Asked:
    """One request, looked after once it lasts."""

    def __init__(self, scope: Scope, task: asyncio.Task[Any] | None) -> None:
        self._scope = scope
        self.task = task
        self.answered = False
        self.over = False
        self._looking: asyncio.Task[None] | None = None

    def look(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look())

    def done(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        while self.task is not None:
            still = self._scope.get("state", {}).get("still")
            ends = self.answered or self._scope["method"] in READING
            if still is not None and ends and not await run_in_threadpool(still):
                self.over = True
                self.task.cancel()
                return
            await asyncio.sleep(LOOK_S)
