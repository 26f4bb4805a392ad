"""Answers HEAD where there is GET (RFC 9110, section 9.3.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gated.web.admission import GuardedRoute


class Heads:
    """Takes HEAD for GET on routes that have no HEAD of their own, and leaves out the body.

    Status and headers are those of GET; an answer that would go on, such as a stream, ends at once.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[GuardedRoute]) -> None:
        self.app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or not self._is_read(scope["path"]):
            await self.app(scope, receive, send)
            return
        ended = asyncio.Event()

        async def without_body(message: Message) -> None:
            if ended.is_set():
                return
            if message["type"] != "http.response.body":
                await send(message)
                return
            ended.set()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        inner = asyncio.ensure_future(self.app({**scope, "method": "GET"}, receive, without_body))
        over = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait((inner, over), return_when=asyncio.FIRST_COMPLETED)
            if not inner.done() and not await _ends_by_itself(inner):
                inner.cancel()
                await asyncio.wait((inner,))
            if not inner.cancelled():
                inner.result()
        finally:
            over.cancel()
            inner.cancel()

    def _is_read(self, path: str) -> bool:
        there = frozenset[str]().union(*(r.methods for r in self._routes if r.path.match(path)))
        return "GET" in there and "HEAD" not in there


async def _ends_by_itself(inner: asyncio.Future[None]) -> bool:
    """Tell whether the rest, such as what is done after an answer, is over within a moment."""
    return bool((await asyncio.wait((inner,), timeout=1.0))[0])
