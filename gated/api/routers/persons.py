"""Persons."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from gated.api.deps import Admin, ApiServices, EditAuthor, Operator, Services, Viewer
from gated.api.errors import responses
from gated.api.listing import json_list, page_headers
from gated.api.schemas import (
    EnrollmentOut,
    ErasureReceiptOut,
    GroupOut,
    PersonChange,
    PersonIn,
    PersonOut,
    PersonWithEnrollmentsOut,
)
from gated.errors import ChangedMeanwhile
from gated.services.accounts import Principal

router = APIRouter(prefix="/api/persons", tags=["persons"])

IfMatch = Annotated[str | None, Header(description="ETag of what was read", max_length=200)]
SWITCHING = responses(401, 403, 404, 409, 412, 422, 503)
Sort = Literal[
    "id", "first_name", "last_name", "personnel_code", "department", "created_at",
    "-id", "-first_name", "-last_name", "-personnel_code", "-department", "-created_at",
]  # fmt: skip


@router.get("", response_model=list[PersonOut], responses=responses(401, 403, 422, 503))
def list_(
    request: Request,
    _viewer: Viewer,
    services: Services,
    is_active: bool | None = None,
    department: Annotated[str | None, Query(max_length=200)] = None,
    group: Annotated[str | None, Query(max_length=200, description="name of a group")] = None,
    q: Annotated[str | None, Query(max_length=200, description="words of name, code, …")] = None,
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
        limit=limit,
        offset=offset,
        sort=sort,
    )
    return json_list(found, PersonOut, page_headers(request, len(found), total, limit, offset))


@router.get("/{id}", responses=responses(401, 403, 404, 422, 503))
def one(
    id: int, response: Response, _viewer: Viewer, services: Services
) -> PersonWithEnrollmentsOut:
    """One person with enrollments."""
    person, enrollments, groups = services.people.with_enrollments(id)
    response.headers["ETag"] = _etag(person)
    return PersonWithEnrollmentsOut(
        **PersonOut.model_validate(person).model_dump(),
        enrollments=[EnrollmentOut.model_validate(e) for e in enrollments],
        groups=[GroupOut.model_validate(g) for g in groups],
    )


@router.post("", status_code=201, responses=responses(400, 401, 403, 404, 409, 413, 422, 503))
def create(
    body: PersonIn, response: Response, operator: Operator, author: EditAuthor, services: Services
) -> PersonOut:
    """Add a person."""
    fields = body.model_dump(exclude={"groups"})
    person = services.people.create(
        fields, actor=operator.username, groups=body.groups, author=author
    )
    response.headers["ETag"] = _etag(person)
    response.headers["Location"] = f"/api/persons/{person.id}"
    return PersonOut.model_validate(person)


@router.put("/{id}", responses=responses(400, 401, 403, 404, 409, 412, 413, 422, 503))
def update(
    id: int,
    body: PersonChange,
    response: Response,
    operator: Operator,
    author: EditAuthor,
    services: Services,
    if_match: IfMatch = None,
) -> PersonOut:
    """Change a person; what is left out stays."""
    changes = body.model_dump(exclude_unset=True)
    person = services.people.update(
        id, changes, actor=operator.username, version=_version(if_match), author=author
    )
    response.headers["ETag"] = _etag(person)
    return PersonOut.model_validate(person)


@router.delete("/{id}", responses=responses(401, 403, 404, 409, 422, 503))
def erase(
    id: int,
    admin: Admin,
    services: Services,
    reason: Annotated[str | None, Query(min_length=3, max_length=200)] = None,
    override: Annotated[bool, Query(description="erase in spite of a retention hold")] = False,
) -> ErasureReceiptOut:
    """Erase a person, photos and templates; log rows stay without identity."""
    receipt = services.people.delete(id, actor=admin.username, reason=reason, override=override)
    return ErasureReceiptOut.model_validate(receipt)


@router.patch("/{id}/toggle-active", responses=SWITCHING)
def toggle(
    id: int, response: Response, operator: Operator, services: Services, if_match: IfMatch = None
) -> PersonOut:
    """Switch a person over; the gate obeys within a second."""
    return _switch(id, None, response, operator, services, if_match)


@router.patch("/{id}/activate", responses=SWITCHING)
def activate(
    id: int, response: Response, operator: Operator, services: Services, if_match: IfMatch = None
) -> PersonOut:
    """Let a person pass again."""
    return _switch(id, True, response, operator, services, if_match)


@router.patch("/{id}/deactivate", responses=SWITCHING)
def deactivate(
    id: int, response: Response, operator: Operator, services: Services, if_match: IfMatch = None
) -> PersonOut:
    """Let a person pass no more; the gate obeys within a second."""
    return _switch(id, False, response, operator, services, if_match)


def _switch(
    id_: int,
    wanted: bool | None,
    response: Response,
    operator: Principal,
    services: ApiServices,
    if_match: str | None,
) -> PersonOut:
    person = services.people.set_active(
        id_,
        wanted,
        actor=operator.username,
        version=_version(if_match),
        author=services.edge.author(operator),
    )
    response.headers["ETag"] = _etag(person)
    return PersonOut.model_validate(person)


def _etag(person: Any) -> str:
    return f'"{person.version}"'


def _version(if_match: str | None) -> int | None:
    """The version that the caller has read; ChangedMeanwhile for a tag that is none of ours."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = re.fullmatch(r'"(\d{1,18})"', if_match.strip())
    if tag is None:
        raise ChangedMeanwhile("If-Match does not name what is stored: read it again")
    return int(tag[1])
