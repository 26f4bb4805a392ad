"""What an operator does at the gates of a simulated fleet, and what is decided on it."""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable

import numpy as np

from gated.accounts.accounts import Accounts
from gated.accounts.operator_keys import OperatorKey
from gated.database import editor_store
from gated.database.records import Person
from gated.enrollment import enrollment_store
from gated.enrollment.enrollment_context import EnrollmentContext
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.enrollment.enrollments import Enrollments
from gated.enrollment.local_editor import LocalEditor
from gated.errors import AssetError, Conflict, EnrollmentRefused, NotAllowed
from gated.fleet.gate import edge_edit_store
from gated.fleet.gate.hub_editor import HubEditor
from gated.fleet.gate.membership import Membership
from gated.fleet.gate.offline_edits import EditSigner
from gated.fleet.hub.operators import Operators
from gated.fleet.hub.review import Review
from gated.people import person_store
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_in

OLGA, PASSWORD = "olga", "Correct-horse-battery-9"

key_of = functools.cache(OperatorKey)


def allow(hub: Workspace) -> None:
    """Let Olga edit everybody at the gates."""
    accounts = Accounts.of(hub)
    accounts.create(OLGA, "operator", PASSWORD, actor="simulation")
    Operators.of(hub).allow(OLGA, (), everyone=True, actor="simulation")
    accounts.sign_in(OLGA, PASSWORD, "simulation")


def edit(gate: Workspace, chance: random.Random, model: str) -> None:
    """Olga changes somebody at a gate, or adds somebody; nothing where she is not known yet."""
    editor = _editor(gate)
    if editor is None:
        return
    with gate.database.read() as session:
        known, _ = person_store.list_(session)
    new = functools.partial(_add, gate, editor, chance)
    acts: list[Callable[[], object]] = [new]
    if known:
        whom = chance.choice(known)
        name = {"last_name": f"Unforgettable{chance.getrandbits(48):x}"}
        acts += [
            lambda: done_in(gate, OLGA, editor.update, whom.id, name),
            lambda: done_in(gate, OLGA, editor.set_active, whom.id, None),
            lambda: _enroll(gate, editor.signer, whom, chance, model),
        ]
    # not the hub's any more, or of groups that the gate has not
    with contextlib.suppress(Conflict, NotAllowed):
        chance.choice(acts)()


def decide(hub: Workspace, chance: random.Random) -> list[Person]:
    """Accept or refuse what waits at the hub; the persons who are new."""

    def none() -> EnrollmentContext:
        raise AssetError("a hub without models")

    review, added = Review.with_queue(hub, EnrollmentQueue(hub, none)), []
    for found in review.list_(limit=1000, state="pending"):
        with contextlib.suppress(Conflict):  # it waits, or was decided with another one
            if chance.random() < 0.3 or not _accept(review, found.edit.id):
                review.refuse(found.edit.id, actor="simulation")
            elif found.edit.kind == "create":
                person = review.get(found.edit.id).person
                added += [person] if person else []
    return added


def _accept(review: Review, id_: int) -> bool:
    """Accept an edit, unless it shows another face than the person's."""
    try:
        review.accept(id_, actor="simulation", anyway=True)
    except EnrollmentRefused:
        return False
    return True


def is_quiet(hub: Workspace, gate: Workspace) -> bool:
    """Whether nothing waits, at the gate or for somebody to decide."""
    with gate.database.read() as session:
        found = edge_edit_store.list_(session, limit=1000)
    waiting = Review.with_queue(hub, EnrollmentQueue(hub)).list_(limit=1, state="pending")
    return not waiting and all(e.state in ("accepted", "refused") for e in found)


def _editor(gate: Workspace) -> HubEditor | None:
    member = Membership.of(gate).find()
    with gate.database.read() as session:
        found = [e for e in editor_store.list_(session) if e.from_hub and e.salt]
    if member is None or not found:
        return None
    key = key_of(PASSWORD, str(found[0].salt))
    signer = EditSigner(gate, found[0], member, key)
    local = LocalEditor(People.of(gate), Enrollments.of(gate), EnrollmentQueue(gate), OLGA)
    return HubEditor(gate, local, signer)


def _add(gate: Workspace, editor: HubEditor, chance: random.Random) -> None:
    number = f"{chance.getrandbits(48):x}"
    name = {"first_name": "Eve", "last_name": f"Unforgettable{number}"}
    theirs = list(editor.signer.editor.groups.values())
    groups = [chance.choice(theirs)] if theirs else []
    code = {"personnel_code": f"E{number}"}
    done_in(gate, OLGA, editor.create, {**name, **code}, groups=groups)


def _enroll(
    gate: Workspace, signer: EditSigner, whom: Person, chance: random.Random, model: str
) -> None:
    vector = np.random.default_rng(chance.getrandbits(32)).normal(size=128)
    with gate.database.read() as session:
        theirs = [e.face_encoding_path for e in enrollment_store.list_(session, person_id=whom.id)]
    if old := next(filter(None, theirs), None):  # the same face once more
        vector = gate.files.load_encoding(old)[0] + 0.1 * vector
    path = gate.files.save_encoding(np.asarray(vector, np.float32), model)
    try:
        with gate.change(OLGA) as change:
            session = change.session
            signer.require(session, person_store.get(session, whom.id))
            made = enrollment_store.add(
                session,
                enrollment_store.NewEnrollment(
                    person_id=whom.id,
                    face_encoding_path=path,
                    face_image_path=None,
                    confidence_score=0.9,
                    model=model,
                    image_sha256=f"{chance.getrandbits(256):064x}",
                ),
            )
            signer.enrolled(change, whom, made, None)
    except BaseException:
        gate.files.delete(path)
        raise
