"""Journals of gates on the hub: taken, acknowledged, and reported when something is wrong."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

from gated.change import Change
from gated.core.values import moment
from gated.database import change_feed
from gated.database.records import GateRow
from gated.errors import Busy, Conflict, NotAllowed, SourceError
from gated.fleet.hub import gate_presence, gate_store, ingest, journal_keys
from gated.fleet.hub.ingest import BatchConflict, Flaw, IngestResult
from gated.fleet.hub.watched import KEY, UnitHistory
from gated.fleet.wire.heartbeat import received, reported
from gated.journal import quarantine, site_presence_store
from gated.journal.chain_tip import Head
from gated.journal.journal import Entry
from gated.journal.outbox import Batch
from gated.journal.pruned_ranges import DROPPED
from gated.journal.quarantine import SetApart
from gated.ports import Clock
from gated.workspace import Workspace

__all__ = ["AcknowledgedUpTo", "Batch", "Collector", "Head"]

log = logging.getLogger(__name__)

AT_A_TIME = 4
WAITING = 20
WAIT_S = 2.0
"""Batches taken at the same time; how many more wait, and how long, before they are sent away. Each
keeps a thread that others want, too."""

OF_ONE_GATE = 3
"""Batches of one gate at the same time. A gate sends one after the other; it may come again after
it has given up waiting, and whoever has taken it apart must not take the places of all others."""


@dataclass(frozen=True, slots=True)
class AcknowledgedUpTo:
    """The end of a chain here; restart: the gate must begin another chain."""

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
        self._lock = threading.Lock()
        self._of_gates: Counter[int] = Counter()

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """The collector of a workspace, on the real clock."""
        return cls(workspace, workspace.clock)

    def take(self, gate: GateRow, batch: Batch) -> AcknowledgedUpTo:
        """Store a batch of a gate, each row once in effect.

        NotAllowed for a chain of another gate, SourceError for rows out of order, Busy. Conflict
        for a chain under another key than the gate's, to which that has not agreed.
        """
        _require_own(gate, batch)
        _require_order(batch)
        with self._share(gate.id), self._place():
            try:
                taken = self._taken(gate, batch)
            except BatchConflict:
                taken = self._taken(gate, batch, one_by_one=True)
            except _KeyUnknown as unknown:
                self._hold(gate, batch, unknown.key)
                raise
        return AcknowledgedUpTo(taken.acknowledged, taken.forked)

    @contextmanager
    def _share(self, gate_id: int) -> Iterator[None]:
        """Count a batch of a gate while the block runs. Busy."""
        with self._lock:
            if self._of_gates[gate_id] >= OF_ONE_GATE:
                raise Busy("the hub is busy with rows of this gate", retry_after=WAIT_S)
            self._of_gates[gate_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._of_gates[gate_id] -= 1
                self._of_gates += Counter()  # forgets gates without a batch

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Hold one of the places for batches while the block runs. Busy."""
        with ExitStack() as held:
            for places, longest in ((self._queue, 0.0), (self._places, self._wait_s)):
                if not places.acquire(timeout=longest):
                    raise Busy("the hub is busy with the rows of other gates", retry_after=WAIT_S)
                held.callback(places.release)
            yield

    def _key(self, change: Change, gate: GateRow, batch: Batch) -> str:
        """The key (public, hex) that seals the journal of a gate, with this batch.

        _KeyUnknown when its chain begins with one that the former has not agreed to.
        """
        session, known = change.session, gate.journal_key or ""
        begun = journal_keys.begun_with(session, batch)
        if begun is None:
            return _key_of_cut(change, gate, batch, known)
        if begun.public_key == known:
            return known
        former = {known, journal_keys.newest(session, batch.chain)} - {""}
        agreed = begun.agrees(former)
        if former and not agreed and begun.public_key not in former:
            raise _KeyUnknown(begun.public_key)
        gate_store.heard(session, gate.id, journal_key=begun.public_key)
        if agreed:
            _tell_of_key(change, gate, begun.public_key)
        return begun.public_key

    def _hold(self, gate: GateRow, batch: Batch, key: str) -> None:
        """Journal once, as an alarm, that an admin has to accept the key of a chain. Conflict."""
        with self._change() as change:
            flaw = Flaw(batch.rows[0]["seq"], "journal_key", batch.rows[0])
            if quarantine.add(change.session, gate.id, batch.chain, flaw.row, flaw.reason):
                _tell(change, gate, batch, IngestResult(0, flaws=[flaw]))
        raise Conflict(
            f"the hub does not know the key {key} of this journal: compare it with the gate's, "
            f"then: gated hub accept-key {gate.name} {key}"
        )

    def accept_key(self, name: str, key: str, *, actor: str, reason: str) -> None:
        """Let a gate's journal go on under a key that the former has not agreed to. NotFound."""
        with self._workspace.change(actor, self._clock) as change:
            gate = gate_store.by_name(change.session, name)
            gate_store.heard(change.session, gate.id, journal_key=key)
            body = {"gate": gate.uid, "name": gate.name, "key": key}
            change.record("gate_key_accepted", body, by={"cause": reason})

    def _taken(self, gate: GateRow, batch: Batch, *, one_by_one: bool = False) -> IngestResult:
        with self._change() as change:
            session, key = change.session, self._key(change, gate, batch)
            taken = ingest.take(session, gate.id, batch, key, one_by_one=one_by_one)
            self._forget_erased(change, batch.chain, taken)
            _tell_of_holes(change, gate, taken)
            _tell(change, gate, batch, taken)
            ahead_s = site_presence_store.clock_ahead_s(gate)
            passed = gate_presence.of_gate(session, gate, taken.passed)
            site_presence_store.apply_changes(session, gate.site, passed, ahead_s)
        return taken

    def heard(self, gate: GateRow, model: str | None, status: Mapping[str, Any]) -> dict[str, int]:
        """Note what a gate tells of itself; gives how far its chains are here."""
        now = moment(self._clock.now())
        with self._change() as change:
            session = change.session
            positions = ingest.positions(session, gate.id)
            kept = received(status, now)
            before, report = UnitHistory.read(gate.status), reported(kept)
            watched = before.heard(
                kept.get("started_at"), report.backlog, sum(positions.values()), now
            )
            kept[KEY] = watched.kept()
            report = reported(kept)
            troubled = bool(report.alarms or report.problems or report.troubles)
            gate_store.heard(
                session, gate.id, seen_at=now, model=model, status=kept, troubled=troubled
            )
            if watched.forked_at is not None and before.forked_at is None:
                _tell_of_fork(change, gate)
        return positions

    def set_apart(self, gate_id: int, limit: int) -> list[SetApart]:
        """Return what of a gate stands in no journal, the newest first; NotFound."""
        with self._workspace.database.read() as session:
            gate_store.get(session, gate_id)
            return quarantine.list_(session, gate_id, limit)

    def _change(self) -> Change:
        return self._workspace.change("sync", self._clock)

    def _forget_erased(self, change: Change, chain: str, taken: IngestResult) -> None:
        """Redact the names of those who were erased here while the gate was away."""
        for role, seqs in taken.private_of_erased:
            self._workspace.journal.redact(
                change.session, change.at, chain, seqs, "erased before it came here", role
            )


def _key_of_cut(change: Change, gate: GateRow, batch: Batch, known: str) -> str:
    """Return the key under which a gate says what it dropped, where the known one leads to it."""
    cut = ingest.proven_cut(batch, [known])
    if cut is None or cut.key == known:
        return known
    gate_store.heard(change.session, gate.id, journal_key=cut.key)
    _tell_of_key(change, gate, cut.key)
    return cut.key


def _tell_of_key(change: Change, gate: GateRow, key: str) -> None:
    body = {"gate": gate.uid, "name": gate.name, "key": key}
    change.append(Entry(change.at, "gate_key_rotated", body))


def _tell_of_fork(change: Change, gate: GateRow) -> None:
    """Journal, as an alarm, that two units report as this gate."""
    # what one has confirmed says nothing about the other
    log.error("gate %s: two units report as this gate; replace one", gate.name)
    change_feed.unconfirm(change.session, gate.id)
    body = {"gate": gate.uid, "name": gate.name, "severity": "alarm"}
    change.append(Entry(change.at, "gate_forked", body))


def _tell_of_holes(change: Change, gate: GateRow, taken: IngestResult) -> None:
    """Put on record, as an alarm, what a gate has dropped before it came here."""
    for hole in taken.holes:
        log.error("gate %s has dropped rows %d to %d", gate.name, hole.first, hole.seq)
        body = {"gate": gate.uid, "name": gate.name, **asdict(hole), "severity": "alarm"}
        change.append(Entry(change.at, DROPPED, body))


def _tell(change: Change, gate: GateRow, batch: Batch, taken: IngestResult) -> None:
    """Journal what is wrong with a batch, as an alarm."""
    found = Counter(flaw.reason for flaw in taken.flaws)
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
    change.append(Entry(change.at, "sync_alarm", body))


class _KeyUnknown(Exception):
    """A chain begins under a key to which the gate's key has not agreed."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _require_own(gate: GateRow, batch: Batch) -> None:
    device, _, epoch = batch.chain.rpartition("/")
    if device != gate.device or not epoch.isdecimal():
        raise NotAllowed("this is no chain of this gate")


def _require_order(batch: Batch) -> None:
    expected = range(batch.after.seq + 1, batch.after.seq + 1 + len(batch.rows))
    if [row["seq"] for row in batch.rows] != list(expected):
        raise SourceError("the rows must follow `after` and each other")
