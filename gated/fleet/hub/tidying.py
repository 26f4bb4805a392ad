"""Tidying of the feed: it forgets what is gone, and which gates have confirmed that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from gated.core.values import moment
from gated.database import change_feed
from gated.fleet.hub.erasure_receipts import Erasures
from gated.live.clock_trust import require_right
from gated.ports import Clock
from gated.workspace import Workspace


def tidy_feed(workspace: Workspace, clock: Clock, should_continue: Callable[[], bool]) -> None:
    """Forget what is older than `sync.forget_days`; any number of processes may.

    StorageError, ClockDoubtful.
    """
    now = require_right(workspace, clock)
    before = moment(now) - timedelta(days=workspace.settings.sync.forget_days)
    with workspace.database.write() as session:
        change_feed.forget(session, before)
    Erasures.of(workspace).close(before, should_continue)
