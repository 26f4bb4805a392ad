"""The published state of the gate: the runtime writes it, the API reads snapshots of it.

Any thread may publish, count and read; a lock is held for the copying of a few values only.
Subscribers subscribe first, then read the snapshot, then drop duplicates by their number.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from gated.core.gallery import Gallery
from gated.core.messages import Decision, Notice, RecordEvent
from gated.core.values import PersonRef, Severity

KEPT_DECISIONS = 50

Listener = Callable[["DecisionView | EventView | Notice"], None]

MISSING_MODELS = "liveness_models_missing"
"""The problem of a gate that refuses every face, because the models of liveness are missing."""


ERASURE_PENDING = "erasure_pending"
"""The problem of a program whose database still has what was erased in its log of changes."""


def erasure_pending(since: datetime) -> str:
    """Return a sentence: since when an erasure is pending, and what to do."""
    return (
        f"since {since:%Y-%m-%d %H:%M} UTC erased data is left in the database's log of changes: "
        "somebody reads an older state. End a backup or sqlite3 that hangs; then it goes by itself"
    )


ROOM_PROBLEMS = {"dropping": "log_dropping", "full": "disk_full"}


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One decision for display. Times in milliseconds since the first sight of the face."""

    at: datetime
    outcome: str
    reason: str
    person: PersonRef | None
    confidence: float
    direction: str
    method: str
    frames: int
    pad: float | None
    visit: int
    flags: tuple[str, ...]
    decided_after_ms: float | None
    relay_after_ms: float | None
    frame_to_decision_ms: float | None = None
    """From the capture of the frame that decided."""
    rule: str = ""
    """The rule that refused it."""
    released: bool = True
    """The relay moved for it."""
    number: int = 0
    """Counts from 1 at the start of the program."""


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of the door, the camera or the machine for display."""

    at: datetime
    kind: str
    severity: Severity
    detail: Mapping[str, Any]
    number: int = 0
    """Counted together with the decisions."""


RecentEvent = DecisionView | EventView


@dataclass(frozen=True, slots=True)
class GateStatus:
    """The gate's state at one moment; None where nothing was published yet."""

    started_at: datetime
    role: str = "gate"
    camera: str | None = None
    camera_hint: str | None = None
    """A setting that is probably wrong, with its better value, such as `rotate: 180?`."""
    door: str | None = None
    journal: str | None = None
    journal_problem: str = ""
    """The first thing that is wrong with the journal; empty while it is whole."""
    room: str | None = None
    """On the disk, for the log: enough, dropping or full."""
    liveness: str | None = None
    model: str | None = None
    awaits: str | None = None
    """The model for which the service is preparing the people while the gate waits to open; None
    when it does not wait."""
    pad_model: str | None = None
    people: int = 0
    templates: int = 0
    threshold: float | None = None
    fmr: float | None = None
    """False match rate of one comparison at the threshold."""
    fpir: float | None = None
    """False positive identification rate: expected share of strangers' visits that match
    somebody."""
    stranger_visits_per_year: float | None = None
    wrong_openings_per_year: float | None = None
    """The expectation from `fpir` and the visits of strangers; None while the log is too short."""
    gallery_stamp: str | None = None
    gallery: Gallery | None = None
    """The gallery that faces are compared with; None in a process without one."""
    gallery_digest: str | None = None
    """The digest of the gallery, where another process holds it."""
    rule_conflict: str = ""
    """Why the gate cannot apply a rule of its hub; empty when it can apply all."""
    decisions: tuple[DecisionView, ...] = ()
    """Newest first."""
    recent: tuple[RecentEvent, ...] = ()
    """The last decisions and events, newest first."""
    door_state: str | None = None
    door_mode: str | None = None
    door_mode_until: str | None = None
    """When the mode ends by itself, as RFC 3339; None: when somebody sets another one."""
    idle: bool = True
    """Nobody is before the camera."""
    hub_settings: Mapping[str, Any] | None = None
    """The state of the settings from the hub; see `fleet.gate.config_trial`."""
    pages_settings: Mapping[str, Any] | None = None
    """The same of the settings from the pages of this gate."""
    alarms: Mapping[str, Severity] = field(default_factory=lambda: MappingProxyType({}))
    """Kind -> severity of alarms that are not acknowledged."""
    counters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    presence: str | None = None
    """Whether the other gates of the site are `heard` or `unheard`; None where nobody asks."""
    clock: str | None = None
    """trusted, doubtful or unset."""
    clock_doubt: str = ""
    """Why it is not trusted."""
    clock_reason: str = ""
    """The name of that, of `gated.core.clock.Doubt`."""
    clock_off_s: float = 0.0
    """How far it is off, where that is known."""
    clock_problem: str = ""

    troubles: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Problem -> what fails and since when; set by `StatusBoard.trouble`."""

    hub: Mapping[str, Any] | None = None
    """The state of the connection to the hub: see `live.hub_contact`; None without a hub."""

    @property
    def digest_of_gallery(self) -> str | None:
        """The digest of the gallery that faces are compared with; None without one."""
        return self.gallery_digest if self.gallery is None else _digest(self.gallery)

    @property
    def door_fails(self) -> bool:
        """True while relay or inputs fail, and until somebody has acknowledged that they did."""
        failing = self.troubles.keys() & {"door_fault", "relay_lost"}
        return bool(failing) or "door_fault" in self.alarms

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems that keep the gate from doing its work; empty when it is healthy."""
        found = []
        if self.camera in {"lost", "frozen", "looped", "covered", "turned"}:
            found.append(f"camera_{self.camera}")
        if "door_fault" in self.alarms:
            found.append("door_fault")
        if self.journal == "unavailable":
            found.append("log_unavailable")
        if self.room in ROOM_PROBLEMS:
            found.append(ROOM_PROBLEMS[self.room])
        if self.liveness not in {None, "off"} and self.model is not None and self.pad_model is None:
            found.append(MISSING_MODELS)
        if self.journal_problem:
            found.append("journal_broken")
        if self.rule_conflict:
            found.append("rule_misfit")
        if self.presence == "unheard":
            found.append("presence_unheard")
        if self.clock_problem:
            found.append(self.clock_problem)
        found += [name for name in self.troubles if name not in found]
        return tuple(found)


@lru_cache(maxsize=1)
def _digest(gallery: Gallery) -> str:
    """Return the digest, computed once for each gallery: a large one takes long for the door
    path."""
    return gallery.digest()


class StatusBoard:
    """Holds the newest GateStatus; delivers decisions, events and notices to subscribers."""

    def __init__(self, kept: int = KEPT_DECISIONS) -> None:
        self._lock = threading.Lock()
        self._status = GateStatus(datetime.now(UTC))
        self._decisions: deque[DecisionView] = deque(maxlen=kept)
        self._recent: deque[RecentEvent] = deque(maxlen=kept)
        self._counters: Counter[str] = Counter()
        self._subscribers: dict[object, Listener] = {}
        self._watching: set[object] = set()
        self._number = 0
        self._version = 0

    @property
    def version(self) -> int:
        """Counts the changes of the status, but for counters."""
        with self._lock:
            return self._version

    @property
    def started_at(self) -> datetime:
        """The start of this run of the gate; numbers of events count within it."""
        with self._lock:
            return self._status.started_at

    def publish(self, **changes: Any) -> None:
        """Replace fields of the status; TypeError for one that it does not have."""
        with self._lock:
            self._status = replace(self._status, **changes)
            self._version += 1

    def trouble(self, name: str, says: str | None) -> None:
        """Publish a problem by name. says: what fails, in a sentence; None when it is over."""
        with self._lock:
            troubles = {k: v for k, v in self._status.troubles.items() if k != name}
            if says is not None:
                troubles[name] = says
            self._status = replace(self._status, troubles=MappingProxyType(troubles))
            self._version += 1

    def add_decision(self, decision: DecisionView) -> DecisionView:
        """Number a decision, keep it among the last ones and hand it to the subscribers."""
        with self._lock:
            self._number += 1
            numbered = replace(decision, number=self._number)
            self._decisions.appendleft(numbered)
            self._counters[f"decisions.{numbered.outcome}"] += 1
        self._deliver(numbered)
        return numbered

    def add_event(self, event: EventView) -> EventView:
        """Number an event, keep it among the last ones and hand it to the subscribers."""
        with self._lock:
            self._number += 1
            numbered = replace(event, number=self._number)
            self._counters[f"events.{numbered.severity}"] += 1
        self._deliver(numbered)
        return numbered

    def _deliver(self, item: RecentEvent) -> None:
        with self._lock:
            self._recent.appendleft(item)
            subscribers = tuple(self._subscribers.values())
        for deliver in subscribers:
            deliver(item)

    def add_notice(self, notice: Notice) -> None:
        """Hand a notice for the person at the gate to the subscribers; it is not kept."""
        with self._lock:
            subscribers = tuple(self._subscribers.values())
        for deliver in subscribers:
            deliver(notice)

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counters[name] += n

    def gauge(self, **values: int) -> None:
        """Set counters to values that are counted elsewhere."""
        with self._lock:
            self._counters.update({name: n - self._counters[name] for name, n in values.items()})

    @property
    def listening(self) -> int:
        """The number of subscribers in event loops, without those of the program itself."""
        with self._lock:
            return len(self._watching)

    def snapshot(self) -> GateStatus:
        """Return the status as it is now; the value never changes."""
        with self._lock:
            return replace(
                self._status,
                decisions=tuple(self._decisions),
                recent=tuple(self._recent),
                counters=MappingProxyType(dict(self._counters)),
            )

    def subscribe(self, loop: asyncio.AbstractEventLoop, callback: Listener) -> Callable[[], None]:
        """Call back in `loop` for every new item; return a function that unsubscribes."""

        def deliver(item: RecentEvent | Notice) -> None:
            with suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(callback, item)

        return self.listen(deliver, watches=True)

    def listen(self, deliver: Listener, *, watches: bool = False) -> Callable[[], None]:
        """Call back for every new item, in the publishing thread; return a function that
        unsubscribes.

        deliver: must return at once. watches: counts in `listening`.
        """
        key = object()

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers.pop(key, None)
                self._watching.discard(key)

        with self._lock:
            self._subscribers[key] = deliver
            if watches:
                self._watching.add(key)
        return unsubscribe


def event_view(event: RecordEvent) -> EventView:
    """Return an event for display."""
    at = datetime.fromtimestamp(event.at.utc, UTC)
    return EventView(at, event.kind, event.severity, dict(event.body))


def view_of(decision: Decision, edge: float | None) -> DecisionView:
    """Return a decision for display. edge: monotonic time at which the relay moved, None if not."""

    def since(begin: float | None, moment: float | None) -> float | None:
        if moment is None or begin is None:
            return None
        return round((moment - begin) * 1000, 1)

    return DecisionView(
        at=datetime.fromtimestamp(decision.at.utc, UTC),
        outcome=decision.outcome.value,
        reason=decision.reason.value,
        person=decision.person,
        confidence=decision.confidence,
        direction=decision.direction.value,
        method=decision.method.value,
        rule=decision.rule,
        released=edge is not None,
        frames=decision.frames,
        pad=decision.pad,
        visit=decision.visit,
        flags=decision.flags,
        decided_after_ms=since(decision.first_seen, decision.at.mono),
        relay_after_ms=since(decision.first_seen, edge),
        frame_to_decision_ms=since(decision.captured_at, decision.at.mono),
    )
