"""Stored enrollments: listed, shown, switched and removed; none of it needs a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from gated.errors import ChangedMeanwhile, NotFound
from gated.services.obligations import require_own
from gated.services.people import editing, entry_about
from gated.services.workspace import Service
from gated.storage import enrollments, persons
from gated.storage.journal import Receipt
from gated.storage.records import Enrollment, Person

if TYPE_CHECKING:
    from gated.services.sync.edge import Author


@dataclass(frozen=True, slots=True)
class WithdrawalReceipt:
    """What a withdrawal of biometrics removed, and the journal row that proves it."""

    person_id: int
    uid: str
    withdrawn_at: datetime
    enrollments: int
    files: int
    chain: str
    seq: int
    hash: str


class References(Service):
    """The enrollments of a workspace; `actor` is who looks or makes a change."""

    def get(self, id_: int) -> Enrollment:
        """The enrollment with this id; NotFound."""
        with self._workspace.database.read() as session:
            return enrollments.get(session, id_)

    def list_(self, **filters: Any) -> list[Enrollment]:
        """Enrollments by id; the filters are those of storage."""
        with self._workspace.database.read() as session:
            return enrollments.list_(session, **filters)

    def image(self, id_: int, *, actor: str) -> bytes:
        """The stored photo, a JPEG file; the look is journaled before. NotFound, StorageError."""
        with self._workspace.database.write() as session:
            enrollment = enrollments.get(session, id_)
            if enrollment.face_image_path is None:
                raise NotFound(f"enrollment {id_} has no stored photo")
            self._record(session, "photo_viewed", enrollment, actor)
        return self._workspace.files.load_image(enrollment.face_image_path)

    def set_active(
        self, id_: int, active: bool | None, *, actor: str, version: int | None = None
    ) -> Enrollment:
        """Switch an enrollment on or off, or over (None).

        NotFound, ChangedMeanwhile; BelongsToHub for a person of the hub.
        """
        with self._workspace.database.write() as session:
            before = enrollments.get(session, id_)
            if version not in (None, before.version):
                raise ChangedMeanwhile("the enrollment was changed meanwhile: read it again")
            wanted = not before.is_active if active is None else active
            if wanted == before.is_active:
                return before
            require_own(session, persons.get(session, before.person_id))
            enrollment = enrollments.set_active(session, id_, wanted)
            kind = "enrollment_activated" if wanted else "enrollment_deactivated"
            self._record(session, kind, enrollment, actor)
        return enrollment

    def delete(
        self, id_: int, *, actor: str, author: Author | None = None, hubs_too: bool = False
    ) -> None:
        """Remove an enrollment, its row, photo and template; of a person of the hub as an edit.

        NotFound; BelongsToHub without an author unless `hubs_too`; NotAllowed, SignInAgain.
        """
        with self._workspace.database.write() as session:
            enrollment = enrollments.get(session, id_)
            person = persons.get(session, enrollment.person_id)
            if not hubs_too and (author := editing(session, person, author)) is not None:
                files = author.removed(session, person, enrollment)
            else:
                files = self.delete_within(session, enrollment, actor=actor)
        self.forget(files)

    def delete_within(self, session: Session, enrollment: Enrollment, *, actor: str) -> list[str]:
        """Remove an enrollment as part of a transaction; the files to remove after it."""
        files = enrollments.delete(session, enrollment.id)
        self._record(session, "enrollment_deleted", enrollment, actor)
        return files

    def withdraw_biometrics(
        self, person_id: int, *, actor: str, author: Author | None = None
    ) -> WithdrawalReceipt:
        """Remove all photos and templates of a person, who stays; of one of the hub as an edit.

        NotFound; BelongsToHub without an author, NotAllowed, SignInAgain with one.
        """
        with self._workspace.database.write() as session:
            person = persons.get(session, person_id)
            gone = enrollments.list_(session, person_id=person_id)
            if (author := editing(session, person, author)) is not None:
                files, proof = author.withdrawn(session, person, gone)
                gone = gone if author.at_once else []
            else:
                files, proof = self.withdraw_within(session, person, gone, actor=actor)
        self.forget(files)
        at = datetime.fromtimestamp(self._clock.now().utc, UTC)
        return WithdrawalReceipt(
            person_id, person.uid, at, len(gone), len(files), proof.chain, proof.seq, proof.hash
        )

    def withdraw_within(
        self, session: Session, person: Person, gone: Sequence[Enrollment], *, actor: str
    ) -> tuple[list[str], Receipt]:
        """Remove these as part of a transaction: the files to remove after it, the journal row."""
        files = [f for e in gone for f in enrollments.delete(session, e.id)]
        withdrawn = [e.uid for e in gone]
        body = {"person": person.uid, "enrollments": withdrawn}
        self._workspace.journal.keep_out(session, withdrawn)
        entry = entry_about(self._clock.now(), "biometrics_withdrawn", person, actor, body)
        (proof,) = self._workspace.journal.append([entry], session)
        return files, proof

    def forget(self, files: Sequence[str]) -> None:
        """Take the content off the disk: files, packed gallery and the database's log."""
        self._workspace.files.delete(*files)
        self._workspace.forget_gallery()
        self._workspace.database.truncate_log()

    def _record(self, session: Session, kind: str, enrollment: Enrollment, actor: str) -> None:
        person = persons.get(session, enrollment.person_id)
        body = {"enrollment": enrollment.uid, "person": person.uid}
        entry = entry_about(self._clock.now(), kind, person, actor, body)
        self._workspace.journal.append([entry], session)
