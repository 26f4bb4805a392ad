"""Reference photos: checked, compared, sealed, entered, and re-encoded when the model changes."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from sqlalchemy.orm import Session

from gated.core.calibration import Calibration
from gated.core.gallery import Gallery, Member, Template
from gated.core.model import Image, PersonRef, Vector
from gated.errors import (
    ChangedMeanwhile,
    DuplicateFace,
    EnrollmentRefused,
    GatedError,
    NotFound,
    StorageError,
)
from gated.ports import Clock
from gated.services.obligations import require_consent, require_own
from gated.services.people import person_entry
from gated.services.workspace import Workspace
from gated.storage import enrollments, persons
from gated.storage.journal import Entry, told_of
from gated.storage.records import Enrollment, Person
from gated.storage.settings import touch_gallery
from gated.vision.decoding import decode
from gated.vision.photo import Examined, PhotoExaminer, encode_jpeg
from gated.vision.sandbox import decode_apart

SAME_PERSON_FMR = 1e-2
"""A photo less like the person's other photos than this rate allows shows somebody else."""

DUPLICATE_FMR = 1e-5
"""A photo this much like somebody else's is taken for a second enrollment of that person."""

FOREIGN_ENCODINGS = "dlib-resnet-v1/"
"""The model whose templates other programs make too: those of face_recognition."""

Progress = Callable[[int, int], None]

Reference = bytes | Vector
"""A photo file, or an encoding that face_recognition made: (128,)."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A new (or already known) enrollment, and what would make its photo better."""

    enrollment: Enrollment
    advice: tuple[str, ...] = ()
    known: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Draft:
    """What will be stored. digest: of what was handed in. jpeg: None without a photo."""

    digest: str
    vector: Vector
    jpeg: bytes | None = None
    score: float = 0.0
    quality: Mapping[str, float] = field(default_factory=dict)
    advice: tuple[str, ...] = ()


class Entering(Protocol):
    """What happens with a new enrollment in the transaction that enters it.

    check: may refuse it, before anything is changed. uid: what it is to have; None: a new one.
    unneeded: files to remove after the commit.
    """

    uid: str | None
    unneeded: list[str]

    @property
    def is_active(self) -> bool: ...
    def check(self, session: Session, person: Person) -> None: ...
    def __call__(self, session: Session, person: Person, enrollment: Enrollment) -> None: ...


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
        self._metric = metric
        self._gallery = workspace.gallery(model, metric)

    def enroll(
        self,
        person_id: int,
        reference: Reference,
        actor: str,
        override: str | None = None,
        entering: Entering | None = None,
    ) -> Enrolled:
        """Enroll one photo (or face_recognition encoding) of a person.

        The same one a second time changes nothing. NotFound without the person; EnrollmentRefused
        with the contract's code, or `other_model` for an encoding that the engine cannot compare;
        DuplicateFace when it shows somebody else's face, unless `override` gives a reason;
        BelongsToHub for a person of the hub, unless `entering` makes an edit of it.
        """
        find = functools.partial(persons.get, id_=person_id)
        return self._enroll(find, {}, reference, actor, override, entering)

    def enroll_as(
        self, code: str, fields: Mapping[str, Any], reference: Reference, actor: str
    ) -> Enrolled:
        """`enroll` for a personnel code; a new person is added with it, or neither is.

        fields: the other columns of a new person. Conflict when its e-mail address is taken.
        """
        new = {"first_name": code, "last_name": "", **fields, "personnel_code": code}
        return self._enroll(lambda session: persons.by_code(session, code), new, reference, actor)

    def reencode(self, progress: Progress) -> list[str]:
        """Make the templates of the present model from the stored photos of all others.

        Safe to stop and run again. Returns one sentence for each photo that could not be used; its
        template stays what it was and is left out of the gallery. StorageError when templates
        cannot be stored.
        """
        stale = self._workspace.stale_enrollments(self._model)
        problems = []
        for done, enrollment in enumerate(stale):
            progress(done, len(stale))
            try:
                vector = self._reexamined(enrollment)
            except GatedError as error:
                problems.append(f"enrollment {enrollment.id}: {error}")
            else:
                with suppress(NotFound, ChangedMeanwhile):  # somebody took care of it
                    self._replace(enrollment, vector)
        if stale:
            progress(len(stale), len(stale))
        return problems

    # --- enrolling ----------------------------------------------------------------------------

    def _enroll(
        self,
        find: Callable[[Session], Person | None],
        new: Mapping[str, Any],
        reference: Reference,
        actor: str,
        override: str | None = None,
        entering: Entering | None = None,
    ) -> Enrolled:
        digest = _digest(reference)
        with self._workspace.database.read() as session:
            person = find(session)
            if person and (known := self._known(session, person, digest)):
                return known
        draft = self._draft(reference, digest)
        self._gallery.load()  # what takes long must not happen in the writer's role
        with self._files() as files:
            self._save(draft, files)
            with self._workspace.database.write() as session:
                # on PostgreSQL, too, one enrollment at a time: the comparison must hold
                touch_gallery(session)
                person = find(session) or self._add(session, new, actor)
                if entering is None:
                    require_own(session, person)
                else:
                    entering.check(session, person)
                require_consent(session, self._workspace.settings, self._clock.now(), person.id)
                enrolled = self._known(session, person, digest)
                if enrolled is None:
                    twin = self._compare(person.id, draft.vector, override is not None)
                    enrolled = self._enter(session, person, draft, files, actor, entering)
                    if twin is not None:
                        self._journal_override(session, enrolled, twin, actor, str(override))
        if enrolled.known:
            self._discard(files)
        if entering is not None:
            self._workspace.files.delete(*entering.unneeded)
        return enrolled

    @staticmethod
    def _known(session: Session, person: Person, digest: str) -> Enrolled | None:
        same = enrollments.list_(session, person_id=person.id, image_sha256=digest, limit=1)
        return Enrolled(same[0], known=True) if same else None

    def _draft(self, reference: Reference, digest: str) -> _Draft:
        if isinstance(reference, bytes):
            image = decode_apart(reference)
            examined = self._examiner.examine(image)
            return _Draft(
                digest,
                examined.embedding,
                encode_jpeg(image),
                examined.quality.score,
                measured(examined),
                tuple(examined.advice),
            )
        if not self._model.startswith(FOREIGN_ENCODINGS):
            raise EnrollmentRefused(
                "other_model",
                "Encodings of face_recognition need the engine that made them: vision.engine: dlib",
            )
        return _Draft(digest, np.asarray(reference, np.float32))

    def _save(self, draft: _Draft, files: list[str]) -> None:
        """Write photo and template; `files` gets their names, also when the next one fails."""
        if draft.jpeg is not None:
            files.append(self._workspace.files.save_image(draft.jpeg))
        files.append(self._workspace.files.save_encoding(draft.vector, self._model))

    @contextmanager
    def _files(self) -> Iterator[list[str]]:
        """The names of the files that the block writes; they are removed when it fails."""
        files: list[str] = []
        try:
            yield files
        except BaseException:
            self._discard(files)
            raise

    def _discard(self, files: list[str]) -> None:
        """Remove files, except those that a row names: an interrupt may come after the commit.

        What cannot be removed now is left to the sweep at the next start.
        """
        with suppress(StorageError):
            with self._workspace.database.read() as session:
                named = enrollments.known_files(session)
            self._workspace.files.delete(*(f for f in files if f not in named))

    def _add(self, session: Session, fields: Mapping[str, Any], actor: str) -> Person:
        person = persons.add(session, **fields)
        entry = person_entry(self._clock.now(), "person_created", person, actor, sorted(fields))
        self._workspace.journal.append([entry], session)
        return person

    def _compare(self, person_id: int, vector: Vector, overridden: bool) -> PersonRef | None:
        """Refuse who is not this person; returns the other one whose face it is if overridden."""
        return compare(self._gallery.load(), self._calibration, person_id, vector, overridden)

    def _enter(
        self,
        session: Session,
        person: Person,
        draft: _Draft,
        files: list[str],
        actor: str,
        entering: Entering | None,
    ) -> Enrolled:
        *image, encoding = files
        enrollment = enrollments.add(
            session,
            person_id=person.id,
            face_image_path=image[0] if image else None,
            face_encoding_path=encoding,
            confidence_score=draft.score,
            model=self._model,
            quality=draft.quality,
            image_sha256=draft.digest,
            is_active=entering is None or entering.is_active,
            uid=None if entering is None else entering.uid,
        )
        if entering is not None:
            entering(session, person, enrollment)
        self._journal(session, "enrolled", enrollment, person, actor)
        return Enrolled(enrollment, draft.advice)

    def _journal(
        self, session: Session, kind: str, enrollment: Enrollment, person: Person, actor: str
    ) -> None:
        body = {"enrollment": enrollment.uid, "person": person.uid, "model": self._model}
        private: dict[str, dict[str, Any]] = {
            "subject": told_of(person.ref),
            "actor": {"name": actor},
        }
        self._workspace.journal.append([Entry(self._clock.now(), kind, body, private)], session)

    def _journal_override(
        self, session: Session, enrolled: Enrolled, twin: PersonRef, actor: str, reason: str
    ) -> None:
        """Who decided, and why, that the face of another person may be enrolled."""
        body = {"enrollment": enrolled.enrollment.uid, "duplicate_of": twin.uid}
        private = {"subject": told_of(twin), "actor": {"name": actor, "reason": reason}}
        entry = Entry(self._clock.now(), "duplicate_overridden", body, private)
        self._workspace.journal.append([entry], session)

    # --- another photo ------------------------------------------------------------------------

    def replace_photo(
        self,
        id_: int,
        photo: bytes,
        actor: str,
        *,
        version: int | None = None,
        entering: Entering | None = None,
    ) -> Enrolled:
        """Put another photo of the same person in the place of an enrollment's.

        With `entering` a new enrollment takes its place.

        NotFound; ChangedMeanwhile when `version` is over; EnrollmentRefused, `not_same_person` when
        it does not resemble the photo that it replaces; DuplicateFace; BelongsToHub.
        """
        with self._workspace.database.read() as session:
            old = enrollments.get(session, id_)
        if old.image_sha256 == _digest(photo):
            return Enrolled(old, known=True)
        if version not in (None, old.version):
            raise ChangedMeanwhile(f"enrollment {old.id} was changed meanwhile: read it again")
        draft = self._draft(photo, _digest(photo))
        self._refuse_stranger(old, draft.vector)
        if entering is not None:
            return self.enroll(old.person_id, photo, actor, None, entering)
        self._gallery.load()
        with self._files() as files:
            self._save(draft, files)
            with self._workspace.database.write() as session:
                touch_gallery(session)
                enrollment = self._put(session, old, draft, files, actor, version)
        self._workspace.files.delete(*old.files)
        return Enrolled(enrollment, draft.advice)

    def _put(
        self,
        session: Session,
        old: Enrollment,
        draft: _Draft,
        files: list[str],
        actor: str,
        version: int | None,
    ) -> Enrollment:
        """Let the row name the new photo, if it is still what was examined and what was asked."""
        present = enrollments.get(session, old.id).version
        if present != old.version or version not in (None, present):
            raise ChangedMeanwhile(f"enrollment {old.id} was changed meanwhile: read it again")
        person = persons.get(session, old.person_id)
        require_own(session, person)
        require_consent(session, self._workspace.settings, self._clock.now(), person.id)
        self._compare(person.id, draft.vector, overridden=False)
        image, encoding = files
        enrollment = enrollments.update(
            session,
            old.id,
            face_image_path=image,
            face_encoding_path=encoding,
            confidence_score=draft.score,
            model=self._model,
            quality=dict(draft.quality),
            image_sha256=draft.digest,
        )
        self._journal(session, "photo_replaced", enrollment, person, actor)
        return enrollment

    def _refuse_stranger(self, old: Enrollment, vector: Vector) -> None:
        """Compare with the old template; the gallery has none of those that are switched off."""
        if old.model != self._model or old.face_encoding_path is None:
            return
        template, _ = self._workspace.files.load_encoding(old.face_encoding_path)
        self.refuse_others([template], vector)

    # --- by the gate's own camera -------------------------------------------------------------

    def examine(self, image: Image) -> Examined:
        """As PhotoExaminer.examine."""
        return self._examiner.examine(image)

    def refuse_others(self, known: Sequence[Vector], vector: Vector) -> None:
        """EnrollmentRefused, `not_same_person`, when a face resembles none of the known ones."""
        if not known:
            return
        owner = Member(PersonRef(0, "", "", ""))
        templates = [Template(i, 0, v, self._model) for i, v in enumerate(known)]
        gallery = Gallery.build(self._model, self._metric, [owner], templates)
        similarity = float(gallery.similarities(vector).max(initial=-np.inf))
        if similarity < self._calibration.similarity_at(SAME_PERSON_FMR):
            raise EnrollmentRefused(
                "not_same_person",
                "This face does not resemble the one before. Check that it is the right person; "
                "to replace a photo of somebody else, delete the enrollment first.",
                {"similarity": similarity},
            )

    # --- another model ------------------------------------------------------------------------

    def _reexamined(self, enrollment: Enrollment) -> Vector:
        if enrollment.face_image_path is None:
            raise NotFound("its photo is not stored; enroll the person again")
        image = decode(self._workspace.files.load_image(enrollment.face_image_path))
        return self._examiner.examine(image).embedding

    def _replace(self, stale: Enrollment, vector: Vector) -> None:
        """ChangedMeanwhile when the enrollment is not any more what was examined; NotFound."""
        with self._files() as files:
            files.append(self._workspace.files.save_encoding(vector, self._model))
            with self._workspace.database.write() as session:
                if enrollments.get(session, stale.id).version != stale.version:
                    raise ChangedMeanwhile(f"enrollment {stale.id} was changed meanwhile")
                person = persons.get(session, stale.person_id)
                changes = {"face_encoding_path": files[0], "model": self._model}
                enrollment = enrollments.update(session, stale.id, **changes)
                self._journal(session, "template_replaced", enrollment, person, "engine")
        if stale.face_encoding_path is not None:
            self._workspace.files.delete(stale.face_encoding_path)


def compare(
    gallery: Gallery, calibration: Calibration, person_id: int, vector: Vector, overridden: bool
) -> PersonRef | None:
    """Whose face besides the person's a template is, if `overridden`; None when nobody's.

    EnrollmentRefused, `not_same_person`, when it does not resemble the person's other photos;
    DuplicateFace when it is somebody else's, unless overridden.
    """
    if not len(gallery):
        return None
    similarities = gallery.similarities(vector)
    owners = np.array([m.person.id for m in gallery.members])[gallery.owners]
    own = similarities[owners == person_id]
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
        if overridden:
            return person
        message = f"This face is enrolled already, for {person.name} ({person.personnel_code})."
        raise DuplicateFace(message, person.id)
    return None


def measured(examined: Examined) -> dict[str, float]:
    """The quality report of a photo as numbers."""
    quality = examined.quality
    return {
        name: round(float(getattr(quality, name)), 4) for name in type(quality).__dataclass_fields__
    }


def _digest(reference: Reference) -> str:
    if not isinstance(reference, bytes):
        reference = np.asarray(reference, "<f4").tobytes()
    return hashlib.sha256(reference).hexdigest()
