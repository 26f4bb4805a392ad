"""The process: runs a gate or hub with its API and housekeeping, and ends it in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from gated.api.app import ApiServices, create_app
from gated.api.server import CONNECTIONS, HUB_CONNECTIONS, ApiServer
from gated.config import Settings
from gated.daemon.gate_side import GateSide, Surroundings
from gated.daemon.screen import Screen
from gated.devices.clock import SystemClock
from gated.errors import StorageError
from gated.runtime import watchdog
from gated.runtime.heap import frugal_heap, settle
from gated.runtime.hub_loops import loops_of
from gated.runtime.loop import Loop
from gated.runtime.pipeline import end
from gated.runtime.vitals import LoopLag, resident_mb
from gated.services.accounts import Accounts
from gated.services.conditions import MachineWatch
from gated.services.gate import GateBoard
from gated.services.live import LOOKERS, FrameTap
from gated.services.privacy import Privacy
from gated.services.room import room_to_start
from gated.services.strangers import refresh_outlook
from gated.services.sync.presence import SitePresence
from gated.services.sync.restored import recover
from gated.services.sync.rollouts import Rollouts
from gated.services.sync.tidying import tidy_feed
from gated.services.takeover import InForce, Takeover
from gated.services.workspace import Workspace
from gated.storage.lock import StateLock

log = logging.getLogger(__name__)

CRASH_EXIT = 70
HOUSEKEEPING_S = 3600.0
SETTINGS_S = 1.0
ROLLOUT_S = 5.0
SWITCH_S = 0.001
"""How long one thread may keep the others from the interpreter: Python's 5 ms, several times a
frame, would make the door wait for whoever lists persons. A hub has no door, and dozens of threads
that ask so often take more of the processor than their work."""

LAST_RESORT_S = 5.0
"""After a crash the process is gone by then, whatever hangs."""


@dataclass
class Daemon:
    """One running gate or hub."""

    settings: Settings
    screen: Screen
    origin: InForce | None = None
    """Where the settings come from; without it none of a hub are taken over."""

    def __post_init__(self) -> None:
        self.board = GateBoard()
        # the search for badges must not cost anybody a place
        self.tap = FrameTap(LOOKERS + self.settings.credentials.badges)
        self.clock = SystemClock()
        self.loops: list[Loop] = []
        self.address: str | None = None
        self.setup_code: str | None = None
        """Makes the first administrator; None when there is an account."""
        self._accounts: Accounts | None = None
        self._lag = LoopLag()
        self._house_closed = asyncio.Event()
        self._crashed: str | None = None
        self._again = False
        self._unwanted = False
        self._takeover: Takeover | None = None
        self._gate: GateSide | None = None

    async def run(self, exit_after: float | None = None) -> int:
        """Run until SIGTERM, SIGINT, a crash or `exit_after` seconds; return the exit code."""
        self._main = asyncio.get_running_loop()
        if self.settings.gate.role == "gate":
            sys.setswitchinterval(SWITCH_S)
        frugal_heap()
        self._stop = asyncio.Event()
        with ExitStack() as stack, self._signals():
            stack.enter_context(StateLock(self.settings.storage.state_dir))
            room_to_start(self.settings.storage.state_dir)
            self.workspace = stack.enter_context(Workspace(self.settings))
            stack.enter_context(self._trying_settings())
            recover(self.workspace, self.clock)
            self.workspace.sweep()
            if self.settings.gate.role == "gate":
                self._gate = self._gate_side()
                # in a thread: signals are heard while models load and templates are renewed
                await asyncio.to_thread(self._gate.build, stack)
                self.loops += self._gate.loops
            if not self._stop.is_set():
                self._follow_hub(stack)
                await self._serve(exit_after)
        self.screen.stopped(self._door_locked())
        return 0 if self._crashed is None else CRASH_EXIT

    @property
    def again(self) -> bool:
        """Whether the program has ended in order to be started again, with other settings."""
        return self._again and not self._unwanted

    @contextlib.contextmanager
    def _trying_settings(self) -> Iterator[None]:
        """What ends the block other than by wish tells against settings that are tried."""
        if self.origin is None:
            yield
            return
        takeover = Takeover(self.workspace, self.origin, self.board, self.clock)
        takeover.begin()
        self._takeover = takeover
        try:
            yield
        except Exception as error:
            self._again = takeover.failed(f"{type(error).__name__}: {error}")
            if not self._again:
                raise
            self._crashed = type(error).__name__
            return
        if self._crashed is not None:
            self._again = takeover.failed(f"{self._crashed} has crashed")
        elif not self._again:
            takeover.ended()

    def _gate_side(self) -> GateSide:
        return GateSide(
            Surroundings(
                self.settings,
                self.workspace,
                self.clock,
                self.board,
                self.tap,
                self.screen,
                self._show,
                self._crash,
                self._stop.is_set,
            )
        )

    def _door_locked(self) -> bool:
        door = self._gate.door if self._gate else None
        return door is None or not door.unlocked

    async def _serve(self, exit_after: float | None) -> None:
        async with self._api(), self._housekeeping(), self._lag.watching():
            settle()
            watchdog.notify("READY=1")
            self.screen.ready(self)
            if exit_after is not None:
                self._main.call_later(exit_after, self._stop.set)
            await self._stand_watch()
            watchdog.notify("STOPPING=1")

    def _follow_hub(self, stack: ExitStack) -> None:
        """Begin to send and ask, where this gate belongs to a hub."""
        post = self._gate.live.post if self._gate else None
        many = self._gate.many_changes if self._gate else threading.Event()
        for loop in loops_of(self.workspace, self.board, self.clock, post, many, self._crash):
            stack.callback(end, loop)
            loop.start()
            self.loops.append(loop)

    # --- beside the gate ----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _api(self) -> AsyncIterator[None]:
        """The HTTP server while the block runs."""
        if not self.settings.api.enabled:
            yield
            return
        accounts = Accounts.of(self.workspace)
        self._accounts = accounts
        live = self._gate.live if self._gate else None
        services = ApiServices(self.settings, self.workspace, accounts, self.board, live=live)
        self.setup_code = services.setup.new_code()
        most = HUB_CONNECTIONS if self.settings.gate.role == "hub" else CONNECTIONS
        server = ApiServer(create_app(services), self.settings.api, most)
        serving = asyncio.create_task(server.serve())
        serving.add_done_callback(functools.partial(self._task_ended, "api"))
        self.address = await server.started()
        try:
            yield
        finally:
            services.jobs.stop()
            services.bell.stop()
            server.stop()
            await asyncio.wait([serving])

    @contextlib.asynccontextmanager
    async def _housekeeping(self) -> AsyncIterator[None]:
        """What is due now and then, while the block runs."""
        privacy = Privacy.of(self.workspace)
        duties: list[tuple[str, float, Callable[[], None]]] = [
            # each hour, as days begin anywhere
            ("retention", HOUSEKEEPING_S, lambda: self._tidy(privacy)),
            ("roll-out", ROLLOUT_S, Rollouts.of(self.workspace).step),
        ]
        if self._takeover is not None:
            duties.append(("settings", SETTINGS_S, self._take_over))
        keeping = []
        for name, every_s, duty in duties:
            task = asyncio.create_task(self._keep(name, every_s, duty))
            task.add_done_callback(functools.partial(self._task_ended, name))
            keeping.append(task)
        try:
            yield
        finally:
            self._house_closed.set()
            await asyncio.wait(keeping)

    async def _keep(self, name: str, every_s: float, duty: Callable[[], None]) -> None:
        """Do a duty now and again; a database that cannot be used makes it wait for the next."""
        told = ""
        while not self._house_closed.is_set():
            try:
                await asyncio.to_thread(duty)
                told = ""
            except StorageError as error:
                if str(error) != told:
                    log.error("%s: %s", name, error)
                told = str(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._house_closed.wait(), every_s)

    def _take_over(self) -> None:
        """Let the program start again when settings of the hub, or those before, are due."""
        if self._takeover is None or self._again:
            return
        if self._gate is not None:
            self._gate.report()
        if self._takeover.look():
            log.info("starts again with other settings")
            self._again = True
            self._main.call_soon_threadsafe(self._stop.set)

    def _house_open(self) -> bool:
        return not self._house_closed.is_set()

    def _tidy(self, privacy: Privacy) -> None:
        applied = {name: n for name, n in asdict(privacy.apply(self._house_open)).items() if n}
        if applied:
            log.info("retention: %s", applied)
        # what was cut off just before this start was too young for the sweep of the start
        self.workspace.sweep(HOUSEKEEPING_S)
        tidy_feed(self.workspace, self.clock, self._house_open)
        if self._gate is not None:
            self._gate.room.expire(self._house_open)
        if self._accounts is not None:
            self._accounts.flush_sign_ins()
        SitePresence(self.workspace, self.clock).forget()
        refresh_outlook(self.workspace, self.board, self.clock.now())

    # --- running ------------------------------------------------------------------------------

    async def _stand_watch(self) -> None:
        """Tell systemd that all is well, as long as it is, until the end is asked for."""
        watch = MachineWatch(self.settings.storage.state_dir, self.clock)
        while not self._stop.is_set():
            if self._gate is not None:
                self._gate.report()
                for condition in watch.changes():
                    self._gate.live.post(condition)
            self._publish_vitals()
            stuck = watchdog.stuck(self.loops)
            if stuck:
                log.error("stuck: %s", ", ".join(stuck))
            else:
                watchdog.notify("WATCHDOG=1")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), watchdog.interval())

    def _publish_vitals(self) -> None:
        self.board.gauge(**{"loop.lag_max_ms": self._lag.worst_ms()})
        if (resident := resident_mb()) is not None:
            self.board.gauge(**{"process.resident_mb": resident})

    def _show(self, show: Callable[..., None], *args: object) -> None:
        """Hand something to the screen in the main thread; never waits."""
        with contextlib.suppress(RuntimeError):  # the main loop is closed already
            self._main.call_soon_threadsafe(show, *args)

    def _task_ended(self, name: str, task: asyncio.Task[None]) -> None:
        error = task.exception()
        if error is not None:
            self._crash(name, error)

    def _crash(self, name: str, error: BaseException) -> None:
        """A loop died: lock the door, end the process non-zero; systemd starts it again."""
        log.critical("%s has crashed", name, exc_info=error)
        self._crashed = f"{name} ({type(error).__name__})"
        reaper = threading.Timer(LAST_RESORT_S, os._exit, [CRASH_EXIT])
        reaper.daemon = True
        reaper.start()
        if self._gate is not None and self._gate.door is not None:
            self._gate.door.lock()
        with contextlib.suppress(RuntimeError):
            self._main.call_soon_threadsafe(self._stop.set)

    def _end_for_good(self) -> None:
        self._unwanted = True
        self._stop.set()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the run; handlers of our own, because the process must not die
        before the door is locked."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._main.add_signal_handler(number, self._end_for_good)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._main.remove_signal_handler(number)
