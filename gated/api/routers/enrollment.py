"""Enrollments: reference photos of persons, and their withdrawal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from gated.api.deps import EditAuthor, Operator, Services, Viewer
from gated.api.errors import problem_of, responses
from gated.api.listing import json_list
from gated.api.schemas import (
    EnrolledOut,
    EnrollmentChange,
    EnrollmentForm,
    EnrollmentOut,
    PhotoResult,
    SeveralForm,
    WithdrawalReceiptOut,
)
from gated.api.tags import etag, version_of
from gated.api.uploads import SeveralUploaded, Uploaded, described
from gated.errors import (
    DuplicateFace,
    EnrollmentRefused,
    NoPicture,
    NotAllowed,
    PictureTooLarge,
)
from gated.services.accounts import Role
from gated.services.enrollment import Enrolled

router = APIRouter(prefix="/api/enrollment", tags=["enrollment"])
withdrawal = APIRouter(prefix="/api/persons", tags=["enrollment"])

IfMatch = Annotated[str | None, Header(description="ETag of what was read", max_length=200)]
_SEVERAL = described(SeveralForm, photo_required=False, several="JPEG, PNG, BMP or TIFF")
UPLOADING = (400, 401, 403, 404, 408, 409, 413, 415, 422, 503)


@router.get("", response_model=list[EnrollmentOut], responses=responses(401, 403, 422, 503))
def list_(
    _viewer: Viewer,
    services: Services,
    person_id: int | None = None,
    is_active: bool | None = None,
    limit: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Enrollments by id."""
    found = services.references.list_(
        person_id=person_id, is_active=is_active, limit=limit, offset=offset
    )
    return json_list(found, EnrollmentOut)


@router.get("/{id}", responses=responses(401, 403, 404, 422, 503))
def one(id: int, response: Response, _viewer: Viewer, services: Services) -> EnrollmentOut:
    """One enrollment."""
    enrollment = services.references.get(id)
    response.headers["ETag"] = etag(enrollment)
    return EnrollmentOut.model_validate(enrollment)


@router.post(
    "",
    status_code=201,
    openapi_extra=described(EnrollmentForm, photo_required=True),
    responses={
        200: {"model": EnrolledOut, "description": "This photo was enrolled before"},
        **responses(*UPLOADING),
    },
)
def create(
    operator: Operator,
    author: EditAuthor,
    upload: Uploaded,
    response: Response,
    services: Services,
) -> EnrolledOut:
    """Enroll a photo: `file` of `person_id`; answers how good it is and what would be better.

    409 `duplicate_face` names another person with this face; an admin may enroll it all the same
    by giving the reason as `override`.
    """
    form, photo = upload.into(EnrollmentForm), upload.required_photo()
    if form.override is not None and not operator.role.includes(Role.ADMIN):
        raise NotAllowed("only an admin may override the check for duplicates")
    enrolled = services.desk.enroll(
        form.person_id,
        photo,
        actor=operator.username,
        override=form.override,
        entering=services.edge.enrolling(author, form.person_id),
    )
    if enrolled.known:
        response.status_code = 200
    response.headers["Location"] = f"/api/enrollment/{enrolled.enrollment.id}"
    return _enrolled(enrolled, response)


@router.post(
    "/several",
    openapi_extra=_SEVERAL,
    responses=responses(400, 401, 403, 404, 408, 413, 415, 422, 503),
)
def create_several(
    operator: Operator, author: EditAuthor, upload: SeveralUploaded, services: Services
) -> list[PhotoResult]:
    """Enroll up to ten `photos` of `person_id`; each is judged by itself, and sending them again
    changes nothing."""
    form, photos = upload.into(SeveralForm), upload.required_photos()
    services.people.get(form.person_id)

    def enroll(photo: bytes) -> Enrolled:
        entering = services.edge.enrolling(author, form.person_id)
        return services.desk.enroll(
            form.person_id, photo, actor=operator.username, entering=entering
        )

    return [_judged(enroll, name, photo) for name, photo in photos]


def _judged(enroll: Callable[[bytes], Enrolled], name: str, photo: bytes) -> PhotoResult:
    try:
        enrolled = enroll(photo)
    except (EnrollmentRefused, NoPicture, PictureTooLarge, DuplicateFace) as error:
        return PhotoResult(name=name, problem=problem_of(error).content)
    return PhotoResult(name=name, enrolled=_out(enrolled))


@router.put(
    "/{id}",
    openapi_extra=described(EnrollmentChange, photo_required=False),
    responses=responses(*UPLOADING, 412),
)
def update(
    id: int,
    operator: Operator,
    author: EditAuthor,
    upload: Uploaded,
    response: Response,
    services: Services,
    if_match: IfMatch = None,
) -> EnrolledOut:
    """Replace the photo by `file`, which must show the same person, or change fields.

    Of a person of the hub, at a gate, the photo gets another id.
    """
    changes, version = upload.into(EnrollmentChange), version_of(if_match)
    enrolled = Enrolled(services.references.get(id))
    if upload.photo is not None:
        entering = services.edge.replacing(author, enrolled.enrollment)
        enrolled = services.desk.replace_photo(
            id, upload.photo, actor=operator.username, version=version, entering=entering
        )
        version = enrolled.enrollment.version
    if "is_active" in changes.model_fields_set:
        changed = services.references.set_active(
            enrolled.enrollment.id, changes.is_active, actor=operator.username, version=version
        )
        enrolled = Enrolled(changed, enrolled.advice)
    return _enrolled(enrolled, response)


@router.delete("/{id}", status_code=204, responses=responses(401, 403, 404, 409, 422, 503))
def delete(id: int, operator: Operator, author: EditAuthor, services: Services) -> None:
    """Remove an enrollment with its photo and template."""
    services.references.delete(id, actor=operator.username, author=author)


@router.patch("/{id}/toggle-active", responses=responses(401, 403, 404, 409, 412, 422, 503))
def toggle(
    id: int, response: Response, operator: Operator, services: Services, if_match: IfMatch = None
) -> EnrollmentOut:
    """Switch an enrollment over; the gate obeys within a second."""
    enrollment = services.references.set_active(
        id, None, actor=operator.username, version=version_of(if_match)
    )
    response.headers["ETag"] = etag(enrollment)
    return EnrollmentOut.model_validate(enrollment)


@router.get(
    "/{id}/image",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(401, 403, 404, 422, 503),
    },
)
def image(id: int, operator: Operator, services: Services) -> Response:
    """The stored photo; each look at it is journaled."""
    jpeg = services.references.image(id, actor=operator.username)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@withdrawal.post("/{id}/withdraw-biometrics", responses=responses(401, 403, 404, 409, 422, 503))
def withdraw(
    id: int, operator: Operator, author: EditAuthor, services: Services
) -> WithdrawalReceiptOut:
    """Remove all photos and templates of a person, who stays, with card and PIN."""
    receipt = services.references.withdraw_biometrics(id, actor=operator.username, author=author)
    return WithdrawalReceiptOut.model_validate(receipt)


def _enrolled(enrolled: Enrolled, response: Response) -> EnrolledOut:
    response.headers["ETag"] = etag(enrolled.enrollment)
    return _out(enrolled)


def _out(enrolled: Enrolled) -> EnrolledOut:
    enrollment: Any = EnrollmentOut.model_validate(enrolled.enrollment)
    return EnrolledOut(**enrollment.model_dump(), advice=enrolled.advice)
