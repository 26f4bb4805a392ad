"""Runs a gate as `gated run` does, with its service as a child, and prints events as JSON lines.

`python -m gated.bench.observed CONFIG`; ends at SIGTERM. Times are monotonic seconds.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from gated.core.messages import Attention, CameraEvent, Decision, Notice, Observation, RecordEvent
from gated.daemon.door_process import DoorProcess
from gated.daemon.screen import Started
from gated.fleet.gate.config_trial import in_force
from gated.link.running_gate import Analyse, FrameTap
from gated.ports import Frame


class NotingTap(FrameTap):
    """Records which frames were usable, and their age when they were analysed."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0
        self.began = time.monotonic()
        self.usable: dict[int, list[float]] = defaultdict(list)
        self.took_ms: list[float] = []

    def tapped(self, analyse: Analyse) -> Analyse:
        shown = super().tapped(analyse)

        def noted(frame: Frame, attention: Attention) -> Observation:
            seen = shown(frame, attention)
            self.frames += 1
            for face in seen.faces:
                if face.embedding is not None:
                    self.usable[face.track_id].append(frame.captured_at)
                    self.took_ms.append((time.monotonic() - frame.captured_at) * 1e3)
            return seen

        return noted


class JsonScreen:
    """A `Screen` that writes to standard output."""

    def __init__(self, tap: NotingTap) -> None:
        self._tap = tap

    def ready(self, started: Started) -> None:
        emit(kind="ready", address=started.address)

    def decision(self, decision: Decision, edge: float | None) -> None:
        took, self._tap.took_ms = self._tap.took_ms, []
        emit(
            kind="decision",
            granted=decision.granted,
            person=decision.person and decision.person.personnel_code,
            captured=decision.captured_at,
            decided=decision.at.mono,
            edge=edge,
            usable=self._tap.usable.get(decision.track_id or 0, [])[:8],
            took_ms=took,
        )

    def notice(self, notice: Notice) -> None: ...

    def event(self, event: RecordEvent) -> None: ...

    def camera(self, event: CameraEvent) -> None: ...

    def renewing(self, done: int, total: int) -> None: ...

    def stopped(self, door_locked: bool) -> None:
        seconds = time.monotonic() - self._tap.began
        emit(kind="stopped", frames=self._tap.frames, seconds=seconds)


def emit(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def main() -> int:
    """Run until SIGTERM."""
    gc.disable()  # as `gated run` does
    tap = NotingTap()
    origin = in_force(Path(sys.argv[1]))
    process = DoorProcess(origin.settings, JsonScreen(tap), origin, log_level="error")
    process.gate_part.tap = tap
    return asyncio.run(process.run())


if __name__ == "__main__":
    sys.exit(main())
