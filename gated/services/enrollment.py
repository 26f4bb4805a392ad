"""Reference photos: checked, compared, sealed, entered, and re-encoded when the model changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from gated.core.calibration import Calibration
from gated.core.model import Vector
from gated.errors import DuplicateFace, EnrollmentRefused, GatedError, NotFound
from gated.ports import Clock
from gated.services.workspace import Workspace
from gated.storage import enrollments, persons
from gated.storage.journal import Entry
from gated.storage.records import Enrollment
from gated.vision.photo import Examined, PhotoExaminer, decode, encode_jpeg

SAME_PERSON_FMR = 1e-1
"""A photo less like the person's other photos than this rate allows shows somebody else."""

DUPLICATE_FMR = 1e-5
"""A photo this much like somebody else's is taken for a second enrollment of that person."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A new (or already known) enrollment, and what would make its photo better."""

    enrollment: Enrollment
    advice: tuple[str, ...] = ()
    known: bool = False


class EnrollmentService:
    """Enrolls photos with model instances of its own; one caller at a time."""

    def __init__(
        self,
        workspace: Workspace,
        examiner: PhotoExaminer,
        calibration: Calibration,
        clock: Clock,
        model: str,
        metric: str,
    ) -> None:
        self._workspace = workspace
        self._examiner = examiner
        self._calibration = calibration
        self._clock = clock
        self._model = model
        self._gallery = workspace.gallery(model, metric)

    def enroll(self, person_id: int, photo: bytes, actor: str) -> Enrolled:
        """Enroll one photo of a person.

        The same photo a second time changes nothing. NotFound without the person;
        EnrollmentRefused with the contract's code; Conflict when it shows somebody else's face.
        """
        digest = hashlib.sha256(photo).hexdigest()
        with self._workspace.database.read() as session:
            persons.get(session, person_id)
            for other in enrollments.list_(session, person_id=person_id):
                if other.image_sha256 == digest:
                    return Enrolled(other, known=True)
        image = decode(photo)
        examined = self._examiner.examine(image)
        self._compare(person_id, examined.embedding)
        return self._store(person_id, digest, encode_jpeg(image), examined, actor)

    def reencode(self, progress: Progress) -> list[str]:
        """Make the templates of the present model from the stored photos of all others.

        Safe to stop and run again. Returns one sentence for each photo that could not be used; its
        template stays what it was and is left out of the gallery.
        """
        with self._workspace.database.read() as session:
            stale = [e for e in enrollments.list_(session) if e.model != self._model]
        problems = []
        for done, enrollment in enumerate(stale):
            progress(done, len(stale))
            try:
                self._reencode_one(enrollment)
            except GatedError as error:
                problems.append(f"enrollment {enrollment.id}: {error}")
        progress(len(stale), len(stale))
        return problems

    def _reencode_one(self, enrollment: Enrollment) -> None:
        files = self._workspace.files
        if enrollment.face_image_path is None:
            raise NotFound("its photo is not stored; enroll the person again")
        image = decode(files.load_image(enrollment.face_image_path))
        examined = self._examiner.examine(image)
        path = files.save_encoding(examined.embedding, self._model)
        with self._workspace.database.write() as session:
            enrollments.update(session, enrollment.id, face_encoding_path=path, model=self._model)
            self._journal(session, "template_replaced", enrollment.uid, "engine")
        if enrollment.face_encoding_path is not None:
            files.delete(enrollment.face_encoding_path)

    def _compare(self, person_id: int, vector: Vector) -> None:
        gallery = self._gallery.load()
        if not len(gallery):
            return
        similarities = gallery.similarities(vector)
        owners = np.array([m.person.id for m in gallery.members])[gallery.owners]
        own = similarities[owners == person_id]
        calibration = self._calibration
        if len(own) and own.max() < calibration.similarity_at(SAME_PERSON_FMR):
            raise EnrollmentRefused(
                "not_same_person",
                "This face does not resemble the person's other photos. Check that it is the "
                "right person, or remove the photos that are wrong.",
                {"similarity": float(own.max())},
            )
        others = np.where(owners == person_id, -np.inf, similarities)
        nearest = int(others.argmax())
        if others[nearest] >= calibration.similarity_at(DUPLICATE_FMR):
            person = gallery.members[int(gallery.owners[nearest])].person
            message = f"This face is enrolled already, for {person.name} ({person.personnel_code})."
            raise DuplicateFace(message, person.id)

    def _store(
        self, person_id: int, digest: str, jpeg: bytes, examined: Examined, actor: str
    ) -> Enrolled:
        files = self._workspace.files
        image_path = files.save_image(jpeg)
        encoding_path = files.save_encoding(examined.embedding, self._model)
        try:
            with self._workspace.database.write() as session:
                enrollment = enrollments.add(
                    session,
                    person_id=person_id,
                    face_image_path=image_path,
                    face_encoding_path=encoding_path,
                    confidence_score=examined.quality.score,
                    model=self._model,
                    quality=measured(examined),
                    image_sha256=digest,
                )
                self._journal(session, "enrolled", enrollment.uid, actor)
        except BaseException:
            files.delete(image_path, encoding_path)
            raise
        return Enrolled(enrollment, tuple(examined.advice))

    def _journal(self, session: Session, kind: str, uid: str, actor: str) -> None:
        body = {"enrollment": uid, "model": self._model}
        entry = Entry(self._clock.now(), kind, body, {"actor": {"name": actor}})
        self._workspace.journal.append([entry], session)


def measured(examined: Examined) -> dict[str, float]:
    """The quality report of a photo as numbers."""
    quality = examined.quality
    return {
        name: round(float(getattr(quality, name)), 4) for name in type(quality).__dataclass_fields__
    }
