"""The attendance log: filtered pages, newest first; corrections and punches by hand."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from gated.attendance import attendance_store, correction_store, gate_names
from gated.attendance.correction_store import ManualPunch, NewValues, Version
from gated.change import Change
from gated.config import Settings
from gated.core.clock import CLOCK_UNSET
from gated.core.messages import LastPunches
from gated.core.values import Direction, Instant
from gated.database.records import AttendanceRow
from gated.errors import AlreadyDone, SourceError
from gated.journal.journal import Entry
from gated.people import person_store
from gated.people.zones import zones
from gated.ports import Clock
from gated.workspace import Service, Workspace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = struct.Struct(">qq")

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
CLOCKS_DIFFER_S = 120.0
"""Tolerance by which an operator's clock may be ahead of the gate's."""
JOURNAL_LAG_S = 5.0
"""Longest time of a decision from the gate into the log; most take milliseconds."""

NEAR = timedelta(days=7)
"""A passage put down by hand was where the person was last or next seen, within so long."""

Status = Literal["granted", "void"]
"""The status that a correction gives a row; void: it was no passage."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows newest first; `cursor` continues after them, None when there are no more."""

    rows: list[AttendanceRow]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """The new values of a row; None leaves a value as it is."""

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


class Attendance(Service):
    """The attendance log of a workspace."""

    def __init__(
        self,
        workspace: Workspace,
        clock: Clock | None = None,
        tell: Callable[[LastPunches], None] | None = None,
    ) -> None:
        """tell: hears what became of the last passages of those whose log was changed."""
        super().__init__(workspace, clock or workspace.clock)
        self._database = workspace.database
        self._tell = tell

    def page(self, *, limit: int | None = None, cursor: str | None = None, **filters: Any) -> Page:
        """Rows that match the filters of storage; SourceError for a cursor that is none of ours.

        gate (of the filters): uid or name of the gate that made them, its name now or then.
        """
        after = read_cursor(cursor) if cursor is not None else None
        with self._database.read() as session:
            wanted = None if limit is None else limit + 1
            filters = filters_for(self._workspace, session, filters)
            rows = attendance_store.list_(session, after=after, limit=wanted, **filters)
            rows = placed(self._workspace, session, rows)
        if limit is None or len(rows) <= limit:
            return Page(rows)
        last = rows[limit - 1]
        return Page(rows[:limit], write_cursor(last.created_at, last.id))

    def versions(self, id_: int) -> tuple[AttendanceRow, list[Version]]:
        """A row, and all that stood in its place, oldest first, with author and cause; NotFound."""
        with self._database.read() as session:
            found = correction_store.versions(session, id_)
            row = next(v.row for v in found if v.row.id == id_)
            (row,) = placed(self._workspace, session, [row])
        return row, found

    def correct(
        self, change: Change, id_: int, correction: Correction, *, cause: str
    ) -> AttendanceRow:
        """Put another row in the place of one; returns the new one.

        NotFound (row or person), Conflict when the row was corrected before, SourceError for a
        correction of nothing and a time to come.
        """
        session, now = change.session, change.at
        self._require_past(correction.passed_at, now)
        old = attendance_store.get(session, id_)
        if old.superseded_by is not None:
            now_there = correction_store.newest(session, old).id
            raise AlreadyDone(f"row {id_} was corrected already: correct row {now_there}")
        values = correction.apply_to(old)
        if values["status"] == "granted" and values["person_id"] is None:
            raise SourceError("a granted passage needs a person: say whose it was")
        person_id = values.pop("person_id")
        person = None if person_id is None else person_store.get(session, person_id)
        clock = correction_store.clock_of(session, old) if CLOCK_UNSET in old.flags else None
        new = NewValues(person=person, **values, clock=clock)
        entry = correction_store.correction_entry(now, old, new, actor=change.actor, cause=cause)
        return self._append(change, entry, old.person_id)

    def punch(
        self,
        change: Change,
        person_id: int,
        direction: Direction,
        passed_at: datetime | None = None,
        *,
        cause: str,
    ) -> AttendanceRow:
        """Enter a passage that the gate did not see, by default one of now.

        Raises: NotFound, AlreadyDone when it is there already, SourceError for a time to come.
        """
        session, now = change.session, change.at
        self._require_past(passed_at, now)
        at = passed_at or datetime.fromtimestamp(now.utc, UTC)
        gate = self._workspace.settings.gate
        person = person_store.get(session, person_id)
        timezone = attendance_store.zone_near(session, person_id, at, NEAR)
        if same := attendance_store.same_punch(session, person_id, at, direction):
            raise AlreadyDone(f"this passage is there already: row {same}")
        by_hand = ManualPunch(
            person=person, passed_at=at, direction=direction, gate=gate.name, site=gate.site,
            timezone=timezone,
        )  # fmt: skip
        entry = correction_store.manual_entry(now, by_hand, actor=change.actor, cause=cause)
        return self._append(change, entry)

    def _last_of(self, change: Change, person_ids: set[int]) -> LastPunches:
        """Return the log's last passages of these people; None for one without any that counts."""
        session, since = change.session, change.asked_at
        begin = counted_since(self._workspace.settings, since)
        own = self._workspace.settings.gate.role == "gate"
        now = latest_counted(change.at)
        known = attendance_store.last_punches(session, begin, person_ids, own=own, now=now)
        last = {id_: (p.direction, p.utc) for id_, p in known.items()}
        # what the gate decided since then may still be on its way into the log
        return LastPunches({id_: last.get(id_) for id_ in person_ids}, since.utc - JOURNAL_LAG_S)

    def _append(self, change: Change, entry: Entry, before: int | None = None) -> AttendanceRow:
        """Append a row; when it is committed, the gate learns who was last seen where.

        before: the person whose row it was until now.
        """
        receipt = change.append(entry)
        assert receipt.attendance_id is not None  # noqa: S101
        row = attendance_store.get(change.session, receipt.attendance_id)
        touched = {id_ for id_ in (before, row.person_id) if id_ is not None}
        if touched and (tell := self._tell) is not None:
            last = self._last_of(change, touched)
            change.after_commit(lambda: tell(last))
        (row,) = placed(self._workspace, change.session, [row])
        return row

    def _require_past(self, at: datetime | None, now: Instant) -> None:
        if at is None:
            return
        if at < EARLIEST:
            raise SourceError(f"there was no passage before {EARLIEST:%Y}")
        # a clock that is not set yet cannot tell what is to come
        if now.clock_ok and at.timestamp() > now.utc + CLOCKS_DIFFER_S:
            raise SourceError("this time is still to come")


def filters_for(
    workspace: Workspace, session: Session, filters: Mapping[str, Any]
) -> dict[str, Any]:
    """The same filters as storage takes them."""
    wanted = dict(filters)
    gate = wanted.pop("gate", None)
    if gate is not None:
        here = gate_names.own_gate(workspace, session)
        wanted["made_by"] = gate_names.made_by(session, gate, here)
    return wanted


def placed(
    workspace: Workspace, session: Session, rows: Sequence[AttendanceRow]
) -> list[AttendanceRow]:
    """The rows with gates and people; old ones, without a time zone, with their site's."""
    there, names = zones(workspace, session), gate_names.GateNames(workspace, session)
    gates = names.of(session, [(row.id, row.chain, row.reason) for row in rows])
    whose = {row.person_id for row in rows if row.person_id is not None}
    people = person_store.refs(session, whose)
    return [
        replace(
            row,
            timezone=row.timezone or str(there.at(row.site)),
            gate_uid=None if gate is None else gate.uid,
            gate_name_now=None if gate is None else gate.now(row.gate_name),
            person=None if row.person_id is None else people.get(row.person_id),
        )
        for row in rows
        for gate in (gates[row.id],)
    ]


def write_cursor(at: datetime, id_: int) -> str:
    """Write where a page ended, opaque to clients: microseconds since 1970 and the row's id."""
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


def latest_counted(now: Instant) -> float:
    """Return the UTC seconds after which passages do not count; inf for a doubtful clock."""
    return now.utc if now.sure else float("inf")


def counted_since(settings: Settings, now: Instant) -> datetime:
    """Return the time before which passages no longer count: their people have begun anew."""
    hours = settings.attendance.auto_reset_h
    return datetime.fromtimestamp(now.utc, UTC) - timedelta(hours=hours)
