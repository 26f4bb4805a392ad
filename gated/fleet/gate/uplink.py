"""The journal of a gate on its way up: in batches, acknowledged by sequence, sent again until then.

What the hub has is noted here only after the hub has said so; a lost answer costs a batch sent
twice. A hub that knows more of a chain than this gate does shows that an older state was restored
here, and one that knows other rows that a second unit writes as this gate: both times the gate goes
on in a new chain, so that no row stands in the place of another.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

from gated import __version__
from gated.core.clock import HUB_AGREES_S
from gated.core.values import Instant
from gated.errors import HubError, HubUnreachable
from gated.fleet.gate.client import HubClient
from gated.fleet.hub.row_validation import number, text
from gated.journal import alarm_store, outbox
from gated.journal.chain_tip import last_row
from gated.journal.outbox import Batch
from gated.journal.pruned_ranges import own_chains
from gated.link.status_board import GateStatus
from gated.live.clock_trust import ClockKeeper
from gated.people.zones import zone_here
from gated.ports import Clock
from gated.workspace import Workspace

log = logging.getLogger(__name__)

ROWS = 400
TRY_LARGER_AFTER = 200
"""So many batches after one was too large."""


class Uplink:
    """Sends what the hub does not have yet; one thread at a time."""

    def __init__(self, workspace: Workspace, client: HubClient, clock: Clock) -> None:
        self._workspace = workspace
        self._client = client
        self._clock = clock
        self._gate = workspace.journal.gate_uid()
        self.hurry = False
        """Whether another gate of the site waits for who passes here, as the hub said last."""
        self._clocks: dict[str, float] = {}
        self._rows = ROWS
        """Of one batch; fewer where somebody between takes no larger ones."""
        self._went_well = 0

    @classmethod
    def of(cls, workspace: Workspace, client: HubClient) -> Self:
        """The uplink of a workspace, on the real clock."""
        return cls(workspace, client, workspace.clock)

    def send(self) -> bool:
        """Send one batch; whether there was one. HubError, StorageError."""
        batch = self._next()
        if batch is None:
            return False
        try:
            received = self._client.post("/api/sync/journal", wire_of(batch))
        except HubError as error:
            if error.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or not self._smaller(batch):
                raise
            return True
        self._larger()
        try:
            seq, restart = number(received["acknowledged"]), bool(received["restart"])
        except (KeyError, TypeError, ValueError):
            raise HubUnreachable("the hub's answer cannot be understood") from None
        self._acknowledged(batch.chain, seq, restart)
        return True

    def greet(self, status: Mapping[str, Any], model: str | None) -> None:
        """Tell the hub how this gate is, and learn how far it has our chains. HubError."""
        asked = self._clock.now()
        said = {"model": model, "status": {**status, **self._clocks}}
        received = self._client.post("/api/sync/heartbeat", said)
        took = self._clock.now().mono - asked.mono
        try:
            positions = {text(c): number(n) for c, n in received["acknowledged"].items()}
            self.hurry = bool(received.get("hurry"))
            here = datetime.fromisoformat(received["now"]).timestamp()
            ahead = round(asked.utc + took / 2 - here, 3)
            self._clocks = {"clock_ahead_s": ahead, "clock_within_s": round(took / 2, 3)}
            sure = received.get("clock_trusted") is True
        except (AttributeError, KeyError, TypeError, ValueError):
            raise HubUnreachable("the hub's answer cannot be understood") from None
        if sure and took < HUB_AGREES_S:
            middle = Instant(asked.mono + took / 2, asked.utc + took / 2)
            ClockKeeper(self._workspace, self._clock).hub_said(here, middle)
        with self._workspace.database.read() as session:
            known = outbox.acknowledged(session)
        for chain, seq in positions.items():
            if known.get(chain) != seq:
                self._acknowledged(chain, seq, restart=False)

    def backlog(self) -> int:
        """Return how many rows the hub does not have yet."""
        with self._workspace.database.read() as session:
            return outbox.backlog(session, self._gate, self._workspace.journal.key_for)

    def _smaller(self, batch: Batch) -> bool:
        """Let the next batch be half of one that was too large; False when it cannot be.

        The rows of one seal go together: a hub believes no others.
        """
        self._went_well = 0
        while self._rows > 1:
            self._rows //= 2
            if self._rows >= len(batch.rows):
                continue
            following = self._next()
            if following is None or len(following.rows) < len(batch.rows):
                log.info("a batch was too large: the next ones have %d rows", self._rows)
                return True
        return False

    def _larger(self) -> None:
        """After a while the limit may be gone; it is tried seldom."""
        self._went_well += 1
        if self._rows < ROWS and self._went_well >= TRY_LARGER_AFTER:
            self._rows, self._went_well = min(ROWS, 2 * self._rows), 0

    def _next(self) -> Batch | None:
        with self._workspace.database.read() as session:
            acked = outbox.acknowledged(session)
            for chain in own_chains(session, self._gate):
                key = self._workspace.journal.key_for(session, chain)
                found = outbox.batch(session, chain, acked.get(chain, 0), self._rows, key)
                if found is not None:
                    return found
        return None

    def _acknowledged(self, chain: str, seq: int, restart: bool) -> None:
        with self._workspace.database.write() as session:
            outbox.acknowledge(session, chain, seq)
            end = last_row(session, chain)
            newest = own_chains(session, self._gate)[-1:] == [chain]
        if newest and (restart or end is None or seq > end.seq):
            cause = "forked" if restart else "behind_hub"
            log.error("the hub knows other rows of %s: a new chain begins (%s)", chain, cause)
            self._workspace.journal.start_new_chain(self._clock.now(), cause)


def status_of(
    workspace: Workspace, board: Callable[[], GateStatus], clock: Clock, backlog: int
) -> dict[str, Any]:
    """Return what a gate tells its hub of itself."""
    seen, now = board(), clock.now()
    with workspace.database.read() as session:
        standing = [alarm.kind for alarm in alarm_store.list_(session, standing=True, limit=20)]
        zone = zone_here(workspace, session)
    return {
        "version": __version__,
        "role": seen.role,
        "started_at": seen.started_at.isoformat(),
        "problems": list(seen.problems),
        "alarms": standing,
        "people": seen.people,
        "templates": seen.templates,
        "gallery": seen.digest_of_gallery,
        "clock": round(now.utc, 3),
        "clock_ok": now.sure,
        "timezone": str(zone),
        "disk_free": shutil.disk_usage(workspace.settings.storage.state_dir).free,
        "backlog": backlog,
        "settings": seen.hub_settings,
        "load": round(os.getloadavg()[0], 2),
    }


def wire_of(batch: Batch) -> dict[str, Any]:
    """A batch as it travels."""
    wire = asdict(batch)
    after = wire.pop("after")
    return {"chain": batch.chain, "after": {k: after[k] for k in ("seq", "hash")}, **wire}
