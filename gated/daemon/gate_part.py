"""Runs the gate as a part of a process: the one that holds camera and door."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack

from gated.daemon.gate_runtime import GateRuntime, ProcessContext
from gated.daemon.process import Part, Process
from gated.link.card_request import CardRequest
from gated.link.running_gate import MOST_SUBSCRIBERS, FrameTap
from gated.live.health_checks import HealthChecks

log = logging.getLogger(__name__)

SWITCH_S = 0.001
"""The switch interval of the interpreter: with Python's 5 ms the door would wait several times a
frame for requests. Not on a hub: it has no door, and with dozens of threads so many switches cost
more than their work."""


class GatePart(Part):
    """Builds the gate and publishes its health.

    prepare_people: brings the people up to date for a model, and returns then.
    """

    def __init__(self, process: Process, prepare_people: Callable[[str], None]) -> None:
        self._process = process
        self._prepare_people = prepare_people
        # one more for the service, and one for the search for badges
        self.tap = FrameTap(MOST_SUBSCRIBERS + 1 + process.settings.credentials.badges)
        self.cards = CardRequest()
        self.gate: GateRuntime | None = None
        self.runs = False
        """True when the gate handles events; before that they would be handled too late."""
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
        # in a thread: signals are handled while models load and the people are prepared
        await asyncio.to_thread(self.gate.build, stack)
        process.loops += self.gate.loops
        self.runs = True
        self._health = HealthChecks(process.settings.storage.state_dir, process.clock)

    def watch(self) -> None:
        if self.gate is None or self._health is None:
            return
        self.gate.report()
        self.gate.check_strain()
        for condition in self._health.changes():
            self.gate.post(condition)

    def lock(self) -> None:
        if self.gate is not None and self.gate.door is not None:
            self.gate.door.lock()

    @property
    def locked(self) -> bool:
        """True while the door is locked, and where it was never opened; False when unknown."""
        door = self.gate.door if self.gate else None
        try:
            return door is None or not door.unlocked
        except Exception:
            log.exception("the door does not tell whether it is locked")
            return False
