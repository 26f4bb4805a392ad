"""Dependencies of the routes for a directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from fastapi import Body, Depends, Query, Request

from gated.config import Settings
from gated.http.callers import app_services
from gated.scim.groups import DirectoryGroups
from gated.scim.refusals import ScimRefused
from gated.scim.resources import ListQuery
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
    """Return the address of the service as the client wrote it, without a slash at the end."""
    return str(request.url.replace(path=PREFIX, query="", fragment=""))


Base = Annotated[str, Depends(base_of)]

ResourceBody = Annotated[dict[str, Any], Body()]


async def _query(
    base: Base,
    filter: Annotated[str | None, Query()] = None,
    start: Annotated[int, Query(alias="startIndex", le=LARGEST)] = 1,
    count: Annotated[int | None, Query(le=LARGEST)] = None,
    attributes: Annotated[str | None, Query(max_length=4000)] = None,
    excluded: Annotated[str | None, Query(alias="excludedAttributes", max_length=4000)] = None,
) -> ListQuery:
    return ListQuery(base, filter, start, count, attributes, excluded)


Parameters = Annotated[ListQuery, Depends(_query)]
"""Parameters of a request that reads; unknown ones are passed over, as some clients add theirs."""


def query_in(body: Mapping[str, Any], base: str) -> ListQuery:
    """Read the parameters from the body of a `.search` (RFC 7644, 3.4.3). Raises: ScimRefused."""
    fields = {key.lower(): value for key, value in body.items()}
    start, count = fields.get("startindex", 1), fields.get("count")
    if not _is_number(start) or not (count is None or _is_number(count)):
        raise ScimRefused("invalidValue", "startIndex and count are numbers")
    wanted = fields.get("filter")
    if not isinstance(wanted, str | None):
        raise ScimRefused("invalidFilter", "a filter is a text")
    chosen, excluded = (_names(fields, name) for name in ("attributes", "excludedattributes"))
    return ListQuery(base, wanted, start, count, chosen, excluded)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def _names(fields: Mapping[str, Any], parameter: str) -> str | None:
    given = fields.get(parameter)
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise ScimRefused("invalidValue", "attributes are a list of names")
    return ",".join(given)
