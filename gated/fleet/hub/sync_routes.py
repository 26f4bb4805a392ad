"""Between a gate and this hub. Every request is signed by the gate, every answer by the hub."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from gated.fleet.hub.callers import FromGate
from gated.fleet.hub.dependencies import Services
from gated.fleet.hub.fleet import GateCaller, Joining
from gated.fleet.hub.site_presence import topic_of
from gated.fleet.hub.sync_schemas import (
    AcknowledgedOut,
    ChangesOut,
    EditIn,
    FeedSnapshotOut,
    GateKeysIn,
    HeartbeatIn,
    HeartbeatOut,
    JoinIn,
    JoinOut,
    JournalIn,
    KeysOut,
    PictureIn,
    PictureTakenOut,
    PresenceOut,
    TakenOut,
)
from gated.http.answers import Route
from gated.http.headers import HEADER
from gated.http.problems import responses

router = APIRouter(prefix="/api/sync", tags=["sync"], responses=responses(404), route_class=Route)

ASKED = responses(409)
ASKING = responses(409)


def signed(
    services: Services, caller: GateCaller, content: BaseModel | Mapping[str, Any]
) -> Response:
    """The answer as JSON, with the hub's signature."""
    document = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
    response = JSONResponse(document)
    response.headers[HEADER] = services.fleet.signature_of(caller, 200, bytes(response.body))
    return response


@router.post("/join", responses=responses(401, 409, 429))
def join(body: JoinIn, services: Services) -> JoinOut:
    """Join as a gate, with proof that one knows the code of an invitation."""
    return JoinOut.model_validate(services.fleet.join(Joining(**body.model_dump())))


@router.post("/keys", response_model=KeysOut, responses=ASKED)
def renew_keys(body: GateKeysIn, gate: FromGate, services: Services) -> Response:
    """Let other keys stand for the gate; those before are void."""
    services.fleet.renew_keys(gate, body.model_dump())
    return signed(services, gate, KeysOut(sign_key=body.sign_key))


@router.post("/journal", response_model=AcknowledgedOut, responses=ASKED)
def take_journal(body: JournalIn, gate: FromGate, services: Services) -> Response:
    """Rows of the gate's journal; each is taken once, however often it comes."""
    taken = services.collector.take(gate.gate, body.batch())
    return signed(services, gate, {"acknowledged": taken.seq, "restart": taken.restart})


@router.post("/heartbeat", response_model=HeartbeatOut, responses=ASKED)
def heartbeat(body: HeartbeatIn, gate: FromGate, services: Services) -> Response:
    """Note how the gate is; answers how far its journal is here."""
    positions = services.collector.heard(gate.gate, body.model, body.status)
    now = datetime.now(UTC)
    hurry = services.site_presence.awaited(gate.gate.site)
    answer = HeartbeatOut(now=now, acknowledged=positions, hurry=hurry)
    answer.clock_trusted = services.workspace.clock.trusted
    return signed(services, gate, answer)


@router.post("/edits", response_model=TakenOut, responses=responses(409, 429))
def take_edit(body: EditIn, gate: FromGate, services: Services) -> Response:
    """An edit of a person, signed by an operator; it is taken once, however often it comes."""
    sealed = {"ephemeral": body.ephemeral, "sealed": body.sealed}
    services.intake.take(gate.gate, body.head(gate.gate.uid), sealed, body.signature)
    return signed(services, gate, TakenOut(taken=body.uid))


@router.post("/pictures", response_model=PictureTakenOut, responses=ASKED)
def take_picture(body: PictureIn, gate: FromGate, services: Services) -> Response:
    """A snapshot of an attack or a stranger; it is taken once, however often it comes."""
    kept = services.pictures.take(gate.gate, body.uid, body.ephemeral, body.sealed)
    return signed(services, gate, PictureTakenOut(taken=body.uid, kept=kept))


@router.get("/changes", response_model=ChangesOut, responses=ASKING)
async def changes(
    gate: FromGate,
    services: Services,
    since: Annotated[str, Query(max_length=100, description="cursor of the page before")],
    model: Annotated[str, Query(max_length=200, description="of the templates wanted")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    wait: Annotated[float, Query(ge=0, le=60, description="seconds, for something new")] = 0,
    erasing: Annotated[bool, Query(description="what was erased is not gone there yet")] = False,
) -> Response:
    """Return what changed behind a cursor for this gate; asking says that all before it is done."""
    tell = services.feed.changes
    page = await run_in_threadpool(tell, gate.gate, since, model, limit, erasing)
    nothing = not page.items and not page.more
    if wait and nothing and await services.bell.wait(page.seq, wait):
        # revoked meanwhile, or given to carry others: not by what was read before
        now = await run_in_threadpool(services.fleet.still, gate)
        page = await run_in_threadpool(tell, now.gate, since, model, limit, erasing)
    return await run_in_threadpool(signed, services, gate, ChangesOut.model_validate(page))


@router.get("/presence", response_model=PresenceOut, responses=ASKING)
async def presence(
    gate: FromGate,
    services: Services,
    since: Annotated[str, Query(max_length=100, description="cursor of the answer before")] = "",
    counting_from: Annotated[
        float | None,
        Query(ge=0, le=1e11, description="UTC seconds; with it the number of others is returned"),
    ] = None,
    wait: Annotated[float, Query(ge=0, le=60, description="seconds, for something new")] = 0,
) -> Response:
    """Return who passed last by the other gates of this gate's site, as far as it carries them."""
    tell, topic = services.site_presence.tell, topic_of(gate.gate.site)
    page = await run_in_threadpool(tell, gate.gate, since, counting_from)
    if wait and not page.is_news and await services.bell.wait(page.seq, wait, topic):
        now = await run_in_threadpool(services.fleet.still, gate)
        page = await run_in_threadpool(tell, now.gate, since, counting_from)
    return await run_in_threadpool(signed, services, gate, PresenceOut.model_validate(page))


@router.get("/snapshot", response_model=FeedSnapshotOut, responses=ASKING)
def snapshot(
    gate: FromGate,
    services: Services,
    after: Annotated[str, Query(max_length=64, description="of the page before")] = "",
    model: Annotated[str, Query(max_length=200, description="of the templates wanted")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """Everything that this gate carries, page by page; what no page names must go."""
    page = services.feed.snapshot(gate.gate, after, model, limit)
    return signed(services, gate, FeedSnapshotOut.model_validate(page))
