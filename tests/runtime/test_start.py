"""What is changed while a gate starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gated.access import site_store
from gated.bench.observed import JsonScreen, NotingTap
from gated.config import CameraSettings, LivenessSettings, Settings, StorageSettings
from gated.daemon.gate_runtime import GateRuntime, ProcessContext
from gated.database import site_zones, stored_settings
from gated.devices.clock import SystemClock
from gated.link.card_request import CardRequest
from gated.link.status_board import StatusBoard
from gated.workspace import Workspace
from tests.assets import require_assets
from tests.workspaces import open_workspace


class EventfulBoard(StatusBoard):
    """Somebody does something as soon as a gate that starts has read the rules."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self._then: Callable[[], None] | None = then

    def publish(self, **changes: Any) -> None:
        super().publish(**changes)
        if "rule_conflict" in changes and self._then is not None:
            then, self._then = self._then, None
            then()


def refuse_second_entries(workspace: Workspace) -> None:
    """What a hub may send, and a gate cannot keep that takes every second passage for an exit."""
    with workspace.database.write() as session:
        site_store.set_rules(session, site_zones.ALL, {"anti_passback": "hard"})
        stored_settings.touch_rules(session)


def test_rules_that_change_while_a_gate_starts_are_not_overlooked(tmp_path: Path) -> None:
    require_assets("default", "demo")
    settings = Settings(
        storage=StorageSettings(state_dir=tmp_path),
        camera=CameraSettings(driver="replay", source="demo"),
        liveness=LivenessSettings(level="off"),
    )
    with open_workspace(settings) as workspace, ExitStack() as stack:
        board = EventfulBoard(lambda: refuse_second_entries(workspace))
        tap = NotingTap()
        crashed: list[str] = []
        gate = GateRuntime(
            ProcessContext(
                settings, workspace, SystemClock(), board, tap, JsonScreen(tap),
                lambda *_: None, lambda name, _: crashed.append(name), lambda: False,
                CardRequest(), lambda _: None,
            )
        )  # fmt: skip
        gate.build(stack)
        until = time.monotonic() + 10
        while not board.snapshot().rule_conflict and time.monotonic() < until:
            time.sleep(0.01)
        assert "anti-passback hard" in (board.snapshot().rule_conflict or "")
        assert not crashed
