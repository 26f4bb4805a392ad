"""Edits at a gate: changes of the hub's people, made here by operators of the hub.

An edit is signed with the key of the operator's session, works here as far as the hub allows, and
waits for the hub. Who has no such key cannot make one, whatever else of the gate they have.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Self

from sqlalchemy.orm import Session

from gated.core.model import Instant
from gated.devices.clock import SystemClock
from gated.errors import HubUnreachable, NotAllowed, SignInAgain
from gated.ports import Clock
from gated.services.accounts import Principal
from gated.services.obligations import moment
from gated.services.sync.client import HubClient
from gated.services.sync.edits import (
    ACTIVATE,
    CHANGE,
    CREATE,
    DEACTIVATE,
    ENROLL,
    LARGEST_PHOTO,
    REMOVE,
    WITHDRAW,
    EditHead,
    sealed_for,
)
from gated.services.sync.membership import Member, Membership
from gated.services.sync.operator_keys import OperatorKey, SigningKeys
from gated.services.sync.signing import Envelopes
from gated.services.workspace import Service, Workspace
from gated.storage import edge_edits, editors, groups, mirror, persons
from gated.storage.changes import PERSON
from gated.storage.edge_edits import EdgeEdit
from gated.storage.editors import Editor
from gated.storage.journal import Entry, Receipt, told_of
from gated.storage.records import Enrollment, Group, Person
from gated.storage.tables import new_uid

__all__ = ["Author", "Edge", "EdgeEdit", "EditSender"]


class Edge(Service):
    """The edits that are made in a workspace; keys: of those who are signed in."""

    def __init__(self, workspace: Workspace, clock: Clock, keys: SigningKeys) -> None:
        super().__init__(workspace, clock)
        self._keys = keys

    @classmethod
    def with_keys(cls, workspace: Workspace, keys: SigningKeys) -> Self:
        """The same on the real clock."""
        return cls(workspace, SystemClock(), keys)

    def author(self, principal: Principal) -> Author | None:
        """Who edits the hub's people here; None for an account of this gate. SealError."""
        with self._workspace.database.read() as session:
            editor = editors.find(session, principal.account_id)
        if editor is None or not editor.from_hub:
            return None
        member = Membership(self._workspace, self._clock).find()
        if member is None:
            return None
        key = self._keys.get(principal.session)
        return Author(self._workspace, self._clock, editor, member, key)

    def enrolling(self, author: Author | None, person_id: int) -> NewPhoto | None:
        """What makes an edit of a new photo; None for a person of this gate. NotFound."""
        if author is None:
            return None
        with self._workspace.database.read() as session:
            person = persons.get(session, person_id)
            of_hub = mirror.belongs_to_hub(session, PERSON, person.uid)
        return NewPhoto(author, None) if of_hub else None

    def replacing(self, author: Author | None, old: Enrollment) -> NewPhoto | None:
        """The same for a photo in the place of another one."""
        new = self.enrolling(author, old.person_id)
        return None if new is None else NewPhoto(new.author, old)

    def list_(self, *, limit: int, state: str | None = None) -> list[EdgeEdit]:
        """Edits that were made here, newest first, and what became of them."""
        with self._workspace.database.read() as session:
            return edge_edits.list_(session, limit=limit, state=state)


@dataclass(frozen=True, slots=True)
class Author:
    """An operator of the hub at this gate; key: None when the session has lost it."""

    workspace: Workspace
    clock: Clock
    editor: Editor
    member: Member
    key: OperatorKey | None

    @property
    def at_once(self) -> bool:
        """Whether what they do works here before the hub accepts it."""
        return self.editor.at_once

    def groups(self, session: Session, names: Sequence[str]) -> list[Group]:
        """The groups that a new person joins; NotAllowed, NotFound.

        Who may edit members of one group here need not name it.
        """
        mine = self.editor.groups
        if not names and not self.editor.everyone:
            if len(mine) > 1:
                raise NotAllowed(f"say in which group the person is: {', '.join(mine.values())}")
            names = list(mine.values())
        found = [groups.get(session, id_) for id_ in groups.ids(session, names)]
        for group in found:
            if not self.editor.everyone and group.uid not in mine:
                raise NotAllowed(f"{self.editor.username} may not edit people of {group.name} here")
        return found

    # --- edits, each part of a transaction, after what else that changes ----------------------

    def created(
        self, session: Session, person: Person, fields: Mapping[str, Any], theirs: Sequence[Group]
    ) -> None:
        """Tell the hub of a new person."""
        content = {"fields": _told(fields), "groups": [g.uid for g in theirs]}
        self._propose(session, CREATE, person, content, {})

    def changed(self, session: Session, person: Person, fields: Mapping[str, Any]) -> None:
        """Ask the hub for other fields of a person; NotAllowed."""
        self.require(session, person)
        told = _told(fields)
        here = {k: v for k, v in told.items() if k not in ("email", "phone")}
        effect = {"fields": here} if self.at_once else {}
        self._propose(session, CHANGE, person, {"fields": told}, effect)

    def switched(self, session: Session, person: Person, kind: str) -> None:
        """Ask the hub to switch a person on or off; off works here at once. NotAllowed."""
        self.require(session, person)
        effect = {"closes": True} if kind == DEACTIVATE else {}
        self._propose(session, kind, person, {}, effect)

    def removed(self, session: Session, person: Person, enrollment: Enrollment) -> list[str]:
        """Ask the hub to remove a photo; the files that nobody needs here. NotAllowed."""
        self.require(session, person)
        effect = self._removing([enrollment.uid])
        content = {"enrollment": enrollment.uid}
        return self._propose(session, REMOVE, person, content, effect)[0]

    def withdrawn(
        self, session: Session, person: Person, gone: Sequence[Enrollment]
    ) -> tuple[list[str], Receipt]:
        """Ask the hub to remove all photos of a person; files, and the journal row. NotAllowed."""
        self.require(session, person)
        effect = self._removing([e.uid for e in gone])
        return self._propose(session, WITHDRAW, person, {}, effect)

    def enrolled(
        self, session: Session, person: Person, enrollment: Enrollment, replaces: str | None
    ) -> list[str]:
        """Send the hub a photo that was enrolled here; the files that nobody needs."""
        effect = {"adds": enrollment.uid, **self._removing([replaces] if replaces else [])}
        content = {**self._photo(enrollment), "replaces": replaces}
        return self._propose(session, ENROLL, person, content, effect)[0]

    # --- inside -------------------------------------------------------------------------------

    def _removing(self, uids: Sequence[str]) -> dict[str, Any]:
        return {"removes": list(uids)} if self.at_once and uids else {}

    def require(self, session: Session, person: Person) -> None:
        """NotAllowed unless they may edit the person here, SignInAgain without a key."""
        if self.key is None:
            raise SignInAgain("sign in again: what is changed here is signed with your password")
        theirs = {g.uid for g in groups.list_(session, person_id=person.id)}
        if not self.editor.may_edit(theirs):
            raise NotAllowed(f"{self.editor.username} may not edit people of these groups here")

    def _photo(self, enrollment: Enrollment) -> dict[str, Any]:
        files = self.workspace.files
        assert enrollment.face_encoding_path is not None  # noqa: S101
        vector, model = files.load_encoding(enrollment.face_encoding_path)
        photo = enrollment.face_image_path and files.load_image(enrollment.face_image_path)
        return {
            "enrollment": enrollment.uid,
            "model": model,
            "template": base64.b64encode(vector.astype("<f4").tobytes()).decode(),
            "photo": _text(photo) if photo and len(photo) <= LARGEST_PHOTO else None,
            "confidence": enrollment.confidence_score,
            "quality": dict(enrollment.quality),
            "digest": enrollment.image_sha256,
        }

    def _propose(
        self,
        session: Session,
        kind: str,
        person: Person,
        content: Mapping[str, Any],
        effect: Mapping[str, Any],
    ) -> tuple[list[str], Receipt]:
        """Sign, seal and note an edit, and let it work here; SignInAgain without a key."""
        if self.key is None:
            raise SignInAgain("sign in again: what is changed here is signed with your password")
        now = self.clock.now()
        before = edge_edits.open_of(session, person.uid)
        head = EditHead(
            new_uid(),
            kind,
            person.uid,
            mirror.version(session, person.uid),
            before[-1].uid if before else None,
            self.member.gate,
            self.editor.uid,
            moment(now).isoformat(),
        )
        works = kind == DEACTIVATE or (self.at_once and kind != ACTIVATE)
        unneeded = edge_edits.do(session, person, effect)
        edge_edits.add(
            session,
            **{name: getattr(head, name) for name in ("uid", "kind", "person")},
            operator=self.editor.username,
            made_at=moment(now),
            effect=dict(effect),
            at_once=works,
            wire=self._wire(head, json.dumps(content).encode(), self.key),
        )
        return unneeded, self._journal(session, now, head, person, works)

    def _wire(self, head: EditHead, content: bytes, key: OperatorKey) -> dict[str, Any]:
        envelopes = Envelopes.to(self.member.hub_seal)
        told = {name: value for name, value in asdict(head).items() if name != "gate"}
        told["ephemeral"] = envelopes.ephemeral
        told["sealed"] = envelopes.seal(content, sealed_for(head.uid))
        return {**told, "signature": key.sign(head.message(content))}

    def _journal(
        self, session: Session, now: Instant, head: EditHead, person: Person, works: bool
    ) -> Receipt:
        body = {"edit": head.uid, "kind": head.kind, "person": person.uid, "at_once": works}
        private = {"subject": told_of(person.ref), "actor": {"name": self.editor.username}}
        (proof,) = self.workspace.journal.append([Entry(now, "edit_made", body, private)], session)
        return proof


@dataclass(slots=True)
class NewPhoto:
    """A photo that is enrolled here, and becomes an edit with it; see `EnrollmentService`."""

    author: Author
    replaces: Enrollment | None
    unneeded: list[str] = field(default_factory=list)

    uid: str | None = None

    @property
    def is_active(self) -> bool:
        return self.author.at_once

    def check(self, session: Session, person: Person) -> None:
        """NotAllowed, SignInAgain."""
        self.author.require(session, person)

    def __call__(self, session: Session, person: Person, enrollment: Enrollment) -> None:
        replaced = self.replaces.uid if self.replaces is not None else None
        self.unneeded += self.author.enrolled(session, person, enrollment, replaced)


def _told(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, date) else v for k, v in fields.items()}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class EditSender:
    """Sends the hub the edits that were made here, oldest first; one thread at a time."""

    def __init__(self, workspace: Workspace, client: HubClient) -> None:
        self._workspace = workspace
        self._client = client

    def send(self) -> bool:
        """Send one edit; whether there was one. HubError, StorageError."""
        with self._workspace.database.read() as session:
            edit = edge_edits.to_send(session)
        if edit is None or edit.wire is None:
            return False
        told = self._client.post("/api/sync/edits", edit.wire)
        if not isinstance(told, dict) or told.get("taken") != edit.uid:
            raise HubUnreachable("the hub's answer cannot be understood")
        with self._workspace.database.write() as session:
            edge_edits.sent(session, edit.uid)
        return True
