"""Corrections of the attendance log: appended to the journal, never a change of what was written.

A correction repeats the whole row with what is different, and takes its place: the old row stays
and points at it. Who made it and why is personal data and stands in the private parts, the why
beside the person it speaks of, so that an erasure takes it along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.attendance.attendance_store import get, passed_at
from gated.core.chain import microseconds, utc
from gated.core.clock import CLOCK_FIXED, CLOCK_UNSET
from gated.core.values import Direction, Instant, Method, PersonRef
from gated.database.records import AttendanceRow, Person
from gated.database.tables import attendance_logs as log
from gated.database.tables import journal, journal_private
from gated.journal.journal import Entry, subject_of
from gated.journal.stored_object import object_in

_RECOGNITION = {"confidence": 0.0, "score": None, "threshold": None, "margin": None, "frames": 0}


@dataclass(frozen=True, slots=True)
class Version:
    """One of the versions of a row, and how it was made.

    author, cause: None for rows that the gate itself wrote, and where they were erased.
    """

    row: AttendanceRow
    kind: str
    made_at: datetime
    author: str | None
    cause: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewValues:
    """The values that a correction gives a row.

    clock: boot and mono_ns of the passage, where an unset clock has dated it.
    """

    person: Person | None
    passed_at: datetime
    direction: str
    status: str
    clock: Mapping[str, Any] | None = None


def correction_entry(
    at: Instant, old: AttendanceRow, new: NewValues, *, actor: str, cause: str
) -> Entry:
    """Make the entry that replaces a row by one with new values."""
    body: dict[str, Any] = {
        **_copied(old),
        "direction": new.direction,
        "status": new.status,
        "reason": "corrected",
        "passed_at_utc": microseconds(new.passed_at),
    }
    if CLOCK_UNSET in old.flags:
        if new.clock is None or new.passed_at != old.created_at:
            body["flags"] = [flag for flag in old.flags if flag != CLOCK_UNSET]
        else:
            body["clock"] = dict(new.clock)  # its time is still to be corrected
    if new.person is not None and new.person.id != old.person_id:
        # the figures are those of another person's face
        body |= {**_RECOGNITION, "method": str(Method.MANUAL)}
    return Entry(at, "corrected", body, _private(new.person, actor, cause))


def fixed_entry(
    at: Instant,
    old: AttendanceRow,
    person: PersonRef | None,
    passed_us: int,
    clock: Mapping[str, Any],
) -> Entry:
    """Make the entry that replaces a row dated by an unset clock: the same at the right time.

    passed_us: microseconds since 1970. clock: boot and mono_ns of the passage.
    """
    body = {
        **_copied(old),
        "direction": old.direction,
        "status": old.status,
        "reason": old.reason,
        "rule": old.rule,
        "flags": [CLOCK_FIXED if flag == CLOCK_UNSET else flag for flag in old.flags],
        "passed_at_utc": passed_us,
        "clock": dict(clock),
    }
    cause = "the clock was set"
    if person is None:
        return Entry(at, "corrected", body, {"actor": {"name": "clock", "cause": cause}})
    subject = {**subject_of(person), "cause": cause}
    return Entry(at, "corrected", body, {"subject": subject, "actor": {"name": "clock"}})


def clock_of(session: Session, row: AttendanceRow) -> dict[str, Any] | None:
    """Return boot and mono_ns of the passage of a row; None where the journal has none."""
    kind, boot, mono_ns, body = session.execute(
        sa.select(journal.c.kind, journal.c.boot_id, journal.c.mono_ns, journal.c.body).where(
            journal.c.chain == row.chain, journal.c.seq == row.seq
        )
    ).one()
    of, ns = passed_at(kind, boot, mono_ns, body)
    return {"boot": of, "mono_ns": ns} if of else None


def _copied(old: AttendanceRow) -> dict[str, Any]:
    """Return the values that a replacing row copies."""
    return {
        "gate": old.gate_name,
        "camera": old.camera_name,
        "site": old.site,
        "method": old.method,
        "confidence": old.confidence_score,
        "score": old.score,
        "threshold": old.threshold,
        "margin": old.margin,
        "frames": old.frames,
        "pad": old.pad,
        "visit": old.visit,
        "visit_uid": old.visit_uid,
        "flags": [*old.flags],
        "sight_to_decision_ms": old.sight_to_decision_ms,
        "usable_to_decision_ms": old.usable_to_decision_ms,
        "corrects": {"chain": old.chain, "seq": old.seq},
        **({} if old.timezone is None else {"timezone": old.timezone}),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualPunch:
    """A passage that no gate saw, entered by hand. timezone: of the place."""

    person: Person
    passed_at: datetime
    direction: Direction
    gate: str
    site: str
    timezone: str | None = None


def manual_entry(at: Instant, punch: ManualPunch, *, actor: str, cause: str) -> Entry:
    """Make the entry of a passage that was entered by hand."""
    body = {
        **_RECOGNITION,
        "gate": punch.gate,
        "camera": "",
        "site": punch.site,
        "method": str(Method.MANUAL),
        "direction": str(punch.direction),
        "status": "granted",
        "reason": "manual",
        "passed_at_utc": microseconds(punch.passed_at),
        **({} if punch.timezone is None else {"timezone": punch.timezone}),
    }
    return Entry(at, "manual_punch", body, _private(punch.person, actor, cause))


def versions(session: Session, id_: int) -> list[Version]:
    """List all versions of this row, oldest first, itself included. Raises: NotFound."""
    lineage = [get(session, id_)]
    while before := _before(session, lineage[0].id):
        lineage.insert(0, get(session, before))
        if before == id_:
            break  # a ring, which only tampering makes: `gated journal verify` says where
    return [_version(session, r) for r in _with_later(session, lineage)]


def newest(session: Session, row: AttendanceRow) -> AttendanceRow:
    """Return the row that stands in the place of this one now; itself where nothing does."""
    return _with_later(session, [row])[-1]


def _with_later(session: Session, lineage: list[AttendanceRow]) -> list[AttendanceRow]:
    """Add the versions after the last one."""
    while (after := lineage[-1].superseded_by) and after not in {r.id for r in lineage}:
        lineage.append(get(session, after))
    return lineage


def _before(session: Session, id_: int) -> int | None:
    corrected = sa.select(log.c.id).where(log.c.superseded_by == id_)
    return session.execute(corrected.limit(1)).scalar()


def _version(session: Session, row: AttendanceRow) -> Version:
    kind, at_us = session.execute(
        sa.select(journal.c.kind, journal.c.at_utc).where(
            journal.c.chain == row.chain, journal.c.seq == row.seq
        )
    ).one()
    parts = session.execute(
        sa.select(journal_private.c.role, journal_private.c.payload).where(
            journal_private.c.chain == row.chain, journal_private.c.seq == row.seq
        )
    )
    private = {role: object_in(payload) for role, payload in parts}
    cause = private.get("subject", {}).get("cause") or private.get("actor", {}).get("cause")
    return Version(row, kind, utc(at_us), private.get("actor", {}).get("name"), cause)


def _private(person: Person | None, actor: str, cause: str) -> dict[str, Mapping[str, Any]]:
    if person is None:
        return {"actor": {"name": actor, "cause": cause}}
    return {"subject": {**subject_of(person.ref), "cause": cause}, "actor": {"name": actor}}
