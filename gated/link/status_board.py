"""The gate as others see it: a snapshot that the runtime publishes and the API reads.

Any thread may publish, count and read; nobody waits for more than the copying of a few values.
Subscribers subscribe first, then read the snapshot, then drop what they have seen by its number.
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

Told = Callable[["DecisionView | EventView | Notice"], None]

MISSING_MODELS = "liveness_models_missing"
"""The problem of a gate that lets nobody in by face, because it cannot tell who is alive."""


ERASURE_PENDING = "erasure_pending"
"""The problem of a program whose database still has what was erased in its log of changes."""


def erasure_pending(since: datetime) -> str:
    """Explain to people since when an erasure is pending, and what to do."""
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
    """The rule that is against it."""
    number: int = 0
    """Runs from 1 since the start of the program."""


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
    """What its settings should probably be, such as `rotate: 180?`."""
    door: str | None = None
    journal: str | None = None
    journal_problem: str = ""
    """The first thing that is wrong with the journal; empty while it is whole."""
    room: str | None = None
    """On the disk, for the log: enough, dropping or full."""
    liveness: str | None = None
    model: str | None = None
    awaits: str | None = None
    """The model for which the gate waits, before it opens, until its service has prepared the
    people; None when it does not wait."""
    pad_model: str | None = None
    people: int = 0
    templates: int = 0
    threshold: float | None = None
    fmr: float | None = None
    """False match rate of one comparison at the threshold."""
    fpir: float | None = None
    """Expected share of strangers' visits that end as somebody's."""
    stranger_visits_per_year: float | None = None
    wrong_openings_per_year: float | None = None
    """What the two make together; None while the log is too young to tell."""
    gallery_stamp: str | None = None
    gallery: Gallery | None = None
    """The one that faces are held against; None in a process that holds none."""
    gallery_digest: str | None = None
    """Of the gallery, where another process holds it."""
    misfit: str = ""
    """Why the gate cannot keep a rule that it was given; empty when it can keep all."""
    decisions: tuple[DecisionView, ...] = ()
    """Newest first."""
    happenings: tuple[RecentEvent, ...] = ()
    """The last decisions and events, newest first."""
    door_state: str | None = None
    door_mode: str | None = None
    idle: bool = True
    """Nobody is before the camera."""
    hub_settings: Mapping[str, Any] | None = None
    """How far the settings are that the hub gave; see `fleet.gate.config_trial`."""
    pages_settings: Mapping[str, Any] | None = None
    """The same of those that were set on the pages of this gate."""
    alarms: Mapping[str, Severity] = field(default_factory=lambda: MappingProxyType({}))
    """Kind -> severity of those that nobody has acknowledged."""
    counters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    presence: str | None = None
    """Whether the other gates of the site are `heard` or `unheard`; None where nobody asks."""
    clock: str | None = None
    """trusted, doubtful or unset."""
    clock_doubt: str = ""
    """Why it is not trusted."""
    clock_problem: str = ""

    troubles: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Problem -> what fails and since when, of those that somebody publishes by name."""

    hub: Mapping[str, Any] | None = None
    """How this gate stands with its hub: see `services.sync.contact`; None: it has none."""

    @property
    def digest_of_gallery(self) -> str | None:
        """Names what faces are held against; None where there is nothing."""
        return self.gallery_digest if self.gallery is None else _digest(self.gallery)

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems that keep the gate from doing its work; empty when it is healthy."""
        found = []
        if self.camera in {"lost", "frozen", "looped"}:
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
        if self.misfit:
            found.append("rule_misfit")
        if self.presence == "unheard":
            found.append("presence_unheard")
        if self.clock_problem:
            found.append(self.clock_problem)
        found += [name for name in self.troubles if name not in found]
        return tuple(found)


@lru_cache(maxsize=1)
def _digest(gallery: Gallery) -> str:
    """Once for each gallery: of a large one it takes a moment that the door's way must not wait."""
    return gallery.digest()


class StatusBoard:
    """Holds the newest GateStatus; tells subscribers of decisions and notices."""

    def __init__(self, kept: int = KEPT_DECISIONS) -> None:
        self._lock = threading.Lock()
        self._status = GateStatus(datetime.now(UTC))
        self._decisions: deque[DecisionView] = deque(maxlen=kept)
        self._happenings: deque[RecentEvent] = deque(maxlen=kept)
        self._counters: Counter[str] = Counter()
        self._subscribers: dict[object, Told] = {}
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
        """Publish that something is wrong, in a sentence; None: it is over."""
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
        self._tell(numbered)
        return numbered

    def add_event(self, event: EventView) -> EventView:
        """Number an event, keep it among the last ones and hand it to the subscribers."""
        with self._lock:
            self._number += 1
            numbered = replace(event, number=self._number)
            self._counters[f"events.{numbered.severity}"] += 1
        self._tell(numbered)
        return numbered

    def _tell(self, happening: RecentEvent) -> None:
        with self._lock:
            self._happenings.appendleft(happening)
            subscribers = tuple(self._subscribers.values())
        for deliver in subscribers:
            deliver(happening)

    def tell(self, notice: Notice) -> None:
        """Hand to the subscribers what the person at the gate is told now; it is not kept."""
        with self._lock:
            subscribers = tuple(self._subscribers.values())
        for deliver in subscribers:
            deliver(notice)

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counters[name] += n

    def gauge(self, **values: int) -> None:
        """Set counters that somebody else counts."""
        with self._lock:
            self._counters.update({name: n - self._counters[name] for name, n in values.items()})

    @property
    def listening(self) -> int:
        """The number of subscribers in event loops; those of the program itself do not count."""
        with self._lock:
            return len(self._watching)

    def snapshot(self) -> GateStatus:
        """The status as it is now; never changes afterwards."""
        with self._lock:
            return replace(
                self._status,
                decisions=tuple(self._decisions),
                happenings=tuple(self._happenings),
                counters=MappingProxyType(dict(self._counters)),
            )

    def subscribe(self, loop: asyncio.AbstractEventLoop, callback: Told) -> Callable[[], None]:
        """Call back in `loop` for all that happens from now on; returns what ends that."""

        def deliver(told: RecentEvent | Notice) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody is there to hear it
                loop.call_soon_threadsafe(callback, told)

        return self.listen(deliver, watches=True)

    def listen(self, deliver: Told, *, watches: bool = False) -> Callable[[], None]:
        """Call back for all that happens from now on, in the thread in which it does.

        Return what ends that. deliver: must return at once. watches: counts in `listening`.
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
    """An event for display."""
    at = datetime.fromtimestamp(event.at.utc, UTC)
    return EventView(at, event.kind, event.severity, dict(event.body))


def view_of(decision: Decision, edge: float | None) -> DecisionView:
    """A decision for display; `edge` is the monotonic time at which the relay moved."""

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
        frames=decision.frames,
        pad=decision.pad,
        visit=decision.visit,
        flags=decision.flags,
        decided_after_ms=since(decision.first_seen, decision.at.mono),
        relay_after_ms=since(decision.first_seen, edge),
        frame_to_decision_ms=since(decision.captured_at, decision.at.mono),
    )
