"""Entity tags: what a client has read, so that it does not overwrite somebody else's change."""

from __future__ import annotations

import re
from typing import Protocol

from gated.errors import ChangedMeanwhile


class Versioned(Protocol):
    """A thing that counts its changes."""

    @property
    def version(self) -> int: ...


def etag(thing: Versioned) -> str:
    """The tag of what is stored."""
    return f'"{thing.version}"'


def version_of(if_match: str | None) -> int | None:
    """The version that the caller has read; ChangedMeanwhile for a tag that is none of ours."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = re.fullmatch(r'"(\d{1,18})"', if_match.strip())
    if tag is None:
        raise ChangedMeanwhile("If-Match does not name what is stored: read it again")
    return int(tag[1])
