"""Reads the JSON objects that the journal stores as texts, whatever was written over them.

Whoever lists rows, or looks for those of a kind, must not end over one that was altered: `verify`
names it. What may be acted on is another question: see `proven`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from gated.core.chain import utc

DEEPEST = 32
"""Objects and lists one in another, of a row that is shown."""

_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def object_in(text: Any) -> dict[str, Any]:
    """Return the JSON object in a text; empty where it holds anything else."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def shown_object_in(text: Any) -> dict[str, Any]:
    """Return the same for people and partners.

    A gate that somebody has taken apart can write into its own journal what no answer can hold: `?`
    stands for half a character, and for what is nested deeper than `DEEPEST`.
    """
    found = object_in(text)
    deep = text.count("{") + text.count("[") > DEEPEST if found else False
    if not deep and "\\ud" not in str(text).lower():
        return found
    shown: dict[str, Any] = _whole(found, DEEPEST)
    return shown


def _whole(value: Any, most: int) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if not isinstance(value, dict | list):
        return value
    if most == 0:
        return "?"
    if isinstance(value, list):
        return [_whole(item, most - 1) for item in value]
    return {_whole(name, 1): _whole(item, most - 1) for name, item in value.items()}


def moment_in(microseconds: Any) -> datetime:
    """Return the moment that a row says; 1970 where it says none."""
    try:
        return utc(microseconds)
    except (OverflowError, TypeError, ValueError):
        return _NO_TIME
