"""Edits at a gate: changes of the hub's people, made here by operators of the hub.

An edit is signed with the key of the operator's session, works here as far as the hub allows, and
waits for the hub. Who has no such key cannot make one, whatever else of the gate they have.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from http import HTTPStatus
from typing import Any, Self

from sqlalchemy.orm import Session

from gated.accounts.operator_keys import OperatorKey, SigningKeys
from gated.change import Change
from gated.core.roles import Principal
from gated.core.values import moment
from gated.database import editor_store, hub_ownership
from gated.database.editor_store import Editor
from gated.database.records import Enrollment, Group, Person
from gated.database.tables import new_uid
from gated.errors import HubError, HubUnreachable, NotAllowed, SignInAgain
from gated.fleet.gate import edge_edit_store
from gated.fleet.gate.client import HubClient
from gated.fleet.gate.edge_edit_store import EdgeEdit
from gated.fleet.gate.membership import Member, Membership
from gated.fleet.wire import person_states
from gated.fleet.wire.edits import (
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
from gated.fleet.wire.signing import Envelopes
from gated.journal.journal import Receipt
from gated.people import group_store as groups
from gated.ports import Clock
from gated.workspace import Service, Workspace

__all__ = ["EdgeEdit", "EditSender", "EditSigner", "OfflineEdits"]


class OfflineEdits(Service):
    """The edits that are made in a workspace; keys: of those who are signed in."""

    def __init__(self, workspace: Workspace, clock: Clock, keys: SigningKeys) -> None:
        super().__init__(workspace, clock)
        self._keys = keys

    @classmethod
    def with_keys(cls, workspace: Workspace, keys: SigningKeys) -> Self:
        """The same on the real clock."""
        return cls(workspace, workspace.clock, keys)

    def signer(self, principal: Principal) -> EditSigner | None:
        """Return what signs somebody's edits; None for an account of this gate. SealError."""
        with self._workspace.database.read() as session:
            editor = editor_store.find(session, principal.account_id)
        if editor is None or not editor.from_hub:
            return None
        member = Membership(self._workspace, self._clock).find()
        if member is None:
            return None
        key = self._keys.get(principal.session)
        return EditSigner(self._workspace, editor, member, key)

    def list_(self, *, limit: int, state: str | None = None) -> list[EdgeEdit]:
        """Edits that were made here, newest first, and what became of them."""
        with self._workspace.database.read() as session:
            return edge_edit_store.list_(session, limit=limit, state=state)


@dataclass(frozen=True, slots=True)
class EditSigner:
    """An operator of the hub at this gate; key: None when the session has lost it."""

    workspace: Workspace
    editor: Editor
    member: Member
    key: OperatorKey | None

    @property
    def at_once(self) -> bool:
        """Return whether what they do works here before the hub accepts it."""
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
        self, change: Change, person: Person, fields: Mapping[str, Any], theirs: Sequence[Group]
    ) -> None:
        """Tell the hub of a new person."""
        content = {"fields": _sent(fields), "groups": [g.uid for g in theirs]}
        self._propose(change, CREATE, person, content, {})

    def changed(self, change: Change, person: Person, fields: Mapping[str, Any]) -> None:
        """Ask the hub for other fields of a person; NotAllowed."""
        self.require(change.session, person)
        payload = _sent(fields)
        here = {k: v for k, v in payload.items() if k in person_states.OWN}
        effect = {"fields": here} if self.at_once else {}
        self._propose(change, CHANGE, person, {"fields": payload}, effect)

    def switched(self, change: Change, person: Person, kind: str) -> None:
        """Ask the hub to switch a person on or off; off works here at once. NotAllowed."""
        self.require(change.session, person)
        effect = {"closes": True} if kind == DEACTIVATE else {}
        self._propose(change, kind, person, {}, effect)

    def removed(self, change: Change, person: Person, enrollment: Enrollment) -> list[str]:
        """Ask the hub to remove a photo; the files that nobody needs here. NotAllowed."""
        self.require(change.session, person)
        effect = self._removing([enrollment.uid])
        content = {"enrollment": enrollment.uid}
        return self._propose(change, REMOVE, person, content, effect)[0]

    def withdrawn(
        self, change: Change, person: Person, gone: Sequence[Enrollment]
    ) -> tuple[list[str], Receipt]:
        """Ask the hub to remove all photos of a person; files, and the journal row. NotAllowed."""
        self.require(change.session, person)
        effect = self._removing([e.uid for e in gone])
        return self._propose(change, WITHDRAW, person, {}, effect)

    def enrolled(
        self, change: Change, person: Person, enrollment: Enrollment, replaces: str | None
    ) -> list[str]:
        """Send the hub a photo that was enrolled here; the files that nobody needs."""
        effect = {"adds": enrollment.uid, **self._removing([replaces] if replaces else [])}
        content = {**self._photo(enrollment), "replaces": replaces}
        return self._propose(change, ENROLL, person, content, effect)[0]

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
        change: Change,
        kind: str,
        person: Person,
        content: Mapping[str, Any],
        effect: Mapping[str, Any],
    ) -> tuple[list[str], Receipt]:
        """Sign, seal and note an edit, and let it work here; SignInAgain without a key."""
        if self.key is None:
            raise SignInAgain("sign in again: what is changed here is signed with your password")
        session, now = change.session, moment(change.at)
        before = edge_edit_store.open_of(session, person.uid)
        head = EditHead(
            new_uid(),
            kind,
            person.uid,
            hub_ownership.version(session, person.uid),
            before[-1].uid if before else None,
            self.member.gate,
            self.editor.uid,
            now.isoformat(),
        )
        works = kind == DEACTIVATE or (self.at_once and kind != ACTIVATE)
        unneeded = edge_edit_store.do(session, person, effect)
        edge_edit_store.add(
            session,
            **{name: getattr(head, name) for name in ("uid", "kind", "person")},
            operator=self.editor.username,
            made_at=now,
            effect=dict(effect),
            at_once=works,
            wire=self._wire(head, json.dumps(content).encode(), self.key),
        )
        body = {"edit": head.uid, "kind": kind, "person": person.uid, "at_once": works}
        by = change.by(self.editor.username)
        return unneeded, by.record("edit_made", body, subject=person.ref)

    def _wire(self, head: EditHead, content: bytes, key: OperatorKey) -> dict[str, Any]:
        envelopes = Envelopes.to(self.member.hub_seal)
        payload = {name: value for name, value in asdict(head).items() if name != "gate"}
        payload["ephemeral"] = envelopes.ephemeral
        payload["sealed"] = envelopes.seal(content, sealed_for(head.uid))
        return {**payload, "signature": key.sign(head.message(content))}


def _sent(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, date) else v for k, v in fields.items()}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


_OF_ONE_EDIT = (
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
"""Answers of the hub, or a proxy before it, that say nothing about other edits."""


class EditSender:
    """Sends the hub the edits that were made here; one thread at a time.

    Who was switched off comes first, then the oldest. One that is not taken holds up only those of
    the same person, which build on it.
    """

    def __init__(self, workspace: Workspace, client: HubClient) -> None:
        self._workspace = workspace
        self._client = client
        self._passed_over: set[str] = set()
        """Persons whose edits wait until those of all others are sent."""

    def send(self) -> bool:
        """Send one edit; return whether there was one. HubError, StorageError."""
        edit = self._next()
        if edit is None or edit.wire is None:
            return False
        try:
            answer = self._client.post("/api/sync/edits", edit.wire)
        except HubError as error:
            if error.status in _OF_ONE_EDIT:
                self._passed_over.add(edit.person)
            raise
        if not isinstance(answer, dict) or answer.get("taken") != edit.uid:
            raise HubUnreachable("the hub's answer cannot be understood")
        with self._workspace.database.write() as session:
            edge_edit_store.sent(session, edit.uid)
        return True

    def _next(self) -> EdgeEdit | None:
        with self._workspace.database.read() as session:
            found = edge_edit_store.to_send(session, self._passed_over)
            if found is None and self._passed_over:
                self._passed_over.clear()
                found = edge_edit_store.to_send(session)
        return found
