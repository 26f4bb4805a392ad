"""Routes of the kiosk, the screen at the gate; for that screen only."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from gated.core.messages import Notice
from gated.http.answers import Route
from gated.http.callers import Kiosk
from gated.http.problems import responses
from gated.http.streams import EVENTS, KEEP_ALIVE, MOTION, event, picture, streamed, streaming
from gated.link.status_board import RecentEvent
from gated.live import preview as views
from gated.live.dependencies import LiveServices, Services
from gated.live.kiosk import present, shown
from gated.live.routes import EVENTS_S, MAX_WAITING, event_stream, next_item
from gated.live.schemas import KioskOut

router = APIRouter(prefix="/api/kiosk", tags=["kiosk"], route_class=Route)


@router.get("", responses=responses(401, 403, 503))
def settings(_kiosk: Kiosk, services: Services) -> KioskOut:
    """Return the settings of the kiosk."""
    ui = services.settings.ui
    return KioskOut(
        name=services.settings.gate.name,
        language=ui.kiosk_language,
        names=ui.kiosk_names,
        sound=ui.kiosk_sound,
        pin=ui.kiosk_pin,
        card=services.settings.credentials.reader != "none",
        badge=services.settings.credentials.badges,
    )


@router.get(
    "/events", response_model=None, responses={**streaming(EVENTS), **responses(401, 403, 409, 503)}
)
async def events(kiosk: Kiosk, services: Services) -> StreamingResponse:
    """Stream events for the screen at the gate: `state` first and on changes, `notice`, `decision`.

    `alive` comes every 15 seconds when nothing else does: whoever hears less has lost the gate.
    Names are sent only with `ui.kiosk_names`, reasons of denials never.
    """
    services.running_gate()
    return event_stream(services, kiosk.account_id, _stream(services))


async def _stream(services: LiveServices) -> AsyncIterator[bytes]:
    arrived: asyncio.Queue[RecentEvent | Notice] = asyncio.Queue(MAX_WAITING)

    def receive(item: RecentEvent | Notice) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # the next one is as good
            arrived.put_nowait(item)

    unsubscribe = services.board.subscribe(asyncio.get_running_loop(), receive)
    try:
        names, until = services.settings.ui.kiosk_names, time.monotonic() + EVENTS_S
        before = present(services.board.snapshot())
        yield event("state", before)
        while time.monotonic() < until:
            item = await next_item(arrived, services)
            message = None if item is None else shown(item, names)
            if message is not None:
                yield event(*message)
            now = present(services.board.snapshot())
            if now != before:
                before = now
                yield event("state", now)
            elif message is None:
                yield KEEP_ALIVE
    finally:
        unsubscribe()


@router.get(
    "/preview",
    response_model=None,
    responses={**streaming(MOTION), **responses(401, 403, 409, 503)},
)
def preview(kiosk: Kiosk, services: Services) -> StreamingResponse:
    """Stream the camera's picture, as motion JPEG without boxes, for the screen below it."""
    live = services.running_gate()
    pictures = views.preview(
        services.workspace, live, kiosk.account_id, actor=kiosk.username, boxes=False
    )
    return streamed((picture(shot.jpeg) for shot in pictures), MOTION)
