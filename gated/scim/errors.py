"""Errors in SCIM's form (RFC 7644, 3.12), wherever in the program they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gated.http import problems

MEDIA_TYPE = "application/scim+json"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
BELOW = "/scim/"

_TYPES: Mapping[str, str] = {
    "personnel_code_taken": "uniqueness",
    "email_taken": "uniqueness",
    "name_taken": "uniqueness",
    "belongs_to_hub": "mutability",
    "last_admin": "mutability",
    "text_refused": "invalidValue",
    "malformed": "invalidSyntax",
    "invalid": "invalidSyntax",
}
"""Code of a problem -> SCIM's word."""

_SHOWN_AS = {422: 400}
"""Statuses that SCIM does not have."""

_OWN = ("content-type", "content-length")


def refused(status: int, detail: str, scim_type: str | None = None) -> JSONResponse:
    """Answer with an error."""
    return JSONResponse(_content(status, detail, scim_type), status, media_type=MEDIA_TYPE)


def _content(status: int, detail: str, scim_type: str | None) -> dict[str, Any]:
    more = {"scimType": scim_type} if scim_type else {}
    return {"schemas": [ERROR], "status": str(status), **more, "detail": detail}


class ScimErrors:
    """Says problems of the program in SCIM's form to whoever asked below /scim/."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(BELOW):
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Translated(scope, receive, send).send)


class _Translated:
    """One answer on its way out; a problem is held back until it is whole."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        """Pass a message on, or keep it."""
        if message["type"] == "http.response.start" and _is_problem(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start, message)

    async def _finish(self, start: Message, last: Message) -> None:
        if self._body:
            await self._answer(start)(self._scope, self._receive, self._send)
        else:  # of HEAD
            await self._send(start)
            await self._send(last)

    def _answer(self, start: Message) -> JSONResponse:
        problem = json.loads(self._body)
        given = int(start["status"])
        status = _SHOWN_AS.get(given, given)
        answer = refused(status, problem["detail"], _TYPES.get(problem["code"]))
        for name, value in Headers(raw=start["headers"]).items():
            if name not in _OWN:
                answer.headers[name] = value
        return answer


def _is_problem(message: Message) -> bool:
    kind = Headers(raw=message["headers"]).get("content-type", "")
    return kind.startswith(problems.MEDIA_TYPE)
