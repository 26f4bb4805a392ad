"""Says in plain words what is wrong with a value of a request; the validator's own are for us."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_BOUNDS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "bytes_too_long": "must have at most {max_length} bytes",
    "too_short": "must have at least {min_length} of them",
    "too_long": "must have at most {max_length} of them",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
}
_SORTS = {
    "int": "must be a whole number",
    "float": "must be a number",
    "finite_number": "must be a number",
    "bool": "must be true or false",
    "string_type": "must be a text",
    "string_unicode": "must be a text",
    "string_pattern_mismatch": "does not have the form that is needed here",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "dict_type": "must be an object with names and values",
    "model": "must be an object with names and values",
    "mapping_type": "must be an object with names and values",
    "datetime": "must be a date with a time, such as 2026-03-01T08:00:00Z",
    "date": "must be a date, such as 2026-03-01",
    "timezone": "must be a date with a time and its offset, such as 2026-03-01T08:00:00Z",
    "time": "must be a time, such as 08:00",
    "uuid": "must be a UUID",
    "missing": "is needed",
    "extra_forbidden": "is not known here",
    "json_invalid": "is no JSON",
}
"""By the kind of a problem, or what it begins with; the first that fits counts."""

_ONE = re.compile(r"(least|most) 1 (character|byte)s\b")


def in_plain_words(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """Say what is wrong, to follow the name of the field; never tells the value.

    kind, message, context: as the validator has them. What it has no words for stays its own.
    """
    if kind in ("string_too_short", "too_short") and context.get("min_length") == 1:
        return "must not be empty"
    if (known := _BOUNDS.get(kind)) is not None:
        try:
            said = known.format_map({k: _plain(v) for k, v in context.items()})
        except KeyError:
            return message
        return _ONE.sub(r"\1 1 \2", said)
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return next((said for begin, said in _SORTS.items() if kind.startswith(begin)), message)


def _plain(value: object) -> str:
    """A bound as one writes it: 600 rather than 600.0; names without quotes."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace("'", "")
