"""The attendance log: filtered pages, newest first; corrections and punches by hand."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from gated.core.model import Direction, Instant
from gated.devices.clock import SystemClock
from gated.errors import Conflict, SourceError
from gated.ports import Clock
from gated.services.workspace import Workspace
from gated.storage import attendance, corrections, persons
from gated.storage.corrections import Version
from gated.storage.journal import Entry
from gated.storage.records import AttendanceRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = struct.Struct(">qq")

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
CLOCKS_DIFFER_S = 120.0
"""How far the clock of who writes a time down may be ahead of the gate's."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows newest first; `cursor` continues after them, None when there are no more."""

    rows: list[AttendanceRow]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """What shall be different in a row; None leaves a value as it is."""

    person_id: int | None = None
    passed_at: datetime | None = None
    direction: Direction | None = None
    status: Literal["granted", "void"] | None = None

    def apply_to(self, row: AttendanceRow) -> dict[str, Any]:
        """The values of the row after the correction; SourceError when none is different."""
        before = (row.person_id, row.created_at, row.direction, row.status)
        wanted = (self.person_id, self.passed_at, self.direction, self.status)
        after = tuple(b if w is None else w for b, w in zip(before, wanted, strict=True))
        if after == before:
            raise SourceError("this corrects nothing: the row says so already")
        names = ("person_id", "passed_at", "direction", "status")
        return dict(zip(names, after, strict=True))


class Attendance:
    """The attendance log of a workspace; `actor` is who corrects it."""

    def __init__(self, workspace: Workspace, clock: Clock | None = None) -> None:
        self._workspace = workspace
        self._database = workspace.database
        self._clock = clock or SystemClock()

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

    def versions(self, id_: int) -> tuple[AttendanceRow, list[Version]]:
        """A row, and all that stood in its place, oldest first, with author and cause; NotFound."""
        with self._database.read() as session:
            found = corrections.versions(session, id_)
        return next(v.row for v in found if v.row.id == id_), found

    def correct(self, id_: int, correction: Correction, *, actor: str, cause: str) -> AttendanceRow:
        """Put another row in the place of one; returns the new one.

        NotFound (row or person), Conflict when the row was corrected before, SourceError for a
        correction of nothing and a time to come.
        """
        now = self._clock.now()
        self._require_past(correction.passed_at, now)
        with self._database.write() as session:
            old = attendance.get(session, id_)
            if old.superseded_by is not None:
                raise Conflict(f"row {id_} was corrected already: correct row {old.superseded_by}")
            values = correction.apply_to(old)
            if values["status"] == "granted" and values["person_id"] is None:
                raise SourceError("a granted passage needs a person: say whose it was")
            person_id = values.pop("person_id")
            person = None if person_id is None else persons.get(session, person_id)
            entry = corrections.correction_entry(
                now, old, person, **values, actor=actor, cause=cause
            )
            return self._append(session, entry)

    def punch(
        self,
        person_id: int,
        direction: Direction,
        passed_at: datetime | None = None,
        *,
        actor: str,
        cause: str,
    ) -> AttendanceRow:
        """Put down a passage that the gate did not see, by default one of now.

        NotFound, Conflict when it is there already, SourceError for a time to come.
        """
        now = self._clock.now()
        self._require_past(passed_at, now)
        at = passed_at or datetime.fromtimestamp(now.utc, UTC)
        gate = self._workspace.settings.gate
        with self._database.write() as session:
            person = persons.get(session, person_id)
            if same := attendance.same_punch(session, person_id, at, direction):
                raise Conflict(f"this passage is there already: row {same}")
            entry = corrections.manual_entry(
                now, person, passed_at=at, direction=direction, gate=gate.name, site=gate.site,
                actor=actor, cause=cause,
            )  # fmt: skip
            return self._append(session, entry)

    def _append(self, session: Session, entry: Entry) -> AttendanceRow:
        (receipt,) = self._workspace.journal.append([entry], session)
        assert receipt.attendance_id is not None  # noqa: S101
        return attendance.get(session, receipt.attendance_id)

    def _require_past(self, at: datetime | None, now: Instant) -> None:
        if at is None:
            return
        if at < EARLIEST:
            raise SourceError(f"there was no passage before {EARLIEST:%Y}")
        # a clock that is not set yet cannot tell what is to come
        if now.clock_ok and at.timestamp() > now.utc + CLOCKS_DIFFER_S:
            raise SourceError("this time is still to come")


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
