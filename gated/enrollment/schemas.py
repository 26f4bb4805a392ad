"""Bodies of requests and answers about reference photos and imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    StringConstraints,
)

from gated.core.photo_advice import PhotoAdvice
from gated.core.roles import Role
from gated.enrollment.enrollment import Enrolled
from gated.enrollment.enrollments import WithdrawalReceipt
from gated.http.schemas import In, Out, Text
from gated.people.schemas import EnrollmentOut, PersonRefOut, PhotoAdviceOut
from gated.workspace import TracesState


class EnrolledOut(EnrollmentOut):
    advice: Sequence[str]
    """What would make the photo better; empty for one that was enrolled before."""
    advice_codes: Sequence[str]
    """The same by codes: nearer, straight, sharper, several (people in the photo)."""
    photo_advice: PhotoAdviceOut
    """Of the person, with this photo."""

    @classmethod
    def of(cls, enrolled: Enrolled, advice: PhotoAdvice) -> Self:
        """Show an enrollment. advice: about the person's photos."""
        if enrolled.known:
            advice = advice.after_same()
        photo: Any = EnrollmentOut.model_validate(enrolled.enrollment).model_dump()
        person = PhotoAdviceOut.model_validate(advice)
        said = [str(one) for one in enrolled.advice]
        codes = [one.code for one in enrolled.advice]
        return cls(**photo, advice=said, advice_codes=codes, photo_advice=person)


class PhotoDoubtOut(Out):
    """A photo that makes wrong refusals or wrong grants."""

    enrollment_id: int
    reason: Literal["other_person", "unlike", "scattered"]
    """It resembles `other` more than it may; it is unlike the person's other photos; no two of the
    person's photos resemble each other."""
    other: PersonRefOut | None


class PhotoResult(Out):
    """The outcome of one photo: either it was enrolled, or a problem says why not."""

    name: str
    enrolled: EnrolledOut | None = None
    problem: Mapping[str, Any] | None = None


class SeveralForm(In):
    """The fields beside the photos."""

    person_id: int


class EnrollmentForm(In):
    """The fields beside the photo."""

    person_id: int
    override: Text | None = None


class CaptureIn(In):
    person_id: int
    override: Text | None = None


class ImportForm(In):
    """The fields beside the archive."""

    columns: Annotated[str, StringConstraints(max_length=2000)] | None = None
    """Which column of a table is which, such as personnel_code=ID,photo=Picture."""


class JobOut(Out):
    id: str
    kind: str
    actor: str
    state: Literal["running", "done", "cancelled", "failed"]
    started_at: datetime
    ended_at: datetime | None
    done: int
    total: int
    report: Mapping[str, Any]
    detail: str
    code: str
    """Why it failed, as errors have it; empty where it did not."""
    rule: str | None
    limit: str | None
    role: Role
    """Who may begin such a job, and end it before its time."""


class EnrollmentChange(In):
    """Fields that are left out stay as they are."""

    is_active: bool = True


class WithdrawalReceiptOut(Out):
    person_id: int
    uid: str
    withdrawn_at: datetime
    enrollments: int
    files: int
    chain: str
    seq: int
    hash: str
    state: TracesState
    """`complete`; `pending` while what was removed is left in the database's log of changes, as
    somebody reads an older state (`GET /health` has `erasure_pending` until it is gone);
    `database_server` on PostgreSQL, which lets go of it by VACUUM and as it writes on."""

    @classmethod
    def of(cls, receipt: WithdrawalReceipt, state: TracesState) -> Self:
        """Show a receipt, and what is left in the database's log."""
        return cls(**asdict(receipt), state=state)
