"""Erasures done again after an older database was restored."""

from __future__ import annotations

import logging

from gated.errors import Conflict
from gated.ports import Clock
from gated.services.people import People
from gated.services.references import References
from gated.services.workspace import Workspace
from gated.storage import erasures
from gated.storage.journal import Entry

log = logging.getLogger(__name__)

ACTOR = "erasure ledger"


def reapply_erasures(workspace: Workspace, clock: Clock) -> int:
    """Erase again who was erased and came back, and what was withdrawn; how many there were.

    Also brings the ledger up to what the journal tells. For the start, before anybody is let in.
    StorageError.
    """
    ledger = workspace.journal.ledger
    with workspace.database.read() as session:
        known = ledger.read()
        missing = erasures.told(session) - known
        people = erasures.persons_back(session, known)
        photos = erasures.enrollments_back(session, known)
    if missing:
        ledger.add(sorted(missing))
    references = References(workspace, clock)
    for id_ in photos:
        references.delete(id_, actor=ACTOR, hubs_too=True)
    for id_ in people:
        _erase_again(workspace, clock, id_)
    if people or photos:
        log.warning(
            "an older database: %d persons, %d photos erased again", *map(len, (people, photos))
        )
        body = {"persons": len(people), "enrollments": len(photos)}
        entry = Entry(clock.now(), "erasures_reapplied", body, {"actor": {"name": ACTOR}})
        workspace.journal.append([entry])
    return len(people) + len(photos)


def _erase_again(workspace: Workspace, clock: Clock, id_: int) -> None:
    people = People(workspace, clock)
    try:
        people.delete(
            id_, actor=ACTOR, reason="erased before the restore", override=True, hubs_too=True
        )
    except Conflict as error:
        # the last administrator: the account has to do until there is another one
        log.error("person %d cannot be erased again yet: %s", id_, error)
        References(workspace, clock).withdraw_biometrics(id_, actor=ACTOR)
