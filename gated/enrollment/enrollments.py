"""Stored enrollments: listed, shown, switched and removed; none of it needs a model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from gated.change import FEED, GALLERY, Change
from gated.core.photo_advice import PhotoAdvice
from gated.core.values import Instant, moment
from gated.database.records import Enrollment, Person
from gated.database.rows import Versions, require_version
from gated.enrollment import enrollment_store as enrollments
from gated.errors import NotFound
from gated.journal.journal import Receipt
from gated.people import person_store
from gated.people.preconditions import require_own
from gated.ports import Clock
from gated.vision.drawing import shrunk_jpeg
from gated.workspace import Service, Workspace


@dataclass(frozen=True, slots=True)
class WithdrawalReceipt:
    """The receipt of a withdrawal of biometrics: all it removed, and the journal row as proof."""

    person_id: int
    uid: str
    withdrawn_at: datetime
    enrollments: int
    files: int
    chain: str
    seq: int
    hash: str

    @classmethod
    def of(cls, person: Person, at: Instant, photos: int, files: int, proof: Receipt) -> Self:
        """Make the receipt of so many photos and files."""
        proved = proof.chain, proof.seq, proof.hash
        return cls(person.id, person.uid, moment(at), photos, files, *proved)


THUMBNAIL = 128
"""Pixels of a thumbnail's longer side."""

BROWSED_S = 3600.0
"""Seconds in which the thumbnails that one account looks at are one row of the journal."""


class Enrollments(Service):
    """The enrollments of a workspace."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._browsed: dict[str, float] = {}

    def get(self, id_: int) -> Enrollment:
        """Return the enrollment with this id. Raises: NotFound."""
        with self._workspace.database.read() as session:
            return enrollments.get(session, id_)

    def list_(self, **filters: Any) -> list[Enrollment]:
        """Return enrollments by id. filters: of `enrollment_store.list_`."""
        with self._workspace.database.read() as session:
            return enrollments.list_(session, **filters)

    def count(self, **filters: Any) -> int:
        """Count the enrollments of all pages. filters: of `enrollment_store.count`."""
        with self._workspace.database.read() as session:
            return enrollments.count(session, **filters)

    def photo_advice(self, person_id: int) -> PhotoAdvice:
        """Return whether another photo is advised; of nobody as of one without photos."""
        return PhotoAdvice.of_photos(self.list_(person_id=person_id))

    def look(self, change: Change, id_: int) -> Enrollment:
        """Put on record that somebody looks at a photo. Raises: NotFound, without one as well."""
        enrollment = enrollments.get(change.session, id_)
        if enrollment.face_image_path is None:
            raise NotFound(f"enrollment {id_} has no stored photo")
        _record(change, "photo_viewed", enrollment)
        return enrollment

    def image(self, enrollment: Enrollment) -> bytes:
        """Return the stored photo of an enrollment that has one, as JPEG. Raises: StorageError."""
        return self._workspace.files.load_image(str(enrollment.face_image_path))

    def thumbnail(self, person_id: int, *, actor: str) -> bytes:
        """Return a small JPEG of a person's first photo in use. Raises: NotFound, StorageError.

        Pages show many: that somebody looks is journaled once an hour, and not for each.
        """
        with self._workspace.database.read() as session:
            person_store.get(session, person_id)
            kept = enrollments.list_(session, person_id=person_id, is_active=True)
        paths = [e.face_image_path for e in kept if e.face_image_path is not None]
        if not paths:
            raise NotFound(f"person {person_id} has no stored photo")
        self._note_browsing(actor)
        return shrunk_jpeg(self._workspace.files.load_image(paths[0]), THUMBNAIL)

    def _note_browsing(self, actor: str) -> None:
        now = self._clock.now()
        if now.mono - self._browsed.get(actor, -BROWSED_S) < BROWSED_S:
            return
        with self.change(actor) as change:
            change.record("photos_browsed", {})
        self._browsed[actor] = now.mono

    def set_active(
        self, change: Change, id_: int, active: bool | None, *, versions: Versions = None
    ) -> Enrollment:
        """Switch an enrollment on or off, or over (None).

        Raises: NotFound, ChangedMeanwhile; BelongsToHub for a person of the hub.
        """
        change.touches(GALLERY)
        session = change.session
        before = enrollments.get(session, id_)
        require_version(versions, before.version)
        wanted = not before.is_active if active is None else active
        if wanted == before.is_active:
            return before
        require_own(session, person_store.get(session, before.person_id))
        enrollment = enrollments.set_active(session, id_, wanted)
        _record(change, "enrollment_activated" if wanted else "enrollment_deactivated", enrollment)
        return enrollment

    def delete(self, change: Change, id_: int, *, hubs_too: bool = False) -> None:
        """Remove an enrollment, its row, photo and template.

        Raises: NotFound; BelongsToHub for a person of the hub, unless `hubs_too`.
        """
        change.touches(GALLERY, FEED)
        session = change.session
        enrollment = enrollments.get(session, id_)
        person = person_store.get(session, enrollment.person_id)
        if not hubs_too:
            require_own(session, person)
        files = enrollments.delete(session, enrollment.id)
        _record(change, "enrollment_deleted", enrollment)
        self._workspace.forget_after(change, *files)

    def withdraw_biometrics(self, change: Change, person_id: int) -> WithdrawalReceipt:
        """Remove photos and templates of a person, who stays. Raises: NotFound, BelongsToHub."""
        change.touches(GALLERY, FEED)
        person = person_store.get(change.session, person_id)
        require_own(change.session, person)
        gone = enrollments.list_(change.session, person_id=person_id)
        files = [f for e in gone for f in enrollments.delete(change.session, e.id)]
        withdrawn = [e.uid for e in gone]
        self._workspace.journal.keep_out(change.session, withdrawn)
        body = {"person": person.uid, "enrollments": withdrawn}
        proof = change.record("biometrics_withdrawn", body, subject=person.ref)
        change.after_commit(lambda: self._workspace.forget_visits([person.uid]))
        self._workspace.forget_after(change, *files)
        return WithdrawalReceipt.of(person, change.at, len(gone), len(files), proof)


def _record(change: Change, kind: str, enrollment: Enrollment) -> None:
    person = person_store.get(change.session, enrollment.person_id)
    body = {"enrollment": enrollment.uid, "person": person.uid}
    change.record(kind, body, subject=person.ref)
