"""Applies consent, leaving and the periods of retention, each with its journal entry."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from gated.accounts.accounts import keep_last_admin
from gated.attendance import correction_request_store as correction_requests
from gated.change import FEED, GALLERY, RULES, Change
from gated.core.values import moment
from gated.database.records import Consent
from gated.enrollment import enrollment_store
from gated.enrollment.enrollments import Enrollments
from gated.errors import BelongsToHub, NotFound, Refused, RetentionHold
from gated.journal import quarantine, retention
from gated.journal.retention import Places
from gated.live import snapshot_store as snapshots
from gated.live.clock_trust import require_right
from gated.people import consent_store, person_store
from gated.people.people import LEFT, People
from gated.people.preconditions import earliest_day, require_own
from gated.ports import Clock
from gated.workspace import Service, Workspace

log = logging.getLogger(__name__)

BATCH = 500
"""Rows that are redacted in one transaction, so that other writers do not wait for long."""

JOB = "retention"


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome of one run of the daily job."""

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
    """Consent and retention in a workspace."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._settings = workspace.settings.privacy
        self._references = Enrollments(workspace, clock)
        self._people = People(workspace, clock)
        self._should_continue: Callable[[], bool] = lambda: True
        self._today = clock.now()

    # --- consent ------------------------------------------------------------------------------

    def find_consent(self, person_id: int) -> Consent | None:
        """Return the consent of a person, None without one. Raises: NotFound."""
        with self._workspace.database.read() as session:
            person_store.get(session, person_id)
            return consent_store.find(session, person_id)

    def consent(self, person_id: int) -> Consent:
        """Return the consent of a person. Raises: NotFound, without a consent as well."""
        found = self.find_consent(person_id)
        if found is None:
            raise NotFound(f"person {person_id} has given no consent")
        return found

    def record_consent(self, change: Change, person_id: int, given: Mapping[str, Any]) -> Consent:
        """Store that a person has consented, in place of what was stored before.

        given: notice_version, given_at, expires_at (None: until withdrawn), method. Raises:
        NotFound.
        """
        person = person_store.get(change.session, person_id)
        consent = consent_store.put(
            change.session,
            person_id,
            notice_version=given["notice_version"],
            given_at=given["given_at"],
            expires_at=given["expires_at"],
            method=given["method"],
        )
        change.record_person("consent_given", person, sorted(given))
        return consent

    def withdraw_consent(self, change: Change, person_id: int) -> None:
        """End a consent. Where one is required, photos and templates go with it.

        Raises: NotFound; BelongsToHub for photos of a person of the hub.
        """
        photos_too = self._settings.require_consent
        if photos_too:
            change.touches(GALLERY, FEED)
        person = person_store.get(change.session, person_id)
        if photos_too:
            require_own(change.session, person)
        if not consent_store.delete(change.session, person_id):
            raise NotFound(f"person {person_id} has given no consent")
        change.record_person("consent_withdrawn", person)
        if photos_too:
            self._references.withdraw_biometrics(change, person_id)

    # --- the daily job ------------------------------------------------------------------------

    def apply(self, should_continue: Callable[[], bool] = lambda: True) -> Applied:
        """Do what is due today; safe to run again, and to stop.

        People who have left become inactive; they, what is enrolled without consent (where it is
        required), photos, and identities in the logs go when their time is over. `should_continue`
        is asked between batches. All dates are held against one moment, at which the clock was
        known to be right. Raises: StorageError, ClockDoubtful.
        """
        wanted, self._should_continue = self._settings, should_continue
        self._today = require_right(self._workspace, self._clock)
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
            with self.change(JOB) as change:
                change.record("retention_applied", done)
        self._workspace.erase_traces()
        return applied

    def _leave(self) -> int:
        with self.change(JOB) as change:
            change.touches(GALLERY, FEED)
            today = earliest_day(self._workspace, change.session, self._today)
            gone = person_store.have_left(change.session, today)
            for person in gone:
                keep_last_admin(change, person)
                person_store.set_active(change.session, person.id, False)
                change.record_person("person_left", person, ["is_active"])
        return len(gone)

    def _erase_leavers(self) -> int:
        if self._settings.leavers_days is None:
            return 0
        with self._workspace.database.read() as session:
            today = earliest_day(self._workspace, session, self._today)
            day = today - timedelta(self._settings.leavers_days)
            gone = person_store.left_before(session, day)
        return sum(self._erase(person_id, day) for person_id in gone if self._should_continue())

    def _erase(self, person_id: int, day: date) -> bool:
        """Erase a person who left before this day, unless that was changed meanwhile."""
        try:
            with self.change(JOB) as change:
                change.touches(GALLERY, RULES, FEED)
                if not person_store.left_before(change.session, day, person_id):
                    return False
                self._people.delete(change, person_id, reason=LEFT)
        except (RetentionHold, BelongsToHub):
            return False  # it is due on another day, or the hub's affair
        except Refused as error:
            log.error("person %d, who has left, cannot be erased: %s", person_id, error)
            return False
        return True

    def _consents_over(self) -> int:
        now = moment(self._today)
        with self._workspace.database.read() as session:
            found = consent_store.enrolled_without(session, now)
        return sum(self._withdraw(person_id, now) for person_id in found if self._should_continue())

    def _withdraw(self, person_id: int, now: datetime) -> bool:
        """Remove what was enrolled, unless the person has consented meanwhile."""
        try:
            with self.change(JOB) as change:
                change.touches(GALLERY, FEED)
                if not consent_store.enrolled_without(change.session, now, person_id):
                    return False
                self._references.withdraw_biometrics(change, person_id)
        except BelongsToHub:
            return False  # consents do not travel: the hub sees to its people
        return True

    def _expire(self, days: int | None, one_batch: Callable[[datetime], int]) -> int:
        """Run batches until nothing older than so many days is left; None: it is kept."""
        if days is None:
            return 0
        before = moment(self._today) - timedelta(days=days)
        total = 0
        while self._should_continue() and (done := one_batch(before)):
            total += done
        return total

    def _photos(self, before: datetime) -> int:
        with self.change(JOB) as change:
            change.touches(GALLERY, FEED)
            old = retention.photos(change.session, before, BATCH)
            for enrollment in old:
                enrollment_store.update(change.session, enrollment.id, face_image_path=None)
                person = person_store.get(change.session, enrollment.person_id)
                change.record_person("photo_expired", person, ["face_image_path"])
            change.delete_files(*(e.face_image_path for e in old if e.face_image_path))
        return len(old)

    def _access_log(self, before: datetime) -> int:
        return self._passages(before, ("denied", "granted_not_used"), "access log")

    def _attendance(self, before: datetime) -> int:
        return self._passages(before, ("granted", "void"), "attendance log")

    def _passages(self, before: datetime, statuses: Sequence[str], purpose: str) -> int:
        def find(session: Session) -> Places:
            known = retention.passages(session, before, statuses, BATCH)
            return known or retention.strangers_passages(session, before, statuses, BATCH)

        return self._redact(find, "subject", purpose)

    def _correction_requests(self, before: datetime) -> int:
        with self._workspace.database.write() as session:
            return correction_requests.delete_older(session, before, BATCH)

    def _snapshots(self, before: datetime) -> int:
        with self.change(JOB) as change:
            files = snapshots.delete_older(change.session, before, BATCH)
            change.delete_files(*files)
        return len(files)

    def _set_apart(self, before: datetime) -> int:
        with self._workspace.database.write() as session:
            return quarantine.forget_names(session, before, BATCH)

    def _audit(self, before: datetime) -> int:
        def find(role: str) -> Callable[[Session], Places]:
            return lambda session: retention.acts(session, before, role, BATCH)

        return sum(self._redact(find(role), role, "audit") for role in ("subject", "actor"))

    def _redact(self, find: Callable[[Session], Places], role: str, purpose: str) -> int:
        """Redact the rows that are found, before the writer's turn: the search may take long."""
        with self._workspace.database.read() as session:
            places = find(session)
        if not places:
            return 0
        by_chain = defaultdict(list)
        for chain, seq in places:
            by_chain[chain].append(seq)
        now, reason = self._clock.now(), f"retention: {purpose}"
        with self._workspace.database.write() as session:
            for chain, seqs in by_chain.items():
                self._workspace.journal.redact(session, now, chain, seqs, reason, role)
        return len(places)
