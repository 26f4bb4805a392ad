"""Persons."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from gated.change import Change
from gated.core.photo_advice import PhotoAdvice
from gated.database.records import Person
from gated.http.answers import Route
from gated.http.callers import ChangeByAdmin, ChangeByOperator, Viewer
from gated.http.entity_tags import IfMatch, etag, versions_of
from gated.http.listing import json_list, page_headers
from gated.http.problems import responses
from gated.people.dependencies import Editor, Services
from gated.people.person_editor import PersonEditor
from gated.people.schemas import (
    EnrollmentOut,
    ErasureReceiptOut,
    GroupOut,
    PersonChange,
    PersonIn,
    PersonOut,
    PersonOverviewOut,
    PersonWithEnrollmentsOut,
    PhotoAdviceOut,
)

router = APIRouter(prefix="/api/persons", tags=["persons"], route_class=Route)

Ids = Annotated[
    str,
    Query(
        pattern=r"^(\d{1,18}(,\d{1,18})*)?$", max_length=2000, description="ids with commas between"
    ),
]
SWITCHING = responses(404, 409, 412)
Sort = Literal[
    "id", "first_name", "last_name", "personnel_code", "department", "created_at",
    "-id", "-first_name", "-last_name", "-personnel_code", "-department", "-created_at",
]  # fmt: skip


@router.get("", response_model=list[PersonOut])
def list_(
    request: Request,
    _viewer: Viewer,
    services: Services,
    is_active: bool | None = None,
    department: Annotated[str | None, Query(max_length=200)] = None,
    group: Annotated[str | None, Query(max_length=200, description="name of a group")] = None,
    q: Annotated[str | None, Query(max_length=200, description="words of name, code, …")] = None,
    without_photo: Annotated[bool | None, Query(description="no photo is in use")] = None,
    one_photo: Annotated[
        bool | None, Query(description="one photo is in use, or several of nearly the same picture")
    ] = None,
    consent_missing: Annotated[bool | None, Query(description="no consent holds")] = None,
    visitors: bool | None = None,
    left: Annotated[bool | None, Query(description="the last day is over")] = None,
    limit: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    sort: Sort = "id",
) -> Response:
    """Persons; their number is in X-Total-Count, the next page in Link."""
    found, total = services.people.list_(
        is_active=is_active,
        department=department,
        group=group,
        q=q,
        without_photo=without_photo,
        one_photo=one_photo,
        consent_missing=consent_missing,
        visitors=visitors,
        left=left,
        limit=limit,
        offset=offset,
        sort=sort,
    )
    return json_list(found, PersonOut, page_headers(request, len(found), total, limit, offset))


@router.get("/overview")
def overview(_viewer: Viewer, services: Services, ids: Ids = "") -> list[PersonOverviewOut]:
    """More of each person for lists: photos, consent, groups, last passage; by id."""
    wanted = [int(part) for part in ids.split(",") if part]
    return [PersonOverviewOut.model_validate(o) for o in services.people.overview(wanted)]


@router.get("/{id}", responses=responses(404))
def one(
    id: int, response: Response, _viewer: Viewer, services: Services
) -> PersonWithEnrollmentsOut:
    """One person with enrollments."""
    person, enrollments, groups = services.people.with_enrollments(id)
    response.headers["ETag"] = etag(person)
    return PersonWithEnrollmentsOut(
        **PersonOut.model_validate(person).model_dump(),
        enrollments=[EnrollmentOut.model_validate(e) for e in enrollments],
        groups=[GroupOut.model_validate(g) for g in groups],
        photo_advice=PhotoAdviceOut.model_validate(PhotoAdvice.of_photos(enrollments)),
    )


@router.post("", status_code=201, responses=responses(404, 409))
def create(
    body: PersonIn,
    response: Response,
    change: ChangeByOperator,
    editor: Editor,
) -> PersonOut:
    """Add a person."""
    fields = body.model_dump(exclude={"groups"})
    with change:
        person = editor.create(change, fields, groups=body.groups)
    response.headers["Location"] = f"/api/persons/{person.id}"
    return _out(person, response)


@router.put("/{id}", responses=responses(404, 409, 412))
def update(
    id: int,
    body: PersonChange,
    response: Response,
    change: ChangeByOperator,
    editor: Editor,
    if_match: IfMatch = None,
) -> PersonOut:
    """Change a person; what is left out stays. What GET gave may be sent back as a whole."""
    fields, versions = body.model_dump(exclude_unset=True), versions_of(if_match)
    wanted = fields.pop("is_active", None)
    with change:
        person = editor.update(change, id, fields, versions=versions)
        if wanted not in (None, person.is_active):
            person = editor.set_active(change, id, wanted)
    return _out(person, response)


@router.delete("/{id}", responses=responses(404, 409))
def erase(
    id: int,
    change: ChangeByAdmin,
    services: Services,
    reason: Annotated[str | None, Query(min_length=3, max_length=200)] = None,
    override: Annotated[bool, Query(description="erase in spite of a retention hold")] = False,
) -> ErasureReceiptOut:
    """Erase a person, photos and templates; log rows stay without identity."""
    with change:
        receipt = services.people.delete(change, id, reason=reason, override=override)
    return ErasureReceiptOut.of(receipt, services.workspace.traces_state())


@router.patch("/{id}/toggle-active", responses=SWITCHING)
def toggle(
    id: int,
    response: Response,
    change: ChangeByOperator,
    editor: Editor,
    if_match: IfMatch = None,
) -> PersonOut:
    """Switch a person over; the gate obeys within a second."""
    person = _switch(change, id, None, editor, if_match)
    return _out(person, response)


@router.patch("/{id}/activate", responses=SWITCHING)
def activate(
    id: int,
    response: Response,
    change: ChangeByOperator,
    editor: Editor,
    if_match: IfMatch = None,
) -> PersonOut:
    """Let a person pass again."""
    person = _switch(change, id, True, editor, if_match)
    return _out(person, response)


@router.patch("/{id}/deactivate", responses=SWITCHING)
def deactivate(
    id: int,
    response: Response,
    change: ChangeByOperator,
    editor: Editor,
    if_match: IfMatch = None,
) -> PersonOut:
    """Let a person pass no more; the gate obeys within a second."""
    person = _switch(change, id, False, editor, if_match)
    return _out(person, response)


def _switch(
    change: Change,
    id_: int,
    wanted: bool | None,
    editor: PersonEditor,
    if_match: str | None,
) -> Person:
    with change:
        return editor.set_active(change, id_, wanted, versions=versions_of(if_match))


def _out(person: Person, response: Response) -> PersonOut:
    response.headers["ETag"] = etag(person)
    return PersonOut.model_validate(person)
