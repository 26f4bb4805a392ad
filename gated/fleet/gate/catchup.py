"""Before a gate opens for anyone: what the hub has to say, erasures above all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime

from gated.core.values import moment
from gated.errors import HubError, SealError, StorageError
from gated.fleet.gate.client import REVOKED
from gated.fleet.gate.downlink import Downlink
from gated.fleet.gate.membership import Membership
from gated.fleet.gate.remote_presence import hear_first
from gated.ports import Clock
from gated.workspace import Workspace

log = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""The time in which a gate with recent contact catches up before it opens anyway."""

RETRY_S = 2.0


def catch_up(
    workspace: Workspace, clock: Clock, model: str, should_continue: Callable[[], bool]
) -> None:
    """Apply the hub's changes since the last contact; does nothing for a gate on its own.

    A hub that does not answer is no hindrance, unless this gate has not heard it for
    `sync.catch_up_after_h`: then it waits until the hub does, or `should_continue` says no. A gate
    that was revoked waits for nothing. SealError.
    """
    membership = Membership(workspace, clock)
    member = membership.find()
    if member is None:
        hear_first(workspace, None, clock, True)
        return
    client = membership.client(member)
    down = Downlink(workspace, client, clock, model)
    overdue = _is_overdue(workspace, clock, down)

    present = member

    def pull() -> bool:
        nonlocal present
        present = membership.finish_renewal(client, present)
        return down.pull()

    try:
        reached = _pull_all(pull, overdue, should_continue)
        hear_first(workspace, client, clock, reached)
    finally:
        client.close()


def _pull_all(pull: Callable[[], bool], overdue: bool, should_continue: Callable[[], bool]) -> bool:
    """Apply page after page; return whether the hub was heard to the end."""
    end = time.monotonic() + PATIENCE_S
    while should_continue() and (overdue or time.monotonic() < end):
        try:
            if not pull():
                return True
        except (HubError, StorageError, SealError) as error:
            # whom the hub has revoked it never tells again: then what holds for revoked gates holds
            if not overdue or getattr(error, "reason", "") == REVOKED:
                log.warning("goes on with the people known here: %s", error)
                return False
            log.error("opens for nobody until the hub is heard: %s", error)
            time.sleep(RETRY_S)
    return False


def _is_overdue(workspace: Workspace, clock: Clock, down: Downlink) -> bool:
    hours, heard, now = workspace.settings.sync.catch_up_after_h, down.place().heard, clock.now()
    if heard is None or not now.sure:
        return False
    return (moment(now) - datetime.fromisoformat(heard)).total_seconds() > hours * 3600
