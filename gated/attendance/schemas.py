"""Bodies of requests and answers about the attendance log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import (
    ConfigDict,
    Field,
)

from gated.http.schemas import Cause, In, Out, SiteMoment
from gated.people.schemas import PersonRefOut


class AttendanceOut(Out):
    id: int
    uid: str
    person_id: int | None
    gate_name: str
    direction: str
    confidence_score: float
    camera_name: str
    status: str
    created_at: datetime
    reason: str
    method: str
    rule: str | None
    site: str
    visit_uid: str | None
    score: float | None
    threshold: float | None
    margin: float | None
    frames: int
    pad: float | None
    flags: Sequence[str]
    sight_to_decision_ms: float | None
    chain: str
    seq: int
    recorded_at: datetime
    superseded_by: int | None
    timezone: str | None
    """Of the gate, by IANA name."""
    local_time: datetime
    """`created_at` with the offset that held at the gate."""
    gate_uid: str | None
    """Of the gate, whatever it is called; null where nothing tells any more."""
    gate_name_now: str | None
    """The name of the gate today, where it is another one than `gate_name`."""
    person: PersonRefOut | None
    """Whose it is, as they are called now; null for strangers and who was erased."""


class VersionOut(Out):
    """One of the rows that stood in the same place; the last one counts."""

    id: int
    kind: str
    made_at: datetime
    author: str | None
    """None for what the gate itself wrote."""
    cause: str | None
    person_id: int | None
    created_at: datetime
    direction: str
    status: str


class AttendanceDetailOut(AttendanceOut):
    versions: Sequence[VersionOut]


class OwnAttendanceOut(Out):
    """A row as the person sees it: nothing of how alike the gate found them."""

    id: int
    gate_name: str
    direction: str
    status: str
    created_at: datetime
    reason: str
    method: str
    timezone: str | None
    local_time: datetime
    flags: Sequence[str]
    gate_uid: str | None
    gate_name_now: str | None


class PunchIn(In):
    """A passage that the gate did not see."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "person_id": 17,
                    "direction": "exit",
                    "created_at": "2026-11-03T17:30",
                    "reason": "badge left at home",
                }
            ]
        }
    )

    person_id: int
    direction: Literal["entry", "exit"]
    created_at: SiteMoment | None = None
    """When it was; now, if left out."""
    reason: Cause


class CorrectionIn(In):
    """The new values of a row; what is left out stays. `void`: it was no passage."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"created_at": "2026-11-03T17:30", "reason": "left by the other door"}]
        }
    )

    person_id: int | None = None
    created_at: SiteMoment | None = None
    direction: Literal["entry", "exit"] | None = None
    status: Literal["granted", "void"] | None = None
    reason: Cause


class CorrectionRequestIn(In):
    """A mistake to correct: a row, or (without attendance_id) a passage that is missing."""

    attendance_id: int | None = None
    created_at: SiteMoment | None = None
    direction: Literal["entry", "exit"] | None = None
    status: Literal["granted", "void"] | None = None
    reason: Cause


class RefusalIn(In):
    reason: Cause


class CorrectionRequestOut(Out):
    """`created_at`, `direction` and `status` are what is asked for; `asked_at` is when."""

    id: int
    uid: str
    person_id: int
    attendance_id: int | None
    created_at: Annotated[datetime | None, Field(validation_alias="passed_at")]
    direction: str | None
    status: str | None
    reason: str
    state: Literal["open", "approved", "refused"]
    answer: str | None
    result_id: int | None
    asked_at: Annotated[datetime, Field(validation_alias="created_at")]
    answered_at: datetime | None


class VisitOut(Out):
    """Without `entry` or `exit` a punch was forgotten, or the person is still `present`."""

    entry: datetime | None
    exit: datetime | None
    present: bool
    open: bool
    seconds: int


class BreakOut(Out):
    begin: datetime
    end: datetime


class ArrivalsOut(Out):
    """The people who came for the first time on a day, in one hour of the clock at the gate."""

    hour: Annotated[int, Field(ge=0, le=23)]
    people: int


class DayOut(Out):
    """One day of one person; times with the offset at the gate, durations in seconds."""

    date: date
    person_id: int
    personnel_code: str
    first_name: str
    last_name: str
    department: str | None
    first_in: datetime | None
    last_out: datetime | None
    inside_s: int
    break_s: int
    breaks: Sequence[BreakOut]
    visits: Sequence[VisitOut]
    open_visits: int
    corrections: int
    """Passages of the day that somebody put down or changed."""
    late_s: int | None
    """By how much the first entry came after the time that a group of the person names."""
    clock_unset: bool
    """A passage was written by a clock that was not right; see docs/operations.md."""


class TotalsOut(Out):
    """The sums of one person's days in a period; durations in seconds."""

    person_id: int
    personnel_code: str
    first_name: str
    last_name: str
    department: str | None
    days: int
    visits: int
    open_visits: int
    inside_s: int
    break_s: int


class MonthOut(Out):
    """The sums of one person and month; durations in seconds, zero for who never passed."""

    month: date
    """Its first day."""
    person_id: int
    personnel_code: str
    first_name: str
    last_name: str
    department: str | None
    days: int
    visits: int
    open_visits: int
    worked_s: int
    break_s: int
    group: str | None
    """The one whose hours are planned."""
    planned_s: int | None
    balance_s: int | None
    corrections: int
    """Passages that somebody put down, changed or voided."""
    clock_unset: bool
