"""Says in plain words what is wrong with a value of a request; the validator's own are for us."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gated.errors import Broken

_BOUNDS = {
    "greater_than": ("more_than", "gt"),
    "greater_than_equal": ("at_least", "ge"),
    "less_than": ("less_than", "lt"),
    "less_than_equal": ("at_most", "le"),
    "multiple_of": ("multiple_of", "multiple_of"),
    "string_too_short": ("shortest", "min_length"),
    "string_too_long": ("longest", "max_length"),
    "bytes_too_long": ("most_bytes", "max_length"),
    "too_short": ("fewest", "min_length"),
    "too_long": ("most", "max_length"),
    "enum": ("one_of", "expected"),
    "literal_error": ("one_of", "expected"),
}
"""By the kind of a problem: its rule, and where the validator has the limit."""

_SORTS = {
    "int": "whole_number",
    "float": "number",
    "finite_number": "number",
    "bool": "yes_or_no",
    "string_type": "text",
    "string_unicode": "text",
    "string_pattern_mismatch": "form",
    "list_type": "list",
    "tuple_type": "list",
    "set_type": "list",
    "dict_type": "object",
    "model": "object",
    "mapping_type": "object",
    "datetime": "moment",
    "date": "day",
    "timezone": "moment_with_offset",
    "time": "time",
    "uuid": "uuid",
    "missing": "needed",
    "extra_forbidden": "unknown",
    "json_invalid": "json",
}
"""By the kind of a problem, or what it begins with; the first that fits counts."""

RULES = {
    "empty": "must not be empty",
    "more_than": "must be more than {limit}",
    "at_least": "must be at least {limit}",
    "less_than": "must be less than {limit}",
    "at_most": "must be at most {limit}",
    "multiple_of": "must be a multiple of {limit}",
    "shortest": "must have at least {limit} characters",
    "longest": "must have at most {limit} characters",
    "most_bytes": "must have at most {limit} bytes",
    "fewest": "must have at least {limit} of them",
    "most": "must have at most {limit} of them",
    "one_of": "must be one of {limit}",
    "whole_number": "must be a whole number",
    "number": "must be a number",
    "yes_or_no": "must be true or false",
    "text": "must be a text",
    "form": "does not have the form that is needed here",
    "list": "must be a list",
    "object": "must be an object with names and values",
    "moment": "must be a date with a time, such as 2026-03-01T08:00:00Z",
    "day": "must be a date, such as 2026-03-01",
    "moment_with_offset": "must be a date with a time and its offset, such as 2026-03-01T08:00:00Z",
    "time": "must be a time, such as 08:00",
    "uuid": "must be a UUID",
    "needed": "is needed",
    "unknown": "is not known here",
    "json": "is no JSON",
}
"""What a value may break: its name, which pages have words for, and what it says in English."""

OWN_RULES = ("ends_early", "unknown_zone", "year")
"""Rules that our own validators name; each says by itself what is wrong."""

_ONE = re.compile(r"(least|most) 1 (character|byte)s\b")


def broken(kind: str, message: str, context: Mapping[str, Any]) -> Broken:
    """Name the rule that a value breaks; never tells the value.

    kind, message, context: as the validator has them. What has no name keeps its message.
    """
    if kind in OWN_RULES:
        return Broken(kind, None, message)
    rule, key = _BOUNDS.get(kind, (None, ""))
    if rule is None:
        rule = next((name for begin, name in _SORTS.items() if kind.startswith(begin)), None)
    limit = _plain(context[key]) if key in context else None
    if rule in ("shortest", "fewest") and limit == "1":
        rule, limit = "empty", None
    if rule is None or (key and key not in context):
        return Broken(None, None, message.removeprefix("Value error, "))
    detail = _ONE.sub(r"\1 1 \2", RULES[rule].format(limit=limit))
    if limit is not None and rule == "one_of":
        limit = limit.replace(" or ", ", ")  # other languages have another word for it
    return Broken(rule, limit, detail)


def in_plain_words(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """Say what is wrong, to follow the name of the field."""
    return broken(kind, message, context).detail


def _plain(value: object) -> str:
    """A bound as one writes it: 600 rather than 600.0; names without quotes."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace("'", "")
