"""The gate as a part of a process: the one that holds camera and door."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack

from gated.daemon.gate_runtime import GateRuntime, ProcessContext
from gated.daemon.process import Duty, Process
from gated.link.card_desk import CardDesk
from gated.link.running_gate import LOOKERS, FrameTap
from gated.live.health_checks import HealthChecks

SWITCH_S = 0.001
"""How long one thread may keep the others from the interpreter: Python's 5 ms, several times a
frame, would make the door wait for whoever lists persons. A hub has no door, and dozens of threads
that ask so often take more of the processor than their work."""


class GatePart:
    """Builds the gate and publishes how it is.

    prepare_people: returns when the people are up to date for a model.
    """

    def __init__(self, process: Process, prepare_people: Callable[[str], None]) -> None:
        self._process = process
        self._prepare_people = prepare_people
        # neither the search for badges nor the service must cost anybody a place
        self.tap = FrameTap(LOOKERS + 1 + process.settings.credentials.badges)
        self.cards = CardDesk()
        self.gate: GateRuntime | None = None
        self.runs = False
        """Whether the gate takes events; until then they would be done later than was meant."""
        self._health: HealthChecks | None = None

    def prepare(self) -> None:
        sys.setswitchinterval(SWITCH_S)

    async def build(self, stack: ExitStack) -> None:
        process = self._process
        self.gate = GateRuntime(
            ProcessContext(
                process.settings,
                process.workspace,
                process.clock,
                process.board,
                self.tap,
                process.screen,
                process.show,
                process.crash,
                process.stopping,
                self.cards,
                self._prepare_people,
            )
        )
        # in a thread: signals are heard while models load and the people are prepared
        await asyncio.to_thread(self.gate.build, stack)
        process.loops += self.gate.loops
        self.runs = True
        self._health = HealthChecks(process.settings.storage.state_dir, process.clock)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    def duties(self) -> Sequence[Duty]:
        return ()

    def watch(self) -> None:
        if self.gate is None or self._health is None:
            return
        self.gate.report()
        self.gate.look_at_strain()
        for condition in self._health.changes():
            self.gate.post(condition)

    def lock(self) -> None:
        if self.gate is not None and self.gate.door is not None:
            self.gate.door.lock()

    @property
    def locked(self) -> bool:
        """True while the door is locked, and where it was never opened."""
        door = self.gate.door if self.gate else None
        return door is None or not door.unlocked
