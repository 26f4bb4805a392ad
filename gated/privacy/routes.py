"""Routes of privacy: consent on record, and a copy of everything about them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from gated.http.answers import Route
from gated.http.callers import ChangeByAdmin, ChangeByOperator, Viewer
from gated.http.problems import responses
from gated.privacy.dependencies import Services
from gated.privacy.export import archive_of, record_export
from gated.privacy.schemas import ConsentIn, ConsentOut

router = APIRouter(prefix="/api/persons/{id}", tags=["privacy"], route_class=Route)

READING = responses(404)
ZIP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/consent", responses=READING)
def consent(id: int, _viewer: Viewer, services: Services) -> ConsentOut:
    """Return the consent of a person to face recognition; 404 when there is none."""
    return ConsentOut.model_validate(services.privacy.consent(id))


@router.put("/consent", responses=responses(404))
def record(id: int, body: ConsentIn, change: ChangeByOperator, services: Services) -> ConsentOut:
    """Record that a person has consented: to which notice, when, until when and how."""
    with change:
        given = services.privacy.record_consent(change, id, body.model_dump())
    return ConsentOut.model_validate(given)


@router.delete("/consent", status_code=204, responses={**READING, **responses(409)})
def withdraw(id: int, change: ChangeByOperator, services: Services) -> None:
    """End a consent; where one is required, photos and templates are removed at once."""
    with change:
        services.privacy.withdraw_consent(change, id)


@router.get("/export", response_class=Response, responses={**READING, **ZIP})
def export(id: int, change: ChangeByAdmin, services: Services) -> Response:
    """Return everything about one person as a ZIP archive; journaled."""
    with change:
        person = record_export(change, id)
    archive = archive_of(services.workspace, person)
    headers = {"Content-Disposition": f'attachment; filename="person-{id}.zip"'}
    return Response(archive, media_type="application/zip", headers=headers)
