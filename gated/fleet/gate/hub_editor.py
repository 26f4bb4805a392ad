"""Changes of persons and photos by an operator of the hub at this gate: the hub decides on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gated.change import FEED, GALLERY, RULES, Change
from gated.database import hub_ownership
from gated.database.change_feed import PERSON
from gated.database.records import Enrollment, Person
from gated.database.rows import Versions
from gated.enrollment import enrollment_store
from gated.enrollment.enrollment import Enrolled
from gated.enrollment.enrollments import WithdrawalReceipt
from gated.enrollment.local_editor import LocalEditor
from gated.enrollment.photo_entry import PhotoEntry
from gated.fleet.gate.offline_edits import EditSigner
from gated.fleet.wire.edits import ACTIVATE, DEACTIVATE
from gated.people import person_store
from gated.people.people import differing, present, wanted_state
from gated.workspace import Workspace


@dataclass(frozen=True, slots=True)
class HubEditor:
    """Proposes changes of the hub's persons, and changes the gate's own as `local` does.

    Raises: NotAllowed for people whom the operator may not edit here; SignInAgain without a key.
    """

    workspace: Workspace
    local: LocalEditor
    signer: EditSigner

    # --- persons ------------------------------------------------------------------------------

    def create(
        self, change: Change, fields: Mapping[str, Any], *, groups: Sequence[str] = ()
    ) -> Person:
        change.touches(GALLERY, RULES)
        theirs = self.signer.groups(change.session, groups)
        at_once = self.signer.at_once
        person = self.local.people.enter(change, fields, theirs, is_active=at_once)
        self.signer.created(change, person, fields, theirs)
        return person

    def update(
        self, change: Change, id_: int, fields: Mapping[str, Any], *, versions: Versions = None
    ) -> Person:
        change.touches(GALLERY)
        person = present(change, id_, versions)
        if not _is_hubs(change, person):
            return self.local.update(change, id_, fields, versions=versions)
        if changed := differing(person, fields):
            self.signer.changed(change, person, changed)
        return person_store.get(change.session, id_)

    def set_active(
        self, change: Change, id_: int, active: bool | None, *, versions: Versions = None
    ) -> Person:
        change.touches(GALLERY)
        person = present(change, id_, versions)
        if not _is_hubs(change, person):
            return self.local.set_active(change, id_, active, versions=versions)
        wanted = wanted_state(person, active)
        if wanted != person.is_active:
            self.signer.switched(change, person, ACTIVATE if wanted else DEACTIVATE)
        return person_store.get(change.session, id_)

    # --- photos -------------------------------------------------------------------------------

    def enroll(self, person_id: int, photo: bytes, override: str | None = None) -> Enrolled:
        entry = self._entry(person_id, override)
        return self.local.queue.enroll(person_id, photo, entry)

    def replace_photo(self, id_: int, photo: bytes, *, versions: Versions = None) -> Enrolled:
        old = self.local.enrollments.get(id_)
        entry = self._entry(old.person_id, replaces=old.uid)
        return self.local.queue.replace_photo(id_, photo, entry, versions=versions)

    def delete_photo(self, change: Change, id_: int) -> None:
        change.touches(GALLERY, FEED)
        enrollment = enrollment_store.get(change.session, id_)
        person = person_store.get(change.session, enrollment.person_id)
        if not _is_hubs(change, person):
            self.local.delete_photo(change, id_)
            return
        self.workspace.forget_after(change, *self.signer.removed(change, person, enrollment))

    def withdraw_biometrics(self, change: Change, person_id: int) -> WithdrawalReceipt:
        change.touches(GALLERY, FEED)
        person = person_store.get(change.session, person_id)
        if not _is_hubs(change, person):
            return self.local.withdraw_biometrics(change, person_id)
        gone = enrollment_store.list_(change.session, person_id=person_id)
        files, proof = self.signer.withdrawn(change, person, gone)
        self.workspace.forget_after(change, *files)
        removed = len(gone) if self.signer.at_once else 0
        return WithdrawalReceipt.of(person, change.at, removed, len(files), proof)

    def _entry(
        self, person_id: int, override: str | None = None, replaces: str | None = None
    ) -> PhotoEntry:
        with self.workspace.database.read() as session:
            uid = person_store.get(session, person_id).uid
            hubs = hub_ownership.belongs_to_hub(session, PERSON, uid)
        if not hubs:
            return PhotoEntry(self.local.actor, override)
        return ProposedPhoto.by(self.signer, self.local.actor, override, replaces)


@dataclass(slots=True, kw_only=True)
class ProposedPhoto(PhotoEntry):
    """A photo that is enrolled here, and proposed to the hub with it.

    replaces: uid of the enrollment in whose place it comes.
    """

    signer: EditSigner
    replaces: str | None

    @classmethod
    def by(
        cls, signer: EditSigner, actor: str, override: str | None, replaces: str | None
    ) -> ProposedPhoto:
        """Return the entry of an operator's photo, which counts at once if the hub allows it."""
        return cls(
            actor,
            override,
            is_active=signer.at_once,
            beside=True,
            signer=signer,
            replaces=replaces,
        )

    def check(self, change: Change, person: Person) -> None:
        """Raises: NotAllowed, SignInAgain."""
        self.signer.require(change.session, person)

    def entered(self, change: Change, person: Person, enrollment: Enrollment) -> None:
        """Send the hub the photo with the rest of the change."""
        change.delete_files(*self.signer.enrolled(change, person, enrollment, self.replaces))


def _is_hubs(change: Change, person: Person) -> bool:
    return hub_ownership.belongs_to_hub(change.session, PERSON, person.uid)
