"""Edits of gates on the hub: shown with what they contradict, accepted or refused.

The order of the hub decides. An edit that knew an older version of the person contradicts what came
between, unless that was an edit made before it at the same gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from sqlalchemy.orm import Session

from gated.change import FEED, GALLERY, RULES, Change
from gated.core.values import Vector
from gated.database import account_store, change_feed
from gated.database.records import Enrollment, Person
from gated.enrollment import enrollment_store
from gated.enrollment.enrollment import compare
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.enrollment.enrollments import Enrollments
from gated.enrollment.gallery_cache import open_gallery
from gated.enrollment.photo_entry import PhotoEntry
from gated.errors import AlreadyDone, AssetError, Conflict, EditConflict, EditWaits, NotFound
from gated.fleet.gate import replica
from gated.fleet.hub import edit_store, gate_store, ingest
from gated.fleet.hub.edit_intake import public_part
from gated.fleet.hub.edit_store import ACCEPTED, PENDING, REFUSED, FleetEdit
from gated.fleet.wire.edits import (
    ACTIVATE,
    CHANGE,
    CREATE,
    DEACTIVATE,
    ENROLL,
    REMOVE,
    WITHDRAW,
    photo_of,
    read_content,
    sealed_for,
    vector_of,
)
from gated.fleet.wire.signing import Opener
from gated.journal import site_presence_store
from gated.journal.site_presence_store import PassageChanges
from gated.people import group_store, person_store
from gated.people.people import People
from gated.people.preconditions import require_consent
from gated.ports import Clock
from gated.vision.engines import calibration_for
from gated.vision.jpeg import encode_jpeg
from gated.vision.sandbox import decode_apart
from gated.workspace import Service, Workspace

Content = Mapping[str, Any]

_LOCKS = GALLERY, RULES, FEED


@dataclass(frozen=True, slots=True)
class ReviewedEdit:
    """An edit, and who made it where. person: as the hub has them, None for who is new.

    wants: what it is to change; has: what the hub has there now; both None in lists and once it is
    decided. conflict: the hub has changed the person since. waits: id of the one to decide first.
    """

    edit: FleetEdit
    gate: str
    operator: str
    person: Person | None
    conflict: bool = False
    waits: int | None = None
    wants: Content | None = None
    has: Content | None = None


class Review(Service):
    """Decides on the edits of gates; `actor` is who does.

    queue: examines photos, where this hub has models; without, templates are taken as they came.
    """

    def __init__(self, workspace: Workspace, clock: Clock, queue: EnrollmentQueue) -> None:
        super().__init__(workspace, clock)
        self._queue = queue
        self._opener = Opener(workspace.keys.opening)
        self._people = People(workspace, clock)
        self._references = Enrollments(workspace, clock)

    @classmethod
    def with_queue(cls, workspace: Workspace, queue: EnrollmentQueue) -> Self:
        """The same on the real clock."""
        return cls(workspace, workspace.clock, queue)

    # --- looking ------------------------------------------------------------------------------

    def list_(self, *, limit: int, state: str | None = None) -> list[ReviewedEdit]:
        """Edits: pending ones oldest first, others newest first."""
        with self._workspace.database.read() as session:
            found = edit_store.list_(session, limit=limit, state=state)
            return [self._reviewed(session, edit) for edit in found]

    def get(self, id_: int) -> ReviewedEdit:
        """One edit, what it wants and what the hub has; NotFound."""
        with self._workspace.database.read() as session:
            found = self._reviewed(session, edit_store.get(session, id_))
            if found.edit.state != PENDING:
                return found
            content = self._content(found.edit)
            wants = {k: v for k, v in content.items() if k not in ("template", "photo")}
            if found.edit.kind == ENROLL:
                wants["has_photo"] = content["photo"] is not None
            if "groups" in wants:
                wants["groups"] = [g.name for g in group_store.by_uids(session, wants["groups"])]
            has = _present(session, found.edit, found.person, content)
        taken = found.edit.kind == CREATE and bool(has)
        return replace(found, wants=wants, has=has, conflict=found.conflict or taken)

    def image(self, id_: int, *, actor: str) -> bytes:
        """The photo of a pending edit, a JPEG file; the look is journaled. NotFound."""
        with self.change(actor) as change:
            edit = edit_store.get(change.session, id_)
            if edit.state != PENDING or edit.kind != ENROLL:
                raise NotFound(f"edit {id_} has no photo to look at")
            photo = photo_of(self._content(edit))
            if photo is None:
                raise NotFound(f"edit {id_} came without the photo")
            _record(change, "edit_photo_viewed", edit)
        return _clean(photo)

    def _reviewed(self, session: Session, edit: FleetEdit) -> ReviewedEdit:
        account = account_store.by_uid(session, edit.operator)
        person = replica.find(session, edit.person)
        gate = gate_store.get(session, edit.gate_id).name
        who = account.username if account else "unknown"
        found = ReviewedEdit(edit, gate, who, person)
        if edit.state != PENDING:
            return found
        before = edit_store.by_uid(session, edit.after) if edit.after else None
        waits = before.id if before is not None and before.state == PENDING else None
        base = before.result if before and before.state == ACCEPTED else edit.base
        present = edit_store.version_of(session, edit.person)
        return replace(found, waits=waits, conflict=waits is None and present != base)

    # --- deciding -----------------------------------------------------------------------------

    def accept(
        self, id_: int, *, actor: str, anyway: bool = False, override: str | None = None
    ) -> ReviewedEdit:
        """Let an edit count for everybody.

        anyway: though the hub has changed the person since. override: the reason why the face may
        be another person's, too. NotFound; Conflict for one that is decided, waits for another one
        or cannot be done; EditConflict; EnrollmentRefused, DuplicateFace.
        """
        with self._workspace.database.read() as session:
            edit = edit_store.get(session, id_)
        if edit.kind == ENROLL and edit.state == PENDING:
            self._enroll(edit, actor, anyway, override)
            return self.get(id_)
        with self.change(actor) as change:
            change.touches(*_LOCKS)
            edit = self.ready(change.session, id_, anyway)
            self._apply(change, edit)
            self.settle(change, edit)
            if edit.kind == CREATE:
                _recognise(change.session, edit)
        return self.get(id_)

    def refuse(
        self, id_: int, *, actor: str, reason: str | None = None, erase: bool = False
    ) -> ReviewedEdit:
        """Let an edit not count; the gate undoes it. Later edits of a new person go with it.

        erase: a person who is new is forgotten for ever, at the gate as well. NotFound, Conflict.
        """
        with self.change(actor) as change:
            change.touches(*_LOCKS)
            session = change.session
            edit = _pending(session, id_)
            found = self._reviewed(session, edit)
            if erase and found.person is not None:
                text = "this person is known here: DELETE /api/persons/{id} erases them"
                raise Conflict(text).named("known_here")
            theirs = edit_store.pending_of(session, edit.person)
            for refused in theirs if edit.kind == CREATE else [edit]:
                edit_store.decide(session, refused, REFUSED, actor, reason)
            if found.person is not None:
                change_feed.note_person(session, found.person.id)
            _record(change, "edit_refused", edit, reason)
            if erase:
                self._workspace.journal.erase_person(session, change.at, edit.person, "refused")
                change.after_commit(self._workspace.erase_traces)
        decided = replace(edit, state=REFUSED, reason=reason, decided_by=actor, content=None)
        return replace(found, edit=decided, conflict=False, waits=None)

    # --- parts of an acceptance ---------------------------------------------------------------

    def ready(self, session: Session, id_: int, anyway: bool) -> FleetEdit:
        """An edit that can be accepted now; Conflict, EditConflict."""
        found = self._reviewed(session, _pending(session, id_))
        if found.waits is not None:
            raise EditWaits(f"decide on edit {found.waits} first: this one builds on it")
        if found.conflict and not anyway:
            raise EditConflict("the person was changed here since: look, and accept it anyway")
        return found.edit

    def settle(self, change: Change, edit: FleetEdit) -> None:
        """Note that an edit was done."""
        edit_store.decide(change.session, edit, ACCEPTED, change.actor)
        _record(change, "edit_accepted", edit)

    def _apply(self, change: Change, edit: FleetEdit) -> None:
        """Do what an edit says, on behalf of who made it."""
        content, theirs = self._content(edit), change.by(self._who(change.session, edit))
        if edit.kind == CREATE:
            self._create(theirs, edit, content)
            return
        person = _person(change.session, edit)
        if edit.kind == CHANGE:
            self._people.update(theirs, person.id, content["fields"])
        elif edit.kind in (ACTIVATE, DEACTIVATE):
            self._people.set_active(theirs, person.id, edit.kind == ACTIVATE)
        elif edit.kind == REMOVE:
            self.remove(theirs, person, content["enrollment"])
        elif edit.kind == WITHDRAW:
            self._references.withdraw_biometrics(theirs, person.id)

    def _create(self, change: Change, edit: FleetEdit, content: Content) -> None:
        session = change.session
        groups = group_store.by_uids(session, content["groups"])
        if len(groups) != len(set(content["groups"])):
            text = "a group of this person is not there any more: refuse the edit"
            raise Conflict(text).named("group_gone")
        names = [g.name for g in groups]
        person = self._people.create(change, content["fields"], groups=names, uid=edit.person)
        # a deactivation always wins: also one that came before there was anybody
        for later in edit_store.pending_of(session, edit.person):
            if later.kind == DEACTIVATE:
                self._people.set_active(change, person.id, False)
                self.settle(change, later)

    def remove(self, change: Change, person: Person, uid: str) -> None:
        """Remove an enrollment of a person, if it is there."""
        found = enrollment_store.by_uid(change.session, uid)
        if found is not None and found.person_id == person.id:
            self._references.delete(change, found.id)

    def _who(self, session: Session, edit: FleetEdit) -> str:
        account = account_store.by_uid(session, edit.operator)
        gate = gate_store.get(session, edit.gate_id)
        return f"{account.username if account else 'unknown'} at {gate.name}"

    def _content(self, edit: FleetEdit) -> Content:
        assert edit.content is not None  # noqa: S101
        envelopes = self._opener.envelopes(edit.content["ephemeral"])
        content = envelopes.open(edit.content["sealed"], sealed_for(edit.uid))
        return read_content(edit.kind, content)

    # --- photos -------------------------------------------------------------------------------

    def _enroll(self, edit: FleetEdit, actor: str, anyway: bool, override: str | None) -> None:
        """Examine the photo where this hub has the same model; else take what came."""
        content = self._content(edit)
        photo = photo_of(content)
        photo = None if photo is None else _clean(photo)
        with self._workspace.database.read() as session:
            person, who = _person(session, edit), self._who(session, edit)
        entry = _AcceptedPhoto(
            who,
            override,
            uid=content["enrollment"],
            review=self,
            edit=edit,
            accepted_by=actor,
            anyway=anyway,
            replaces=content["replaces"],
        )
        if photo is not None and self._own_model() == content["model"]:
            enrolled = self._queue.enroll(person.id, photo, entry)
            if enrolled.known:
                with self.change(who) as change:
                    change.touches(*_LOCKS)
                    entry.check(change, person)
                    entry.entered(change, person, enrolled.enrollment)
        else:
            self._enter(person, content, photo, entry)

    def _own_model(self) -> str | None:
        try:
            return self._queue.model()
        except AssetError:
            return None

    def _enter(
        self, person: Person, content: Content, photo: bytes | None, entry: PhotoEntry
    ) -> None:
        files, vector, model = self._workspace.files, vector_of(content), content["model"]
        written = [files.save_encoding(vector, model)]
        try:
            if photo is not None:
                written.append(files.save_image(photo))
            with self.change(entry.actor) as change:
                change.touches(*_LOCKS)
                session = change.session
                entry.check(change, person)
                require_consent(session, self._workspace.settings, change.at, person.id)
                self._require_new(person, vector, model, entry.override is not None)
                enrollment = enrollment_store.add(
                    session,
                    enrollment_store.NewEnrollment(
                        person_id=person.id,
                        face_encoding_path=written[0],
                        face_image_path=written[1] if photo is not None else None,
                        confidence_score=content["confidence"],
                        model=model,
                        quality=content["quality"],
                        image_sha256=content["digest"],
                        uid=entry.uid,
                    ),
                )
                entry.entered(change, person, enrollment)
                body = {"enrollment": enrollment.uid, "person": person.uid, "model": model}
                change.record("enrolled", body, subject=person.ref)
        except BaseException:
            files.delete(*written)
            raise

    def _require_new(self, person: Person, vector: Vector, model: str, overridden: bool) -> None:
        """Conflict for what is no template of this model; DuplicateFace, EnrollmentRefused."""
        gallery = open_gallery(self._workspace, model, "cosine").load()
        if len(gallery) and gallery.vectors.shape[1] != len(vector):
            text = "this is no template of the model that it names"
            raise Conflict(text).named("other_template")
        try:
            calibration = calibration_for(model, self._workspace.settings.vision.engine)
        except AssetError:
            return  # nobody knows how alike two faces are to this model
        compare(gallery, calibration, person.id, vector, overridden)


@dataclass(slots=True, kw_only=True)
class _AcceptedPhoto(PhotoEntry):
    """A photo that is entered by who made the edit, and settles it with it."""

    review: Review
    edit: FleetEdit
    accepted_by: str
    anyway: bool
    replaces: str | None

    def check(self, change: Change, person: Person) -> None:
        """Raises: Conflict, EditConflict."""
        self.edit = self.review.ready(change.session, self.edit.id, self.anyway)

    def entered(self, change: Change, person: Person, enrollment: Enrollment) -> None:
        """Remove the photo in whose place it comes, and note that the edit was done."""
        if self.replaces is not None:
            self.review.remove(change.by(self.actor), person, self.replaces)
        self.review.settle(change.by(self.accepted_by), self.edit)


def _record(change: Change, kind: str, edit: FleetEdit, reason: str | None = None) -> None:
    body = public_part(edit, gate_store.get(change.session, edit.gate_id))
    person = replica.find(change.session, edit.person)
    why = {} if reason is None else {"reason": reason}
    if person is None:
        change.record(kind, body, by=why)
    else:
        # beside whom it concerns, so that an erasure takes it along
        change.record(kind, body, subject=person.ref, about=why)


def _pending(session: Session, id_: int) -> FleetEdit:
    edit = edit_store.get(session, id_, locked=True)
    if edit.state != PENDING:
        raise AlreadyDone(f"edit {id_} was {edit.state} already")
    return edit


def _person(session: Session, edit: FleetEdit) -> Person:
    person = replica.find(session, edit.person)
    if person is None:
        text = "the person of this edit is not known here yet"
        raise Conflict(text).named("not_known_yet")
    return person


def _recognise(session: Session, edit: FleetEdit) -> None:
    """Name a person in passages from before the hub knew them, as edits may work at once."""
    person, site = _person(session, edit), gate_store.get(session, edit.gate_id).site
    if ingest.recognise(session, person.uid, person.id):
        # its lock comes after all others
        site_presence_store.apply_changes(session, site, PassageChanges({person.id}))


def _present(
    session: Session, edit: FleetEdit, person: Person | None, content: Content
) -> dict[str, Any]:
    """Return what the hub has where an edit wants something."""
    if person is None:
        code = content.get("fields", {}).get("personnel_code")
        other = person_store.by_code(session, code) if code else None
        return {} if other is None else {"person_id": other.id, "personnel_code": code}
    if edit.kind == CHANGE:
        return {name: getattr(person, name) for name in content["fields"]}
    if edit.kind in (ACTIVATE, DEACTIVATE):
        return {"is_active": person.is_active}
    theirs = enrollment_store.list_(session, person_id=person.id)
    return {"enrollments": [e.uid for e in theirs]}


def _clean(photo: bytes) -> bytes:
    """A photo of a gate as a file of our own making; EnrollmentRefused when it is none."""
    return encode_jpeg(decode_apart(photo))
