"""The attendance log: filtered pages, newest first."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gated.core.model import Direction, Instant
from gated.errors import SourceError
from gated.services.workspace import Workspace
from gated.storage import attendance
from gated.storage.records import AttendanceRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = struct.Struct(">qq")


@dataclass(frozen=True, slots=True)
class Page:
    """Rows newest first; `cursor` continues after them, None when there are no more."""

    rows: list[AttendanceRow]
    cursor: str | None = None


class Attendance:
    """Reads the attendance log of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._database = workspace.database

    def page(self, *, limit: int | None = None, cursor: str | None = None, **filters: Any) -> Page:
        """Rows that match the filters of storage; SourceError for a cursor that is none of ours."""
        after = read_cursor(cursor) if cursor is not None else None
        with self._database.read() as session:
            wanted = None if limit is None else limit + 1
            rows = attendance.list_(session, after=after, limit=wanted, **filters)
        if limit is None or len(rows) <= limit:
            return Page(rows)
        last = rows[limit - 1]
        return Page(rows[:limit], write_cursor(last.created_at, last.id))


def write_cursor(at: datetime, id_: int) -> str:
    """Where a page ended, opaque to clients: microseconds since 1970 and the row's id."""
    packed = _CURSOR.pack((at - _EPOCH) // timedelta(microseconds=1), id_)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, int]:
    """The place that `write_cursor` wrote; SourceError for anything else."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, id_ = _CURSOR.unpack(base64.b64decode(padded, b"-_", validate=True))
        return _EPOCH + timedelta(microseconds=at), id_
    except (binascii.Error, struct.error, ValueError, OverflowError):
        raise SourceError("the cursor is not one that this list gave") from None


def last_punches(workspace: Workspace, now: Instant) -> Mapping[int, tuple[Direction, float]]:
    """person id -> (direction, UTC seconds) of the last granted passage that still counts."""
    hours = workspace.settings.attendance.auto_reset_h
    since = datetime.fromtimestamp(now.utc, UTC) - timedelta(hours=hours)
    with workspace.database.read() as session:
        return attendance.last_punches(session, since)
