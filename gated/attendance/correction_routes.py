"""Requests of people to have their own times corrected."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from gated.attendance.correction_requests import RequestedCorrection
from gated.attendance.dependencies import Services
from gated.attendance.schemas import CorrectionRequestIn, CorrectionRequestOut, RefusalIn
from gated.core.values import Direction
from gated.http.answers import Route
from gated.http.callers import Anyone, ChangeByAnyone, ChangeByOperator, Operator
from gated.http.listing import page_headers
from gated.http.problems import responses

router = APIRouter(prefix="/api/correction-requests", tags=["corrections"], route_class=Route)

Limit = Annotated[int | None, Query(ge=1, le=10_000)]
Offset = Annotated[int, Query(ge=0)]
State = Literal["open", "approved", "refused"]


@router.post("", status_code=201, responses=responses(404, 409))
def ask(
    body: CorrectionRequestIn, me: Anyone, change: ChangeByAnyone, services: Services
) -> CorrectionRequestOut:
    """Ask for a correction of my own times: of a row, or of a passage that is missing."""
    wish = RequestedCorrection(
        body.attendance_id,
        body.created_at,
        body.direction and Direction(body.direction),
        body.status,
        body.reason,
    )
    with change:
        made = services.correction_requests.ask(change, me.person_id, wish)
    return CorrectionRequestOut.model_validate(made)


@router.get("")
def list_(
    request: Request,
    response: Response,
    _operator: Operator,
    services: Services,
    person_id: int | None = None,
    state: State | None = None,
    limit: Limit = None,
    offset: Offset = 0,
) -> list[CorrectionRequestOut]:
    """Requests of all, newest first; their number is in X-Total-Count, the next page in Link."""
    requests, wanted = services.correction_requests, {"person_id": person_id, "state": state}
    found = requests.list_(**wanted, limit=limit, offset=offset)
    total = requests.count(**wanted)
    response.headers.update(page_headers(request, len(found), total, limit, offset))
    return [CorrectionRequestOut.model_validate(r) for r in found]


@router.get("/me")
def own(
    request: Request,
    response: Response,
    me: Anyone,
    services: Services,
    limit: Limit = None,
    offset: Offset = 0,
) -> list[CorrectionRequestOut]:
    """My own requests and what became of them, newest first."""
    requests, mine = services.correction_requests, me.person_id
    found = [] if mine is None else requests.list_(person_id=mine, limit=limit, offset=offset)
    total = 0 if mine is None else requests.count(person_id=mine)
    response.headers.update(page_headers(request, len(found), total, limit, offset))
    return [CorrectionRequestOut.model_validate(r) for r in found]


@router.post("/{id}/approve", responses=responses(404, 409))
def approve(id: int, change: ChangeByOperator, services: Services) -> CorrectionRequestOut:
    """Do what was asked for; `result_id` is the row of the log that came of it."""
    with change:
        done = services.correction_requests.approve(change, id)
    return CorrectionRequestOut.model_validate(done)


@router.post("/{id}/refuse", responses=responses(404, 409))
def refuse(
    id: int, body: RefusalIn, change: ChangeByOperator, services: Services
) -> CorrectionRequestOut:
    """Answer no; the person reads the reason."""
    with change:
        done = services.correction_requests.refuse(change, id, body.reason)
    return CorrectionRequestOut.model_validate(done)
