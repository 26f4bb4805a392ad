"""Detect and repair a hub whose database is older than what its gates received."""

from __future__ import annotations

import logging

from gated.change import Change
from gated.database import change_feed
from gated.fleet.hub import gate_store
from gated.journal import erasure_ledger
from gated.ports import Clock
from gated.privacy.erasures import reapply_erasures
from gated.workspace import Workspace

log = logging.getLogger(__name__)

ACTOR = "restore"


def recover(workspace: Workspace, clock: Clock, *, restored: bool = False) -> None:
    """Make good for an older database that was put in place; for the start, before anything else.

    restored: that it is older is known. Otherwise the journal's head tells.

    Who was erased since is erased again, and unknown to the feed no more; gates of a hub that was
    restored take everything anew. StorageError.
    """
    older = restored or workspace.journal.is_behind()
    again = reapply_erasures(workspace, clock)
    learned = _learn_erasures(workspace)
    if (older or again or learned) and _has_gates(workspace):
        with workspace.change(ACTOR, clock) as change:
            renew_feed(change)


def renew_feed(change: Change) -> None:
    """Let every gate begin with a snapshot, and say so as an alarm."""
    log.error("the database is older than what gates received: they get everything anew")
    change_feed.renew(change.session)
    change.by(ACTOR).record("feed_renewed", {"cause": "restored", "severity": "alarm"})


def _learn_erasures(workspace: Workspace) -> int:
    """Note in the feed who is erased by the ledger and not by the database; how many."""
    known = workspace.journal.ledger.read()
    with workspace.database.read() as session:
        journaled = erasure_ledger.erased_in_journal(session) | change_feed.erased(
            session, sorted(known)
        )
    unknown = sorted(known - journaled)
    with workspace.database.write() as session:
        change_feed.note_erasures(session, unknown)
    return len(unknown)


def _has_gates(workspace: Workspace) -> bool:
    """Return whether this is the hub of anybody."""
    with workspace.database.read() as session:
        return any(gate.account_id is not None for gate in gate_store.list_(session))
