"""Addresses of routes: with or without a slash at the end, and which methods there are at one."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gated.web.admission import GuardedRoute

OF_API = ("/api/", "/scim/")


class Addresses:
    """Takes an address of the API with a slash at its end for the one without.

    A redirection would cost some clients their body or their token. A 405 names in `Allow` the
    methods of all routes of the address, not only of the first.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[GuardedRoute]) -> None:
        self.app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith(OF_API) and path.endswith("/"):
            path = path.removesuffix("/")
            # "raw_path" stays: it is what was asked for
            scope = {**scope, "path": path}

        async def allow(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                MutableHeaders(scope=message)["Allow"] = ", ".join(self._methods_at(path))
            await send(message)

        await self.app(scope, receive, allow)

    def _methods_at(self, path: str) -> list[str]:
        found = (route.methods for route in self._routes if route.path.match(path))
        there = frozenset[str]().union(*found)
        return sorted(there | {"HEAD"} if "GET" in there else there)
