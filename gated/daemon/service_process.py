"""Runs the service process of a gate: API, sync, housekeeping; without camera, pins and relay."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from gated.access.other_gates import known_presence
from gated.daemon.preparation import PreparationLoop
from gated.daemon.process import Part, Process
from gated.daemon.service_part import ServicePart
from gated.database.state_lock import SERVICE
from gated.errors import StorageError
from gated.fleet.gate.config_trial import InForce
from gated.link.client import GateLink
from gated.link.loop import Loop, OnCrash, end
from gated.link.messages import Report, Welcome
from gated.link.remote_board import RemoteBoard
from gated.link.running_gate import MOST_SUBSCRIBERS

log = logging.getLogger(__name__)

TURN_S = 0.5
NICE = 5


class ClientLoop(Loop):
    """Keeps the connection to the door process. each_turn: called often; must return at once."""

    def __init__(self, link: GateLink, each_turn: Callable[[], None], on_crash: OnCrash) -> None:
        super().__init__("gate-link", on_crash)
        self._link = link
        self._each_turn = each_turn

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.beat()
                self._each_turn()
                self._link.turn(TURN_S)
        finally:
            self._link.close()

    def stop(self) -> None:
        super().stop()
        self._link.wake()


class ClientPart(Part):
    """The service's end of the socket."""

    def __init__(self, process: ServiceProcess, board: RemoteBoard) -> None:
        self._process = process
        self._board = board
        self.many_changes = threading.Event()
        self.serving = False
        self._many_reported = False
        self._preparation: PreparationLoop | None = None
        self.link = GateLink(
            process.settings.storage.state_dir,
            board,
            MOST_SUBSCRIBERS,
            self._report,
            self._welcomed,
        )

    async def build(self, stack: ExitStack) -> None:
        process = self._process
        self._preparation = PreparationLoop(
            process.workspace, self._waiting, self.link.changed, process.crash
        )
        loops = (self._preparation, ClientLoop(self.link, self._each_turn, process.crash))
        for loop in loops:
            stack.callback(end, loop)
            loop.start()
        process.loops += loops

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Report that requests are answered: this part is started last."""
        self.serving = True
        self.link.changed()
        # only after the start: from now on the door comes first
        os.nice(NICE)
        try:
            yield
        finally:
            self.serving = False

    def _waiting(self) -> tuple[datetime, str] | None:
        """Return the run of the door that waits for its people, and its model."""
        status = self._board.snapshot()
        there = self._board.there and status.awaits is not None
        return (status.started_at, status.awaits or "") if there else None

    def _each_turn(self) -> None:
        if self._preparation is not None and self._waiting() is not None:
            self._preparation.look()
        if self.many_changes.is_set() != self._many_reported:
            self._many_reported = self.many_changes.is_set()
            self.link.changed()

    def _report(self) -> Report:
        process = self._process
        fields, troubles, gauges = self._board.report()
        return Report(
            process.address,
            process.setup_code,
            self.serving,
            fields,
            troubles,
            gauges,
            self.many_changes.is_set(),
            process.follows_hub(),
            self._preparation.prepared if self._preparation else None,
            self._preparation.progress if self._preparation else None,
        )

    def _welcomed(self, welcome: Welcome) -> None:
        process = self._process
        if welcome.settings != (process.follows.uid if process.follows else None):
            log.info("the gate works with other settings: the service starts again")
            process.start_again()
            return
        # notifications to a door that was away may have been lost
        with contextlib.suppress(StorageError):
            for event in known_presence(process.workspace):
                self.link.notify(event)


@dataclass
class ServiceProcess(Process):
    """The service process of a gate. follows: the settings of the door process."""

    follows: InForce | None = None

    LOCK: ClassVar[str] = SERVICE
    MEMORY: ClassVar[str] = "service.resident_mb"
    MEMORY_LIMIT_MB: ClassVar[int] = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        board = RemoteBoard(self.settings.gate.role)
        self.board = board
        self.client = ClientPart(self, board)
        service = ServicePart(self, lambda: self.client.link.gate, lambda: self.client.many_changes)
        self._service = service
        # the link is built before the parts that use it, and reports after they have started
        self.parts = [_Built(self.client), service, _Runs(self.client)]

    @property
    def held(self) -> InForce | None:
        return self.follows

    def follows_hub(self) -> bool:
        """Return whether this gate belongs to a hub."""
        return self._service.follows_hub


class _Built(Part):
    """The first half of a part: building it, before the others."""

    def __init__(self, part: Part) -> None:
        self._part = part

    async def build(self, stack: ExitStack) -> None:
        await self._part.build(stack)


class _Runs(Part):
    """The second half: running it, after the others."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._part.running()
