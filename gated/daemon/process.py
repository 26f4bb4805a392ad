"""The base of every process of the program: locks, signals, duties, watchdog, orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass
from typing import ClassVar

from gated.config import Settings
from gated.daemon.screen import Screen, Started
from gated.daemon.service_child import LIFELINE
from gated.database.state_lock import DOOR, StateLock
from gated.devices.clock import SystemClock
from gated.errors import DeviceError, GatedError, StorageError
from gated.fleet.gate.config_trial import ConfigTrial, InForce, uid_of
from gated.link.loop import Watched
from gated.link.status_board import StatusBoard
from gated.live.clock_trust import ClockKeeper, status_fields
from gated.live.disk_space import room_to_start
from gated.ports import Clock
from gated.runtime import watchdog
from gated.runtime.heap import freeze_heap, tune_malloc
from gated.runtime.signals import ended_by_signals
from gated.runtime.vitals import LoopLag, resident_mb
from gated.workspace import Workspace

log = logging.getLogger(__name__)

CRASH_EXIT = 70
CLOCK_S = 5.0
"""Seconds between two checks of the clock."""

SETTINGS_S = 1.0

LAST_RESORT_S = 5.0
"""Seconds after a crash until the process is ended by force."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A periodic task, which is done in a thread."""

    name: str
    every_s: float
    do: Callable[[], None]


class Part:
    """A part of a process, such as the gate or the service. By default it does nothing."""

    def prepare(self) -> None:
        """Set up the process before anything is opened."""

    async def build(self, stack: ExitStack) -> None:
        """Open, load and start; the stack ends everything in reverse."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Run tasks of the event loop while the block runs."""
        return contextlib.nullcontext()

    def duties(self) -> Sequence[Duty]:
        """Return the periodic tasks of this part."""
        return ()

    def watch(self) -> None:
        """Publish the health of this part; called every few seconds."""

    def lock(self) -> None:
        """Lock the door at once, where there is one; from any thread."""


@dataclass
class Process:
    """One running process."""

    settings: Settings
    screen: Screen
    origin: InForce | None = None
    """The origin of the settings; None: settings of pages and hub are not tried."""

    LOCK: ClassVar[str] = DOOR
    MEMORY: ClassVar[str] = "process.resident_mb"
    """Name of the counter of resident memory."""
    MEMORY_LIMIT_MB: ClassVar[int] = 2048
    """The process ends when it uses more, as with `MemoryMax` of its unit."""

    def __post_init__(self) -> None:
        self.board = StatusBoard()
        self.clock: Clock = SystemClock()
        self.parts: list[Part] = []
        self.loops: list[Watched] = []
        """All that hold the watchdog back while they hang."""
        self.address: str | None = None
        self.setup_code: str | None = None
        """Makes the first administrator; None when there is an account."""
        self.closing = False
        """True when long duties are to end."""
        self.fatal: GatedError | None = None
        """The error for which the program ends."""
        self.awaits_clock = False
        """True while a duty waits for the clock to be right."""
        self._main: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._lag = LoopLag()
        self._duties_closed = asyncio.Event()
        self._crashed: str | None = None
        self._again = False
        self._unwanted = False
        self._trials: tuple[ConfigTrial, ...] = ()
        """Of the settings from the pages, and of those from the hub."""

    async def run(self, exit_after: float | None = None) -> int:
        """Run until a signal, a crash or `exit_after` seconds end it; return the exit code."""
        main = self._main = asyncio.get_running_loop()
        for part in self.parts:
            part.prepare()
        tune_malloc()
        # outermost: no signal may end the process before the door is locked and closed
        with ended_by_signals(main, self._end_for_good):
            await self._run(exit_after)
            # the loop tells of a signal that came while the parts closed: wake-up, callback, call
            for _ in range(3):
                await asyncio.sleep(0)
        # lets calls of `show` from other threads run before the last line
        await asyncio.sleep(0)
        self.screen.stopped(self.door_locked())
        return 0 if self._crashed is None else CRASH_EXIT

    async def _run(self, exit_after: float | None) -> None:
        with ExitStack() as stack:
            state_dir = self.settings.storage.state_dir
            stack.enter_context(StateLock(state_dir, self.LOCK))
            room_to_start(state_dir)
            self.workspace = stack.enter_context(Workspace(self.settings, clock=self.clock))
            self.clock = self.workspace.clock
            self.keeper = ClockKeeper.of(self.workspace)
            stack.enter_context(self._trying_settings())
            with contextlib.suppress(StorageError):  # a full disk: checked again soon
                self.check_clock()
            for part in self.parts:
                await part.build(stack)
            if not self.stopping():
                await self._serve(exit_after)
            if self.fatal is not None:
                raise self.fatal

    # --- for the parts ------------------------------------------------------------------------

    def stopping(self) -> bool:
        """Return whether the process is to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End the process soon; from any thread."""
        if self._main is None:
            self._stop.set()
        else:
            self._call(self._stop.set)

    def start_again(self) -> None:
        """End the process soon, to be started again with other settings; from any thread."""
        self._again = True
        self.stop()

    def show(self, show: Callable[..., None], *args: object) -> None:
        """Call a method of the screen in the main thread; never waits."""
        self._call(show, *args)

    def _call(self, what: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the main loop is closed already
            if self._main is not None:
                self._main.call_soon_threadsafe(what, *args)

    def crash(self, name: str, error: BaseException) -> None:
        """Lock the door and end the process with `CRASH_EXIT`; systemd starts it again."""
        log.critical("%s has crashed", name, exc_info=error)
        self._crashed = f"{name} ({type(error).__name__})"
        reaper = threading.Timer(LAST_RESORT_S, os._exit, [CRASH_EXIT])
        reaper.daemon = True
        reaper.start()
        for part in self.parts:
            try:
                part.lock()
            except DeviceError as failed:
                # a relay that is gone: the rest ends in order all the same
                log.error("the door cannot be locked: %s", failed)
        self.stop()

    def task_ended(self, name: str, task: asyncio.Task[None]) -> None:
        """Crash when a task of the event loop has ended with an error."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.crash(name, error)

    def should_continue(self) -> bool:
        """Return whether a long duty may go on."""
        return not self.closing

    def check_clock(self) -> None:
        """Check the clock, and publish how far it can be trusted. Raises: StorageError."""
        self.board.publish(**status_fields(self.keeper.look()))

    def is_starting(self) -> bool:
        """Return whether a part may still be starting: a trial of settings is not judged yet."""
        return False

    @property
    def settings_in_force(self) -> str | None:
        """The uid of the settings of pages and hub in force; None without any."""
        if not self._trials:
            return None
        pages, hub = self._trials
        return uid_of(hub.in_force, pages.in_force)

    @property
    def held(self) -> InForce | None:
        """The settings of this run and where they come from; None where that is not known."""
        return self.origin

    def door_locked(self) -> bool:
        """Return whether the door of this process is locked; True where there is none."""
        return True

    @property
    def again(self) -> bool:
        """True when the process has ended in order to be started again, with other settings."""
        return self._again and not self._unwanted

    # --- settings of pages and hub -------------------------------------------------------------

    @contextlib.contextmanager
    def _trying_settings(self) -> Iterator[None]:
        """Count a crash that ends the block against settings on trial."""
        if self.origin is None:
            yield
            return
        trials = tuple(
            ConfigTrial(self.workspace, self.origin, self.board, self.clock, giver)
            for giver in ("pages", "hub")
        )
        for trial in trials:
            trial.begin()
        self._trials = trials
        try:
            yield
        except Exception as error:
            self._again = self._failed(f"{type(error).__name__}: {error}")
            if not self._again:
                raise
            self._crashed = type(error).__name__
            return
        if self._crashed is not None:
            self._again = self._failed(f"{self._crashed} has crashed")
        elif not self._again:
            for trial in trials:
                trial.ended()

    def _failed(self, reason: str) -> bool:
        """Count a crash against the settings on trial; return whether to start again without
        them."""
        failed = [trial.failed(reason) for trial in self._trials]
        return any(failed)

    def _check_settings(self) -> None:
        """Start again when new settings, or the former ones, are to come into force."""
        if not self._trials or self._again or self.is_starting():
            return
        for part in self.parts:
            part.watch()
        # one giver at a time: a new start would end the trial of the other
        tried = tuple(t for t in self._trials if t.trying)
        if any(trial.look() for trial in tried or self._trials):
            log.info("starts again with other settings")
            self.start_again()

    # --- running ------------------------------------------------------------------------------

    async def _serve(self, exit_after: float | None) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for part in self.parts:
                await stack.enter_async_context(part.running())
            await stack.enter_async_context(self._housekeeping())
            await stack.enter_async_context(self._lag.watching())
            freeze_heap()
            watchdog.notify("READY=1")
            if exit_after is not None:
                asyncio.get_running_loop().call_later(exit_after, self._stop.set)
            announcing = self.announce()
            try:
                await self._supervise()
            finally:
                if announcing is not None:
                    announcing.cancel()
            watchdog.notify("STOPPING=1")

    def announce(self) -> asyncio.Task[None] | None:
        """Show that the program has come up: at once, or by a task where something is awaited."""
        self.show_ready()
        return None

    def show_ready(self) -> None:
        """Show what runs and where; in the main thread."""
        self.screen.ready(Started(self.board.snapshot(), self.address, self.setup_code))

    @contextlib.asynccontextmanager
    async def _housekeeping(self) -> AsyncIterator[None]:
        """Do the duties while the block runs."""
        duties = [Duty("clock", CLOCK_S, self.check_clock)]
        for part in self.parts:
            duties += part.duties()
        if self._trials:
            duties.append(Duty("settings", SETTINGS_S, self._check_settings))
        keeping = []
        for duty in duties:
            task = asyncio.create_task(self._do_duty(duty))
            task.add_done_callback(functools.partial(self.task_ended, duty.name))
            keeping.append(task)
        try:
            yield
        finally:
            self.closing = True
            self._duties_closed.set()
            await asyncio.wait(keeping)

    async def _do_duty(self, duty: Duty) -> None:
        """Do a duty periodically; a StorageError is logged once, and the duty is tried again."""
        last_error = ""
        while not self._duties_closed.is_set():
            try:
                await asyncio.to_thread(duty.do)
                last_error = ""
            except StorageError as error:
                if str(error) != last_error:
                    log.error("%s: %s", duty.name, error)
                last_error = str(error)
            # duties that wait for the clock are done soon after it is right
            pause = min(duty.every_s, CLOCK_S) if self.awaits_clock else duty.every_s
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._duties_closed.wait(), pause)

    async def _supervise(self) -> None:
        """Publish health and notify the watchdog while all loops are alive, until the end."""
        while not self._stop.is_set():
            for part in self.parts:
                part.watch()
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
        if (resident := resident_mb()) is None:
            return
        self.board.gauge(**{self.MEMORY: resident})
        if resident > self.MEMORY_LIMIT_MB and self._crashed is None and _is_started_again():
            text = f"{resident} MiB are held, {self.MEMORY_LIMIT_MB} at most"
            self.crash("memory", MemoryError(text))

    def _end_for_good(self, signal_name: str) -> None:
        log.info("%s: the program ends", signal_name)
        self._unwanted = True
        self._stop.set()


def _is_started_again() -> bool:
    """Return whether the process is started again after its end: by systemd, or by its door."""
    return "NOTIFY_SOCKET" in os.environ or LIFELINE in os.environ
