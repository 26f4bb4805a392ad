"""A hub whose database is older than what was told from it: noticed, and made whole again."""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session

from gated.core.model import Instant
from gated.ports import Clock
from gated.services.erasures import reapply_erasures
from gated.services.workspace import Workspace
from gated.storage import changes, erasures, gates
from gated.storage.journal import Entry, Journal

log = logging.getLogger(__name__)

ACTOR = "restore"


def recover(workspace: Workspace, clock: Clock) -> None:
    """Make good for an older database that was put in place; for the start, before anything else.

    Who was erased since is erased again, and unknown to the feed no more; gates of a hub that was
    restored take everything anew. StorageError.
    """
    older = workspace.journal.is_behind()
    again = reapply_erasures(workspace, clock)
    learned = _learn_erasures(workspace)
    if (older or again or learned) and _has_gates(workspace):
        with workspace.database.write() as session:
            renew_feed(session, workspace.journal, clock.now())


def renew_feed(session: Session, journal: Journal, now: Instant) -> None:
    """Let every gate begin with a snapshot, and say so as an alarm."""
    log.error("the database is older than what gates were told: they take everything anew")
    changes.renew(session)
    body = {"cause": "restored", "severity": "alarm"}
    journal.append([Entry(now, "feed_renewed", body, {"actor": {"name": ACTOR}})], session)


def _learn_erasures(workspace: Workspace) -> int:
    """Note in the feed who is erased by the ledger and not by the database; how many."""
    known = workspace.journal.ledger.read()
    with workspace.database.read() as session:
        told = erasures.told(session) | changes.erased(session, sorted(known))
    unknown = sorted(known - told)
    with workspace.database.write() as session:
        for uid in unknown:
            changes.note_erasure(session, uid)
    return len(unknown)


def _has_gates(workspace: Workspace) -> bool:
    """Whether this is the hub of anybody."""
    with workspace.database.read() as session:
        return any(gate.account_id is not None for gate in gates.list_(session))
