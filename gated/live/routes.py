"""Routes of the running gate: its camera, its events, enrollment by its camera."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from starlette.responses import StreamingResponse

from gated.core.messages import Notice
from gated.core.roles import Role
from gated.enrollment.capture import Guidance, capture
from gated.enrollment.dependencies import Editor
from gated.enrollment.local_editor import PhotoEditor
from gated.enrollment.schemas import CaptureIn, EnrolledOut
from gated.errors import (
    Busy,
    DuplicateFace,
    EnrollmentRefused,
    GatedError,
    GateUnavailable,
    NotAllowed,
    StorageError,
)
from gated.http.answers import Route
from gated.http.callers import Operator, Viewer
from gated.http.problems import responses
from gated.http.streams import (
    BEGUN,
    EVENTS,
    KEEP_ALIVE,
    MOTION,
    event,
    picture,
    streamed,
    streaming,
    unbuffered,
)
from gated.link.status_board import DecisionView, RecentEvent
from gated.live import preview as views
from gated.live.dependencies import LiveServices, Services
from gated.live.schemas import DecisionOut, EventOut

router = APIRouter(prefix="/api/gate", tags=["gate"], route_class=Route)
capturing = APIRouter(prefix="/api/enrollment", tags=["enrollment"], route_class=Route)

KEEP_ALIVE_S = 15.0
EVENTS_S = 600.0
"""Length of one stream; clients connect again by themselves, and are authenticated again."""

LOOK_S = 1.0
"""How often a stream on which nothing comes looks whether the gate's process is still there."""

MAX_WAITING = 256


@router.get(
    "/snapshot",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(409),
    },
)
def snapshot(operator: Operator, services: Services) -> Response:
    """Return the camera's picture, with a box around each face; each look is journaled."""
    live = services.running_gate()
    jpeg = views.snapshot(services.workspace, live, actor=operator.username)
    return Response(jpeg, media_type="image/jpeg")


@router.get(
    "/preview",
    response_class=Response,
    responses={**streaming(MOTION), **responses(409)},
)
def preview(
    operator: Operator,
    services: Services,
    boxes: Annotated[bool, Query(description="drawn around faces; else listed in X-Faces")] = True,
) -> StreamingResponse:
    """Stream the camera's picture as motion JPEG, to a few clients at a time; journaled.

    Without boxes each part has a header X-Faces: left, top, width and height of each face as JSON,
    in fractions of the picture.
    """
    live = services.running_gate()
    who = operator.account_id
    shots = views.preview(services.workspace, live, who, actor=operator.username, boxes=boxes)
    return streamed((part(shot, boxes=boxes) for shot in shots), MOTION)


def part(shot: views.Shot, *, boxes: bool) -> bytes:
    """Return a part of a motion JPEG; faces that are not drawn are listed in its head."""
    if boxes:
        return picture(shot.jpeg)
    return picture(shot.jpeg, X_Faces=json.dumps(shot.faces, separators=(",", ":")))


@router.get(
    "/events",
    response_class=Response,
    responses={**streaming(EVENTS), **responses(409)},
)
async def events(
    viewer: Viewer,
    services: Services,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
    last_heard: Annotated[
        str | None,
        Query(alias="last_event_id", max_length=100, description="where no header can be set"),
    ] = None,
) -> StreamingResponse:
    """Stream decisions, events of door and machine, and notices to the person at the gate.

    `notice` events are momentary hints and prompts (`code`; during a challenge also `done` of
    `steps`, and `seconds_left`); they have no id and are not repeated.
    With `Last-Event-ID` (or the parameter `last_event_id`, where no header can be set) the events
    since then come first, as far as they are still kept; `missed` says that some are not. Without
    it, only new events come. `alive` comes every 15 seconds when nothing else does.
    """
    services.running_gate()
    stream = _stream(services, last_event_id or last_heard)
    return event_stream(services, viewer.account_id, stream)


def event_stream(
    services: LiveServices, account_id: int, messages: AsyncIterator[bytes]
) -> StreamingResponse:
    """Answer with the messages, as one of the streams of an account.

    Raises: Busy when the account has as many as it may. What ends a stream that has begun ends it
    without a word: its client asks again, and hears what is wrong.
    """
    services.streams.require(account_id)
    return unbuffered(_held(services, account_id, messages), EVENTS)


async def _held(
    services: LiveServices, account_id: int, messages: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    ends = (Busy, GateUnavailable, StorageError)
    with contextlib.suppress(*ends), services.streams.hold(account_id):
        async for message in messages:
            yield message


async def next_item(
    arrived: asyncio.Queue[RecentEvent | Notice],
    services: LiveServices,
    within_s: float = KEEP_ALIVE_S,
) -> RecentEvent | Notice | None:
    """Wait for the next item; None when none comes in time: a sign of life is due.

    Raises: GateUnavailable when the gate's process has gone meanwhile: its clients must hear it.
    """
    until = time.monotonic() + within_s
    while (left := until - time.monotonic()) > 0:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(arrived.get(), min(left, LOOK_S))
        services.require_state()
    return None


async def _stream(services: LiveServices, last_id: str | None) -> AsyncIterator[bytes]:
    arrived: asyncio.Queue[RecentEvent | Notice] = asyncio.Queue(MAX_WAITING)

    def receive(item: RecentEvent | Notice) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # sent as `missed` with the next one
            arrived.put_nowait(item)

    unsubscribe = services.board.subscribe(asyncio.get_running_loop(), receive)
    try:
        status = services.board.snapshot()
        run = f"{status.started_at.timestamp():.6f}"
        seen = status.recent[0].number if status.recent else 0
        yield BEGUN
        if last_id is not None:
            asked = re.fullmatch(rf"{re.escape(run)}-(\d{{1,18}})", last_id)
            since = min(int(asked[1]), seen) if asked else 0
            kept = [d for d in reversed(status.recent) if d.number > since]
            if asked is None or seen - since > len(kept):
                yield event("missed", {})
            for recent in kept:
                yield _event(run, recent)
        until = time.monotonic() + EVENTS_S
        while time.monotonic() < until:
            item = await next_item(arrived, services)
            if services.board.started_at != status.started_at:
                return  # the door was started again: numbers begin anew, and so do clients
            if item is None:
                yield KEEP_ALIVE
                continue
            if isinstance(item, Notice):
                yield event("notice", asdict(item))
            elif item.number > seen:
                if item.number > seen + 1:
                    yield event("missed", {})
                seen = item.number
                yield _event(run, item)
    finally:
        unsubscribe()


def _event(run: str, recent: RecentEvent) -> bytes:
    shown: DecisionOut | EventOut
    if isinstance(recent, DecisionView):
        kind, shown = "decision", DecisionOut.model_validate(asdict(recent))
    else:
        kind, shown = "event", EventOut.model_validate(asdict(recent))
    return event(kind, shown.model_dump(mode="json"), f"{run}-{recent.number}")


# --- enrollment by the gate's own camera ------------------------------------------------------


@capturing.post(
    "/capture",
    response_class=Response,
    responses={**streaming(EVENTS), **responses(404, 409)},
)
def capture_(
    body: CaptureIn, operator: Operator, editor: Editor, services: Services
) -> StreamingResponse:
    """Enroll the person in front of the gate's camera, with the best of several frames.

    Server-sent events: `started`, then `guidance` for the person, and at the end `enrolled` with
    the enrollment or `refused` with code and advice.
    """
    services.people.get(body.person_id)
    if body.override is not None and not operator.role.includes(Role.ADMIN):
        raise NotAllowed("only an admin may override the check for duplicates")
    return streamed(_captured(body, editor, services), EVENTS)


def _captured(body: CaptureIn, editor: PhotoEditor, services: LiveServices) -> Iterator[bytes]:
    queue = services.enrollment_queue
    with queue.slot(), services.running_gate().capture() as subscriber:
        yield event("started", {"person_id": body.person_id})
        try:
            for step in capture(
                queue,
                subscriber,
                lambda photo: editor.enroll(body.person_id, photo, body.override),
            ):
                if isinstance(step, Guidance):
                    yield event("guidance", asdict(step))
                else:
                    advice = services.references.photo_advice(body.person_id)
                    made = EnrolledOut.of(step, advice).model_dump(mode="json")
                    yield event("enrolled", made)
        except GatedError as error:
            yield event("refused", _refusal(error))


def _refusal(error: GatedError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "detail": str(error)}
    match error:
        case EnrollmentRefused():
            return {**body, "code": error.reason, "measured": error.measured}
        case DuplicateFace():
            return {**body, "person_id": error.person_id}
        case StorageError():
            return {**body, "detail": "the gate cannot use its storage now"}
    return body
