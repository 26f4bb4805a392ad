"""The composition root: builds the gate from its settings, starts it, stops it in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Protocol

from gated.api.app import ApiServices, create_app
from gated.api.server import ApiServer
from gated.config import Settings
from gated.core.gallery import Gallery
from gated.core.gate import Gate
from gated.core.model import (
    CameraEvent,
    CameraEventKind,
    Condition,
    Decision,
    GalleryReplaced,
    GateState,
    Notice,
    PlanReplaced,
    RecordEvent,
)
from gated.core.policy import criteria_for
from gated.devices.cameras import open_camera
from gated.devices.clock import SystemClock
from gated.devices.doors import open_door
from gated.devices.identity import identity_of
from gated.devices.indicators import NoIndicators, open_indicators
from gated.devices.readers import open_reader
from gated.devices.supervised import SupervisedCamera
from gated.errors import DeviceError, StorageError
from gated.ports import Door, Indicators
from gated.runtime import watchdog
from gated.runtime.badge_scanner import BadgeScanner
from gated.runtime.card_reading import CardReading
from gated.runtime.change_watcher import ChangeWatcher, Watched
from gated.runtime.heap import frugal_heap, settle
from gated.runtime.hub_loops import loops_of
from gated.runtime.inbox import BoundedInbox
from gated.runtime.inference import Analyse
from gated.runtime.loop import Loop
from gated.runtime.pipeline import Pipeline, end
from gated.runtime.snapshot_writer import SnapshotWriter
from gated.runtime.vitals import LoopLag, resident_mb
from gated.services.access_plan import load_plan
from gated.services.accounts import Accounts
from gated.services.alarms import before_restart
from gated.services.attendance import last_punches
from gated.services.camera_identity import CameraIdentity
from gated.services.conditions import MachineWatch
from gated.services.credentials import Credentials
from gated.services.demo import enroll_demo_person
from gated.services.door_orders import order_stamp, take_order
from gated.services.erasures import reapply_erasures
from gated.services.gate import GateBoard, event_view, view_of
from gated.services.live import LOOKERS, FrameTap, LiveGate
from gated.services.models import VisionKit, policy_of
from gated.services.office import ensure_templates, office_of
from gated.services.presenting import Presenting
from gated.services.privacy import Privacy
from gated.services.recording import Recorder
from gated.services.snapshots import Snapshots, SnapshotTaker
from gated.services.strangers import outlook, refresh_outlook
from gated.services.sync.catchup import catch_up
from gated.services.workspace import Workspace
from gated.storage.gallery_cache import GalleryCache
from gated.storage.lock import StateLock
from gated.vision.analyzer import Analyzer
from gated.vision.badges import BadgeReader

log = logging.getLogger(__name__)

CRASH_EXIT = 70
HOUSEKEEPING_S = 3600.0
SWITCH_S = 0.001
"""How long one thread may keep the others from the interpreter: Python's 5 ms, several times a
frame, would make the door wait for whoever lists persons."""

LAST_RESORT_S = 5.0
"""After a crash the process is gone by then, whatever hangs."""


class Screen(Protocol):
    """Where the running gate shows what happens; called in the main thread."""

    def ready(self, daemon: Daemon) -> None: ...
    def decision(self, decision: Decision, edge: float | None) -> None: ...
    def notice(self, notice: Notice) -> None: ...
    def camera(self, event: CameraEvent) -> None: ...
    def renewing(self, done: int, total: int) -> None: ...
    def stopped(self, door_locked: bool) -> None: ...


class _Stopped(Exception):
    """The end was asked for while the gate was being built."""


@dataclass
class Daemon:
    """One running gate or hub."""

    settings: Settings
    screen: Screen

    def __post_init__(self) -> None:
        self.board = GateBoard()
        # the search for badges must not cost anybody a place
        self.tap = FrameTap(LOOKERS + self.settings.credentials.badges)
        self.live: LiveGate | None = None
        self.clock = SystemClock()
        self.loops: list[Loop] = []
        self.door: Door | None = None
        self.indicators: Indicators = NoIndicators()
        self.address: str | None = None
        self.setup_code: str | None = None
        """Makes the first administrator; None when there is an account."""
        self._accounts: Accounts | None = None
        self._lag = LoopLag()
        self._house_closed = asyncio.Event()
        self._crashed = False
        self._camera_wrong = False
        self._photograph: Callable[[Decision], None] = lambda decision: None
        self._report: Callable[[], None] = lambda: None

    async def run(self, exit_after: float | None = None) -> int:
        """Run until SIGTERM, SIGINT, a crash or `exit_after` seconds; return the exit code."""
        self._main = asyncio.get_running_loop()
        sys.setswitchinterval(SWITCH_S)
        frugal_heap()
        self._stop = asyncio.Event()
        with ExitStack() as stack, self._signals():
            stack.enter_context(StateLock(self.settings.storage.state_dir))
            self.workspace = stack.enter_context(Workspace(self.settings))
            reapply_erasures(self.workspace, self.clock)
            self.workspace.sweep()
            if self.settings.gate.role == "gate":
                # in a thread: signals are heard while models load and templates are renewed
                await asyncio.to_thread(self._build_gate, stack)
            if not self._stop.is_set():
                self._follow_hub(stack)
                await self._serve(exit_after)
        self.screen.stopped(self.door is None or not self.door.unlocked)
        return CRASH_EXIT if self._crashed else 0

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
        for loop in loops_of(self.workspace, self.board.snapshot, self.clock, self._crash):
            stack.callback(end, loop)
            loop.start()
            self.loops.append(loop)

    # --- building -----------------------------------------------------------------------------

    def _build_gate(self, stack: ExitStack) -> None:
        """Everything from the relay to the camera; the door first, so that it is locked early."""
        settings, workspace = self.settings, self.workspace
        inbox = BoundedInbox()
        self.live = LiveGate(self.tap, inbox.post)
        self.door = open_door(settings.door, inbox.post, self.clock)
        stack.callback(self.door.close)
        self.indicators = open_indicators(settings)
        stack.callback(self.indicators.close)
        kit = self._load_models()
        catch_up(workspace, self.clock, kit.model, self._going_on)
        self._renew_templates(kit)
        if self._stop.is_set():
            return
        cache = workspace.gallery(kit.model, kit.metric)
        gallery = cache.load()
        self._publish(kit, gallery)
        analyzer = kit.analyzer()
        pipeline = Pipeline(
            Gate(
                policy_of(settings, kit.calibration),
                gallery,
                kit.calibration,
                seed=secrets.token_bytes(32),
            ),
            self._camera(kit, inbox),
            self._photographed(self.tap.tapped(analyzer.analyse), stack),
            self.door,
            Recorder(workspace, settings).append,
            self.clock,
            inbox,
            self._crash,
            journal_queue=settings.storage.journal_queue,
            on_decision=self._decided,
            on_notice=self._notice,
            on_event=self._told,
            on_state=self._publish_state,
        )
        watcher = ChangeWatcher(
            workspace.changed,
            (
                # first, as they say of whom a face is accepted
                Watched(
                    "rules",
                    workspace.rules_stamp,
                    lambda: inbox.post(PlanReplaced(load_plan(workspace))),
                ),
                Watched(
                    "gallery",
                    workspace.gallery_stamp,
                    lambda: self._renew_gallery(kit, cache, inbox),
                ),
                Watched("orders", lambda: order_stamp(workspace), lambda: self._obey(inbox)),
            ),
            self._crash,
        )
        inbox.post(PlanReplaced(load_plan(workspace)))
        inbox.post(before_restart(workspace))
        inbox.post(last_punches(workspace, self.clock.now()))
        presentations = tuple(self._presentations(inbox))
        self.loops += [*pipeline.loops, watcher, *presentations]
        self._report = lambda: self._publish_health(pipeline, analyzer)
        stack.callback(pipeline.stop)
        pipeline.start()
        for loop in (watcher, *presentations):
            stack.callback(end, loop)
            loop.start()

    def _presentations(self, inbox: BoundedInbox) -> Iterator[Loop]:
        """What reads cards and badges, where the settings name any."""
        settings = self.settings.credentials
        presenting = Presenting(Credentials(self.workspace, self.clock), inbox.post)
        reader = open_reader(settings)
        if reader is not None:
            yield CardReading(reader, presenting.card, inbox.post, self._crash)
        if settings.badges:
            yield BadgeScanner(
                self.tap.look,
                BadgeReader().read,
                presenting.badge,
                settings.badge_interval_s,
                self._crash,
            )

    def _photographed(self, analyse: Analyse, stack: ExitStack) -> Analyse:
        """`analyse`, of whose frames the pictures of attacks are kept where the settings say so."""
        taker = SnapshotTaker.of(self.workspace)
        if taker is None:
            return analyse
        writer = SnapshotWriter(Snapshots(self.workspace, self.clock).keep, self._crash)

        def photograph(decision: Decision) -> None:
            taken = taker.take(decision)
            if taken is not None:
                writer.offer(taken)

        self._photograph = photograph
        self.loops.append(writer)
        stack.callback(end, writer)
        writer.start()
        return taker.tapped(analyse)

    def _renew_gallery(self, kit: VisionKit, cache: GalleryCache, inbox: BoundedInbox) -> None:
        gallery = cache.load()
        inbox.post(GalleryReplaced(gallery))
        self._publish(kit, gallery)

    def _going_on(self) -> bool:
        """Whether the start may take longer; asked between steps that may take long."""
        watchdog.notify("EXTEND_TIMEOUT_USEC=60000000")
        return not self._stop.is_set()

    def _load_models(self) -> VisionKit:
        settings = self.settings
        kit = VisionKit(settings, pad=True)
        if kit.pad_problem:
            log.error("nobody is let in by face: %s", kit.pad_problem)
        pad = kit.models.pad
        self.board.publish(
            role=settings.gate.role,
            door=settings.door.driver,
            liveness=settings.liveness.level,
            pad_model=pad.model if pad else None,
        )
        if settings.gate.demo:
            enroll_demo_person(office_of(self.workspace, kit, self.clock), settings)
        return kit

    def _renew_templates(self, kit: VisionKit) -> None:
        """After a change of the engine: templates from the stored photos; ends early at a stop."""

        def progress(done: int, total: int) -> None:
            watchdog.notify("EXTEND_TIMEOUT_USEC=60000000")
            self._show(self.screen.renewing, done, total)
            if self._stop.is_set():
                raise _Stopped

        with contextlib.suppress(_Stopped):
            for problem in ensure_templates(office_of(self.workspace, kit, self.clock), progress):
                log.warning("%s", problem)

    def _camera(self, kit: VisionKit, inbox: BoundedInbox) -> SupervisedCamera:
        settings = self.settings.camera
        return SupervisedCamera(
            open_camera(settings, self.clock, demo=kit.demo_portraits()),
            self.clock,
            on_event=lambda event: self._camera_event(event, inbox),
            frozen_after_s=settings.frozen_after_s,
        )

    @contextlib.asynccontextmanager
    async def _api(self) -> AsyncIterator[None]:
        """The HTTP server while the block runs."""
        if not self.settings.api.enabled:
            yield
            return
        accounts = Accounts.of(self.workspace)
        self._accounts = accounts
        services = ApiServices(self.settings, self.workspace, accounts, self.board, live=self.live)
        self.setup_code = services.setup.new_code()
        server = ApiServer(create_app(services), self.settings.api)
        serving = asyncio.create_task(server.serve())
        serving.add_done_callback(lambda task: self._task_ended("api", task))
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
        """What is due once a day, while the block runs."""
        privacy = Privacy.of(self.workspace)
        keeping = asyncio.create_task(self._keep_house(privacy))
        keeping.add_done_callback(lambda task: self._task_ended("housekeeping", task))
        try:
            yield
        finally:
            self._house_closed.set()
            await asyncio.wait([keeping])

    async def _keep_house(self, privacy: Privacy) -> None:
        """Apply the retention periods at the start, and again each hour: days begin anywhere."""
        while not self._house_closed.is_set():
            try:
                await asyncio.to_thread(self._tidy, privacy)
            except StorageError as error:
                log.error("retention: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._house_closed.wait(), HOUSEKEEPING_S)

    def _house_open(self) -> bool:
        return not self._house_closed.is_set()

    def _tidy(self, privacy: Privacy) -> None:
        applied = {name: n for name, n in asdict(privacy.apply(self._house_open)).items() if n}
        if applied:
            log.info("retention: %s", applied)
        if self._accounts is not None:
            self._accounts.flush_sign_ins()
        refresh_outlook(self.workspace, self.board, self.clock.now())

    # --- running ------------------------------------------------------------------------------

    async def _stand_watch(self) -> None:
        """Tell systemd that all is well, as long as it is, until the end is asked for."""
        watch = MachineWatch(self.settings.storage.state_dir, self.clock)
        while not self._stop.is_set():
            self._report()
            if self.live is not None:
                for condition in watch.changes():
                    self.live.post(condition)
            self._publish_vitals()
            stuck = watchdog.stuck(self.loops)
            if stuck:
                log.error("stuck: %s", ", ".join(stuck))
            else:
                watchdog.notify("WATCHDOG=1")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), watchdog.interval())

    def _decided(self, decision: Decision, edge: float | None) -> None:
        self.indicators.flash(decision.granted)
        self._photograph(decision)
        self.board.add_decision(view_of(decision, edge))
        self._show(self.screen.decision, decision, edge)

    def _notice(self, notice: Notice) -> None:
        self.board.tell(notice)
        self._show(self.screen.notice, notice)

    def _obey(self, inbox: BoundedInbox) -> None:
        order = take_order(self.workspace)
        if order is not None:
            inbox.post(order)

    def _told(self, event: RecordEvent) -> None:
        self.board.add_event(event_view(event))

    def _publish_state(self, state: GateState) -> None:
        self.indicators.show(state.lights)
        self.board.publish(
            door_state=state.door, door_mode=str(state.mode), alarms=dict(state.alarms)
        )

    def _camera_event(self, event: CameraEvent, inbox: BoundedInbox) -> None:
        inbox.post(event)
        if event.kind is CameraEventKind.OPENED:
            self._recognise_camera(inbox)
        self.board.publish(camera=str(event.kind))
        self._show(self.screen.camera, event)

    def _recognise_camera(self, inbox: BoundedInbox) -> None:
        """Before the first frame of a camera that was opened: is it the one that was there?"""
        try:
            identity = identity_of(self.settings.camera)
            if identity is None:
                return
            wrong = CameraIdentity(self.workspace, self.clock).seen(identity)
        except (DeviceError, StorageError) as error:
            wrong = str(error)
        if wrong is not None:
            log.error("camera changed: %s", wrong)
        if wrong is not None or self._camera_wrong:
            inbox.post(Condition("camera_changed", wrong is not None, wrong or "", "alarm"))
        self._camera_wrong = wrong is not None

    def _publish(self, kit: VisionKit, gallery: Gallery) -> None:
        policy = policy_of(self.settings, kit.calibration)
        threshold = criteria_for(policy, gallery, kit.calibration).threshold
        fmr = kit.calibration.fmr(threshold)
        self.board.publish(
            model=kit.model,
            people=gallery.people,
            templates=len(gallery),
            threshold=threshold,
            gallery_stamp=self.workspace.gallery_stamp(),
            **outlook(self.workspace, fmr, len(gallery), self.clock.now()),
        )

    def _publish_health(self, pipeline: Pipeline, analyzer: Analyzer) -> None:
        available = pipeline.journal.available and not pipeline.journal.failing
        self.board.publish(journal="available" if available else "unavailable")
        vision = {f"vision.{name}": n for name, n in asdict(analyzer.counters).items()}
        self.board.gauge(**pipeline.counters(), **vision)

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
        self._crashed = True
        reaper = threading.Timer(LAST_RESORT_S, os._exit, [CRASH_EXIT])
        reaper.daemon = True
        reaper.start()
        if self.door is not None:
            self.door.lock()
        with contextlib.suppress(RuntimeError):
            self._main.call_soon_threadsafe(self._stop.set)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the run; handlers of our own, because the process must not die
        before the door is locked."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._main.add_signal_handler(number, self._stop.set)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._main.remove_signal_handler(number)
