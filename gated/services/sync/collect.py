"""What gates send up, on the hub: taken, acknowledged, and told of when something is wrong."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

from sqlalchemy.orm import Session

from gated.devices.clock import SystemClock
from gated.errors import Busy, NotAllowed, SourceError
from gated.ports import Clock
from gated.services.obligations import moment
from gated.services.sync.reported import received, reported
from gated.services.workspace import Workspace
from gated.storage import collected, gates, quarantine, site_presence
from gated.storage.collected import NotTogether, Taken
from gated.storage.cuts import DROPPED
from gated.storage.gates import GateRow
from gated.storage.heads import Head, key_of
from gated.storage.journal import Entry
from gated.storage.outbox import Batch
from gated.storage.quarantine import SetApart

__all__ = ["Acknowledged", "Batch", "Collector", "Head"]

log = logging.getLogger(__name__)

AT_A_TIME = 4
WAITING = 20
WAIT_S = 2.0
"""Batches taken at the same time; how many more wait, and how long, before they are sent away. Each
keeps a thread that others want, too."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """How far a chain is here; restart: the gate must begin another chain."""

    seq: int
    restart: bool = False


class Collector:
    """Takes in the journals of the gates of a workspace that is their hub."""

    def __init__(self, workspace: Workspace, clock: Clock, wait_s: float = WAIT_S) -> None:
        self._workspace = workspace
        self._clock = clock
        self._wait_s = wait_s
        self._places = threading.BoundedSemaphore(AT_A_TIME)
        self._queue = threading.BoundedSemaphore(AT_A_TIME + WAITING)

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """The collector of a workspace, on the real clock."""
        return cls(workspace, SystemClock())

    def take(self, gate: GateRow, batch: Batch) -> Acknowledged:
        """Store a batch of a gate, each row once in effect.

        NotAllowed for a chain of another gate, SourceError for rows out of order, Busy.
        """
        _require_own(gate, batch)
        _require_order(batch)
        with self._place():
            try:
                taken = self._taken(gate, batch)
            except NotTogether:
                taken = self._taken(gate, batch, one_by_one=True)
        return Acknowledged(taken.acknowledged, taken.forked)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Busy when there is none, and none becomes free soon."""
        with ExitStack() as held:
            for places, longest in ((self._queue, 0.0), (self._places, self._wait_s)):
                if not places.acquire(timeout=longest):
                    raise Busy("the hub is busy with the rows of other gates", retry_after=WAIT_S)
                held.callback(places.release)
            yield

    def _taken(self, gate: GateRow, batch: Batch, *, one_by_one: bool = False) -> Taken:
        with self._workspace.database.write() as session:
            key = gate.journal_key or ""
            taken = collected.take(session, gate.id, batch, key, one_by_one=one_by_one)
            self._forget_erased(session, batch.chain, taken)
            self._tell_of_holes(session, gate, taken)
            self._tell(session, gate, batch, taken)
            ahead_s = site_presence.clock_ahead_s(gate)
            passed = site_presence.of_gate(session, gate, taken.passed)
            site_presence.noted(session, gate.site, passed, ahead_s)
        return taken

    def heard(self, gate: GateRow, model: str | None, status: Mapping[str, Any]) -> dict[str, int]:
        """Note what a gate tells of itself; gives how far its chains are here."""
        now = moment(self._clock.now())
        with self._workspace.database.write() as session:
            kept = received(status, now)
            told = reported(kept)
            troubled = bool(told.alarms or told.problems)
            gates.heard(session, gate.id, seen_at=now, model=model, status=kept, troubled=troubled)
            return collected.positions(session, gate.id)

    def set_apart(self, gate_id: int, limit: int) -> list[SetApart]:
        """What of a gate stands in no journal, the newest first; NotFound."""
        with self._workspace.database.read() as session:
            gates.get(session, gate_id)
            return quarantine.list_(session, gate_id, limit)

    def _forget_erased(self, session: Session, chain: str, taken: Taken) -> None:
        """Names of those who were erased here while the gate was away are not taken in."""
        for role, seqs in taken.private_of_erased:
            self._workspace.journal.redact(
                session, self._clock.now(), chain, seqs, "erased before it came here", role
            )

    def _tell_of_holes(self, session: Session, gate: GateRow, taken: Taken) -> None:
        """Put on record, as an alarm, what a gate has dropped before it came here."""
        now = self._clock.now()
        for hole in taken.holes:
            log.error("gate %s has dropped rows %d to %d", gate.name, hole.first, hole.seq)
            body = {"gate": gate.uid, "name": gate.name, **asdict(hole), "severity": "alarm"}
            self._workspace.journal.append([Entry(now, DROPPED, body)], session)

    def _tell(self, session: Session, gate: GateRow, batch: Batch, taken: Taken) -> None:
        """Journal what is wrong with a batch, as an alarm."""
        found = Counter(flaw.reason for flaw in taken.flaws)
        begins = bool(batch.rows) and batch.rows[0]["seq"] == 1 and taken.stored > 0
        if begins and key_of(session, batch.chain) != gate.journal_key:
            found["journal_key"] += 1
            gates.heard(session, gate.id, journal_key=key_of(session, batch.chain))
        if not found:
            return
        log.error("gate %s, chain %s: %s", gate.name, batch.chain, dict(found))
        body = {
            "gate": gate.uid,
            "name": gate.name,
            "chain": batch.chain,
            "flaws": dict(found),
            "rows": [flaw.seq for flaw in taken.flaws[:20]],
            "severity": "alarm",
        }
        self._workspace.journal.append([Entry(self._clock.now(), "sync_alarm", body)], session)


def _require_own(gate: GateRow, batch: Batch) -> None:
    device, _, epoch = batch.chain.rpartition("/")
    if device != gate.device or not epoch.isdecimal():
        raise NotAllowed("this is no chain of this gate")


def _require_order(batch: Batch) -> None:
    expected = range(batch.after.seq + 1, batch.after.seq + 1 + len(batch.rows))
    if [row["seq"] for row in batch.rows] != list(expected):
        raise SourceError("the rows must follow `after` and each other")
