"""Declares the screen, on which a running gate shows what happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gated.core.messages import CameraEvent, Decision, Notice, RecordEvent
from gated.link.status_board import GateStatus


@dataclass(frozen=True, slots=True)
class Started:
    """A gate or hub that has started. address: of the API, None without one."""

    status: GateStatus
    address: str | None
    setup_code: str | None
    """Makes the first administrator; None once there is one."""


class Screen(Protocol):
    """Shows what happens; called in the main thread."""

    def ready(self, started: Started) -> None: ...
    def decision(self, decision: Decision, edge: float | None) -> None: ...
    def notice(self, notice: Notice) -> None: ...
    def event(self, event: RecordEvent) -> None: ...
    def camera(self, event: CameraEvent) -> None: ...
    def renewing(self, done: int, total: int) -> None: ...
    def stopped(self, door_locked: bool) -> None: ...
