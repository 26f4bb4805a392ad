"""Checks of a gate's values for the columns of the attendance log: SQLite would take a word for a
number, and whoever reads the log stumbles over it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gated.core.values import Direction
from gated.database.tables import attendance_logs

LARGEST = 2**53
_COLUMNS = {c.name: (c.nullable, c.type) for c in attendance_logs.c if c.name != "person_id"}
"""Without whose passage it was: that the hub fills in by itself."""


def require(values: Mapping[str, Any]) -> None:
    """ValueError, TypeError for a projected row that the log cannot hold."""
    Direction(values["direction"])
    for name in values.keys() & _COLUMNS.keys():
        (nullable, kind), value = _COLUMNS[name], values[name]
        right = nullable if value is None else _is(value, kind)
        if not right:
            raise ValueError(f"{name} cannot be {value!r}")
    if not all(_is_text(flag) for flag in values["flags"]):
        raise ValueError("flags are words")


def number(value: Any) -> int:
    """A whole number that every engine holds; ValueError."""
    if not _is_whole(value, LARGEST):
        raise ValueError("no number")
    return int(value)


def text(value: Any) -> str:
    """A text that every engine holds; ValueError."""
    if not _is_text(value):
        raise ValueError("no text")
    return str(value)


def _is_text(value: Any) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    value.encode()  # ValueError for half a character
    return True


def _is_whole(value: Any, largest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < largest


def _is(value: Any, kind: sa.types.TypeEngine[Any]) -> bool:
    if isinstance(kind, sa.Double):
        return isinstance(value, float) or _is_whole(value, LARGEST)
    if isinstance(kind, sa.Integer):
        return _is_whole(value, LARGEST if isinstance(kind, sa.BigInteger) else 2**31)
    if isinstance(kind, sa.Text):
        return _is_text(value)
    return isinstance(value, list if isinstance(kind, sa.JSON) else datetime)
