"""Keeps disk space free for new rows of the log. When it is short, this is deleted, in this order:

    1. the oldest rows of the journal that the hub has
    2. snapshots, those of strangers first
    3. the oldest rows that no hub has: where `storage.when_full` allows it, and after an alarm

Free space and empty pages of the database count alike, as SQLite fills those before it grows.
Deleting needs space itself: that of a reserve file, which is removed for it and created again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

from gated.core.chain import microseconds
from gated.core.values import moment
from gated.errors import StorageError
from gated.journal import alarm_store, chain_tip, outbox
from gated.journal.chain_tip import last_row
from gated.journal.disk_reserve import Reserve
from gated.journal.pruned_ranges import own_chains
from gated.journal.pruning import OldRow, prune
from gated.live import snapshot_store
from gated.live.clock_trust import require_right
from gated.live.health_checks import free_bytes
from gated.live.standing_alarm import raise_once
from gated.ports import Clock
from gated.workspace import Service, Workspace

log = logging.getLogger(__name__)

State = Literal["enough", "dropping", "full"]
"""dropping: rows that no hub had were deleted, and the alarm is not acknowledged yet.
full: nothing more can be deleted, and the remaining space is not for passages."""

DROPPING = "log_dropping"
PICTURES = 20
"""Snapshots deleted in one step."""
KEPT = 200
"""Newest rows that are never deleted: they would be replaced at once anyway."""

LOG_BYTES = 4 << 20
"""Size of SQLite's write-ahead log, which begins anew after a thousand pages."""


class DiskSpace(Service):
    """Keeps `storage.reserve_mb` free for the log of a gate.

    free: returns the free bytes of a path.
    """

    def __init__(
        self, workspace: Workspace, clock: Clock, free: Callable[[Path], int] = free_bytes
    ) -> None:
        super().__init__(workspace, clock)
        settings = workspace.settings.storage
        self._state_dir = settings.state_dir
        self._may_drop = settings.when_full == "drop_oldest"
        self._keep_days = settings.keep_acknowledged_days
        self._size = settings.reserve_mb << 20
        self._reserve = Reserve(settings.state_dir)
        self._free = free
        self._gate = workspace.journal.gate_uid()
        self._steps = (
            self._drop_acknowledged,
            self._drop_pictures,
            self._drop_unacknowledged,
        )

    def expire(self, should_continue: Callable[[], bool] = lambda: True) -> int:
        """Delete rows that the hub has had for long enough; return how many.

        Raises: StorageError, ClockDoubtful.
        """
        if self._keep_days is None or self._collects():
            return 0
        now = require_right(self._workspace, self._clock)
        before = microseconds(moment(now) - timedelta(days=self._keep_days))
        total = 0
        while should_continue() and (done := self._prune(lambda r: r.at_utc < before, "age")):
            total += done
        return total

    def keep(self, should_continue: Callable[[], bool] = lambda: True) -> State:
        """Free space while it is short, and return the state of the disk. Raises: StorageError.

        should_continue: asked between steps.
        """
        if not self._workspace.database.sqlite:
            return "enough"  # a database server does not use this disk
        stuck = not self._free_space(should_continue)
        if stuck and self._available() < self._wanted() // 2:
            return "full"
        return "dropping" if self._has_alarm() else "enough"

    def _free_space(self, should_continue: Callable[[], bool]) -> bool:
        """Delete until there is enough space; return False when that is impossible."""
        try:
            while should_continue() and self._available() < self._wanted():
                if not any(map(self._run_step, self._steps)):
                    return self._may_drop  # then new rows replace the oldest
            return True
        except StorageError as error:
            log.error("no space can be freed: %s", error)
            return False
        finally:
            self._hold()

    def _run_step(self, drop: Callable[[], bool]) -> bool:
        """Return whether a step deleted something; it may use the reserve's space."""
        try:
            return drop()
        except StorageError:
            self._reserve.release()
            self._workspace.database.checkpoint()
            return drop()

    def _hold(self) -> None:
        """Create the reserve again, but leave space for the write-ahead log to grow."""
        database, free = self._workspace.database, self._free(self._state_dir)
        if free < LOG_BYTES:
            self._checkpoint()
        spare = max(0, LOG_BYTES - database.log_bytes())
        free = self._free(self._state_dir)
        self._reserve.hold(min(self._size, free + self._reserve.held - spare))

    def _checkpoint(self) -> None:
        try:
            self._workspace.database.checkpoint()
        except StorageError:  # the database has to grow by the contents of its log
            self._reserve.release()
            self._workspace.database.checkpoint()

    def _available(self) -> int:
        """Return the bytes available for the log, without the reserve."""
        beside = self._free(self._state_dir) + self._reserve.held - self._size
        return max(0, beside) + self._workspace.database.reusable_bytes()

    def _wanted(self) -> int:
        """Return the bytes to keep free: at most half of the database, where others fill the
        disk."""
        return min(self._size, self._workspace.database.file_bytes() // 2)

    # --- steps --------------------------------------------------------------------------------

    def _drop_acknowledged(self) -> bool:
        return not self._collects() and self._prune(lambda _: True, "disk") > 0

    def _drop_pictures(self) -> bool:
        with self._workspace.database.write() as session:
            files = snapshot_store.delete_oldest(session, PICTURES)
        self._workspace.files.delete(*files)
        return bool(files)

    def _drop_unacknowledged(self) -> bool:
        if not self._may_drop or self._collects():
            return False
        self._raise_alarm()
        return self._prune(lambda _: True, "disk", acknowledged=False) > 0

    def _prune(
        self, may_go: Callable[[OldRow], bool], cause: str, *, acknowledged: bool = True
    ) -> int:
        """Delete a batch of the oldest rows, by default only of those that the hub has."""
        workspace, now = self._workspace, self._clock.now()

        with workspace.database.write() as session:
            newest = own_chains(session, self._gate)[-1:]
            tip = last_row(session, newest[0]) if newest else None

            def is_prunable(row: OldRow) -> bool:
                old = tip is None or row.chain != tip.chain or row.seq <= tip.seq - KEPT
                return old and (row.acknowledged or not acknowledged) and may_go(row)

            pruned = prune(session, workspace.journal, self._gate, now, is_prunable, cause)
        if pruned is None:
            return 0
        log.warning(
            "dropped %d rows of the log, up to %d of %s", pruned.rows, pruned.seq, pruned.chain
        )
        return pruned.rows

    def _raise_alarm(self) -> None:
        """Raise an alarm before the first row goes that nobody else has."""
        if self._has_alarm():
            return
        with self._workspace.database.read() as session:
            waiting = outbox.backlog(session, self._gate)
        body = {"severity": "alarm", "unacknowledged": waiting}
        raise_once(self._workspace, self._clock, DROPPING, body)

    def _has_alarm(self) -> bool:
        with self._workspace.database.read() as session:
            return alarm_store.standing(session, DROPPING) is not None

    def _collects(self) -> bool:
        """Return whether gates report here: their rows refer to this journal's own rows."""
        with self._workspace.database.read() as session:
            return chain_tip.collects(session)


def room_to_start(state_dir: Path) -> None:
    """Remove the reserve when the disk is too full to open the database."""
    if free_bytes(state_dir) < LOG_BYTES:
        Reserve(state_dir).release()
