"""Delivers events to subscribers: in order, at least once, for days.

Each subscriber has its own position in the journal, stored in the database: events that occur while
it is offline are delivered when it is back. A delivered event moves the position on. A failed one
is tried again with growing pauses. Events that it refuses `REFUSALS` times, or that are older than
`keep_days`, are skipped and counted. The journal is the only queue.
"""

from __future__ import annotations

import logging
import random
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sqlalchemy.orm import Session

from gated.config import EventType
from gated.core.chain import microseconds
from gated.core.values import moment
from gated.delivery import stream_store
from gated.delivery.events import People, event_of
from gated.delivery.stream_store import Point, StreamRow
from gated.people.zones import zone_here
from gated.ports import Clock
from gated.workspace import Service, Workspace

log = logging.getLogger(__name__)

FAILING_AFTER_S = 300.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 1800.0
REFUSALS = 10
LOGGED = 20
MOST_UNSAVED = 100
"""The position is stored after so many rows without an event; a restart reads fewer than these
again."""
LEASE_S = 60.0
"""Seconds: only one of several processes on a database delivers to a subscriber, until its lease
ends."""
DAY_US = 86_400 * 1_000_000

Result = Literal["delivered", "failed", "refused", "expired"]
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of a try. status: of HTTP, 0 without one. says: why it failed, one sentence."""

    result: Result
    status: int = 0
    says: str = ""


class Subscriber(Protocol):
    """A partner as the stream sees it. `send` is called by one thread at a time."""

    @property
    def key(self) -> str:
        """The key of its position in the database; it never changes."""

    @property
    def label(self) -> str:
        """Its name in logs and on `/health`."""

    @property
    def events(self) -> Collection[EventType]:
        """The types of events that it receives."""

    @property
    def person(self) -> People: ...

    @property
    def at_once(self) -> int:
        """The most events of one batch, which succeed or fail together."""

    @property
    def longest_pause_s(self) -> float: ...

    def send(self, events: Sequence[Event]) -> Delivery:
        """Send events, once; raise nothing."""


@dataclass(slots=True)
class _Pace:
    """The pace of tries at a subscriber, on the monotonic clock."""

    pause_s: float = FIRST_PAUSE_S
    due: float = 0.0
    failing_since: float | None = None
    refusals: int = 0
    says: str = ""
    seen: object = None
    """The version of the database that was looked through."""

    def failed(self, now: float, says: str, longest_s: float) -> None:
        """Wait twice as long as last time, at random so that gates keep apart."""
        self.says = says
        self.failing_since = now if self.failing_since is None else self.failing_since
        self.due = now + random.uniform(0.5, 1.0) * self.pause_s  # noqa: S311 - no secret
        self.pause_s = min(2 * self.pause_s, longest_s)

    def worked(self) -> None:
        """Be quick again."""
        self.due, self.failing_since, self.pause_s = 0.0, None, FIRST_PAUSE_S


@dataclass(slots=True)
class _Position:
    """The position of a subscriber, with what was delivered last."""

    points: dict[str, Point]
    delivered: int = 0
    passed_over: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)
    lease: tuple[str, float] = ("", 0.0)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> _Position:
        """Read what `as_dict` wrote."""
        points = {str(c): (int(p[0]), str(p[1])) for c, p in stored["points"].items()}
        by, until = stored.get("lease", ("", 0.0))
        counts = int(stored.get("delivered", 0)), int(stored.get("passed_over", 0))
        return cls(points, *counts, list(stored.get("log", ())), (str(by), float(until)))

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON stores it."""
        return {
            "points": {chain: list(point) for chain, point in self.points.items()},
            "delivered": self.delivered,
            "passed_over": self.passed_over,
            "log": self.entries[-LOGGED:],
            "lease": list(self.lease),
        }

    def note(self, entry: Mapping[str, Any]) -> None:
        """Keep a try among the last ones; the same failure of the same event counts up."""
        last = self.entries[-1] if self.entries else {}
        same = all(last.get(key) == entry.get(key) for key in ("id", "result", "says"))
        if same:
            self.entries[-1] = {**entry, "tries": last.get("tries", 1) + 1}
        else:
            self.entries = [*self.entries, {**entry, "tries": 1}][-LOGGED:]


@dataclass(frozen=True, slots=True)
class _EventBatch:
    """Events that are sent together, and the subscriber's position after them.

    events: empty for rows of other types. expired: too old to be sent.
    """

    point: Point
    events: Sequence[Event] = ()
    expired: bool = False


class Deliveries(Service):
    """Delivers the journal of a workspace. A subscriber is served by one thread at a time."""

    def __init__(self, workspace: Workspace, clock: Clock, keep_days: int) -> None:
        super().__init__(workspace, clock)
        self._keep_us = keep_days * DAY_US
        self._process = uuid.uuid4().hex
        self._paces: dict[str, tuple[Subscriber, _Pace]] = {}
        self._lock = threading.Lock()
        self._gate = ""

    def begin(self, subscribers: Iterable[Subscriber]) -> None:
        """Store the end of the journal as the position of new subscribers. Raises: StorageError."""
        self._know_gate()
        for subscriber in subscribers:
            self._leased(subscriber.key)

    def deliver(self, to: Subscriber, should_continue: Callable[[], bool] = lambda: True) -> int:
        """Deliver what a subscriber does not have yet; return how many events it took.

        Ends at the first failure; the next call before its pause is over does nothing.
        Raises: StorageError.
        """
        pace = self._pace(to)
        self._know_gate()
        version = self._workspace.database.data_version()
        if version == pace.seen and pace.failing_since is None:
            return 0
        if self._clock.now().mono < pace.due or not self._leased(to.key):
            return 0
        taken, pace.seen = 0, version
        with self._workspace.database.read() as session:
            chains, points = self._chains_in(session), self._position(session, to.key).points
        for chain, keys in chains.items():
            point = points.get(chain, (0, ""))
            while should_continue():
                with self._workspace.database.read() as session:
                    zone = zone_here(self._workspace, session)
                    rows = stream_store.rows_after(session, chain, point, keys)
                if not rows:
                    break
                events = [(row, event_of(row, to.person, zone)) for row in rows]
                for batch in self._batches(to, events):
                    if not should_continue():
                        return taken
                    outcome, ended = self._take(to, pace, chain, batch)
                    taken += len(batch.events) * (outcome == "delivered")
                    if not ended:
                        return taken
                if pace.due > self._clock.now().mono:
                    return taken
                # from memory: the stored position may lie before rows of other types
                point = rows[-1].point
        return taken

    def failing(self) -> list[str]:
        """List the subscribers that have been failing for some minutes, and why."""
        now = self._clock.now().mono
        with self._lock:
            known = sorted(self._paces.items())
        return [
            f"{to.label} ({pace.says})"
            for _, (to, pace) in known
            if pace.failing_since is not None and now - pace.failing_since >= FAILING_AFTER_S
        ]

    def view(self, key: str) -> dict[str, Any]:
        """Return the state of a subscriber: counts, rows not delivered yet, the last tries."""
        self._know_gate()
        with self._workspace.database.read() as session:
            stored = stream_store.read_position(session, key)
            position = _Position.from_dict(stored) if stored else _Position({})
            behind = 0
            for chain in self._chains_in(session) if stored else ():
                seq = position.points.get(chain, (0, ""))[0]
                behind += max(0, stream_store.end_of(session, chain)[0] - seq)
        return {
            "delivered": position.delivered,
            "passed_over": position.passed_over,
            "rows_behind": behind,
            "log": list(reversed(position.entries)),
        }

    # --- batches ------------------------------------------------------------------------------

    def _batches(
        self, to: Subscriber, events: Iterable[tuple[StreamRow, Event]]
    ) -> Iterator[_EventBatch]:
        """Split events into batches; a row of another type goes with the next event."""
        waiting: list[Event] = []
        point = last = (0, "")
        nothing = 0
        for row, event in events:
            if event["type"] not in to.events:
                # its position is stored with the next event's: fewer writes to the SD card
                nothing += 1
                last = row.point
                continue
            expired = self._is_expired(row)
            if waiting and (expired or len(waiting) >= to.at_once):
                yield _EventBatch(point, tuple(waiting))
                waiting.clear()
            if expired:
                yield _EventBatch(row.point, (event,), expired=True)
            else:
                waiting.append(event)
            point, nothing = row.point, 0
        if waiting:
            yield _EventBatch(point, tuple(waiting))
        if nothing >= MOST_UNSAVED:
            yield _EventBatch(last)

    def _is_expired(self, row: StreamRow) -> bool:
        now = self._clock.now()
        oldest = microseconds(moment(now)) - self._keep_us
        return bool(now.sure and row.fields["clock_ok"] and row.fields["at_utc"] < oldest)

    def _take(
        self, to: Subscriber, pace: _Pace, chain: str, batch: _EventBatch
    ) -> tuple[Result, bool]:
        """Send a batch and store the outcome; return it, and whether the position moved past it."""
        if not batch.events:
            self._keep(to.key, chain, batch.point)
            return "expired", True
        outcome = self._try(to, pace, batch)
        ended = outcome.result in ("delivered", "expired") or pace.refusals >= REFUSALS
        self._keep(to.key, chain, batch.point if ended else None, batch.events, outcome)
        if ended:
            pace.refusals = 0
        return outcome.result, ended

    def _try(self, to: Subscriber, pace: _Pace, batch: _EventBatch) -> Delivery:
        if batch.expired:
            return Delivery("expired", says="older than keep_days")
        outcome = to.send(batch.events)
        if outcome.result == "delivered":
            pace.worked()
            return outcome
        pace.refusals = pace.refusals + 1 if outcome.result == "refused" else 0
        if pace.failing_since is None:
            log.warning("%s: %s", to.label, outcome.says)
        pace.failed(self._clock.now().mono, outcome.says, to.longest_pause_s)
        return outcome

    # --- position -----------------------------------------------------------------------------

    def _know_gate(self) -> None:
        """Ask for the uid of the journal before a session is open: asking may create it."""
        self._gate = self._gate or self._workspace.journal.gate_uid()

    def _leased(self, key: str) -> bool:
        """Take the lease of a subscriber; False while another process has it.

        A new subscriber begins at the end of the journal.
        """
        now = self._clock.now().utc
        with self._workspace.database.read() as session:
            stored = stream_store.read_position(session, key)
        if stored is not None:
            if self._workspace.database.sqlite:
                return True  # one process has the state directory
            by, until = _Position.from_dict(stored).lease
            if by == self._process and now < until - LEASE_S / 2:
                return True
            if by not in ("", self._process) and now < until <= now + LEASE_S:
                return False
        with self._workspace.database.write() as session:
            position = self._position(session, key)
            position.lease = (self._process, now + LEASE_S)
            stream_store.keep_position(session, key, position.as_dict())
        return True

    def _position(self, session: Session, key: str) -> _Position:
        stored = stream_store.read_position(session, key)
        if stored is not None:
            return _Position.from_dict(stored)
        known = self._chains_in(session)
        return _Position({chain: stream_store.end_of(session, chain) for chain in known})

    def _keep(
        self,
        key: str,
        chain: str,
        point: Point | None,
        events: Sequence[Event] = (),
        outcome: Delivery | None = None,
    ) -> None:
        """Store a try and the subscriber's position. point: None when the position stays."""
        with self._workspace.database.write() as session:
            position = self._position(session, key)
            if point is not None:
                position.points[chain] = point
            if events and outcome is not None:
                count = len(events)
                position.delivered += count * (outcome.result == "delivered")
                passed = point is not None and outcome.result != "delivered"
                position.passed_over += count * passed
                position.note(self._entry(events[-1], outcome))
            stream_store.keep_position(session, key, position.as_dict())

    def _entry(self, event: Event, outcome: Delivery) -> dict[str, Any]:
        return {
            "id": event["id"],
            "type": event["type"],
            "at": moment(self._clock.now()).isoformat(timespec="seconds"),
            "result": outcome.result,
            "status": outcome.status,
            "says": outcome.says,
        }

    def _chains_in(self, session: Session) -> dict[str, frozenset[str]]:
        return stream_store.chains(session, self._gate, self._workspace.journal.public_key)

    def _pace(self, to: Subscriber) -> _Pace:
        with self._lock:
            return self._paces.setdefault(to.key, (to, _Pace()))[1]
