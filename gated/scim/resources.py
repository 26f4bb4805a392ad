"""Answers in SCIM's form: versions, chosen attributes, lists (RFC 7643 and RFC 7644)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gated.errors import ChangedMeanwhile
from gated.scim.attributes import Kind

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"

PAGE, MOST = 100, 200
"""Resources of an answer without `count`, and with any `count`."""

MOST_CHOSEN = 100
"""Names in `attributes` and `excludedAttributes`."""

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Parameters of a request that reads. base: the address of the service, without slash."""

    base: str
    filter: str | None = None
    start: int = 1
    count: int | None = None
    attributes: str | None = None
    excluded: str | None = None

    @property
    def offset(self) -> int:
        """The number of resources before the first one of the answer."""
        return max(0, self.start - 1)

    @property
    def limit(self) -> int:
        """The most resources of the answer."""
        return PAGE if self.count is None else max(0, min(self.count, MOST))

    def wants(self, name: str) -> bool:
        """Return whether an attribute that is expensive to find is requested."""
        if self.attributes is not None:
            return any(c.rpartition(":")[2].startswith(name) for c in _chosen(self.attributes))
        return name not in _chosen(self.excluded or "")

    def shown(self, kind: Kind, resource: Resource) -> Resource:
        """Return those attributes of a resource that are asked for; `id` always."""
        if self.attributes is not None:
            chosen = _chosen(self.attributes) | {"id", "schemas"}
            return _picked(kind, resource, chosen, keep=True)
        if self.excluded:
            return _picked(kind, resource, _chosen(self.excluded) - {"id", "schemas"}, keep=False)
        return resource

    def listed(self, kind: Kind, found: Sequence[Resource], total: int) -> Resource:
        """Return a page of a list."""
        return {
            "schemas": [LIST],
            "totalResults": total,
            "startIndex": self.offset + 1,
            "itemsPerPage": len(found),
            "Resources": [self.shown(kind, one) for one in found],
        }


def finished(
    kind: Kind, resource: Resource, base: str, created: datetime, changed: datetime
) -> Resource:
    """Return a resource without empty attributes, with `schemas` and `meta`.

    meta.version is that of its content, memberships included.
    """
    content = {name: value for name, value in resource.items() if value not in (None, [], {}, "")}
    schemas = [kind.urn, *(urn for urn in kind.extensions if urn in content)]
    meta = {
        "resourceType": kind.name,
        "created": _time(created),
        "lastModified": _time(changed),
        "location": f"{base}{kind.endpoint}/{content['id']}",
        "version": version(content),
    }
    return {"schemas": schemas, **content, "meta": meta}


def version(content: Mapping[str, Any]) -> str:
    """Return the entity tag of a content."""
    plain = json.dumps(content, sort_keys=True, ensure_ascii=False).encode()
    return f'W/"{hashlib.sha256(plain).hexdigest()[:20]}"'


def require_version(resource: Resource, if_match: str | None) -> None:
    """Check If-Match. Raises: ChangedMeanwhile when it names another version."""
    if if_match is None or if_match.strip() == "*":
        return
    if not is_named(resource, if_match):
        raise ChangedMeanwhile("it was changed meanwhile: read it again")


def is_named(resource: Resource, tags: str) -> bool:
    """Return whether a header with entity tags names this version."""
    known = resource["meta"]["version"].removeprefix("W/")
    return known in [tag.strip().removeprefix("W/") for tag in tags.split(",")]


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _chosen(names: str) -> frozenset[str]:
    parts = names.split(",")[:MOST_CHOSEN]
    return frozenset(part.strip().lower() for part in parts if part.strip())


def _picked(kind: Kind, resource: Resource, chosen: frozenset[str], *, keep: bool) -> Resource:
    found: Resource = {}
    for name, value in resource.items():
        if name in kind.extensions:
            prefix = f"{name}:".lower()
            inner = frozenset(
                c.removeprefix(prefix) for c in chosen if c.startswith(prefix) or ":" not in c
            )
            rest = value if (name.lower() in chosen) else _of(value, inner, keep)
            if (name.lower() in chosen) == keep or (rest and name.lower() not in chosen):
                found[name] = rest
        else:
            core = frozenset(c.removeprefix(f"{kind.urn}:".lower()) for c in chosen)
            found |= _of({name: value}, core, keep)
    return {name: value for name, value in found.items() if value not in ({}, [])}


def _of(values: Mapping[str, Any], chosen: frozenset[str], keep: bool) -> dict[str, Any]:
    """Those of the values, or parts of them, that are chosen, or that are not."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        parts = frozenset(c.partition(".")[2] for c in chosen if c.startswith(f"{name.lower()}."))
        if name.lower() in chosen:
            if keep:
                found[name] = value
        elif parts and isinstance(value, dict):
            found[name] = _of(value, parts, keep)
        elif parts and isinstance(value, list):
            found[name] = [_of(one, parts, keep) for one in value]
        elif not keep:
            found[name] = value
    return found
