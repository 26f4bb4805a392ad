"""Corrections of the attendance log: appended to the journal, never a change of what was written.

A correction repeats the whole row with what is different, and takes its place: the old row stays
and points at it. Who made it and why is personal data and stands in the private parts, the why
beside the person it speaks of, so that an erasure takes it along.
"""

from __future__ import annotations

import json
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

_RECOGNITION = {"confidence": 0.0, "score": None, "threshold": None, "margin": None, "frames": 0}


@dataclass(frozen=True, slots=True)
class Version:
    """One of the rows that stood in the same place, and how it came there.

    author and cause: None for what the gate itself wrote, and where they were erased.
    """

    row: AttendanceRow
    kind: str
    made_at: datetime
    author: str | None
    cause: str | None


def correction_entry(
    at: Instant,
    old: AttendanceRow,
    person: Person | None,
    *,
    passed_at: datetime,
    direction: str,
    status: str,
    actor: str,
    cause: str,
    clock: Mapping[str, Any] | None = None,
) -> Entry:
    """Make the entry that takes the place of a row: the same one with these values.

    clock: boot and mono_ns of the passage, where an unset clock has written its time.
    """
    body: dict[str, Any] = {
        **_copied(old),
        "direction": direction,
        "status": status,
        "reason": "corrected",
        "passed_at_utc": microseconds(passed_at),
    }
    if CLOCK_UNSET in old.flags:
        if clock is None or passed_at != old.created_at:
            body["flags"] = [flag for flag in old.flags if flag != CLOCK_UNSET]
        else:
            body["clock"] = dict(clock)  # its time is still to be put right
    if person is not None and person.id != old.person_id:
        # the figures are those of somebody else's face
        body |= {**_RECOGNITION, "method": str(Method.MANUAL)}
    return Entry(at, "corrected", body, _private(person, actor, cause))


def fixed_entry(
    at: Instant,
    old: AttendanceRow,
    person: PersonRef | None,
    passed_us: int,
    clock: Mapping[str, Any],
) -> Entry:
    """Make the entry for a row that an unset clock wrote: the same one at the right time.

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
    """Boot and mono_ns of the passage of a row; None where the journal does not tell."""
    kind, boot, mono_ns, body = session.execute(
        sa.select(journal.c.kind, journal.c.boot_id, journal.c.mono_ns, journal.c.body).where(
            journal.c.chain == row.chain, journal.c.seq == row.seq
        )
    ).one()
    of, ns = passed_at(kind, boot, mono_ns, body)
    return {"boot": of, "mono_ns": ns} if of else None


def _copied(old: AttendanceRow) -> dict[str, Any]:
    """Return what the row in the place of another one says as that did."""
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


def manual_entry(
    at: Instant,
    person: Person,
    *,
    passed_at: datetime,
    direction: Direction,
    gate: str,
    site: str,
    actor: str,
    cause: str,
    timezone: str | None = None,
) -> Entry:
    """A passage that the gate did not see, put down by hand. timezone: where it was."""
    body = {
        **_RECOGNITION,
        "gate": gate,
        "camera": "",
        "site": site,
        "method": str(Method.MANUAL),
        "direction": str(direction),
        "status": "granted",
        "reason": "manual",
        "passed_at_utc": microseconds(passed_at),
        **({} if timezone is None else {"timezone": timezone}),
    }
    return Entry(at, "manual_punch", body, _private(person, actor, cause))


def versions(session: Session, id_: int) -> list[Version]:
    """Everything that stood in the place of this row, oldest first, itself included; NotFound."""
    lineage = [get(session, id_)]
    while before := _before(session, lineage[0].id):
        lineage.insert(0, get(session, before))
        if before == id_:
            break  # a ring, which only tampering makes: `gated journal verify` says where
    while (after := lineage[-1].superseded_by) and after not in {r.id for r in lineage}:
        lineage.append(get(session, after))
    return [_version(session, r) for r in lineage]


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
    told = {role: json.loads(payload) for role, payload in parts}
    cause = told.get("subject", {}).get("cause") or told.get("actor", {}).get("cause")
    return Version(row, kind, utc(at_us), told.get("actor", {}).get("name"), cause)


def _private(person: Person | None, actor: str, cause: str) -> dict[str, Mapping[str, Any]]:
    if person is None:
        return {"actor": {"name": actor, "cause": cause}}
    return {"subject": {**subject_of(person.ref), "cause": cause}, "actor": {"name": actor}}
