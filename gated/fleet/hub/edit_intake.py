"""Edits of gates on their way into the hub: only what an operator signed, about people whom gate
and operator may edit, is kept for somebody to decide; the rest is refused with its reason.

A deactivation only closes: it counts at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from gated.accounts.throttle import RateLimit
from gated.change import FEED, GALLERY, RULES, Change
from gated.database import account_store, change_feed, editor_store
from gated.database.editor_store import Editor
from gated.database.records import GateRow, Person
from gated.errors import Busy, Conflict, SealError
from gated.fleet.gate import replica
from gated.fleet.hub import edit_store
from gated.fleet.hub.edit_store import ACCEPTED, REFUSED, FleetEdit
from gated.fleet.wire.edits import CREATE, DEACTIVATE, EditHead, read_content, sealed_for
from gated.fleet.wire.signing import Opener, is_signed
from gated.people import group_store
from gated.people.people import People
from gated.ports import Clock
from gated.workspace import Service, Workspace

MOST_PENDING = 500
"""Of one gate; more of them wait there."""

A_MINUTE = 120
"""Edits that one gate may send in a minute."""

SUSPICIOUS = ("bad_signature", "operator_unknown", "other_people")
"""Reasons that no gate gives rise to by itself, unless an operator's right ended meanwhile."""

RETRY_AFTER_S = 30.0


class EditIntake(Service):
    """Takes in the edits of the gates of a workspace that is their hub."""

    def __init__(self, workspace: Workspace, clock: Clock, a_minute: int = A_MINUTE) -> None:
        super().__init__(workspace, clock)
        self._opener = Opener(workspace.keys.opening)
        self._rate = RateLimit(a_minute, lambda: clock.now().mono)
        self._people = People(workspace, clock)

    def take(self, gate: GateRow, head: EditHead, sealed: Mapping[str, str], signed: str) -> None:
        """Keep an edit, once however often it comes, or refuse it; the gate hears by the feed.

        sealed: `ephemeral` and `sealed` of its content. Conflict for another edit of the same uid;
        Busy, TooMany.
        """
        self._rate.act(gate.uid)
        content = self._opened(head, sealed)
        digest = head.digest(content or b"")
        with self.change(gate.name) as change:
            change.touches(GALLERY, RULES, FEED)
            session = change.session
            known = edit_store.by_uid(session, head.uid)
            if known is not None:
                if (known.gate_id, known.digest) != (gate.id, digest):
                    raise Conflict("another edit has this uid")
                return
            person = replica.find(session, head.person)
            at_once = head.kind == DEACTIVATE and person is not None
            if not at_once and edit_store.count_pending(session, gate.id) >= MOST_PENDING:
                raise Busy("too many edits of this gate wait to be decided", RETRY_AFTER_S)
            editor = editor_store.at_gate(session, gate, head.operator)
            why = _forged(editor, head, content, signed) or _unwanted(
                session, gate, editor, person, head, content
            )
            edit = edit_store.add(
                session,
                **{n: getattr(head, n) for n in ("uid", "kind", "person", "base", "after")},
                gate_id=gate.id,
                operator=head.operator,
                made_at=datetime.fromisoformat(head.made_at),
                digest=digest,
                content=None if why else dict(sealed),
            )
            if why:
                _refuse(change, gate, edit, person, why)
            elif head.kind == DEACTIVATE and person is not None and editor is not None:
                self._deactivate(change, gate, edit, person, editor)

    def _opened(self, head: EditHead, sealed: Mapping[str, str]) -> bytes | None:
        try:
            envelopes = self._opener.envelopes(sealed["ephemeral"])
            return envelopes.open(sealed["sealed"], sealed_for(head.uid))
        except SealError:
            return None

    def _deactivate(
        self, change: Change, gate: GateRow, edit: FleetEdit, person: Person, editor: Editor
    ) -> None:
        theirs = change.by(f"{editor.username} at {gate.name}")
        self._people.set_active(theirs, person.id, False)
        edit_store.decide(change.session, edit, ACCEPTED, editor.username)
        theirs.record("edit_accepted", public_part(edit, gate), subject=person.ref)


def _refuse(
    change: Change, gate: GateRow, edit: FleetEdit, person: Person | None, why: str
) -> None:
    session = change.session
    edit_store.decide(session, edit, REFUSED, "hub", why)
    if person is not None:
        change_feed.note_person(session, person.id)  # the gate has to see how they are
    account = account_store.by_uid(session, edit.operator)
    severity = {"severity": "warning"} if why in SUSPICIOUS else {}
    body = {**public_part(edit, gate), "reason": why, **severity}
    change.by(account.username if account else "unknown").record("edit_refused", body)


def public_part(edit: FleetEdit, gate: GateRow) -> dict[str, str]:
    """Return what the open part of the journal says of an edit."""
    return {
        "edit": edit.uid,
        "kind": edit.kind,
        "person": edit.person,
        "gate": gate.uid,
        "operator": edit.operator,
    }


def _forged(
    editor: Editor | None, head: EditHead, content: bytes | None, signed: str
) -> str | None:
    """Return why this is no edit of an operator who may work at this gate; None when it is."""
    if content is None:
        return "unreadable"
    if editor is None or editor.public_key is None:
        return "operator_unknown"
    if not is_signed(editor.public_key, signed, head.message(content)):
        return "bad_signature"
    return None


def _unwanted(
    session: Session,
    gate: GateRow,
    editor: Editor | None,
    person: Person | None,
    head: EditHead,
    content: bytes | None,
) -> str | None:
    """Return why nobody needs to decide on it; None when somebody has to."""
    assert editor is not None  # noqa: S101
    assert content is not None  # noqa: S101
    if change_feed.erased(session, [head.person]):
        return "erased"
    try:
        said = read_content(head.kind, content)
    except ValueError:
        return "malformed"
    if head.kind == CREATE:
        if person is not None:
            return "exists"
        return None if _may_create(session, editor, said["groups"]) else "other_people"
    if person is None:
        made_here = [e.gate_id for e in edit_store.pending_of(session, head.person)]
        return None if gate.id in made_here else "not_found"
    theirs = {g.uid for g in group_store.list_(session, person_id=person.id)}
    if not editor.may_edit(theirs):
        return "other_people"
    return "last_admin" if head.kind == DEACTIVATE and _is_last_admin(session, person) else None


def _is_last_admin(session: Session, person: Person) -> bool:
    try:
        account_store.require_admin_beside(session, person.id)
    except Conflict:
        return True
    return False


def _may_create(session: Session, editor: Editor, wanted: list[str]) -> bool:
    """Return whether they may add somebody to these groups (uids), and only to such."""
    if editor.everyone:
        return len(group_store.by_uids(session, wanted)) == len(set(wanted))
    return bool(wanted) and editor.groups.keys() >= set(wanted)
