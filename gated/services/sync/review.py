"""Edits of gates on the hub: shown with what they contradict, accepted or refused.

The order of the hub decides. An edit that knew an older version of the person contradicts what came
between, unless that was an edit made before it at the same gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from sqlalchemy.orm import Session

from gated.core.model import Vector
from gated.devices.clock import SystemClock
from gated.errors import AssetError, Conflict, EditConflict, NotFound
from gated.ports import Clock
from gated.services.desk import EnrollmentDesk
from gated.services.enrollment import compare
from gated.services.obligations import require_consent
from gated.services.people import People, entry_about
from gated.services.references import References
from gated.services.sync.edits import (
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
from gated.services.sync.intake import told
from gated.services.sync.signing import Opener
from gated.services.workspace import Service, Workspace
from gated.storage import (
    accounts,
    changes,
    collected,
    enrollments,
    fleet_edits,
    gates,
    groups,
    mirror,
    persons,
    site_presence,
)
from gated.storage.fleet_edits import ACCEPTED, PENDING, REFUSED, FleetEdit
from gated.storage.gates import GateRow
from gated.storage.journal import Entry
from gated.storage.records import Enrollment, Person
from gated.storage.settings import touch_gallery, touch_rules
from gated.storage.site_presence import Passed
from gated.vision.factory import calibration_for
from gated.vision.photo import encode_jpeg
from gated.vision.sandbox import decode_apart

Content = Mapping[str, Any]


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

    desk: examines photos, where this hub has models; without, templates are taken as they came.
    """

    def __init__(self, workspace: Workspace, clock: Clock, desk: EnrollmentDesk) -> None:
        super().__init__(workspace, clock)
        self._desk = desk
        self._opener = Opener(workspace.keys.opening)
        self._people = People(workspace, clock)
        self._references = References(workspace, clock)

    @classmethod
    def with_desk(cls, workspace: Workspace, desk: EnrollmentDesk) -> Self:
        """The same on the real clock."""
        return cls(workspace, SystemClock(), desk)

    # --- looking ------------------------------------------------------------------------------

    def list_(self, *, limit: int, state: str | None = None) -> list[ReviewedEdit]:
        """Edits: pending ones oldest first, others newest first."""
        with self._workspace.database.read() as session:
            found = fleet_edits.list_(session, limit=limit, state=state)
            return [self._reviewed(session, edit) for edit in found]

    def get(self, id_: int) -> ReviewedEdit:
        """One edit, what it wants and what the hub has; NotFound."""
        with self._workspace.database.read() as session:
            found = self._reviewed(session, fleet_edits.get(session, id_))
            if found.edit.state != PENDING:
                return found
            content = self._content(found.edit)
            wants = {k: v for k, v in content.items() if k not in ("template", "photo")}
            if found.edit.kind == ENROLL:
                wants["has_photo"] = content["photo"] is not None
            if "groups" in wants:
                wants["groups"] = [g.name for g in groups.by_uids(session, wants["groups"])]
            has = _present(session, found.edit, found.person, content)
        taken = found.edit.kind == CREATE and bool(has)
        return replace(found, wants=wants, has=has, conflict=found.conflict or taken)

    def image(self, id_: int, *, actor: str) -> bytes:
        """The photo of a pending edit, a JPEG file; the look is journaled. NotFound."""
        with self._workspace.database.write() as session:
            edit = fleet_edits.get(session, id_)
            if edit.state != PENDING or edit.kind != ENROLL:
                raise NotFound(f"edit {id_} has no photo to look at")
            photo = photo_of(self._content(edit))
            if photo is None:
                raise NotFound(f"edit {id_} came without the photo")
            gate = gates.get(session, edit.gate_id)
            self._record(session, "edit_photo_viewed", edit, gate, actor)
        return _clean(photo)

    def _reviewed(self, session: Session, edit: FleetEdit) -> ReviewedEdit:
        account = accounts.by_uid(session, edit.operator)
        person = mirror.find(session, edit.person)
        gate = gates.get(session, edit.gate_id).name
        who = account.username if account else "unknown"
        found = ReviewedEdit(edit, gate, who, person)
        if edit.state != PENDING:
            return found
        before = fleet_edits.by_uid(session, edit.after) if edit.after else None
        waits = before.id if before is not None and before.state == PENDING else None
        base = before.result if before and before.state == ACCEPTED else edit.base
        present = fleet_edits.version_of(session, edit.person)
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
            edit = fleet_edits.get(session, id_)
        if edit.kind == ENROLL and edit.state == PENDING:
            self._enroll(edit, _Accepting(self, id_, actor, anyway), override)
            return self.get(id_)
        with self._workspace.database.write() as session:
            _lock(session)
            edit = self.ready(session, id_, anyway)
            files = self._apply(session, edit)
            self.settle(session, edit, actor)
            if edit.kind == CREATE:
                _recognise(session, edit)
        if files:
            self._references.forget(files)
        return self.get(id_)

    def refuse(
        self, id_: int, *, actor: str, reason: str | None = None, erase: bool = False
    ) -> ReviewedEdit:
        """Let an edit not count; the gate undoes it. Later edits of a new person go with it.

        erase: a person who is new is forgotten for ever, at the gate as well. NotFound, Conflict.
        """
        with self._workspace.database.write() as session:
            _lock(session)
            edit = _pending(session, id_)
            found = self._reviewed(session, edit)
            if erase and found.person is not None:
                raise Conflict("this person is known here: DELETE /api/persons/{id} erases them")
            theirs = fleet_edits.pending_of(session, edit.person)
            for refused in theirs if edit.kind == CREATE else [edit]:
                fleet_edits.decide(session, refused, REFUSED, actor, reason)
            if found.person is not None:
                changes.note_person(session, found.person.id)
            gate = gates.get(session, edit.gate_id)
            self._record(session, "edit_refused", edit, gate, actor, reason)
            if erase:
                now = self._clock.now()
                self._workspace.journal.erase_person(session, now, edit.person, "refused")
        if erase:
            self._workspace.database.truncate_log()
        decided = replace(edit, state=REFUSED, reason=reason, decided_by=actor, content=None)
        return replace(found, edit=decided, conflict=False, waits=None)

    # --- parts of an acceptance ---------------------------------------------------------------

    def ready(self, session: Session, id_: int, anyway: bool) -> FleetEdit:
        """An edit that can be accepted now; Conflict, EditConflict."""
        found = self._reviewed(session, _pending(session, id_))
        if found.waits is not None:
            raise Conflict(f"decide on edit {found.waits} first: this one builds on it")
        if found.conflict and not anyway:
            raise EditConflict("the person was changed here since: look, and accept it anyway")
        return found.edit

    def settle(self, session: Session, edit: FleetEdit, actor: str) -> None:
        """Note that an edit was done."""
        fleet_edits.decide(session, edit, ACCEPTED, actor)
        self._record(session, "edit_accepted", edit, gates.get(session, edit.gate_id), actor)

    def _apply(self, session: Session, edit: FleetEdit) -> list[str]:
        """Do what an edit says; the files to remove after the commit."""
        content, who = self._content(edit), self._who(session, edit)
        if edit.kind == CREATE:
            self._create(session, edit, content, who)
            return []
        person = _person(session, edit)
        if edit.kind == CHANGE:
            fields = content["fields"]
            changed = {k: v for k, v in fields.items() if getattr(person, k) != v}
            if changed:
                self._people.update_within(session, person.id, changed, actor=who)
        elif edit.kind in (ACTIVATE, DEACTIVATE):
            if person.is_active != (edit.kind == ACTIVATE):
                self._people.switch_within(session, person, edit.kind == ACTIVATE, actor=who)
        elif edit.kind == REMOVE:
            return self.remove(session, person, content["enrollment"], who)
        elif edit.kind == WITHDRAW:
            theirs = enrollments.list_(session, person_id=person.id)
            return self._references.withdraw_within(session, person, theirs, actor=who)[0]
        return []

    def _create(self, session: Session, edit: FleetEdit, content: Content, who: str) -> None:
        theirs = groups.by_uids(session, content["groups"])
        if len(theirs) != len(set(content["groups"])):
            raise Conflict("a group of this person is not there any more: refuse the edit")
        person = self._people.create_within(
            session, content["fields"], theirs, actor=who, uid=edit.person
        )
        # a deactivation always wins: also one that came before there was anybody
        for later in fleet_edits.pending_of(session, edit.person):
            if later.kind == DEACTIVATE:
                person = self._people.switch_within(session, person, False, actor=who)
                self.settle(session, later, who)

    def remove(self, session: Session, person: Person, uid: str, who: str) -> list[str]:
        """Remove an enrollment of a person, if it is there; the files to remove."""
        found = enrollments.by_uid(session, uid)
        if found is None or found.person_id != person.id:
            return []
        return self._references.delete_within(session, found, actor=who)

    def _who(self, session: Session, edit: FleetEdit) -> str:
        account = accounts.by_uid(session, edit.operator)
        gate = gates.get(session, edit.gate_id)
        return f"{account.username if account else 'unknown'} at {gate.name}"

    def _content(self, edit: FleetEdit) -> Content:
        assert edit.content is not None  # noqa: S101
        envelopes = self._opener.envelopes(edit.content["ephemeral"])
        content = envelopes.open(edit.content["sealed"], sealed_for(edit.uid))
        return read_content(edit.kind, content)

    def _record(
        self,
        session: Session,
        kind: str,
        edit: FleetEdit,
        gate: GateRow,
        actor: str,
        reason: str | None = None,
    ) -> None:
        now, body = self._clock.now(), told(edit, gate)
        person = mirror.find(session, edit.person)
        if person is not None:
            entry = entry_about(now, kind, person, actor, body)
        else:
            entry = Entry(now, kind, body, {"actor": {"name": actor}})
        if reason is not None:
            private = {**entry.private, "actor": {"name": actor, "reason": reason}}
            entry = replace(entry, private=private)
        self._workspace.journal.append([entry], session)

    # --- photos -------------------------------------------------------------------------------

    def _enroll(self, edit: FleetEdit, accepting: _Accepting, override: str | None) -> None:
        """Examine the photo where this hub has the same model; else take what came."""
        content = self._content(edit)
        photo = photo_of(content)
        photo = None if photo is None else _clean(photo)
        accepting.uid, accepting.replaces = content["enrollment"], content["replaces"]
        with self._workspace.database.read() as session:
            person, who = _person(session, edit), self._who(session, edit)
        accepting.who = who
        if photo is not None and self._own_model() == content["model"]:
            enrolled = self._desk.enroll(
                person.id, photo, actor=who, override=override, entering=accepting
            )
            if enrolled.known:
                with self._workspace.database.write() as session:
                    _lock(session)
                    accepting.check(session, person)
                    accepting(session, person, enrolled.enrollment)
        else:
            self._enter(person, content, photo, accepting, override)
        if accepting.unneeded:
            self._references.forget(accepting.unneeded)

    def _own_model(self) -> str | None:
        try:
            return self._desk.model()
        except AssetError:
            return None

    def _enter(
        self,
        person: Person,
        content: Content,
        photo: bytes | None,
        accepting: _Accepting,
        override: str | None,
    ) -> None:
        files, vector, model = self._workspace.files, vector_of(content), content["model"]
        written = [files.save_encoding(vector, model)]
        try:
            if photo is not None:
                written.append(files.save_image(photo))
            with self._workspace.database.write() as session:
                _lock(session)
                accepting.check(session, person)
                require_consent(session, self._workspace.settings, self._clock.now(), person.id)
                self._require_new(person, vector, model, override is not None)
                enrollment = enrollments.add(
                    session,
                    person_id=person.id,
                    face_encoding_path=written[0],
                    face_image_path=written[1] if photo is not None else None,
                    confidence_score=content["confidence"],
                    model=model,
                    quality=content["quality"],
                    image_sha256=content["digest"],
                    uid=accepting.uid,
                )
                accepting(session, person, enrollment)
                body = {"enrollment": enrollment.uid, "person": person.uid, "model": model}
                entry = entry_about(self._clock.now(), "enrolled", person, accepting.who, body)
                self._workspace.journal.append([entry], session)
        except BaseException:
            files.delete(*written)
            raise

    def _require_new(self, person: Person, vector: Vector, model: str, overridden: bool) -> None:
        """Conflict for what is no template of this model; DuplicateFace, EnrollmentRefused."""
        gallery = self._workspace.gallery(model, "cosine").load()
        if len(gallery) and gallery.vectors.shape[1] != len(vector):
            raise Conflict("this is no template of the model that it names")
        try:
            calibration = calibration_for(model)
        except AssetError:
            return  # nobody knows how alike two faces are to this model
        compare(gallery, calibration, person.id, vector, overridden)


@dataclass(slots=True)
class _Accepting:
    """An acceptance in the transaction that enters the photo; see `Entering`."""

    review: Review
    id: int
    actor: str
    anyway: bool
    uid: str | None = None
    replaces: str | None = None
    who: str = ""
    is_active: bool = True
    unneeded: list[str] = field(default_factory=list)
    edit: FleetEdit | None = None

    def check(self, session: Session, person: Person) -> None:
        """Conflict, EditConflict."""
        self.edit = self.review.ready(session, self.id, self.anyway)

    def __call__(self, session: Session, person: Person, enrollment: Enrollment) -> None:
        assert self.edit is not None  # noqa: S101
        if self.replaces is not None:
            self.unneeded += self.review.remove(session, person, self.replaces, self.who)
        self.review.settle(session, self.edit, self.actor)


def _lock(session: Session) -> None:
    """All locks in their order: see `changes`."""
    touch_gallery(session)
    touch_rules(session)
    changes.begin(session)


def _pending(session: Session, id_: int) -> FleetEdit:
    edit = fleet_edits.get(session, id_, locked=True)
    if edit.state != PENDING:
        raise Conflict(f"edit {id_} was {edit.state} already")
    return edit


def _person(session: Session, edit: FleetEdit) -> Person:
    person = mirror.find(session, edit.person)
    if person is None:
        raise Conflict("the person of this edit is not known here yet")
    return person


def _recognise(session: Session, edit: FleetEdit) -> None:
    """Who worked at a gate at once may have passed there before the hub knew them."""
    person, site = _person(session, edit), gates.get(session, edit.gate_id).site
    if collected.recognise(session, person.uid, person.id):
        # its lock comes after all others
        site_presence.noted(session, site, Passed({person.id}))


def _present(
    session: Session, edit: FleetEdit, person: Person | None, content: Content
) -> dict[str, Any]:
    """What the hub has where an edit wants something."""
    if person is None:
        code = content.get("fields", {}).get("personnel_code")
        other = persons.by_code(session, code) if code else None
        return {} if other is None else {"person_id": other.id, "personnel_code": code}
    if edit.kind == CHANGE:
        return {name: getattr(person, name) for name in content["fields"]}
    if edit.kind in (ACTIVATE, DEACTIVATE):
        return {"is_active": person.is_active}
    theirs = enrollments.list_(session, person_id=person.id)
    return {"enrollments": [e.uid for e in theirs]}


def _clean(photo: bytes) -> bytes:
    """A photo of a gate as a file of our own making; EnrollmentRefused when it is none."""
    return encode_jpeg(decode_apart(photo))
