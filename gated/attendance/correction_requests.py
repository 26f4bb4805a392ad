"""Requests of people to have their own times corrected: made, answered, journaled.

What is asked for becomes an ordinary correction (or a punch by hand) when it is approved, with the
person's reason and whoever approved it as its author.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from gated.attendance import attendance_store as attendance
from gated.attendance import correction_request_store, correction_store
from gated.attendance.attendance import Attendance, Correction, Status
from gated.change import Change
from gated.core.values import Direction
from gated.database.records import AttendanceRow, CorrectionRequest
from gated.errors import AlreadyDone, Conflict, NotFound, RequestsWaiting, SourceError
from gated.people import person_store
from gated.ports import Clock
from gated.workspace import Service, Workspace

MOST_OPEN = 50
"""Requests of one person that wait for an answer."""


@dataclass(frozen=True, slots=True)
class RequestedCorrection:
    """The right values of a row, or of a passage that is missing (attendance_id None)."""

    attendance_id: int | None
    passed_at: datetime | None
    direction: Direction | None
    status: Status | None
    reason: str

    def require_sense(self) -> None:
        """SourceError unless it says enough to be done."""
        if self.attendance_id is None and None in (self.passed_at, self.direction):
            raise SourceError("a missing passage needs created_at and direction")
        if self.attendance_id is None and self.status is not None:
            raise SourceError("a missing passage has no status: leave it out")


class CorrectionRequests(Service):
    """The requests of a workspace."""

    def __init__(
        self, workspace: Workspace, attendance: Attendance, clock: Clock | None = None
    ) -> None:
        super().__init__(workspace, clock or workspace.clock)
        self._attendance = attendance

    def ask(
        self, change: Change, person_id: int | None, wish: RequestedCorrection
    ) -> CorrectionRequest:
        """Ask for a correction of one's own times.

        SourceError for a wish without sense, NotFound for a row of somebody else, Conflict for an
        account of nobody, a row that was corrected before, and too many requests.
        """
        wish.require_sense()
        if person_id is None:
            text = "this account is nobody's: it has no times to correct"
            raise Conflict(text).named("nobodys_account")
        session = change.session
        person_store.get(session, person_id)
        if correction_request_store.count_open(session, person_id) >= MOST_OPEN:
            raise RequestsWaiting(f"{MOST_OPEN} requests wait for an answer already")
        if wish.attendance_id is not None:
            _require_own(session, wish, person_id)
        made = correction_request_store.add(
            session,
            person_id,
            attendance_id=wish.attendance_id,
            passed_at=wish.passed_at,
            direction=wish.direction and str(wish.direction),
            status=wish.status,
            reason=wish.reason,
        )
        _record(change, "correction_requested", made)
        return made

    def list_(self, **filters: Any) -> list[CorrectionRequest]:
        """A page of requests, newest first; the filters are those of storage."""
        with self._workspace.database.read() as session:
            return correction_request_store.list_(session, **filters)

    def count(self, **filters: Any) -> int:
        """Count the requests of all pages; the filters are those of storage."""
        with self._workspace.database.read() as session:
            return correction_request_store.count(session, **filters)

    def approve(self, change: Change, id_: int) -> CorrectionRequest:
        """Do what was asked for; `result_id` is the row that came of it.

        NotFound; Conflict when it was answered before or the row was corrected meanwhile;
        SourceError when the log says so already.
        """
        session = change.session
        asked = _open(session, id_)
        row = self._do(change, asked)
        answered = {"state": "approved", "result_id": row.id}
        done = correction_request_store.answer(session, id_, **answered)
        _record(change, "correction_approved", done, row={"chain": row.chain, "seq": row.seq})
        return done

    def refuse(self, change: Change, id_: int, answer: str) -> CorrectionRequest:
        """Answer no, and why; NotFound, Conflict when it was answered before."""
        _open(change.session, id_)
        done = correction_request_store.answer(change.session, id_, state="refused", answer=answer)
        _record(change, "correction_refused", done)
        return done

    def _do(self, change: Change, asked: CorrectionRequest) -> AttendanceRow:
        direction, cause = Direction(asked.direction) if asked.direction else None, asked.reason
        if asked.attendance_id is not None:
            correction = Correction(None, asked.passed_at, direction, asked.status)
            return self._attendance.correct(change, asked.attendance_id, correction, cause=cause)
        assert direction is not None  # noqa: S101
        return self._attendance.punch(
            change, asked.person_id, direction, asked.passed_at, cause=cause
        )


def _record(change: Change, kind: str, request: CorrectionRequest, **more: Any) -> None:
    person = person_store.get(change.session, request.person_id)
    body = {"person": person.uid, "request": request.uid, **more}
    change.record(kind, body, subject=person.ref)


def _require_own(session: Session, wish: RequestedCorrection, person_id: int) -> None:
    assert wish.attendance_id is not None  # noqa: S101
    row = attendance.get(session, wish.attendance_id)
    if row.person_id != person_id:
        raise NotFound(f"there is no attendance row {wish.attendance_id}")
    if row.superseded_by is not None:
        there = correction_store.newest(session, row).id
        raise AlreadyDone(f"row {row.id} was corrected already: ask about row {there}")
    Correction(None, wish.passed_at, wish.direction, wish.status).apply_to(row)


def _open(session: Session, id_: int) -> CorrectionRequest:
    asked = correction_request_store.get(session, id_, lock=True)
    if asked.state != "open":
        raise AlreadyDone(f"request {id_} was answered already: {asked.state}")
    return asked
