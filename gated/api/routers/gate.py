"""The gate's own state."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from gated.api.deps import Services, Viewer
from gated.api.errors import responses
from gated.api.schemas import GateOut

router = APIRouter(prefix="/api/gate", tags=["gate"])


@router.get("", responses=responses(401, 403, 503))
def state(_viewer: Viewer, services: Services) -> GateOut:
    """Camera, door, models, gallery, counters and the last decisions, newest first."""
    status, settings = services.board.snapshot(), services.settings
    known = {name: getattr(status, name) for name in status.__dataclass_fields__}
    return GateOut.model_validate(
        {
            **known,
            "name": settings.gate.name,
            "site": settings.gate.site,
            "role": settings.gate.role,
            "liveness": settings.liveness.level,
            "problems": status.problems,
            "decisions": [asdict(d) for d in status.decisions],
        }
    )
