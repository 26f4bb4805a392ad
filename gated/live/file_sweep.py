"""Removes files that no row names, and finds rows whose files cannot be read."""

from __future__ import annotations

import os

from gated.enrollment import enrollment_store
from gated.live import snapshot_store
from gated.workspace import Workspace


def sweep_files(workspace: Workspace, grace_s: float = 60.0) -> int:
    """Remove files that no row names, written more than `grace_s` seconds ago; return how many."""
    with workspace.database.read() as session:
        known = enrollment_store.known_files(session) | snapshot_store.known_files(session)
    return workspace.files.sweep(known, grace_s)


UNREADABLE = "files_unreadable"
"""Problem: photos or templates of rows cannot be read."""
NAMED = 5
"""Files named in the sentence."""


def unreadable_files(workspace: Workspace) -> str | None:
    """Return a sentence on photos and templates that cannot be read; None when all can."""
    with workspace.database.read() as session:
        known = sorted(enrollment_store.known_files(session))
    uploads = workspace.files.uploads
    lost = [rel for rel in known if not os.access(uploads / rel, os.R_OK)]
    if not lost:
        return None
    more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
    return (
        f"in {uploads} cannot be read: {', '.join(lost[:NAMED])}{more}; "
        "`gated doctor` checks their owner; missing files are in a backup"
    )
