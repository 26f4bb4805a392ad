"""Reads the JSON objects that the journal stores as texts, whatever was written over them.

Whoever lists rows, or looks for those of a kind, must not end over one that was altered: `verify`
names it. What may be acted on is another question: see `proven`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from gated.core.chain import utc

_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def object_in(text: Any) -> dict[str, Any]:
    """Return the JSON object in a text; empty where it holds anything else."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def moment_in(microseconds: Any) -> datetime:
    """Return the moment that a row says; 1970 where it says none."""
    try:
        return utc(microseconds)
    except (OverflowError, TypeError, ValueError):
        return _NO_TIME
