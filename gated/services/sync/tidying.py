"""What a feed need not remember for ever: what is gone, and which gates have confirmed that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from gated.ports import Clock
from gated.services.obligations import moment
from gated.services.sync.receipts import Erasures
from gated.services.workspace import Workspace
from gated.storage import changes


def tidy_feed(workspace: Workspace, clock: Clock, going_on: Callable[[], bool]) -> None:
    """Forget what is older than `sync.forget_days`; any number of processes may. StorageError."""
    now = clock.now()
    if not now.clock_ok:
        return
    before = moment(now) - timedelta(days=workspace.settings.sync.forget_days)
    with workspace.database.write() as session:
        changes.forget(session, before)
    Erasures.of(workspace).close(before, going_on)
