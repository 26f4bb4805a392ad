"""Routes of the gate's state, camera, clock and snapshots."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from gated.core.messages import Condition
from gated.http.answers import Route
from gated.http.callers import Admin, ChangeByOperator, Viewer
from gated.http.problems import responses
from gated.live.clock_trust import ClockKeeper, status_fields
from gated.live.dependencies import Services
from gated.live.schemas import (
    CameraOut,
    ClockOut,
    ComparisonIn,
    ComparisonOut,
    GateOut,
    SnapshotOut,
)

router = APIRouter(prefix="/api/gate", tags=["gate"], route_class=Route)


@router.get("")
def state(_viewer: Viewer, services: Services) -> GateOut:
    """Return camera, door, models, gallery, counters and the last decisions, newest first."""
    services.require_state()
    status, settings = services.board.snapshot(), services.settings
    pictures = services.decision_pictures.of_decisions([d.at for d in status.decisions])
    known = {name: getattr(status, name) for name in status.__dataclass_fields__}
    return GateOut.model_validate(
        {
            **known,
            "name": settings.gate.name,
            "site": settings.gate.site,
            "role": settings.gate.role,
            "liveness": settings.liveness.level,
            "problems": status.problems,
            "card_reader": settings.credentials.reader != "none",
            "strangers_kept": services.unknown_faces.kept,
            "decisions": [
                asdict(d) | {"snapshot_id": pictures.get(d.at)} for d in status.decisions
            ],
        }
    )


@router.post("/camera/accept", responses=responses(409))
def accept_camera(admin: Admin, services: Services) -> CameraOut:
    """Accept the present camera after it was exchanged; journaled."""
    live = services.running_gate()
    identity = services.camera.accept(actor=admin.username)
    live.notify(Condition("camera_changed", False, "accepted"))
    return CameraOut(identity=identity)


@router.post("/clock/confirm", responses=responses(409))
def confirm_clock(admin: Admin, services: Services) -> ClockOut:
    """Confirm that the clock is right, after comparing it with another one; journaled.

    Tasks that waited for a right clock, such as retention, start within seconds.
    """
    keeper = ClockKeeper.of(services.workspace)
    fields = status_fields(keeper.confirm(actor=admin.username))
    services.board.publish(**fields)
    return ClockOut.model_validate(fields)


@router.get("/snapshots")
def snapshots(
    _admin: Admin, services: Services, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[SnapshotOut]:
    """List pictures of attacks (and of strangers, where they are kept), newest first."""
    return [SnapshotOut.model_validate(s) for s in services.snapshots.list_(limit)]


@router.get(
    "/snapshots/{id}/image",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(404),
    },
)
def snapshot_image(id: int, admin: Admin, services: Services) -> Response:
    """Return one of these pictures; each look at it is journaled."""
    jpeg = services.snapshots.image(id, actor=admin.username)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.post("/refused-visits/{visit_uid}/compare", responses=responses(404))
def compare_refused_visit(
    visit_uid: Annotated[str, Path(max_length=100)],
    body: ComparisonIn,
    change: ChangeByOperator,
    services: Services,
) -> ComparisonOut:
    """Compare a refused visit with a person; the answer is in words, and journaled.

    404 unless `privacy.denials_hours` keeps such visits, and this one is still kept.
    """
    with change:
        found = services.refused_visits.compare(change, visit_uid, body.person_id)
    return ComparisonOut.model_validate(found)
