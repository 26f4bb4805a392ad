"""What persons are owed: consent on record, and a copy of everything about them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from gated.api.deps import Admin, Operator, Services, Viewer
from gated.api.errors import responses
from gated.api.schemas import ConsentIn, ConsentOut

router = APIRouter(prefix="/api/persons/{id}", tags=["privacy"])

READING = responses(401, 403, 404, 422, 503)
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/consent", responses=READING)
def consent(id: int, _viewer: Viewer, services: Services) -> ConsentOut:
    """The consent of a person to face recognition; 404 when there is none."""
    return ConsentOut.model_validate(services.privacy.consent(id))


@router.put("/consent", responses=responses(400, 401, 403, 404, 413, 422, 503))
def record(id: int, body: ConsentIn, operator: Operator, services: Services) -> ConsentOut:
    """Record that a person has consented: to which notice, when, until when and how."""
    given = body.model_dump()
    return ConsentOut.model_validate(
        services.privacy.record_consent(id, given, actor=operator.username)
    )


@router.delete("/consent", status_code=204, responses={**READING, **responses(409)})
def withdraw(id: int, operator: Operator, services: Services) -> None:
    """End a consent; where one is required, photos and templates are removed at once."""
    services.privacy.withdraw_consent(id, actor=operator.username)


@router.get("/export", response_class=Response, responses={**READING, **_ZIP})
def export(id: int, admin: Admin, services: Services) -> Response:
    """Everything about one person as a ZIP archive; journaled."""
    archive = services.privacy.export(id, actor=admin.username)
    headers = {"Content-Disposition": f'attachment; filename="person-{id}.zip"'}
    return Response(archive, media_type="application/zip", headers=headers)
