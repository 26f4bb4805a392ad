"""Consent, retention and leaving: what people are owed, each with its journal entry."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from gated.errors import BelongsToHub, NotFound, Refused, RetentionHold
from gated.ports import Clock
from gated.services.export import export_person
from gated.services.obligations import local_day, moment, require_own
from gated.services.people import People, person_entry
from gated.services.references import References
from gated.services.workspace import Service, Workspace
from gated.storage import (
    consents,
    correction_requests,
    enrollments,
    persons,
    quarantine,
    retention,
    snapshots,
)
from gated.storage.journal import Entry
from gated.storage.records import Consent, Person
from gated.storage.retention import Places

log = logging.getLogger(__name__)

BATCH = 500
"""So many rows are redacted in one transaction: whoever else writes must not wait for long."""

JOB = "retention"


@dataclass(frozen=True, slots=True)
class Applied:
    """What one run of the daily job did."""

    left: int
    erased: int
    consents_over: int
    photos: int
    access_log: int
    attendance: int
    correction_requests: int
    audit: int
    snapshots: int
    set_apart: int


class Privacy(Service):
    """Consent and retention in a workspace; `actor` is who makes a change."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._settings = workspace.settings.privacy
        self._references = References(workspace, clock)
        self._people = People(workspace, clock)
        self._going_on: Callable[[], bool] = lambda: True

    # --- consent ------------------------------------------------------------------------------

    def consent(self, person_id: int) -> Consent:
        """The consent of a person; NotFound when there is none, or no such person."""
        with self._workspace.database.read() as session:
            persons.get(session, person_id)
            found = consents.find(session, person_id)
        if found is None:
            raise NotFound(f"person {person_id} has given no consent")
        return found

    def record_consent(self, person_id: int, given: Mapping[str, Any], *, actor: str) -> Consent:
        """Store that a person has consented, in place of what was stored before. NotFound.

        given: notice_version, given_at, expires_at (None: until withdrawn), method.
        """
        with self._workspace.database.write() as session:
            person = persons.get(session, person_id)
            consent = consents.put(
                session,
                person_id,
                notice_version=given["notice_version"],
                given_at=given["given_at"],
                expires_at=given["expires_at"],
                method=given["method"],
            )
            self._record(session, "consent_given", person, actor, sorted(given))
        return consent

    def withdraw_consent(self, person_id: int, *, actor: str) -> None:
        """End a consent. Where one is required, photos and templates go with it.

        NotFound; BelongsToHub for photos of a person of the hub.
        """
        with self._workspace.database.write() as session:
            person = persons.get(session, person_id)
            if self._settings.require_consent:
                require_own(session, person)
            if not consents.delete(session, person_id):
                raise NotFound(f"person {person_id} has given no consent")
            self._record(session, "consent_withdrawn", person, actor, [])
        if self._settings.require_consent:
            self._references.withdraw_biometrics(person_id, actor=actor)

    def export(self, person_id: int, *, actor: str) -> bytes:
        """A ZIP archive of everything about a person; NotFound, StorageError."""
        return export_person(self._workspace, self._clock, person_id, actor)

    # --- the daily job ------------------------------------------------------------------------

    def apply(self, going_on: Callable[[], bool] = lambda: True) -> Applied:
        """Do what is due today; safe to run again, and to stop. StorageError.

        People who have left become inactive; they, what is enrolled without consent (where it is
        required), photos, and identities in the logs go when their time is over. `going_on` is
        asked between batches.
        """
        wanted, self._going_on = self._settings, going_on
        applied = Applied(
            left=self._leave(),
            erased=self._erase_leavers(),
            consents_over=self._consents_over() if wanted.require_consent else 0,
            photos=self._expire(wanted.photos_days, self._photos),
            access_log=self._expire(wanted.access_log_days, self._access_log),
            attendance=self._expire(wanted.attendance_days, self._attendance),
            correction_requests=self._expire(wanted.attendance_days, self._correction_requests),
            audit=self._expire(wanted.audit_days, self._audit),
            snapshots=self._expire(wanted.unknown_faces_days, self._snapshots),
            set_apart=self._expire(wanted.attendance_days, self._set_apart),
        )
        if done := {name: n for name, n in asdict(applied).items() if n}:
            entry = Entry(self._clock.now(), "retention_applied", done, {"actor": {"name": JOB}})
            self._workspace.journal.append([entry])
            self._workspace.database.truncate_log()
        return applied

    def _leave(self) -> int:
        today = local_day(self._workspace.settings, self._clock.now())
        with self._workspace.database.write() as session:
            gone = persons.have_left(session, today)
            for person in gone:
                persons.set_active(session, person.id, False)
                self._record(session, "person_left", person, JOB, ["is_active"])
        return len(gone)

    def _erase_leavers(self) -> int:
        if self._settings.leavers_days is None:
            return 0
        today = local_day(self._workspace.settings, self._clock.now())
        with self._workspace.database.read() as session:
            gone = persons.left_before(session, today - timedelta(self._settings.leavers_days))
        return sum(self._erase(person_id) for person_id in gone if self._going_on())

    def _erase(self, person_id: int) -> bool:
        try:
            self._people.delete(person_id, actor=JOB, reason="left")
        except (RetentionHold, BelongsToHub):
            return False  # it is due on another day, or the hub's affair
        except Refused as error:
            log.error("person %d, who has left, cannot be erased: %s", person_id, error)
            return False
        return True

    def _consents_over(self) -> int:
        now = moment(self._clock.now())
        with self._workspace.database.read() as session:
            found = consents.enrolled_without(session, now)
        return sum(self._withdraw(person_id) for person_id in found)

    def _withdraw(self, person_id: int) -> bool:
        try:
            self._references.withdraw_biometrics(person_id, actor=JOB)
        except BelongsToHub:
            return False  # consents do not travel: the hub sees to its people
        return True

    def _expire(self, days: int | None, one_batch: Callable[[datetime], int]) -> int:
        """Run batches until nothing older than so many days is left; None: it is kept."""
        if days is None:
            return 0
        before = moment(self._clock.now()) - timedelta(days=days)
        total = 0
        while self._going_on() and (done := one_batch(before)):
            total += done
        return total

    def _photos(self, before: datetime) -> int:
        with self._workspace.database.write() as session:
            old = retention.photos(session, before, BATCH)
            for enrollment in old:
                enrollments.update(session, enrollment.id, face_image_path=None)
                person = persons.get(session, enrollment.person_id)
                self._record(session, "photo_expired", person, JOB, ["face_image_path"])
        self._workspace.files.delete(*(e.face_image_path for e in old if e.face_image_path))
        return len(old)

    def _access_log(self, before: datetime) -> int:
        with self._workspace.database.write() as session:
            found = retention.passages(session, before, ("denied", "granted_not_used"), BATCH)
            return self._redact(session, found, "subject", "access log")

    def _attendance(self, before: datetime) -> int:
        with self._workspace.database.write() as session:
            found = retention.passages(session, before, ("granted", "void"), BATCH)
            return self._redact(session, found, "subject", "attendance log")

    def _correction_requests(self, before: datetime) -> int:
        with self._workspace.database.write() as session:
            return correction_requests.delete_older(session, before, BATCH)

    def _snapshots(self, before: datetime) -> int:
        with self._workspace.database.write() as session:
            files = snapshots.delete_older(session, before, BATCH)
        self._workspace.files.delete(*files)
        return len(files)

    def _set_apart(self, before: datetime) -> int:
        with self._workspace.database.write() as session:
            return quarantine.forget_names(session, before, BATCH)

    def _audit(self, before: datetime) -> int:
        total = 0
        with self._workspace.database.write() as session:
            for role in ("subject", "actor"):
                found = retention.acts(session, before, role, BATCH)
                total += self._redact(session, found, role, "audit")
        return total

    def _redact(self, session: Session, places: Places, role: str, purpose: str) -> int:
        by_chain = defaultdict(list)
        for chain, seq in places:
            by_chain[chain].append(seq)
        now, reason = self._clock.now(), f"retention: {purpose}"
        for chain, seqs in by_chain.items():
            self._workspace.journal.redact(session, now, chain, seqs, reason, role)
        return len(places)

    def _record(
        self, session: Session, kind: str, person: Person, actor: str, fields: list[str]
    ) -> None:
        entry = person_entry(self._clock.now(), kind, person, actor, fields)
        self._workspace.journal.append([entry], session)
