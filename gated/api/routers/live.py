"""The running gate: its camera, its events, its door."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from starlette.responses import StreamingResponse

from gated.api.deps import ApiServices, EditAuthor, Operator, Services, Viewer
from gated.api.errors import responses
from gated.api.schemas import (
    CaptureIn,
    DecisionOut,
    EnrollmentOut,
    EventOut,
)
from gated.api.streams import EVENTS, KEEP_ALIVE, MOTION, event, picture, streamed, streaming
from gated.core.model import Notice
from gated.errors import (
    Busy,
    DuplicateFace,
    EnrollmentRefused,
    GatedError,
    NotAllowed,
    StorageError,
)
from gated.services import views
from gated.services.accounts import Principal, Role
from gated.services.capture import Guidance, capture
from gated.services.enrollment import Entering
from gated.services.gate import DecisionView, Happening

router = APIRouter(prefix="/api/gate", tags=["gate"])
capturing = APIRouter(prefix="/api/enrollment", tags=["enrollment"])

KEEP_ALIVE_S = 15.0
EVENTS_S = 600.0
"""How long one stream lasts; clients come back by themselves, and are asked who they are."""

MAX_STREAMS = 16
MAX_WAITING = 256


@router.get(
    "/snapshot",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(401, 403, 409, 503),
    },
)
def snapshot(operator: Operator, services: Services) -> Response:
    """What the camera sees now, with a box around each face; each look is journaled."""
    live = services.running_gate()
    jpeg = views.snapshot(services.workspace, live, actor=operator.username)
    return Response(jpeg, media_type="image/jpeg")


@router.get(
    "/preview",
    response_class=Response,
    responses={**streaming(MOTION), **responses(401, 403, 409, 503)},
)
def preview(operator: Operator, services: Services) -> StreamingResponse:
    """What the camera sees, as motion JPEG, for a few at a time; each look is journaled."""
    live = services.running_gate()
    pictures = views.preview(services.workspace, live, actor=operator.username)
    return streamed(map(picture, pictures), MOTION)


@router.get(
    "/events",
    response_class=Response,
    responses={**streaming(EVENTS), **responses(401, 403, 409, 422, 503)},
)
async def events(
    _viewer: Viewer,
    services: Services,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> StreamingResponse:
    """Decisions, events of door and machine, and what the person at the gate is told.

    `notice` events are hints and prompts of this moment (`code`, and while movements are asked for
    `done` of `steps` and `seconds_left`); they have no id and are not repeated.
    With `Last-Event-ID` those since then come first, as far as they are among the last ones;
    `missed` tells when there were others. Without it, only new ones come.
    """
    services.running_gate()
    if services.board.listening >= MAX_STREAMS:
        raise Busy("too many are listening: try again", 5.0)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    told = _told(services, last_event_id)
    return StreamingResponse(told, media_type=EVENTS, headers=headers)


async def _told(services: ApiServices, last_id: str | None) -> AsyncIterator[bytes]:
    arrived: asyncio.Queue[Happening | Notice] = asyncio.Queue(MAX_WAITING)

    def hear(told: Happening | Notice) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # told as `missed` with the next one
            arrived.put_nowait(told)

    unsubscribe = services.board.subscribe(asyncio.get_running_loop(), hear)
    try:
        status = services.board.snapshot()
        run = f"{status.started_at.timestamp():.6f}"
        seen = status.happenings[0].number if status.happenings else 0
        yield KEEP_ALIVE
        if last_id is not None:
            asked = re.fullmatch(rf"{re.escape(run)}-(\d{{1,18}})", last_id)
            since = min(int(asked[1]), seen) if asked else 0
            kept = [d for d in reversed(status.happenings) if d.number > since]
            if asked is None or seen - since > len(kept):
                yield event("missed", {})
            for happening in kept:
                yield _event(run, happening)
        until = time.monotonic() + EVENTS_S
        while time.monotonic() < until:
            try:
                told = await asyncio.wait_for(arrived.get(), KEEP_ALIVE_S)
            except TimeoutError:
                yield KEEP_ALIVE
                continue
            if isinstance(told, Notice):
                yield event("notice", asdict(told))
            elif told.number > seen:
                if told.number > seen + 1:
                    yield event("missed", {})
                seen = told.number
                yield _event(run, told)
    finally:
        unsubscribe()


def _event(run: str, happening: Happening) -> bytes:
    shown: DecisionOut | EventOut
    if isinstance(happening, DecisionView):
        kind, shown = "decision", DecisionOut.model_validate(asdict(happening))
    else:
        kind, shown = "event", EventOut.model_validate(asdict(happening))
    return event(kind, shown.model_dump(mode="json"), f"{run}-{happening.number}")


# --- enrollment by the gate's own camera ------------------------------------------------------


@capturing.post(
    "/capture",
    response_class=Response,
    responses={**streaming(EVENTS), **responses(400, 401, 403, 404, 409, 413, 422, 503)},
)
def capture_(
    body: CaptureIn, operator: Operator, author: EditAuthor, services: Services
) -> StreamingResponse:
    """Enroll who stands before the gate's camera, the best of several frames.

    Server-sent events: `started`, then `guidance` with what to tell the person, and `enrolled`
    with the enrollment or `refused` with code and advice at the end.
    """
    services.people.get(body.person_id)
    if body.override is not None and not operator.role.includes(Role.ADMIN):
        raise NotAllowed("only an admin may override the check for duplicates")
    entering = services.edge.enrolling(author, body.person_id)
    return streamed(_captured(body, operator, entering, services), EVENTS)


def _captured(
    body: CaptureIn, operator: Principal, entering: Entering | None, services: ApiServices
) -> Iterator[bytes]:
    desk = services.desk
    with desk.seat(), services.running_gate().capture() as looker:
        yield event("started", {"person_id": body.person_id})
        try:
            for step in capture(
                desk,
                looker,
                lambda photo: desk.enroll(
                    body.person_id,
                    photo,
                    actor=operator.username,
                    override=body.override,
                    entering=entering,
                ),
            ):
                if isinstance(step, Guidance):
                    yield event("guidance", asdict(step))
                else:
                    made = EnrollmentOut.model_validate(step.enrollment).model_dump(mode="json")
                    yield event("enrolled", {**made, "advice": step.advice})
        except GatedError as error:
            yield event("refused", _refusal(error))


def _refusal(error: GatedError) -> dict[str, Any]:
    told: dict[str, Any] = {"code": error.code, "detail": str(error)}
    match error:
        case EnrollmentRefused():
            return {**told, "code": error.reason, "measured": error.measured}
        case DuplicateFace():
            return {**told, "person_id": error.person_id}
        case StorageError():
            return {**told, "detail": "the gate cannot use its storage now"}
    return told
