"""Repeats erasures after an older database was restored."""

from __future__ import annotations

import logging

from gated.accounts.accounts import keep_last_admin
from gated.change import FEED, GALLERY, RULES
from gated.enrollment.enrollments import Enrollments
from gated.journal import erasure_ledger
from gated.people import person_store
from gated.people.people import BEFORE_RESTORE, People
from gated.ports import Clock
from gated.workspace import Workspace

log = logging.getLogger(__name__)

ACTOR = "erasure ledger"


def reapply_erasures(workspace: Workspace, clock: Clock) -> int:
    """Erase again who was erased and came back, and what was withdrawn; return how many.

    Also adds to the ledger what the journal has. For the start, before anybody is let in. Raises:
    StorageError.
    """
    ledger = workspace.journal.ledger
    with workspace.database.read() as session:
        known = ledger.read()
        proof = workspace.journal.proves
        missing = erasure_ledger.erased_in_journal(session, known=known, proof=proof) - known
        people = erasure_ledger.persons_back(session, known)
        photos = erasure_ledger.enrollments_back(session, known)
    if missing:
        ledger.add(sorted(missing))
    references = Enrollments(workspace, clock)
    for id_ in photos:
        with references.change(ACTOR) as change:
            references.delete(change, id_, hubs_too=True)
    for id_ in people:
        _erase_again(workspace, clock, id_)
    if people or photos:
        log.warning(
            "an older database: %d persons, %d photos erased again", *map(len, (people, photos))
        )
        body = {"persons": len(people), "enrollments": len(photos)}
        with workspace.change(ACTOR, clock) as change:
            change.record("erasures_reapplied", body)
    return len(people) + len(photos)


def _erase_again(workspace: Workspace, clock: Clock, id_: int) -> None:
    with workspace.change(ACTOR, clock) as change:
        change.touches(GALLERY, RULES, FEED)
        keep_last_admin(change, person_store.get(change.session, id_))
        People(workspace, clock).delete(
            change, id_, reason=BEFORE_RESTORE, override=True, hubs_too=True
        )
