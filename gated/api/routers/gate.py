"""The gate's own state."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Response

from gated.api.deps import Admin, Services, Viewer
from gated.api.errors import responses
from gated.api.schemas import CameraOut, GateOut, SnapshotOut
from gated.core.model import Condition

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


@router.post("/camera/accept", responses=responses(401, 403, 409, 503))
def accept_camera(admin: Admin, services: Services) -> CameraOut:
    """Believe the camera that is there now, after it was changed; journaled."""
    live = services.running_gate()
    identity = services.camera.accept(actor=admin.username)
    live.post(Condition("camera_changed", False, "accepted"))
    return CameraOut(identity=identity)


@router.get("/snapshots", responses=responses(401, 403, 422, 503))
def snapshots(
    _admin: Admin, services: Services, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[SnapshotOut]:
    """Pictures of attacks (and of strangers, where they are kept), newest first."""
    return [SnapshotOut.model_validate(s) for s in services.snapshots.list_(limit)]


@router.get(
    "/snapshots/{id}/image",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(401, 403, 404, 422, 503),
    },
)
def snapshot_image(id: int, admin: Admin, services: Services) -> Response:
    """One of these pictures; each look at it is journaled."""
    jpeg = services.snapshots.image(id, actor=admin.username)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})
