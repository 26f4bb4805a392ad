"""Requests of people to have their own times corrected."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from gated.api.deps import Anyone, Operator, Services
from gated.api.errors import responses
from gated.api.schemas import CorrectionRequestIn, CorrectionRequestOut, RefusalIn
from gated.core.model import Direction
from gated.services.correction_requests import Wish

router = APIRouter(prefix="/api/correction-requests", tags=["attendance"])

Limit = Annotated[int | None, Query(ge=1, le=10_000)]
Offset = Annotated[int, Query(ge=0)]
State = Literal["open", "approved", "refused"]


@router.post("", status_code=201, responses=responses(400, 401, 403, 404, 409, 413, 422, 503))
def ask(body: CorrectionRequestIn, me: Anyone, services: Services) -> CorrectionRequestOut:
    """Ask for a correction of my own times: of a row, or of a passage that is missing."""
    wish = Wish(
        body.attendance_id,
        body.created_at,
        body.direction and Direction(body.direction),
        body.status,
        body.reason,
    )
    made = services.correction_requests.ask(me.person_id, wish, actor=me.username)
    return CorrectionRequestOut.model_validate(made)


@router.get("", responses=responses(401, 403, 422, 503))
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
    """Requests of all, newest first; with a limit, `Link: rel="next"` leads on."""
    found = services.correction_requests.list_(
        person_id=person_id, state=state, limit=limit, offset=offset
    )
    if limit is not None and len(found) == limit:
        following = request.url.include_query_params(offset=offset + limit)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return [CorrectionRequestOut.model_validate(r) for r in found]


@router.get("/me", responses=responses(401, 403, 422, 503))
def own(
    me: Anyone, services: Services, limit: Limit = None, offset: Offset = 0
) -> list[CorrectionRequestOut]:
    """My own requests and what became of them, newest first."""
    if me.person_id is None:
        return []
    found = services.correction_requests.list_(person_id=me.person_id, limit=limit, offset=offset)
    return [CorrectionRequestOut.model_validate(r) for r in found]


@router.post("/{id}/approve", responses=responses(401, 403, 404, 409, 422, 503))
def approve(id: int, operator: Operator, services: Services) -> CorrectionRequestOut:
    """Do what was asked for; `result_id` is the row of the log that came of it."""
    done = services.correction_requests.approve(id, actor=operator.username)
    return CorrectionRequestOut.model_validate(done)


@router.post("/{id}/refuse", responses=responses(400, 401, 403, 404, 409, 413, 422, 503))
def refuse(
    id: int, body: RefusalIn, operator: Operator, services: Services
) -> CorrectionRequestOut:
    """Answer no; the person reads the reason."""
    done = services.correction_requests.refuse(id, body.reason, actor=operator.username)
    return CorrectionRequestOut.model_validate(done)
