"""Dependencies of the routes for a directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from fastapi import Body, Depends, Query, Request

from gated.config import Settings
from gated.http.callers import app_services
from gated.scim.groups import DirectoryGroups
from gated.scim.refusals import ScimRefused
from gated.scim.resources import Query as Asked
from gated.scim.users import Users

PREFIX = "/scim/v2"

LARGEST = 2**31 - 1


class DirectoryServices(Protocol):
    """The services that routes of this room call."""

    @property
    def settings(self) -> Settings: ...

    @property
    def directory_users(self) -> Users: ...

    @property
    def directory_groups(self) -> DirectoryGroups: ...


Services = Annotated[DirectoryServices, Depends(app_services)]


async def base_of(request: Request) -> str:
    """The address of the service as the directory calls it, without a slash at the end."""
    return str(request.url.replace(path=PREFIX, query="", fragment=""))


Base = Annotated[str, Depends(base_of)]

Resource = Annotated[dict[str, Any], Body()]


async def _asked(
    base: Base,
    filter: Annotated[str | None, Query()] = None,
    start: Annotated[int, Query(alias="startIndex", le=LARGEST)] = 1,
    count: Annotated[int | None, Query(le=LARGEST)] = None,
    attributes: Annotated[str | None, Query(max_length=4000)] = None,
    excluded: Annotated[str | None, Query(alias="excludedAttributes", max_length=4000)] = None,
) -> Asked:
    return Asked(base, filter, start, count, attributes, excluded)


Parameters = Annotated[Asked, Depends(_asked)]
"""Of a request that reads; others than these are passed over, as some add their own."""


def asked_in(body: Mapping[str, Any], base: str) -> Asked:
    """Read the same from a body of `.search` (RFC 7644, 3.4.3). Raises: ScimRefused."""
    told = {key.lower(): value for key, value in body.items()}
    start, count = told.get("startindex", 1), told.get("count")
    if not _is_number(start) or not (count is None or _is_number(count)):
        raise ScimRefused("invalidValue", "startIndex and count are numbers")
    wanted = told.get("filter")
    if not isinstance(wanted, str | None):
        raise ScimRefused("invalidFilter", "a filter is a text")
    return Asked(base, wanted, start, count, _names(told, "attributes"), _names(told, "excluded"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def _names(told: Mapping[str, Any], which: str) -> str | None:
    given = told.get(which if which == "attributes" else "excludedattributes")
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise ScimRefused("invalidValue", "attributes are a list of names")
    return ",".join(given)
