"""Requests of people to have their own times corrected: made, answered, told in the journal.

What is asked for becomes an ordinary correction (or a punch by hand) when it is approved, with the
person's reason and whoever approved it as its author.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from gated.core.model import Direction
from gated.devices.clock import SystemClock
from gated.errors import Conflict, NotFound, SourceError
from gated.ports import Clock
from gated.services.attendance import Attendance, Correction, Status
from gated.services.people import entry_about
from gated.services.workspace import Workspace
from gated.storage import attendance, correction_requests, persons
from gated.storage.records import AttendanceRow, CorrectionRequest

MOST_OPEN = 50
"""Requests of one person that wait for an answer."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What would be right: of a row, or of a passage that is missing (attendance_id None)."""

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


class CorrectionRequests:
    """The requests of a workspace; `actor` is who asks or answers."""

    def __init__(
        self, workspace: Workspace, attendance: Attendance, clock: Clock | None = None
    ) -> None:
        self._workspace = workspace
        self._attendance = attendance
        self._clock = clock or SystemClock()

    def ask(self, person_id: int | None, wish: Wish, *, actor: str) -> CorrectionRequest:
        """Ask for a correction of one's own times.

        SourceError for a wish without sense, NotFound for a row of somebody else, Conflict for an
        account of nobody, a row that was corrected before, and too many requests.
        """
        wish.require_sense()
        if person_id is None:
            raise Conflict("this account is nobody's: it has no times to correct")
        with self._workspace.database.write() as session:
            persons.get(session, person_id)
            if correction_requests.count_open(session, person_id) >= MOST_OPEN:
                raise Conflict(f"{MOST_OPEN} requests wait for an answer already")
            if wish.attendance_id is not None:
                _require_own(session, wish, person_id)
            made = correction_requests.add(
                session,
                person_id,
                attendance_id=wish.attendance_id,
                passed_at=wish.passed_at,
                direction=wish.direction and str(wish.direction),
                status=wish.status,
                reason=wish.reason,
            )
            self._record(session, "correction_requested", made, actor, {})
        return made

    def list_(self, **filters: Any) -> list[CorrectionRequest]:
        """A page of requests, newest first; the filters are those of storage."""
        with self._workspace.database.read() as session:
            return correction_requests.list_(session, **filters)

    def approve(self, id_: int, *, actor: str) -> CorrectionRequest:
        """Do what was asked for; `result_id` is the row that came of it.

        NotFound; Conflict when it was answered before or the row was corrected meanwhile;
        SourceError when the log says so already.
        """
        with self._attendance.changing() as session:
            asked = _open(session, id_)
            row = self._do(session, asked, actor)
            told = {"row": {"chain": row.chain, "seq": row.seq}}
            answered = {"state": "approved", "result_id": row.id}
            done = correction_requests.answer(session, id_, **answered)
            self._record(session, "correction_approved", done, actor, told)
        return done

    def refuse(self, id_: int, answer: str, *, actor: str) -> CorrectionRequest:
        """Answer no, and why; NotFound, Conflict when it was answered before."""
        with self._workspace.database.write() as session:
            _open(session, id_)
            done = correction_requests.answer(session, id_, state="refused", answer=answer)
            self._record(session, "correction_refused", done, actor, {})
        return done

    def _do(self, session: Session, asked: CorrectionRequest, actor: str) -> AttendanceRow:
        direction = Direction(asked.direction) if asked.direction else None
        by = {"actor": actor, "cause": asked.reason}
        if asked.attendance_id is not None:
            correction = Correction(None, asked.passed_at, direction, asked.status)
            return self._attendance.correct_in(session, asked.attendance_id, correction, **by)
        assert direction is not None  # noqa: S101
        return self._attendance.punch_in(session, asked.person_id, direction, asked.passed_at, **by)

    def _record(
        self,
        session: Session,
        kind: str,
        request: CorrectionRequest,
        actor: str,
        more: Mapping[str, Any],
    ) -> None:
        person = persons.get(session, request.person_id)
        body = {"person": person.uid, "request": request.uid, **more}
        entry = entry_about(self._clock.now(), kind, person, actor, body)
        self._workspace.journal.append([entry], session)


def _require_own(session: Session, wish: Wish, person_id: int) -> None:
    assert wish.attendance_id is not None  # noqa: S101
    row = attendance.get(session, wish.attendance_id)
    if row.person_id != person_id:
        raise NotFound(f"there is no attendance row {wish.attendance_id}")
    if row.superseded_by is not None:
        raise Conflict(f"row {row.id} was corrected already: ask about row {row.superseded_by}")
    Correction(None, wish.passed_at, wish.direction, wish.status).apply_to(row)


def _open(session: Session, id_: int) -> CorrectionRequest:
    asked = correction_requests.get(session, id_, lock=True)
    if asked.state != "open":
        raise Conflict(f"request {id_} was answered already: {asked.state}")
    return asked
