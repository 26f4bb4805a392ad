"""Edits of the hub's people that were made at this gate."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from gated.fleet.gate.dependencies import Services
from gated.fleet.gate.schemas import EdgeEditOut, EdgeEditState
from gated.http.answers import Route
from gated.http.callers import Operator

router = APIRouter(prefix="/api/edits", tags=["sync"], route_class=Route)


@router.get("")
def list_(
    _operator: Operator,
    services: Services,
    state: EdgeEditState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[EdgeEditOut]:
    """Edits of the hub's people that were made here, newest first, and what the hub decided."""
    found = services.offline_edits.list_(limit=limit, state=state)
    return [EdgeEditOut.model_validate(edit) for edit in found]
