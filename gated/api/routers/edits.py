"""Edits of the hub's people that were made at this gate."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from gated.api.deps import Operator, Services
from gated.api.errors import responses
from gated.api.schemas_sync import EdgeEditOut, EdgeEditState

router = APIRouter(prefix="/api/edits", tags=["sync"])


@router.get("", responses=responses(401, 403, 422, 503))
def list_(
    _operator: Operator,
    services: Services,
    state: EdgeEditState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[EdgeEditOut]:
    """Edits of the hub's people that were made here, newest first, and what the hub decided."""
    found = services.edge.list_(limit=limit, state=state)
    return [EdgeEditOut.model_validate(edit) for edit in found]
