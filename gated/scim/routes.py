"""SCIM 2.0 for a directory: users, groups, and the service's description of itself (RFC 7644)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse

from gated.errors import NotFound
from gated.http.answers import Route
from gated.http.callers import Directory
from gated.scim import descriptions
from gated.scim.attributes import GROUPS, USERS, Kind
from gated.scim.dependencies import (
    PREFIX,
    Base,
    DirectoryServices,
    Parameters,
    ResourceBody,
    Services,
    query_in,
)
from gated.scim.directed import Directed
from gated.scim.errors import MEDIA_TYPE, refused
from gated.scim.refusals import ScimRefused
from gated.scim.resources import ListQuery, Resource, is_named


class ScimRoute(Route):
    """A route whose refusals are errors of SCIM, and which passes over unknown parameters."""

    knows_its_query = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler; ScimRefused becomes an error of SCIM."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await answer(request)
            except ScimRefused as error:
                return refused(400, str(error), error.scim_type)

        return handle


# SCIM describes itself (/Schemas): it has no place among the bodies of the API
router = APIRouter(prefix=PREFIX, route_class=ScimRoute, include_in_schema=False)

IfMatch = Annotated[str | None, Header()]
IfNoneMatch = Annotated[str | None, Header()]


def _answer(
    kind: Kind, resource: Resource, asked: ListQuery | None = None, status: int = 200
) -> JSONResponse:
    meta = resource["meta"]
    headers = {"ETag": meta["version"], "Location": meta["location"]}
    shown = resource if asked is None else asked.shown(kind, resource)
    return JSONResponse(shown, status, headers, MEDIA_TYPE)


def _plain(content: Any) -> JSONResponse:
    return JSONResponse(content, media_type=MEDIA_TYPE)


def _one(kind: Kind, resource: Resource, asked: ListQuery, known: str | None) -> Response:
    if known is not None and (known.strip() == "*" or is_named(resource, known)):
        return Response(status_code=304, headers={"ETag": resource["meta"]["version"]})
    return _answer(kind, resource, asked)


# --- the service ---


@router.get("/ServiceProviderConfig")
def service_provider_config(_directory: Directory, base: Base) -> Response:
    """Describe the service: filters, versions, sign-in."""
    return _plain(descriptions.service_provider_config(base))


@router.get("/ResourceTypes")
def resource_types(_directory: Directory, base: Base) -> Response:
    """List the types of resources."""
    return _plain(_all(descriptions.resource_types(base)))


@router.get("/ResourceTypes/{name}")
def resource_type(name: str, _directory: Directory, base: Base) -> Response:
    """Describe one type of resources."""
    return _plain(_named(descriptions.resource_types(base), name))


@router.get("/Schemas")
def schemas(_directory: Directory, base: Base) -> Response:
    """List the schemas."""
    return _plain(_all(descriptions.schemas(base)))


@router.get("/Schemas/{urn}")
def schema(urn: str, _directory: Directory, base: Base) -> Response:
    """Describe the attributes of one schema."""
    return _plain(_named(descriptions.schemas(base), urn))


def _all(found: list[Resource]) -> Resource:
    query = ListQuery("", count=len(found))
    return query.listed(USERS, found, len(found))


def _named(found: list[Resource], name: str) -> Resource:
    for one in found:
        if one["id"] == name:
            return one
    raise NotFound("there is no such resource")


@router.post("/.search")
def search(body: ResourceBody, base: Base, _directory: Directory, services: Services) -> Response:
    """Find users and groups; users come first."""
    asked = query_in(body, base)
    users = services.directory_users.list_(asked)
    start = max(1, asked.start - users["totalResults"])
    rest = replace(asked, start=start, count=asked.limit - users["itemsPerPage"])
    groups = services.directory_groups.list_(rest)
    found = [*users["Resources"], *groups["Resources"]]
    total = users["totalResults"] + groups["totalResults"]
    sizes = {"totalResults": total, "itemsPerPage": len(found)}
    return _plain({**users, **sizes, "Resources": found})


# --- users and groups ---


ServiceOf = Callable[[DirectoryServices], Directed]
"""The service of one kind of resources."""


def _add_reading(kind: Kind, of: ServiceOf) -> None:
    """Add the routes that read resources of one kind."""
    path = kind.endpoint

    @router.get(path)
    def list_(asked: Parameters, _directory: Directory, services: Services) -> Response:
        """List resources by id."""
        return _plain(of(services).list_(asked))

    @router.post(f"{path}/.search")
    def search_(
        body: ResourceBody, base: Base, _directory: Directory, services: Services
    ) -> Response:
        """Find resources, without a filter in the address."""
        return _plain(of(services).list_(query_in(body, base)))

    @router.get(f"{path}/{{id}}")
    def get(
        id: str,
        asked: Parameters,
        _directory: Directory,
        services: Services,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Return one resource."""
        return _one(kind, of(services).get(id, asked.base), asked, if_none_match)


def _add_changing(kind: Kind, of: ServiceOf) -> None:
    """Add the routes that change resources of one kind."""
    path, one = kind.endpoint, f"{kind.endpoint}/{{id}}"

    @router.post(path)
    def create(
        body: ResourceBody, base: Base, directory: Directory, services: Services
    ) -> Response:
        """Add a resource."""
        made = of(services).create(directory.username, body, base)
        return _answer(kind, made, status=201)

    @router.put(one)
    def replace_(
        id: str,
        body: ResourceBody,
        base: Base,
        directory: Directory,
        services: Services,
        if_match: IfMatch = None,
    ) -> Response:
        """Make a resource as the directory has it."""
        made = of(services).replace(directory.username, id, body, base, if_match)
        return _answer(kind, made)

    @router.patch(one)
    def patch(
        id: str,
        body: ResourceBody,
        base: Base,
        directory: Directory,
        services: Services,
        if_match: IfMatch = None,
    ) -> Response:
        """Change what the operations name, and nothing else."""
        return _answer(kind, of(services).patch(directory.username, id, body, base, if_match))

    @router.delete(one, status_code=204)
    def delete(
        id: str, base: Base, directory: Directory, services: Services, if_match: IfMatch = None
    ) -> None:
        """Erase a person, or remove a group whose members stay."""
        of(services).delete(directory.username, id, if_match, base)


def _users(services: DirectoryServices) -> Directed:
    return services.directory_users


def _groups(services: DirectoryServices) -> Directed:
    return services.directory_groups


for _kind, _of in ((USERS, _users), (GROUPS, _groups)):
    _add_reading(_kind, _of)
    _add_changing(_kind, _of)
