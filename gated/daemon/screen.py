"""Where a running gate shows what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gated.core.model import CameraEvent, Decision, Notice

if TYPE_CHECKING:
    from gated.daemon.process import Daemon


class Screen(Protocol):
    """Shows what happens; called in the main thread."""

    def ready(self, daemon: Daemon) -> None: ...
    def decision(self, decision: Decision, edge: float | None) -> None: ...
    def notice(self, notice: Notice) -> None: ...
    def camera(self, event: CameraEvent) -> None: ...
    def renewing(self, done: int, total: int) -> None: ...
    def stopped(self, door_locked: bool) -> None: ...
