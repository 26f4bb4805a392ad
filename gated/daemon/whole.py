"""Runs a gate or hub in one process: a hub always, a gate in tests and measurements."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from gated.daemon.gate_part import GatePart
from gated.daemon.preparation import prepare_people
from gated.daemon.process import Process
from gated.daemon.service_part import ServicePart
from gated.link.running_gate import RunningGate
from gated.runtime import watchdog


@dataclass
class Daemon(Process):
    """One process with all parts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        gate = self.settings.gate.role == "gate"
        self.gate_part = GatePart(self, self._prepare_people) if gate else None
        self.parts = [self.gate_part] if self.gate_part else []
        self.parts.append(ServicePart(self, self._running_gate, self._many_changes))

    def _running_gate(self) -> RunningGate | None:
        gate = self.gate_part.gate if self.gate_part else None
        return gate.live if gate else None

    def _many_changes(self) -> threading.Event:
        gate = self.gate_part.gate if self.gate_part else None
        return gate.many_changes if gate else threading.Event()

    def _prepare_people(self, model: str) -> None:
        def should_continue() -> bool:
            watchdog.notify("EXTEND_TIMEOUT_USEC=60000000")
            return not self.stopping()

        def report(done: int, total: int) -> None:
            self.show(self.screen.renewing, done, total)

        prepare_people(self.workspace, self.clock, model, should_continue, report)

    def door_locked(self) -> bool:
        return self.gate_part is None or self.gate_part.locked
