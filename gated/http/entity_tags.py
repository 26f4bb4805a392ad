"""Entity tags: what a client has read, so that it does not overwrite somebody else's change."""

from __future__ import annotations

import re
from typing import Annotated, Protocol

from fastapi import Header

from gated.database.rows import Versions

IfMatch = Annotated[
    str | None,
    Header(
        description="ETags of what was read: one has to be right",
        max_length=200,
    ),
]


class Versioned(Protocol):
    """A thing that counts its changes."""

    @property
    def version(self) -> int: ...


def etag(thing: Versioned) -> str:
    """Return the entity tag of a stored thing."""
    return f'"{thing.version}"'


def versions_of(if_match: str | None) -> Versions:
    """Return the versions that the caller has read; None when any will do.

    Tags that this API never gave name none.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (re.fullmatch(r'"(\d{1,18})"', tag.strip()) for tag in if_match.split(","))
    return {int(tag[1]) for tag in tags if tag is not None}
