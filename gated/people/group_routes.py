"""Groups of persons, for rules of access."""

from __future__ import annotations

from fastapi import APIRouter, Response

from gated.http.answers import Route
from gated.http.callers import ChangeByOperator, Viewer
from gated.http.problems import responses
from gated.people.dependencies import Services
from gated.people.schemas import GroupChange, GroupIn, GroupOut

router = APIRouter(prefix="/api", tags=["groups"], route_class=Route)

MEMBERSHIP = responses(404, 409)


@router.get("/groups")
def list_(_viewer: Viewer, services: Services) -> list[GroupOut]:
    """All groups by name; their members are found with /api/persons?group=NAME."""
    return [GroupOut.model_validate(g) for g in services.groups.list_()]


@router.get("/groups/{id}", responses=responses(404))
def one(id: int, _viewer: Viewer, services: Services) -> GroupOut:
    """One group."""
    return GroupOut.model_validate(services.groups.get(id))


@router.post("/groups", status_code=201, responses=responses(409))
def create(
    body: GroupIn, response: Response, change: ChangeByOperator, services: Services
) -> GroupOut:
    """Add a group."""
    with change:
        group = services.groups.add(change, **body.model_dump())
    response.headers["Location"] = f"/api/groups/{group.id}"
    return GroupOut.model_validate(group)


@router.put("/groups/{id}", responses=responses(404, 409))
def update(id: int, body: GroupChange, change: ChangeByOperator, services: Services) -> GroupOut:
    """Change a group; what is left out stays."""
    with change:
        group = services.groups.update(change, id, body.model_dump(exclude_unset=True))
    return GroupOut.model_validate(group)


@router.delete("/groups/{id}", status_code=204, responses=MEMBERSHIP)
def delete(id: int, change: ChangeByOperator, services: Services) -> None:
    """Remove a group; its members stay."""
    with change:
        services.groups.delete(change, id)


@router.put("/groups/{id}/members/{person_id}", status_code=204, responses=MEMBERSHIP)
def join(id: int, person_id: int, change: ChangeByOperator, services: Services) -> None:
    """Make a person a member of a group."""
    with change:
        services.groups.join(change, id, person_id)


@router.delete("/groups/{id}/members/{person_id}", status_code=204, responses=MEMBERSHIP)
def leave(id: int, person_id: int, change: ChangeByOperator, services: Services) -> None:
    """End the membership of a person in a group."""
    with change:
        services.groups.leave(change, id, person_id)
