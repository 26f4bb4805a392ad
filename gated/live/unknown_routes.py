"""Routes of the pictures of strangers, and of pictures of decisions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from gated.core.lookalikes import Lookalike
from gated.enrollment.dependencies import Editor
from gated.http.answers import Route
from gated.http.callers import Admin, ChangeByAdmin, Operator
from gated.http.problems import problem_of, responses
from gated.live.dependencies import Services
from gated.live.schemas import (
    LookalikeOut,
    NamedOut,
    NameIn,
    PictureOut,
    ResemblingOut,
    UnknownFaceOut,
    UnknownFacesIn,
    UnknownFacesOut,
)

Ids = Annotated[
    str,
    Query(
        pattern=r"^(\d{1,18}(,\d{1,18})*)?$", max_length=2000, description="ids with commas between"
    ),
]

router = APIRouter(prefix="/api/gate", tags=["gate"], route_class=Route)


@router.get(
    "/snapshots/{id}/thumbnail",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(404),
    },
)
def thumbnail(id: int, operator: Operator, services: Services) -> Response:
    """Return the picture of a decision, small; looking is journaled once an hour."""
    jpeg = services.decision_pictures.thumbnail(id, actor=operator.username)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.get("/pictures")
def pictures(_operator: Operator, services: Services, ids: Ids = "") -> list[PictureOut]:
    """List the stored pictures of rows of the attendance log, given by `ids`."""
    wanted = [int(part) for part in ids.split(",") if part]
    found = services.decision_pictures.of_rows(wanted)
    return [PictureOut(attendance_id=row, snapshot_id=found[row]) for row in sorted(found)]


@router.get("/unknown-faces")
def unknown_faces(_admin: Admin, services: Services) -> UnknownFacesOut:
    """List the newest pictures of strangers, grouped by face, and people whom they resemble.

    Each request groups a few more.
    """
    found = services.unknown_faces.list_()
    return UnknownFacesOut(
        kept=services.unknown_faces.kept,
        waiting=found.waiting,
        faces=[
            UnknownFaceOut(
                id=f.snapshot.id,
                taken_at=f.snapshot.taken_at,
                gate_name=f.snapshot.gate_name,
                group=f.group,
                ignored=f.ignored,
                deleted_at=f.deleted_at,
                problem=f.problem,
            )
            for f in found.faces
        ],
        resembling=[
            ResemblingOut(group=group, people=[_lookalike(one) for one in alike])
            for group, alike in found.lookalikes.items()
        ],
        alike=found.alike,
    )


def _lookalike(found: Lookalike) -> LookalikeOut:
    person = found.member.person
    return LookalikeOut(
        id=person.id,
        name=person.name,
        personnel_code=person.personnel_code,
        is_active=found.member.active,
        likeness=found.likeness,
    )


@router.post("/unknown-faces", status_code=204, responses=responses(404))
def act(body: UnknownFacesIn, change: ChangeByAdmin, services: Services) -> None:
    """Ignore or delete pictures, restore them within ten minutes, merge or split groups, or take
    a merging back."""
    with change:
        services.unknown_faces.act(change, body.ids, body.act)


@router.post("/unknown-faces/name", responses=responses(404, 409))
def name(body: NameIn, admin: Admin, editor: Editor, services: Services) -> NamedOut:
    """Enroll up to three pictures of a stranger for a person, by the rules of any photo."""
    services.people.get(body.person_id)
    named = services.unknown_faces.name(body.ids, body.person_id, editor, admin.username)
    problems = [problem_of(error).content for error in named.refused]
    return NamedOut(
        enrolled=named.enrolled,
        refused=[{"code": one["code"], "detail": one["detail"]} for one in problems],
    )
