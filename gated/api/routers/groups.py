"""Groups of persons, for rules of access."""

from __future__ import annotations

from fastapi import APIRouter, Response

from gated.api.deps import Operator, Services, Viewer
from gated.api.errors import responses
from gated.api.schemas import GroupChange, GroupIn, GroupOut

router = APIRouter(prefix="/api", tags=["groups"])

MEMBERSHIP = responses(401, 403, 404, 409, 422, 503)


@router.get("/groups", responses=responses(401, 403, 503))
def list_(_viewer: Viewer, services: Services) -> list[GroupOut]:
    """All groups by name; their members are found with /api/persons?group=NAME."""
    return [GroupOut.model_validate(g) for g in services.groups.list_()]


@router.get("/groups/{id}", responses=responses(401, 403, 404, 422, 503))
def one(id: int, _viewer: Viewer, services: Services) -> GroupOut:
    """One group."""
    return GroupOut.model_validate(services.groups.get(id))


@router.post("/groups", status_code=201, responses=responses(400, 401, 403, 409, 413, 422, 503))
def create(body: GroupIn, response: Response, operator: Operator, services: Services) -> GroupOut:
    """Add a group."""
    group = services.groups.add(body.name, body.description, actor=operator.username)
    response.headers["Location"] = f"/api/groups/{group.id}"
    return GroupOut.model_validate(group)


@router.put("/groups/{id}", responses=responses(400, 401, 403, 404, 409, 413, 422, 503))
def update(id: int, body: GroupChange, operator: Operator, services: Services) -> GroupOut:
    """Change a group; what is left out stays."""
    changes = body.model_dump(exclude_unset=True)
    return GroupOut.model_validate(services.groups.update(id, changes, actor=operator.username))


@router.delete("/groups/{id}", status_code=204, responses=MEMBERSHIP)
def delete(id: int, operator: Operator, services: Services) -> None:
    """Remove a group; its members stay."""
    services.groups.delete(id, actor=operator.username)


@router.put("/groups/{id}/members/{person_id}", status_code=204, responses=MEMBERSHIP)
def join(id: int, person_id: int, operator: Operator, services: Services) -> None:
    """Make a person a member of a group."""
    services.groups.join(id, person_id, actor=operator.username)


@router.delete("/groups/{id}/members/{person_id}", status_code=204, responses=MEMBERSHIP)
def leave(id: int, person_id: int, operator: Operator, services: Services) -> None:
    """End the membership of a person in a group."""
    services.groups.leave(id, person_id, actor=operator.username)
