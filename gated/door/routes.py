"""Routes of the door and the alarms; acts need a fresh password, are journaled and rate-limited."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gated.core.messages import Silenced
from gated.core.roles import Principal
from gated.door.alarms import Alarm
from gated.door.dependencies import Services
from gated.door.remote_door import DoorCaller
from gated.door.schemas import AcknowledgeIn, AlarmOut, DoorAct, ModeIn, ModeOut, OpenIn, OpenOut
from gated.http.answers import Route
from gated.http.callers import Operator, Token, Viewer, client_address
from gated.http.listing import page_headers
from gated.http.problems import responses

router = APIRouter(prefix="/api/gate", tags=["gate"], route_class=Route)
alarms = APIRouter(prefix="/api/alarms", tags=["alarms"], route_class=Route)

ACT = responses(409, 429)


def _caller(principal: Principal, token: str, request: Request, body: DoorAct) -> DoorCaller:
    return DoorCaller(principal, token, client_address(request), body.password)


@router.post("/open", status_code=202, responses=ACT)
def open_(
    body: OpenIn, operator: Operator, token: Token, request: Request, services: Services
) -> OpenOut:
    """Open the door remotely. Who and why is journaled first; without a journal it stays shut."""
    live, caller = services.running_gate(), _caller(operator, token, request, body)
    for_s = services.remote_door.open(live.post, caller, body.reason, body.for_s)
    return OpenOut(for_s=for_s)


@router.put("/mode", status_code=202, responses=ACT)
def set_mode(
    body: ModeIn, operator: Operator, token: Token, request: Request, services: Services
) -> ModeOut:
    """Set the door to normal, lockdown, free_access (admins) or out_of_service; journaled.

    With `until` the gate sets it back to normal by itself.
    """
    live, caller = services.running_gate(), _caller(operator, token, request, body)
    wanted = None if body.until is None else body.until.timestamp()
    until = services.remote_door.set_mode(live.post, caller, body.mode, body.reason, wanted)
    return ModeOut(mode=body.mode, until=None if until is None else body.until)


@router.post("/fire/reset", status_code=202, responses=ACT)
def reset_fire(
    body: DoorAct, operator: Operator, token: Token, request: Request, services: Services
) -> None:
    """End the fire release by hand; the door refuses while the fire input is active."""
    live, caller = services.running_gate(), _caller(operator, token, request, body)
    services.remote_door.reset_fire(live.post, caller, body.reason)


@alarms.get("")
def list_(
    request: Request,
    response: Response,
    _viewer: Viewer,
    services: Services,
    standing: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[AlarmOut]:
    """List warnings and alarms, newest first; `standing`: those that nobody has acknowledged."""
    found = services.alarms.list_(standing=standing, limit=limit, offset=offset)
    total = services.alarms.count(standing=standing)
    response.headers.update(page_headers(request, len(found), total, limit, offset))
    return [_out(a) for a in found]


@alarms.post("/{id}/acknowledge", responses=responses(404, 409))
def acknowledge(id: int, body: AcknowledgeIn, operator: Operator, services: Services) -> AlarmOut:
    """Acknowledge an alarm; the sounder stops when no other alarm stands."""
    return _out(services.alarms.acknowledge(id, actor=operator.username, note=body.note))


@router.post("/silence", status_code=202, responses=responses(409))
def silence(operator: Operator, services: Services) -> None:
    """Silence the sounder until the next alarm; the alarms stand."""
    services.running_gate().post(Silenced(operator.username))


def _out(alarm: Alarm) -> AlarmOut:
    return AlarmOut.model_validate(alarm)
