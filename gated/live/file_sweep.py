"""Removes files that nobody needs any more, and finds rows whose files cannot be read."""

from __future__ import annotations

import os

from gated.enrollment import enrollment_store
from gated.live import snapshot_store
from gated.vault.files import sweep_temporary
from gated.workspace import Workspace

FOLDERS = ("keys", "cache", "incidents", "refused", "backups")
"""Below the state directory, with files that are written as a whole."""


def sweep_files(workspace: Workspace, grace_s: float = 60.0) -> int:
    """Remove files that no row names, and leftovers of writes that were cut off; return how many.

    Files younger than `grace_s` seconds stay.
    """
    state = workspace.settings.storage.state_dir
    left = sweep_temporary((state, *(state / name for name in FOLDERS)), grace_s)
    with workspace.database.read() as session:
        known = enrollment_store.known_files(session) | snapshot_store.known_files(session)
    return left + workspace.files.sweep(known, grace_s)


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
