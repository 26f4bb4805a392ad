"""Enrollments: reference photos of persons, and their withdrawal."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gated.core.roles import Role
from gated.database.rows import require_version
from gated.enrollment.dependencies import Editor, EnrollmentServices, Services
from gated.enrollment.enrollment import Enrolled
from gated.enrollment.schemas import (
    EnrolledOut,
    EnrollmentChange,
    EnrollmentForm,
    PhotoDoubtOut,
    PhotoResult,
    SeveralForm,
    WithdrawalReceiptOut,
)
from gated.enrollment.uploads import SeveralUploaded, Uploaded, described
from gated.errors import (
    DuplicateFace,
    EnrollmentRefused,
    NoPicture,
    NotAllowed,
    PictureTooLarge,
)
from gated.http.answers import Route
from gated.http.callers import ChangeByOperator, Operator, Viewer
from gated.http.entity_tags import IfMatch, etag, versions_of
from gated.http.listing import json_list, page_headers
from gated.http.problems import problem_of, responses
from gated.people.schemas import EnrollmentOut

router = APIRouter(prefix="/api/enrollment", tags=["enrollment"], route_class=Route)
withdrawal = APIRouter(prefix="/api/persons", tags=["enrollment"], route_class=Route)

_SEVERAL = described(SeveralForm, photo_required=False, several="JPEG, PNG, BMP or TIFF")


@router.get("", response_model=list[EnrollmentOut])
def list_(
    request: Request,
    _viewer: Viewer,
    services: Services,
    person_id: int | None = None,
    is_active: bool | None = None,
    limit: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """List enrollments by id; their number is in X-Total-Count, the next page in Link."""
    wanted = {"person_id": person_id, "is_active": is_active}
    found = services.references.list_(**wanted, limit=limit, offset=offset)
    total = services.references.count(**wanted)
    return json_list(found, EnrollmentOut, page_headers(request, len(found), total, limit, offset))


@router.get("/{id}", responses=responses(404))
def one(id: int, response: Response, _viewer: Viewer, services: Services) -> EnrollmentOut:
    """Return one enrollment."""
    enrollment = services.references.get(id)
    response.headers["ETag"] = etag(enrollment)
    return EnrollmentOut.model_validate(enrollment)


@router.post(
    "",
    status_code=201,
    openapi_extra=described(EnrollmentForm, photo_required=True),
    responses={
        200: {"model": EnrolledOut, "description": "This photo was enrolled before"},
        **responses(404, 409),
    },
)
def create(
    operator: Operator,
    editor: Editor,
    upload: Uploaded,
    response: Response,
    services: Services,
) -> EnrolledOut:
    """Enroll a photo: `file` of `person_id`; answers how good it is and what would be better.

    `photo_advice` says how many photos of the person are in use, and if another is advised.

    409 `duplicate_face` names another person with this face; an admin may enroll it all the same
    by giving the reason as `override`.
    """
    form, photo = upload.into(EnrollmentForm), upload.required_photo()
    if form.override is not None and not operator.role.includes(Role.ADMIN):
        raise NotAllowed("only an admin may override the check for duplicates")
    enrolled = editor.enroll(form.person_id, photo, form.override)
    if enrolled.known:
        response.status_code = 200
    response.headers["Location"] = f"/api/enrollment/{enrolled.enrollment.id}"
    return _enrolled(enrolled, response, services)


@router.post(
    "/several",
    openapi_extra=_SEVERAL,
    responses=responses(404, 408, 415),
)
def create_several(
    editor: Editor, upload: SeveralUploaded, services: Services
) -> list[PhotoResult]:
    """Enroll up to ten `photos` of `person_id`; each is judged by itself, and sending them again
    changes nothing."""
    form, photos = upload.into(SeveralForm), upload.required_photos()
    services.people.get(form.person_id)

    enroll = functools.partial(editor.enroll, form.person_id)
    return [_judged(enroll, name, photo, services) for name, photo in photos]


def _judged(
    enroll: Callable[[bytes], Enrolled], name: str, photo: bytes, services: EnrollmentServices
) -> PhotoResult:
    try:
        enrolled = enroll(photo)
    except (EnrollmentRefused, NoPicture, PictureTooLarge, DuplicateFace) as error:
        return PhotoResult(name=name, problem=problem_of(error).content)
    return PhotoResult(name=name, enrolled=_out(enrolled, services))


@router.put(
    "/{id}",
    openapi_extra=described(EnrollmentChange, photo_required=False),
    responses=responses(404, 409, 412),
)
def update(
    id: int,
    change: ChangeByOperator,
    editor: Editor,
    upload: Uploaded,
    response: Response,
    services: Services,
    if_match: IfMatch = None,
) -> EnrolledOut:
    """Replace the photo by `file`, which must show the same person, or change fields.

    Of a person of the hub, at a gate, the photo gets another id.
    """
    changes, versions = upload.into(EnrollmentChange), versions_of(if_match)
    enrolled = Enrolled(services.references.get(id))
    require_version(versions, enrolled.enrollment.version)
    if upload.photo is not None:
        enrolled = editor.replace_photo(id, upload.photo, versions=versions)
        if not enrolled.known:
            versions = {enrolled.enrollment.version}
    if "is_active" in changes.model_fields_set:
        with change:
            changed = services.references.set_active(
                change, enrolled.enrollment.id, changes.is_active, versions=versions
            )
        enrolled = Enrolled(changed, enrolled.advice)
    return _enrolled(enrolled, response, services)


@router.delete("/{id}", status_code=204, responses=responses(404, 409))
def delete(id: int, change: ChangeByOperator, editor: Editor) -> None:
    """Remove an enrollment with its photo and template."""
    with change:
        editor.delete_photo(change, id)


@router.patch("/{id}/toggle-active", responses=responses(404, 409, 412))
def toggle(
    id: int,
    response: Response,
    change: ChangeByOperator,
    services: Services,
    if_match: IfMatch = None,
) -> EnrollmentOut:
    """Switch an enrollment over; the gate obeys within a second."""
    with change:
        enrollment = services.references.set_active(
            change, id, None, versions=versions_of(if_match)
        )
    response.headers["ETag"] = etag(enrollment)
    return EnrollmentOut.model_validate(enrollment)


@router.get(
    "/{id}/image",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(404),
    },
)
def image(id: int, change: ChangeByOperator, services: Services) -> Response:
    """Return the stored photo; each look at it is journaled."""
    with change:
        enrollment = services.references.look(change, id)
    jpeg = services.references.image(enrollment)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@withdrawal.get(
    "/{id}/thumbnail",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(404),
    },
)
def thumbnail(id: int, operator: Operator, services: Services) -> Response:
    """Return a small picture of a person, for lists; looking is journaled once an hour."""
    jpeg = services.references.thumbnail(id, actor=operator.username)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@withdrawal.get("/{id}/photo-doubts", responses=responses(404))
def photo_doubts(id: int, _operator: Operator, services: Services) -> list[PhotoDoubtOut]:
    """List the photos of a person that do harm, and why: whom they resemble, or that nobody."""
    services.people.get(id)
    return [PhotoDoubtOut.model_validate(one) for one in services.photo_doubts.of_person(id)]


@withdrawal.post("/{id}/withdraw-biometrics", responses=responses(404, 409))
def withdraw(
    id: int, change: ChangeByOperator, editor: Editor, services: Services
) -> WithdrawalReceiptOut:
    """Remove all photos and templates of a person, who stays, with card and PIN."""
    with change:
        receipt = editor.withdraw_biometrics(change, id)
    return WithdrawalReceiptOut.of(receipt, services.workspace.traces_state())


def _enrolled(enrolled: Enrolled, response: Response, services: EnrollmentServices) -> EnrolledOut:
    response.headers["ETag"] = etag(enrolled.enrollment)
    return _out(enrolled, services)


def _out(enrolled: Enrolled, services: EnrollmentServices) -> EnrolledOut:
    advice = services.references.photo_advice(enrolled.enrollment.person_id)
    return EnrolledOut.of(enrolled, advice)
