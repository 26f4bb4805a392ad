"""Runs the door process of a gate: camera, vision, controller, door, journal; without HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

from gated.core.messages import Condition, Event
from gated.daemon.gate_part import GatePart
from gated.daemon.preparation_request import PreparationRequest
from gated.daemon.process import Part, Process
from gated.daemon.service_child import END_S, ServiceChild
from gated.errors import ConfigError, GateUnavailable
from gated.link.loop import end
from gated.link.messages import Report
from gated.link.server import LinkHooks, LinkServer
from gated.runtime.link_loop import LinkLoop

log = logging.getLogger(__name__)

AWAY = "service_away"
"""The problem of a gate whose service does not answer; it decides and opens as usual."""

PATIENCE_S = 60.0
"""Seconds that a service may take to start, or to start again, before that is a problem."""


class LinkPart(Part):
    """The socket of the door process, and the service that it starts as a child."""

    def __init__(self, process: DoorProcess, gate: GatePart) -> None:
        self._process = process
        self._gate = gate
        self.served = asyncio.Event()
        """Set when the service answers requests, or is not started by this process."""
        self.child: ServiceChild | None = None
        self._server: LinkServer | None = None
        self._report: Report | None = None
        self._gone_at: float | None = None
        self._reported = False

    async def build(self, stack: ExitStack) -> None:
        """Listen, and start the service, which starts up while the gate loads its models."""
        process = self._process
        self._gone_at = time.monotonic()
        self._server = LinkServer(
            process.settings.storage.state_dir,
            process.board,
            self._gate.tap,
            self._act,
            hooks=LinkHooks(lambda: process.settings_in_force, self._take_report),
            cards=self._gate.cards,
        )
        self._server.open()
        loop = LinkLoop(self._server, process.crash)
        stack.callback(end, loop)
        loop.start()
        process.loops.append(loop)
        if process.starts_service:
            self._start_child(stack)
        else:
            self.served.set()

    def _act(self, event: Event) -> None:
        """Pass an event of the service to the gate. Raises: GateUnavailable until the gate runs."""
        gate = self._gate.gate
        if gate is None or not self._gate.runs:
            raise GateUnavailable("the gate is about to start: try again in some seconds")
        gate.act(event)

    def _start_child(self, stack: ExitStack) -> None:
        process = self._process
        file = process.origin.file if process.origin else None
        self.child = ServiceChild(
            file, self.served.is_set, self._refused, process.crash, level=process.log_level
        )
        self.child.start()
        process.loops.append(self.child)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            # without waiting, as the door is locked next; `wait_for_child` waits at the end
            if self.child is not None:
                self.child.stop()

    def wait_for_child(self) -> None:
        """Wait until the child has ended, at the very end."""
        if self.child is not None and self.child.is_alive():
            self.child.stop()
            self.child.join(END_S + 2)

    def watch(self) -> None:
        """Report a service that stays away, and its return."""
        away = self._gone_at is not None and time.monotonic() - self._gone_at >= PATIENCE_S
        if away == self._reported or self._gate.gate is None:
            return
        self._reported = away
        detail = "no page and no API; the gate decides and opens as usual" if away else ""
        self._process.board.trouble(AWAY, detail if away else None)
        self._gate.gate.post(Condition(AWAY, away, detail))
        if away:
            log.error("the service is away: %s", detail)

    # --- reports of the service ---------------------------------------------------------------

    def _take_report(self, report: Report | None) -> None:
        """Take a report of the service, None when it is gone; in the thread of the socket."""
        self._report = report
        process, gate = self._process, self._gate.gate
        if report is not None:
            process.people.take_report(report)
        if gate is not None:
            many = report is not None and report.many_changes
            (gate.many_changes.set if many else gate.many_changes.clear)()
        if report is None or not report.serving:
            if self._gone_at is None:
                self._gone_at = time.monotonic()
            return
        self._gone_at = None
        process.show(self._service_answers, report)

    def _service_answers(self, report: Report) -> None:
        """Note that the service answers requests; in the main thread."""
        process = self._process
        known = process.address, process.setup_code
        process.address, process.setup_code = report.address, report.setup_code
        if self.served.is_set() and process.starts_service and known != (
            process.address, process.setup_code,
        ):  # fmt: skip
            process.show_ready()
        self.served.set()

    def _refused(self, error: ConfigError) -> None:
        """End the program, as the service cannot run with this configuration."""
        self._process.fatal = error
        self._process.stop()


@dataclass
class DoorProcess(Process):
    """The door process of a gate.

    starts_service: start the service as a child; under systemd it has a unit of its own. log_level:
    of the child; None: that of the settings.
    """

    MEMORY_LIMIT_MB: ClassVar[int] = 768

    starts_service: bool = True
    log_level: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.people = PreparationRequest(self)
        self.gate_part = GatePart(self, self.people.wait)
        self.link_part = LinkPart(self, self.gate_part)
        self.parts = [self.link_part, self.gate_part]
        self._began = time.monotonic()

    async def run(self, exit_after: float | None = None) -> int:
        try:
            return await super().run(exit_after)
        finally:
            self.link_part.wait_for_child()

    def door_locked(self) -> bool:
        self.link_part.wait_for_child()
        return self.gate_part.locked

    def is_starting(self) -> bool:
        up = self.link_part.served.is_set()
        return not up and time.monotonic() - self._began < PATIENCE_S

    def announce(self) -> asyncio.Task[None]:
        announcing = asyncio.create_task(self._announce())
        announcing.add_done_callback(functools.partial(self.task_ended, "ready"))
        return announcing

    async def _announce(self) -> None:
        """Show that the program has started once the service answers, or `PATIENCE_S` are over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.link_part.served.wait(), PATIENCE_S)
        self.show_ready()
