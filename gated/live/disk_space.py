"""Room on the disk for the newest rows of the log, and what goes in which order to make it.

    1. the oldest rows of the journal that the hub has
    2. snapshots, those of strangers first
    3. the oldest rows that no hub has: where `storage.when_full` allows it, and after an alarm

Free space and the empty pages of the database count alike, as SQLite fills those before it grows.
Deleting needs room itself: that of a file, which is given up for it and made again.
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
from gated.journal.journal import Entry
from gated.journal.pruned_ranges import own_chains
from gated.journal.pruning import OldRow, prune
from gated.live import snapshot_store
from gated.live.clock_trust import require_right
from gated.live.health_checks import free_bytes
from gated.ports import Clock
from gated.workspace import Service, Workspace

log = logging.getLogger(__name__)

State = Literal["enough", "dropping", "full"]
"""dropping: rows that no hub has had to go, and nobody has acknowledged that alarm yet.
full: nothing more can go, and what is left of the room is for other things than passages."""

DROPPING = "log_dropping"
PICTURES = 20
KEPT = 200
"""The newest rows stay: without them no room would be won that lasts."""

LOG_BYTES = 4 << 20
"""SQLite's write-ahead log: it begins anew after a thousand pages."""


class DiskSpace(Service):
    """Keeps `storage.reserve_mb` free for the log of a gate. free: bytes left below a path."""

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
        self._what_may_go = (
            self._drop_acknowledged,
            self._drop_pictures,
            self._drop_unacknowledged,
        )

    def expire(self, should_continue: Callable[[], bool] = lambda: True) -> int:
        """Drop what the hub has had for long enough; how many rows. StorageError, ClockDoubtful."""
        if self._keep_days is None or self._collects():
            return 0
        now = require_right(self._workspace, self._clock)
        before = microseconds(moment(now) - timedelta(days=self._keep_days))
        total = 0
        while should_continue() and (done := self._prune(lambda r: r.at_utc < before, "age")):
            total += done
        return total

    def keep(self, should_continue: Callable[[], bool] = lambda: True) -> State:
        """Make room while it is short. StorageError; `should_continue` is asked between steps."""
        if not self._workspace.database.sqlite:
            return "enough"  # what a server of its own keeps is not on this disk
        stuck = not self._made(should_continue)
        if stuck and self._room() < self._wanted() // 2:
            return "full"
        return "dropping" if self._is_told() else "enough"

    def _made(self, should_continue: Callable[[], bool]) -> bool:
        """Let go until there is room enough; False when that cannot be."""
        try:
            while should_continue() and self._room() < self._wanted():
                if not any(map(self._done, self._what_may_go)):
                    return self._may_drop  # what comes takes the place of what goes
            return True
        except StorageError as error:
            log.error("no room can be made: %s", error)
            return False
        finally:
            self._hold()

    def _done(self, drop: Callable[[], bool]) -> bool:
        """Return whether something went: with the reserve's room where there is no other."""
        try:
            return drop()
        except StorageError:
            self._reserve.release()
            self._workspace.database.checkpoint()
            return drop()

    def _hold(self) -> None:
        """Take the reserve again, but for what the database's log of changes still has to grow."""
        database, free = self._workspace.database, self._free(self._state_dir)
        if free < LOG_BYTES:
            self._checkpoint()
        spare = max(0, LOG_BYTES - database.log_bytes())
        free = self._free(self._state_dir)
        self._reserve.hold(min(self._size, free + self._reserve.held - spare))

    def _checkpoint(self) -> None:
        try:
            self._workspace.database.checkpoint()
        except StorageError:  # the database itself has to grow by what its log holds
            self._reserve.release()
            self._workspace.database.checkpoint()

    def _room(self) -> int:
        """Bytes that the log can take, apart from the reserve."""
        beside = self._free(self._state_dir) + self._reserve.held - self._size
        return max(0, beside) + self._workspace.database.reusable_bytes()

    def _wanted(self) -> int:
        """Return the bytes to have room for: where others fill the disk, half of the database."""
        return min(self._size, self._workspace.database.file_bytes() // 2)

    # --- what goes ----------------------------------------------------------------------------

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
        self._tell()
        return self._prune(lambda _: True, "disk", acknowledged=False) > 0

    def _prune(
        self, may_go: Callable[[OldRow], bool], cause: str, *, acknowledged: bool = True
    ) -> int:
        """Drop one step of the oldest rows, by default only of those that the hub has."""
        workspace, now = self._workspace, self._clock.now()

        with workspace.database.write() as session:
            newest = own_chains(session, self._gate)[-1:]
            tip = last_row(session, newest[0]) if newest else None

            def goes(row: OldRow) -> bool:
                old = tip is None or row.chain != tip.chain or row.seq <= tip.seq - KEPT
                return old and (row.acknowledged or not acknowledged) and may_go(row)

            cut = prune(session, workspace.journal, self._gate, now, goes, cause)
        if cut is None:
            return 0
        log.warning("dropped %d rows of the log, up to %d of %s", cut.rows, cut.seq, cut.chain)
        return cut.rows

    def _tell(self) -> None:
        """An alarm that stands, before the first row goes that nobody else has."""
        if self._is_told():
            return
        with self._workspace.database.read() as session:
            waiting = outbox.backlog(session, self._gate)
        body = {"severity": "alarm", "gate": self._workspace.settings.gate.name}
        entry = Entry(self._clock.now(), DROPPING, {**body, "unacknowledged": waiting})
        self._workspace.journal.append([entry])

    def _is_told(self) -> bool:
        with self._workspace.database.read() as session:
            return any(a.kind == DROPPING for a in alarm_store.list_(session, standing=True))

    def _collects(self) -> bool:
        """Return whether gates report here: what they sent hangs on this journal's own rows."""
        with self._workspace.database.read() as session:
            return chain_tip.collects(session)


def room_to_start(state_dir: Path) -> None:
    """Give up the reserve where a full disk would keep the database from being opened."""
    if free_bytes(state_dir) < LOG_BYTES:
        Reserve(state_dir).release()
