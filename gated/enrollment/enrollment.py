"""Reference photos: checked, compared, sealed, entered, and re-encoded when the model changes."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from gated.change import FEED, GALLERY, RULES, Change
from gated.core.calibration import Calibration
from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.lookalikes import Lookalike, alike, lookalikes
from gated.core.photo_advice import LIKENESS
from gated.core.values import Image, PersonRef, Vector
from gated.database.records import Enrollment, Person
from gated.database.rows import Versions, require_version
from gated.enrollment import enrollment_store
from gated.enrollment.gallery_cache import open_gallery, stale_enrollments
from gated.enrollment.photo_entry import PhotoEntry
from gated.errors import (
    ChangedMeanwhile,
    DuplicateFace,
    EnrollmentRefused,
    GatedError,
    NotFound,
    StorageError,
)
from gated.people import person_store
from gated.people.preconditions import require_consent, require_own
from gated.ports import Clock
from gated.vision.decoding import decode
from gated.vision.jpeg import encode_jpeg
from gated.vision.photo import Advice, ExaminedPhoto, PhotoExaminer
from gated.vision.sandbox import decode_apart
from gated.workspace import Workspace

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
    advice: tuple[Advice, ...] = ()
    known: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class EnrollmentDraft:
    """An enrollment to be stored. digest: of what was handed in. jpeg: None without a photo."""

    digest: str
    vector: Vector
    jpeg: bytes | None = None
    score: float = 0.0
    quality: Mapping[str, float] = field(default_factory=dict)
    advice: tuple[Advice, ...] = ()


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
        self._gallery = open_gallery(workspace, model, metric)

    def enroll(self, person_id: int, reference: Reference, entry: PhotoEntry) -> Enrolled:
        """Enroll one photo (or face_recognition encoding) of a person.

        The same one a second time changes nothing. NotFound without the person; EnrollmentRefused
        with the contract's code, or `other_model` for an encoding that the engine cannot compare;
        DuplicateFace when it shows somebody else's face, unless the entry overrides that; and
        what the entry raises, as BelongsToHub.
        """
        find = functools.partial(person_store.get, id_=person_id)
        return self._enroll(find, {}, reference, entry)

    def enroll_as(
        self,
        code: str,
        fields: Mapping[str, Any],
        reference: Reference,
        actor: str,
        draft: EnrollmentDraft | None = None,
        override: str | None = None,
    ) -> Enrolled:
        """Enroll for a personnel code; a new person is added with the photo, or neither is.

        fields: the other columns of a new person. draft: what `draft` has made of the reference.
        override: why the face may be somebody else's, too. Raises: as `enroll`; Conflict when its
        e-mail address is taken.
        """
        new = {"first_name": code, "last_name": "", **fields, "personnel_code": code}

        def find(session: Session) -> Person | None:
            return person_store.by_code(session, code)

        return self._enroll(find, new, reference, PhotoEntry(actor, override), draft)

    def draft(self, reference: Reference) -> EnrollmentDraft:
        """Examine a reference without storing anything; EnrollmentRefused."""
        return self._draft(reference, _digest(reference))

    def groups(self, drafts: Sequence[EnrollmentDraft]) -> list[int]:
        """Number the people whom these show: drafts that resemble each other, directly or by way
        of others, have the same number."""
        return self.grouped([draft.vector for draft in drafts], SAME_PERSON_FMR)

    def grouped(self, vectors: Sequence[Vector], fmr: float) -> list[int]:
        """Number templates as `groups` does. fmr: share of strangers that may count as alike."""
        groups = list(range(len(vectors)))
        if not vectors:
            return groups
        owner = GalleryPerson(PersonRef(0, "", "", ""))
        templates = [Template(i, 0, v, self._model) for i, v in enumerate(vectors)]
        gallery = Gallery.build(self._model, self._metric, [owner], templates)
        least = self._calibration.similarity_at(fmr)
        for i, vector in enumerate(vectors):
            for j in np.flatnonzero(gallery.similarities(vector) >= least):
                new, old = sorted((groups[i], groups[int(j)]))
                groups = [new if group == old else group for group in groups]
        return groups

    def lookalikes(self, strangers: Sequence[Sequence[Vector]]) -> list[list[Lookalike]]:
        """Find for each stranger, given by templates, whom of the people here they resemble."""
        gallery = self._gallery.load()
        return [
            lookalikes(gallery, self._calibration, np.stack(faces)) if faces else []
            for faces in strangers
        ]

    def alike(self, strangers: Sequence[Sequence[Vector]]) -> list[tuple[int, int]]:
        """List the pairs of strangers, by position, who may be one person; see `core.lookalikes`.

        Each stranger has a template.
        """
        members = [GalleryPerson(PersonRef(i, "", "", "")) for i in range(len(strangers))]
        templates = [
            Template(n, i, vector, self._model)
            for i, vectors in enumerate(strangers)
            for n, vector in enumerate(vectors)
        ]
        gallery = Gallery.build(self._model, self._metric, members, templates)
        return alike(gallery, self._calibration)

    def reencode(self, progress: Progress) -> list[str]:
        """Make the templates of the present model from the stored photos of all others.

        Safe to stop and run again. Returns one sentence for each photo that could not be used; its
        template stays what it was and is left out of the gallery. StorageError when templates
        cannot be stored.
        """
        stale = stale_enrollments(self._workspace, self._model)
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
        entry: PhotoEntry,
        draft: EnrollmentDraft | None = None,
    ) -> Enrolled:
        digest = _digest(reference)
        with self._workspace.database.read() as session:
            person = find(session)
            if person and (known := self._known(session, person, digest)):
                return known
        draft = draft or self._draft(reference, digest)
        self._gallery.load()  # what takes long must not happen in the writer's role
        with self._files() as files:
            self._save(draft, files)
            with self._workspace.change(entry.actor, self._clock) as change:
                # on PostgreSQL, too, one enrollment at a time: the comparison must hold
                change.touches(GALLERY, RULES, FEED)
                session = change.session
                person = find(session) or _add(change, new)
                entry.check(change, person)
                require_consent(session, self._workspace.settings, change.at, person.id)
                enrolled = self._known(session, person, digest)
                if enrolled is None:
                    twin = self._compare(person.id, draft.vector, entry.override is not None)
                    draft = self._beside_others(person.id, draft)
                    enrolled = self._enter(change, person, draft, files, entry)
                    if twin is not None:
                        _record_override(change, enrolled, twin, str(entry.override))
        if enrolled.known:
            self._discard(files)
        return enrolled

    @staticmethod
    def _known(session: Session, person: Person, digest: str) -> Enrolled | None:
        same = enrollment_store.list_(session, person_id=person.id, image_sha256=digest, limit=1)
        return Enrolled(same[0], known=True) if same else None

    def _draft(self, reference: Reference, digest: str) -> EnrollmentDraft:
        if isinstance(reference, bytes):
            image = decode_apart(reference)
            examined = self._examiner.examine(image)
            return EnrollmentDraft(
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
        return EnrollmentDraft(digest, np.asarray(reference, np.float32))

    def _save(self, draft: EnrollmentDraft, files: list[str]) -> None:
        """Write photo and template; `files` gets their names, also when the next one fails."""
        if draft.jpeg is not None:
            files.append(self._workspace.files.save_image(draft.jpeg))
        files.append(self._workspace.files.save_encoding(draft.vector, self._model))

    @contextmanager
    def _files(self) -> Iterator[list[str]]:
        """Collect the names of the files that the block writes; remove them when it fails."""
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
                named = enrollment_store.known_files(session)
            self._workspace.files.delete(*(f for f in files if f not in named))

    def _compare(self, person_id: int, vector: Vector, overridden: bool) -> PersonRef | None:
        """Refuse a face that is not this person's; see `compare`."""
        return compare(self._gallery.load(), self._calibration, person_id, vector, overridden)

    def _beside_others(
        self, person_id: int, draft: EnrollmentDraft, replaced: Vector | None = None
    ) -> EnrollmentDraft:
        """Add to the quality how alike the photo is to the most similar other one in use.

        replaced: template of the photo in whose place it comes, which does not count.
        """
        others = self._gallery.load().only(person_id)
        if len(others) == (replaced is not None):
            return draft
        similarities = others.similarities(draft.vector)
        if replaced is not None:
            similarities[others.similarities(replaced).argmax()] = -np.inf
        same = 1.0 if self._metric == "cosine" else 0.0
        likeness = self._calibration.likeness(float(similarities.max()), same)
        return replace(draft, quality={**draft.quality, LIKENESS: round(likeness, 4)})

    def _enter(
        self,
        change: Change,
        person: Person,
        draft: EnrollmentDraft,
        files: list[str],
        entry: PhotoEntry,
    ) -> Enrolled:
        *image, encoding = files
        enrollment = enrollment_store.add(
            change.session,
            enrollment_store.NewEnrollment(
                person_id=person.id,
                face_image_path=image[0] if image else None,
                face_encoding_path=encoding,
                confidence_score=draft.score,
                model=self._model,
                quality=draft.quality,
                image_sha256=draft.digest,
                is_active=entry.is_active,
                uid=entry.uid,
            ),
        )
        entry.entered(change, person, enrollment)
        self._record(change, "enrolled", enrollment, person)
        return Enrolled(enrollment, draft.advice)

    def _record(self, change: Change, kind: str, enrollment: Enrollment, person: Person) -> None:
        body = {"enrollment": enrollment.uid, "person": person.uid, "model": self._model}
        change.record(kind, body, subject=person.ref)

    # --- another photo ------------------------------------------------------------------------

    def replace_photo(
        self, id_: int, photo: bytes, entry: PhotoEntry, *, versions: Versions = None
    ) -> Enrolled:
        """Put another photo of the same person in the place of an enrollment's.

        NotFound; ChangedMeanwhile when `versions` are over; EnrollmentRefused, `not_same_person`
        when it does not resemble the photo that it replaces; DuplicateFace; BelongsToHub.
        """
        with self._workspace.database.read() as session:
            old = enrollment_store.get(session, id_)
        if old.image_sha256 == _digest(photo):
            return Enrolled(old, known=True)
        require_version(versions, old.version)
        draft = self._draft(photo, _digest(photo))
        template = self._template_of(old)
        if template is not None:
            self.refuse_others([template], draft.vector)
        if entry.beside:
            find = functools.partial(person_store.get, id_=old.person_id)
            return self._enroll(find, {}, photo, entry, draft)
        self._gallery.load()
        with self._files() as files:
            self._save(draft, files)
            with self._workspace.change(entry.actor, self._clock) as change:
                change.touches(GALLERY, FEED)
                counted = template if old.is_active else None
                draft = self._beside_others(old.person_id, draft, counted)
                enrollment = self._put(change, old, draft, files, versions)
        return Enrolled(enrollment, draft.advice)

    def _put(
        self,
        change: Change,
        old: Enrollment,
        draft: EnrollmentDraft,
        files: list[str],
        versions: Versions,
    ) -> Enrollment:
        """Let the row name the new photo, if it is still what was examined and what was asked."""
        session = change.session
        present = enrollment_store.get(session, old.id).version
        require_version({old.version}, present)
        require_version(versions, present)
        person = person_store.get(session, old.person_id)
        require_own(session, person)
        require_consent(session, self._workspace.settings, change.at, person.id)
        self._compare(person.id, draft.vector, overridden=False)
        image, encoding = files
        enrollment = enrollment_store.update(
            session,
            old.id,
            face_image_path=image,
            face_encoding_path=encoding,
            confidence_score=draft.score,
            model=self._model,
            quality=dict(draft.quality),
            image_sha256=draft.digest,
        )
        self._record(change, "photo_replaced", enrollment, person)
        change.delete_files(*old.files)
        return enrollment

    def _template_of(self, old: Enrollment) -> Vector | None:
        """Read a template from its file; the gallery has none of those that are switched off."""
        if old.model != self._model or old.face_encoding_path is None:
            return None
        template, _ = self._workspace.files.load_encoding(old.face_encoding_path)
        return template

    # --- by the gate's own camera -------------------------------------------------------------

    def examine(self, image: Image) -> ExaminedPhoto:
        """Examine a picture; see `PhotoExaminer.examine`."""
        return self._examiner.examine(image)

    def refuse_others(self, known: Sequence[Vector], vector: Vector) -> None:
        """Refuse a face that resembles none of the known ones. Raises: EnrollmentRefused."""
        if not known:
            return
        owner = GalleryPerson(PersonRef(0, "", "", ""))
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
        """Store another template. Raises: NotFound; ChangedMeanwhile for another version."""
        with self._files() as files:
            files.append(self._workspace.files.save_encoding(vector, self._model))
            with self._workspace.change("engine", self._clock) as change:
                change.touches(GALLERY)
                session = change.session
                if enrollment_store.get(session, stale.id).version != stale.version:
                    raise ChangedMeanwhile(f"enrollment {stale.id} was changed meanwhile")
                person = person_store.get(session, stale.person_id)
                changes = {"face_encoding_path": files[0], "model": self._model}
                enrollment = enrollment_store.update(session, stale.id, **changes)
                self._record(change, "template_replaced", enrollment, person)
                if stale.face_encoding_path is not None:
                    change.delete_files(stale.face_encoding_path)


def _add(change: Change, fields: Mapping[str, Any]) -> Person:
    person = person_store.add(change.session, **fields)
    change.record_person("person_created", person, sorted(fields))
    return person


def _record_override(change: Change, enrolled: Enrolled, twin: PersonRef, reason: str) -> None:
    """Append who decided, and why, that the face of another person may be enrolled."""
    body = {"enrollment": enrolled.enrollment.uid, "duplicate_of": twin.uid}
    # the reason beside whom it concerns, so that an erasure takes it along
    change.record("duplicate_overridden", body, subject=twin, about={"reason": reason})


def compare(
    gallery: Gallery, calibration: Calibration, person_id: int, vector: Vector, overridden: bool
) -> PersonRef | None:
    """Find whose face besides the person's a template is, if `overridden`; None when nobody's.

    Raises: EnrollmentRefused, `not_same_person`, when it does not resemble the person's other
    photos; DuplicateFace when it is somebody else's, unless overridden.
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


def measured(examined: ExaminedPhoto) -> dict[str, float]:
    """Return the quality report of a photo as numbers."""
    quality = examined.quality
    return {
        name: round(float(getattr(quality, name)), 4) for name in type(quality).__dataclass_fields__
    }


def _digest(reference: Reference) -> str:
    if not isinstance(reference, bytes):
        reference = np.asarray(reference, "<f4").tobytes()
    return hashlib.sha256(reference).hexdigest()
