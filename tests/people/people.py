"""Persons, enrollments and decisions to test with."""

from __future__ import annotations

import itertools
from typing import Any

from sqlalchemy.orm import Session

from gated.core.messages import Decision
from gated.core.values import Instant, Outcome, PersonRef, Reason
from gated.database.records import Enrollment, Person
from gated.enrollment import enrollment_store
from gated.journal.journal import Entry, decision_entry
from gated.people import person_store

_numbers = itertools.count(1)

NOW = Instant(mono=12.5, utc=1_790_000_000.25)


def add_person(session: Session, **fields: Any) -> Person:
    n = next(_numbers)
    given = {"first_name": "Ada", "last_name": f"Number{n}", "personnel_code": f"code-{n}"}
    return person_store.add(session, **{**given, **fields})


def enroll(session: Session, person: Person, **fields: Any) -> Enrollment:
    n = next(_numbers)
    given = {
        "face_encoding_path": f"encodings/{n}.sealed",
        "face_image_path": f"images/{n}.sealed",
        "confidence_score": 0.8,
        "model": "m1",
    }
    return enrollment_store.add(
        session, enrollment_store.NewEnrollment(person_id=person.id, **{**given, **fields})
    )


def grant(person: PersonRef | None, at: Instant = NOW, **fields: Any) -> Decision:
    given: dict[str, Any] = {
        "outcome": Outcome.GRANTED if person else Outcome.DENIED,
        "reason": Reason.GRANTED if person else Reason.NO_MATCH,
        "confidence": 0.75,
        "score": 0.6,
        "threshold": 0.45,
        "frames": 3,
    }
    return Decision(at, person=person, **{**given, **fields})


def entry(person: PersonRef | None = None, at: Instant = NOW, **fields: Any) -> Entry:
    return decision_entry(grant(person, at, **fields), "front door", "camera", "site")
