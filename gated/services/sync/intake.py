"""Edits of gates on their way into the hub: only what an operator signed, about people whom gate
and operator may edit, is kept for somebody to decide; the rest is refused with its reason.

A deactivation only closes: it counts at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from gated.errors import Busy, Conflict, SealError
from gated.ports import Clock
from gated.services.people import People
from gated.services.sync.edits import CREATE, DEACTIVATE, EditHead, read_content, sealed_for
from gated.services.sync.signing import Opener, is_signed
from gated.services.throttle import Rate
from gated.services.workspace import Service, Workspace
from gated.storage import accounts, changes, editors, fleet_edits, groups, mirror
from gated.storage.editors import Editor
from gated.storage.fleet_edits import ACCEPTED, REFUSED, FleetEdit
from gated.storage.gates import GateRow
from gated.storage.journal import Entry, told_of
from gated.storage.records import Person
from gated.storage.settings import touch_gallery, touch_rules

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
        self._rate = Rate(a_minute, lambda: clock.now().mono)
        self._people = People(workspace, clock)

    def take(self, gate: GateRow, head: EditHead, sealed: Mapping[str, str], signed: str) -> None:
        """Keep an edit, once however often it comes, or refuse it; the gate hears by the feed.

        sealed: `ephemeral` and `sealed` of its content. Conflict for another edit of the same uid;
        Busy, TooMany.
        """
        self._rate.act(gate.uid)
        content = self._opened(head, sealed)
        digest = head.digest(content or b"")
        with self._workspace.database.write() as session:
            touch_gallery(session)  # the locks in their order: see `changes`
            touch_rules(session)
            changes.begin(session)
            known = fleet_edits.by_uid(session, head.uid)
            if known is not None:
                if (known.gate_id, known.digest) != (gate.id, digest):
                    raise Conflict("another edit has this uid")
                return
            if fleet_edits.count_pending(session, gate.id) >= MOST_PENDING:
                raise Busy("too many edits of this gate wait to be decided", RETRY_AFTER_S)
            editor = editors.at_gate(session, gate, head.operator)
            person = mirror.find(session, head.person)
            why = _forged(editor, head, content, signed) or _unwanted(
                session, gate, editor, person, head, content
            )
            edit = fleet_edits.add(
                session,
                **{n: getattr(head, n) for n in ("uid", "kind", "person", "base", "after")},
                gate_id=gate.id,
                operator=head.operator,
                made_at=datetime.fromisoformat(head.made_at),
                digest=digest,
                content=None if why else dict(sealed),
            )
            if why:
                self._refuse(session, gate, edit, person, why)
            elif head.kind == DEACTIVATE and person is not None and editor is not None:
                self._deactivate(session, gate, edit, person, editor)

    def _opened(self, head: EditHead, sealed: Mapping[str, str]) -> bytes | None:
        try:
            envelopes = self._opener.envelopes(sealed["ephemeral"])
            return envelopes.open(sealed["sealed"], sealed_for(head.uid))
        except SealError:
            return None

    def _refuse(
        self, session: Session, gate: GateRow, edit: FleetEdit, person: Person | None, why: str
    ) -> None:
        fleet_edits.decide(session, edit, REFUSED, "hub", why)
        if person is not None:
            changes.note_person(session, person.id)  # the gate has to see how they are
        account = accounts.by_uid(session, edit.operator)
        severity = {"severity": "warning"} if why in SUSPICIOUS else {}
        body = {**told(edit, gate), "reason": why, **severity}
        private = {"actor": {"name": account.username if account else "unknown"}}
        entry = Entry(self._clock.now(), "edit_refused", body, private)
        self._workspace.journal.append([entry], session)

    def _deactivate(
        self, session: Session, gate: GateRow, edit: FleetEdit, person: Person, editor: Editor
    ) -> None:
        actor = f"{editor.username} at {gate.name}"
        if person.is_active:
            self._people.switch_within(session, person, False, actor=actor)
        fleet_edits.decide(session, edit, ACCEPTED, editor.username)
        private = {"subject": told_of(person.ref), "actor": {"name": actor}}
        entry = Entry(self._clock.now(), "edit_accepted", told(edit, gate), private)
        self._workspace.journal.append([entry], session)


def told(edit: FleetEdit, gate: GateRow) -> dict[str, str]:
    """What the open part of the journal says of an edit."""
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
    """Why this is no edit of an operator who may work at this gate; None when it is."""
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
    """Why nobody needs to decide on it; None when somebody has to."""
    assert editor is not None  # noqa: S101
    assert content is not None  # noqa: S101
    if changes.erased(session, [head.person]):
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
        made_here = [e.gate_id for e in fleet_edits.pending_of(session, head.person)]
        return None if gate.id in made_here else "not_found"
    theirs = {g.uid for g in groups.list_(session, person_id=person.id)}
    return None if editor.may_edit(theirs) else "other_people"


def _may_create(session: Session, editor: Editor, wanted: list[str]) -> bool:
    """Whether they may add somebody to these groups (uids), and only to such."""
    if editor.everyone:
        return len(groups.by_uids(session, wanted)) == len(set(wanted))
    return bool(wanted) and editor.groups.keys() >= set(wanted)
