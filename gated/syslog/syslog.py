"""Delivers events to the collector of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from gated.config import EventType, SyslogSettings
from gated.delivery.deliveries import Deliveries, Delivery, Event
from gated.delivery.events import People
from gated.link.status_board import StatusBoard
from gated.ports import Clock
from gated.syslog.messages import framed
from gated.syslog.sending import SyslogFailed, hand_over
from gated.workspace import Service, Workspace

FAILING = "syslog_failing"
"""Problem that `/health` names."""
AT_ONCE = 200
LONGEST_PAUSE_S = 60.0


class _Collector:
    """The collector as a subscriber of the stream."""

    key = "syslog"
    label = "syslog"
    at_once = AT_ONCE
    longest_pause_s = LONGEST_PAUSE_S

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings
        self.events: Collection[EventType] = settings.events
        self.person: People = settings.person

    def send(self, events: Sequence[Event]) -> Delivery:
        """Send events in one connection, which the collector ends when it has read them."""
        settings = self._settings
        frames = b"".join(framed(event, settings.format, settings.facility) for event in events)
        try:
            hand_over(settings, frames)
        except SyslogFailed as error:
            return Delivery("failed", says=str(error))
        return Delivery("delivered")


class Syslog(Service):
    """The collector of one configuration; one thread at a time serves it."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        settings = workspace.settings.syslog
        self._deliveries = Deliveries(workspace, clock, settings.keep_days)
        self._collector = _Collector(settings)

    def begin(self) -> None:
        """Start a new collector at the end of the journal. Raises: StorageError."""
        self._deliveries.begin([self._collector])

    def deliver(self, should_continue: Callable[[], bool] = lambda: True) -> int:
        """Deliver new events; return how many the collector took. Raises: StorageError."""
        return self._deliveries.deliver(self._collector, should_continue)

    def view(self) -> dict[str, Any]:
        """Return the state of the collector: counts, rows not delivered yet, the last tries."""
        return self._deliveries.view(self._collector.key)

    def publish(self, board: StatusBoard) -> None:
        """Report a collector that has been failing for some minutes on `/health`."""
        failing = self._deliveries.failing()
        board.trouble(FAILING, failing[0] if failing else None)
