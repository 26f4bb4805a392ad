"""The attendance log: filtered pages, newest first; corrections and punches by hand."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from gated.config import Settings
from gated.core.model import Direction, Instant, LastPunches
from gated.devices.clock import SystemClock
from gated.errors import Conflict, SourceError
from gated.ports import Clock
from gated.services.access_plan import rules_here, site_rules_of
from gated.services.workspace import Workspace
from gated.storage import attendance, corrections, persons, presence
from gated.storage.corrections import Version
from gated.storage.journal import Entry
from gated.storage.records import AttendanceRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = struct.Struct(">qq")

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
CLOCKS_DIFFER_S = 120.0
"""How far the clock of who writes a time down may be ahead of the gate's."""
JOURNAL_LAG_S = 5.0
"""How long a decision may take from the gate into the log; most take milliseconds."""

Status = Literal["granted", "void"]
"""What a correction can make of a row; void: it was no passage."""

_TOUCHED = "gated_touched_people"


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
    status: Status | None = None

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

    def __init__(
        self,
        workspace: Workspace,
        clock: Clock | None = None,
        tell: Callable[[LastPunches], None] | None = None,
    ) -> None:
        """tell: hears what became of the last passages of those whose log was changed."""
        self._workspace = workspace
        self._database = workspace.database
        self._clock = clock or SystemClock()
        self._tell = tell

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
        with self.changing() as session:
            return self.correct_in(session, id_, correction, actor=actor, cause=cause)

    def correct_in(
        self, session: Session, id_: int, correction: Correction, *, actor: str, cause: str
    ) -> AttendanceRow:
        """`correct` as a part of what a session of `changing` does."""
        now = self._clock.now()
        self._require_past(correction.passed_at, now)
        old = attendance.get(session, id_)
        if old.superseded_by is not None:
            raise Conflict(f"row {id_} was corrected already: correct row {old.superseded_by}")
        values = correction.apply_to(old)
        if values["status"] == "granted" and values["person_id"] is None:
            raise SourceError("a granted passage needs a person: say whose it was")
        person_id = values.pop("person_id")
        person = None if person_id is None else persons.get(session, person_id)
        entry = corrections.correction_entry(now, old, person, **values, actor=actor, cause=cause)
        return self._append(session, entry, old.person_id)

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
        with self.changing() as session:
            return self.punch_in(session, person_id, direction, passed_at, actor=actor, cause=cause)

    def punch_in(
        self,
        session: Session,
        person_id: int,
        direction: Direction,
        passed_at: datetime | None,
        *,
        actor: str,
        cause: str,
    ) -> AttendanceRow:
        """`punch` as a part of what a session of `changing` does."""
        now = self._clock.now()
        self._require_past(passed_at, now)
        at = passed_at or datetime.fromtimestamp(now.utc, UTC)
        gate = self._workspace.settings.gate
        person = persons.get(session, person_id)
        if same := attendance.same_punch(session, person_id, at, direction):
            raise Conflict(f"this passage is there already: row {same}")
        entry = corrections.manual_entry(
            now, person, passed_at=at, direction=direction, gate=gate.name, site=gate.site,
            actor=actor, cause=cause,
        )  # fmt: skip
        return self._append(session, entry)

    @contextmanager
    def changing(self) -> Iterator[Session]:
        """A writing session; when it is committed, the gate learns who was last seen where."""
        since = self._clock.now()
        with self._database.write() as session:
            session.info[_TOUCHED] = touched = set[int]()
            yield session
            last = self._last_of(session, touched, since) if touched and self._tell else None
        if last is not None and self._tell is not None:
            self._tell(last)

    def _last_of(self, session: Session, person_ids: set[int], since: Instant) -> LastPunches:
        """What the log says now of these people, None of who has no passage that still counts."""
        begin = _reset(self._workspace.settings, since)
        own = self._workspace.settings.gate.role == "gate"
        known = attendance.last_punches(session, begin, person_ids, own=own)
        # what the gate decided since then may still be on its way into the log
        return LastPunches({id_: known.get(id_) for id_ in person_ids}, since.utc - JOURNAL_LAG_S)

    def _append(self, session: Session, entry: Entry, before: int | None = None) -> AttendanceRow:
        """before: the person whose row it was until now."""
        (receipt,) = self._workspace.journal.append([entry], session)
        assert receipt.attendance_id is not None  # noqa: S101
        row = attendance.get(session, receipt.attendance_id)
        session.info[_TOUCHED] |= {before, row.person_id} - {None}
        return row

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


def last_punches(workspace: Workspace, now: Instant) -> LastPunches:
    """What a gate that starts has to know: last passages of everybody, and who was forgiven.

    Of this gate alone; a hub without a door is asked of all its gates.
    """
    own = workspace.settings.gate.role == "gate"
    with workspace.database.read() as session:
        rules = site_rules_of(rules_here(workspace, session).values)
        since = _reset(workspace.settings, now)
        if rules.count_people:
            longest = timedelta(seconds=rules.forgive_after_s)
            since = min(since, datetime.fromtimestamp(now.utc, UTC) - longest)
        return LastPunches(
            attendance.last_punches(session, since, own=own),
            forgiven=presence.forgiven(session, since, own=own),
        )


def _reset(settings: Settings, now: Instant) -> datetime:
    """Who passed before has begun anew since."""
    hours = settings.attendance.auto_reset_h
    return datetime.fromtimestamp(now.utc, UTC) - timedelta(hours=hours)
