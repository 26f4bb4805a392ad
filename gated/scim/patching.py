"""PATCH: operations on a resource, one after the other, as directories send them (RFC 7644, 3.5.2).

What no operation names stays as it is. Beyond the standard: a key of a value without path may be a
path (Entra ID), values to remove may stand beside the path (Entra ID), and a value that the
brackets do not find is made of what they ask for.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from gated.scim.attributes import Attribute, Kind, read_part, read_value
from gated.scim.filters import Comparison, Path, parse_path
from gated.scim.refusals import ScimRefused

MOST_OPERATIONS = 200

_SENT_ALONG = frozenset({"schemas", "id", "meta"})
"""Keys of a value without path that some send along with the rest of a resource."""


def patched(kind: Kind, resource: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource after the operations of a request. Raises: ScimRefused."""
    after = copy.deepcopy(dict(resource))
    for op, path, value in _operations(body):
        if path is not None:
            _apply(kind, after, op, parse_path(kind, path), value)
        elif op == "remove":
            raise ScimRefused("noTarget", "remove needs a path")
        elif not isinstance(value, Mapping):
            raise ScimRefused("invalidValue", "without a path the value is an object")
        else:
            for key, one in value.items():
                if key.lower() not in _SENT_ALONG:
                    _apply(kind, after, op, parse_path(kind, key), one)
    return after


def _operations(body: Mapping[str, Any]) -> list[tuple[str, str | None, Any]]:
    given = next((v for k, v in body.items() if k.lower() == "operations"), None)
    if not isinstance(given, list) or not 0 < len(given) <= MOST_OPERATIONS:
        raise ScimRefused("invalidSyntax", f"Operations has 1 to {MOST_OPERATIONS} operations")
    return [_operation(one) for one in given]


def _operation(given: Any) -> tuple[str, str | None, Any]:
    if not isinstance(given, Mapping):
        raise ScimRefused("invalidSyntax", "an operation is an object")
    fields = {key.lower(): value for key, value in given.items()}
    op, path = fields.get("op"), fields.get("path")
    if not isinstance(op, str) or op.lower() not in ("add", "replace", "remove"):
        raise ScimRefused("invalidSyntax", "op is add, replace or remove")
    if path is not None and not isinstance(path, str):
        raise ScimRefused("invalidPath", "a path is a text")
    return op.lower(), path or None, fields.get("value")


def _apply(kind: Kind, resource: dict[str, Any], op: str, path: Path, value: Any) -> None:
    if not path.attribute:
        _apply_extension(kind, resource, op, path.urn, value)
        return
    if path.attribute.lower() in kind.passed_over or path.part.lower() in kind.passed_over:
        return
    attribute = kind.attribute(path.urn, path.attribute)
    if attribute is None:
        raise ScimRefused("invalidPath", f"there is no attribute {path.attribute[:60]!a}")
    if attribute.mutability == "readOnly":
        raise ScimRefused("mutability", f"{attribute.name} is not changed by a directory")
    holder = resource.setdefault(path.urn, {}) if path.urn else resource
    if attribute.many:
        holder[attribute.name] = _of_many(attribute, holder.get(attribute.name), op, path, value)
    elif path.where is not None:
        raise ScimRefused("invalidPath", f"{attribute.name} has one value, and no brackets")
    elif attribute.parts:
        _of_complex(attribute, holder, op, path.part, value)
    elif path.part:
        raise ScimRefused("invalidPath", f"{attribute.name} has no parts")
    else:
        holder[attribute.name] = None if op == "remove" else read_value(attribute, value)


def _apply_extension(kind: Kind, resource: dict[str, Any], op: str, urn: str, value: Any) -> None:
    if not urn:
        raise ScimRefused("noTarget", "the path names a schema and no attribute")
    if op == "remove":
        resource.pop(urn, None)
        return
    if not isinstance(value, Mapping):
        raise ScimRefused("invalidValue", "the value of an extension is an object")
    for key, one in value.items():
        if key.lower() not in _SENT_ALONG:
            _apply(kind, resource, op, Path(urn, key), one)


def _of_complex(
    attribute: Attribute, holder: dict[str, Any], op: str, part: str, value: Any
) -> None:
    before = holder.get(attribute.name) or {}
    if part:
        name, read = read_part(attribute, part, None if op == "remove" else value)
        holder[attribute.name] = {**before, name: read}
    elif op == "remove":
        holder[attribute.name] = None
    else:
        holder[attribute.name] = {**before, **(read_value(attribute, value) or {})}


def _of_many(
    attribute: Attribute, before: Any, op: str, path: Path, value: Any
) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = list(before or ())
    if path.where is not None or path.part:
        return _chosen(attribute, items, op, path, value)
    if op == "remove":
        gone = {_key(v) for v in read_value(attribute, value)}
        return [i for i in items if gone and _key(i) not in gone]
    new: list[dict[str, Any]] = read_value(attribute, value)
    if op == "replace":
        return new
    known = {_key(i) for i in new}
    # what is added comes first: of several that are alike the first one counts
    return [*new, *(i for i in items if _key(i) not in known)]


def _chosen(
    attribute: Attribute, items: list[dict[str, Any]], op: str, path: Path, value: Any
) -> list[dict[str, Any]]:
    """Change those values only that the brackets choose, or a part of them."""
    where = path.where or ()
    chosen = [i for i in items if _fits(i, where)]
    if op == "remove":
        if not path.part or path.part.lower() == "value":
            return [i for i in items if i not in chosen]
        name, _ = read_part(attribute, path.part, None)
        return [{k: v for k, v in i.items() if i not in chosen or k != name} for i in items]
    if not chosen:
        made = dict(read_part(attribute, c.attribute, c.value) for c in where)
        items, chosen = [*items, made], [made]
    if path.part:
        change = dict([read_part(attribute, path.part, value)])
    else:
        change = (read_value(attribute, value) or [{}])[0]
    return [{**i, **change} if any(i is c for c in chosen) else i for i in items]


def _fits(item: Mapping[str, Any], where: Sequence[Comparison]) -> bool:
    values = {name.lower(): value for name, value in item.items()}
    return all(_same(values.get(c.attribute), c.value) for c in where)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    if isinstance(one, bool) and isinstance(other, str):
        return str(one).lower() == other.lower()
    return bool(one == other)


def _key(item: Mapping[str, Any]) -> str:
    return str(item.get("value", "")).casefold()
