"""The status board of a service process: the door's status, and what the service adds.

The door's board is the authoritative one. Findings of the service (the connection to its hub, the
check of the journal) are shown here at once and sent to the door in a report, so that a trial of
new settings sees the troubles of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from gated.core.messages import Notice
from gated.errors import GateUnavailable
from gated.link import messages as m
from gated.link.status_board import DecisionView, GateStatus, RecentEvent, StatusBoard

GATE_UNAVAILABLE = GateUnavailable.code
"""The problem of a service whose door process is away."""

AWAY = "the process that holds camera and door does not answer; it is started again by itself"

SERVICE_OWN = ("hub", "presence", "journal_problem")
"""Fields of the status that only the service publishes."""


class RemoteBoard(StatusBoard):
    """Holds the last status of the door process; `on_change` is called when a report is due."""

    def __init__(self, role: str = "gate") -> None:
        super().__init__()
        self.on_change: Callable[[], None] = lambda: None
        self._role = role
        self._there = False
        self._received: dict[str, Any] = {}
        self._own: dict[str, Any] = {}
        self._own_troubles: dict[str, str] = {}
        self._own_gauges: dict[str, int] = {}
        self._away()

    # --- what the service publishes -----------------------------------------------------------

    def publish(self, **changes: Any) -> None:
        super().publish(**changes)
        with self._lock:
            self._own.update(changes)
        self.on_change()

    def trouble(self, name: str, says: str | None) -> None:
        with self._lock:
            if self._own_troubles.get(name) == says:
                return
            if says is None:
                del self._own_troubles[name]
            else:
                self._own_troubles[name] = says
            self._merge()
        self.on_change()

    def gauge(self, **values: int) -> None:
        super().gauge(**values)
        with self._lock:
            self._own_gauges.update(values)

    def report(self) -> tuple[Mapping[str, Any], Mapping[str, str], Mapping[str, int]]:
        """Return what this process has published: fields, troubles, gauges."""
        with self._lock:
            return dict(self._own), dict(self._own_troubles), dict(self._own_gauges)

    # --- what the door publishes --------------------------------------------------------------

    @property
    def there(self) -> bool:
        """True while the door process is connected."""
        return self._there

    def require(self) -> None:
        """Raises: GateUnavailable while the door process is away."""
        if not self._there:
            raise GateUnavailable(AWAY)

    def welcome(self, welcome: m.Welcome) -> None:
        """Take the first message of a connection; subscribers receive the events that they
        missed."""
        with self._lock:
            same = welcome.started_at == self._status.started_at
            if not same:
                self._number = 0
                self._decisions.clear()
                self._recent.clear()
            self._status = replace(self._status, started_at=welcome.started_at)
            self._there = True
            self._merge()
            known = self._number
        if not same:
            self._begin(welcome)
            return
        for view in welcome.recent:
            if view.number > known:
                self.add(view)

    def _begin(self, welcome: m.Welcome) -> None:
        with self._lock:
            self._decisions.extendleft(welcome.decisions)
            self._recent.extendleft(welcome.recent)
            self._number = max((view.number for view in welcome.recent), default=0)

    def status(self, fields: Mapping[str, Any]) -> None:
        """Take the door's status; fields that this version does not know are left out."""
        known = GateStatus.__dataclass_fields__
        with self._lock:
            self._received = {k: v for k, v in fields.items() if k in known}
            self._merge()

    def add(self, item: RecentEvent | Notice) -> None:
        """Take a decision, event or notice of the door; duplicates are dropped."""
        if isinstance(item, Notice):
            self.add_notice(item)
            return
        with self._lock:
            if item.number <= self._number:
                return
            self._number = item.number
            if isinstance(item, DecisionView):
                self._decisions.appendleft(item)
        self._deliver(item)

    def away(self) -> None:
        """Take note that the door process is gone or silent."""
        with self._lock:
            self._there = False
            self._away()

    # --- inside -------------------------------------------------------------------------------

    def _away(self) -> None:
        """Clear the door's status: it may be outdated. The last decisions stay, as they are
        facts."""
        self._received = {"role": self._role, "troubles": {GATE_UNAVAILABLE: AWAY}}
        self._merge()

    def _merge(self) -> None:
        received = dict(self._received)
        troubles = {**received.pop("troubles", {}), **self._own_troubles}
        counters = received.pop("counters", {})
        own = {name: self._own[name] for name in SERVICE_OWN if name in self._own}
        fresh = GateStatus(self._status.started_at)
        self._status = replace(fresh, **received | own, troubles=MappingProxyType(troubles))
        self._counters.clear()
        self._counters.update({**counters, **self._own_gauges})
        self._version += 1
