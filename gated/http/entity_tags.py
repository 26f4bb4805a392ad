"""Entity tags: what a client has read, so that it does not overwrite somebody else's change."""

from __future__ import annotations

import re
from typing import Annotated, Protocol

from fastapi import Header

from gated.errors import ChangedMeanwhile

IfMatch = Annotated[str | None, Header(description="ETag of what was read", max_length=200)]


class Versioned(Protocol):
    """A thing that counts its changes."""

    @property
    def version(self) -> int: ...


def etag(thing: Versioned) -> str:
    """Return the entity tag of a stored thing."""
    return f'"{thing.version}"'


def version_of(if_match: str | None) -> int | None:
    """Return the version that the caller has read; None when any will do.

    Raises: ChangedMeanwhile for a tag that this API never gave.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tag = re.fullmatch(r'"(\d{1,18})"', if_match.strip())
    if tag is None:
        raise ChangedMeanwhile("If-Match does not name what is stored: read it again")
    return int(tag[1])
