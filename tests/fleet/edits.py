"""What an operator does at the gates of a simulated fleet, and what is decided on it."""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable

import numpy as np

from gated.devices.clock import SystemClock
from gated.errors import AssetError, Conflict, EnrollmentRefused, NotAllowed
from gated.services.accounts import Accounts
from gated.services.desk import EnrollmentDesk
from gated.services.office import Office
from gated.services.people import People
from gated.services.sync.edge import Author
from gated.services.sync.membership import Membership
from gated.services.sync.operator_keys import OperatorKey
from gated.services.sync.operators import Operators
from gated.services.sync.review import Review
from gated.services.workspace import Workspace
from gated.storage import edge_edits, editors, enrollments, persons
from gated.storage.records import Person

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
    author = _author(gate)
    if author is None:
        return
    people = People.of(gate)
    with gate.database.read() as session:
        known, _ = persons.list_(session)
    new = functools.partial(_add, people, author, chance)
    acts: list[Callable[[], object]] = [new]
    if known:
        whom = chance.choice(known)
        name = {"last_name": f"Unforgettable{chance.getrandbits(48):x}"}
        acts += [
            lambda: people.update(whom.id, name, actor=OLGA, author=author),
            lambda: people.set_active(whom.id, None, actor=OLGA, author=author),
            lambda: _enroll(gate, author, whom, chance, model),
        ]
    # not the hub's any more, or of groups that the gate has not
    with contextlib.suppress(Conflict, NotAllowed):
        chance.choice(acts)()


def decide(hub: Workspace, chance: random.Random) -> list[Person]:
    """Accept or refuse what waits at the hub; the persons who are new."""

    def none() -> Office:
        raise AssetError("a hub without models")

    review, added = Review.with_desk(hub, EnrollmentDesk(hub, none)), []
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
        found = edge_edits.list_(session, limit=1000)
    waiting = Review.with_desk(hub, EnrollmentDesk(hub)).list_(limit=1, state="pending")
    return not waiting and all(e.state in ("accepted", "refused") for e in found)


def _author(gate: Workspace) -> Author | None:
    member = Membership.of(gate).find()
    with gate.database.read() as session:
        found = [e for e in editors.list_(session) if e.from_hub and e.salt]
    if member is None or not found:
        return None
    key = key_of(PASSWORD, str(found[0].salt))
    return Author(gate, SystemClock(), found[0], member, key)


def _add(people: People, author: Author, chance: random.Random) -> None:
    number = f"{chance.getrandbits(48):x}"
    name = {"first_name": "Eve", "last_name": f"Unforgettable{number}"}
    groups = [chance.choice(list(author.editor.groups.values()))] if author.editor.groups else []
    people.create(
        {**name, "personnel_code": f"E{number}"}, actor=OLGA, groups=groups, author=author
    )


def _enroll(
    gate: Workspace, author: Author, whom: Person, chance: random.Random, model: str
) -> None:
    vector = np.random.default_rng(chance.getrandbits(32)).normal(size=128)
    with gate.database.read() as session:
        theirs = [e.face_encoding_path for e in enrollments.list_(session, person_id=whom.id)]
    if old := next(filter(None, theirs), None):  # the same face once more
        vector = gate.files.load_encoding(old)[0] + 0.1 * vector
    path = gate.files.save_encoding(np.asarray(vector, np.float32), model)
    try:
        with gate.database.write() as session:
            author.require(session, persons.get(session, whom.id))
            made = enrollments.add(
                session,
                person_id=whom.id,
                face_encoding_path=path,
                face_image_path=None,
                confidence_score=0.9,
                model=model,
                image_sha256=f"{chance.getrandbits(256):064x}",
            )
            author.enrolled(session, whom, made, None)
    except BaseException:
        gate.files.delete(path)
        raise
