"""Routes of displays: screens that show Now without anybody's session, and may do nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from gated.core.messages import Notice
from gated.core.roles import Principal
from gated.http.answers import Route
from gated.http.callers import Display, Token, begin_device_cookie, renew_device_cookie
from gated.http.hosts import own_page
from gated.http.problems import responses
from gated.http.streams import EVENTS, KEEP_ALIVE, MOTION, event, streamed, streaming
from gated.link.running_gate import RunningGate
from gated.link.status_board import RecentEvent
from gated.live import preview as views
from gated.live.dependencies import LiveServices, Services
from gated.live.display import shown
from gated.live.routes import EVENTS_S, KEEP_ALIVE_S, event_stream, next_item, part
from gated.live.schemas import DisplayOut

router = APIRouter(prefix="/api/display", tags=["display"], route_class=Route)

TOGETHER_S = 0.15
"""After something has happened: several things often happen together."""
AGAIN_S = 1.0
"""When to look once more: by then the log has the row by which somebody is inside."""


@router.post(
    "/session", status_code=204, responses=responses(409), dependencies=[Depends(own_page)]
)
def begin(request: Request, response: Response, _display: Display, token: Token) -> None:
    """Let the browser of a display keep its token in a cookie that no script reads."""
    begin_device_cookie(request, response, token)


@router.get("", responses=responses(409, 503))
def state(
    request: Request, response: Response, display: Display, token: Token, services: Services
) -> DisplayOut:
    """Return what a display shows; the cookie of its browser lives on from now."""
    services.running_gate()
    renew_device_cookie(request, response, token)
    services.devices.saw(display.account_id)
    return _state(services)


def _state(services: LiveServices) -> DisplayOut:
    return DisplayOut.model_validate(shown(services))


@router.get(
    "/events",
    response_class=Response,
    responses={**streaming(EVENTS), **responses(409, 503)},
)
async def events(display: Display, services: Services) -> StreamingResponse:
    """Stream what a display shows: `state` as `GET /api/display` gives it, first and on changes.

    `alive` comes every 15 seconds when nothing else does: whoever hears less has lost the gate.
    """
    services.running_gate()
    return event_stream(services, display.account_id, _stream(services))


async def _stream(services: LiveServices) -> AsyncIterator[bytes]:
    arrived: asyncio.Queue[RecentEvent | Notice] = asyncio.Queue(1)

    def receive(item: RecentEvent | Notice) -> None:
        if not isinstance(item, Notice):
            with contextlib.suppress(asyncio.QueueFull):  # one look is for all that happened
                arrived.put_nowait(item)

    unsubscribe = services.board.subscribe(asyncio.get_running_loop(), receive)
    try:
        before, until = None, time.monotonic() + EVENTS_S
        while time.monotonic() < until:
            now = await run_in_threadpool(_state, services)
            yield KEEP_ALIVE if now == before else event("state", now.model_dump(mode="json"))
            wait_s = AGAIN_S if now != before else KEEP_ALIVE_S
            before = now
            if await next_item(arrived, services, wait_s) is not None:
                await asyncio.sleep(TOGETHER_S)
    finally:
        unsubscribe()


@router.get(
    "/preview",
    response_class=Response,
    responses={**streaming(MOTION), **responses(409, 503)},
)
def preview(display: Display, services: Services) -> StreamingResponse:
    """Stream the camera's picture as motion JPEG without boxes, with X-Faces as for Now.

    To fewer displays at a time than to people, who have places left; journaled.
    """
    return streamed(_pictures(services, services.running_gate(), display), MOTION)


def _pictures(services: LiveServices, live: RunningGate, display: Principal) -> Iterator[bytes]:
    who, name = display.account_id, display.username
    with live.displays.hold(who):
        for shot in views.preview(services.workspace, live, who, actor=name, boxes=False):
            yield part(shot, boxes=False)
