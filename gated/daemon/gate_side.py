"""The gate that a process runs: everything from the relay to the camera, built, shown, stopped."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass

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
    Light,
    Notice,
    PlanReplaced,
    RecordEvent,
)
from gated.core.policy import criteria_for
from gated.daemon.screen import Screen
from gated.devices.cameras import open_camera
from gated.devices.doors import open_door
from gated.devices.identity import identity_of
from gated.devices.indicators import NoIndicators, open_indicators
from gated.devices.readers import open_reader
from gated.devices.supervised import SupervisedCamera
from gated.errors import DeviceError, StorageError
from gated.ports import Clock, Door, Indicators
from gated.runtime import watchdog
from gated.runtime.badge_scanner import BadgeScanner
from gated.runtime.card_reading import CardReading
from gated.runtime.change_watcher import ChangeWatcher, Watched
from gated.runtime.inbox import BoundedInbox
from gated.runtime.inference import Analyse
from gated.runtime.journal_writer import JournalWriter
from gated.runtime.loop import Loop, OnCrash
from gated.runtime.pipeline import Pipeline, end
from gated.runtime.room_keeper import RoomKeeper
from gated.runtime.snapshot_writer import SnapshotWriter
from gated.services.access_plan import load_plan, misfit_of
from gated.services.alarms import before_restart
from gated.services.attendance import last_punches
from gated.services.camera_identity import CameraIdentity
from gated.services.credentials import Credentials
from gated.services.demo import enroll_demo_person
from gated.services.door_orders import order_stamp, take_order
from gated.services.gate import GateBoard, event_view, view_of
from gated.services.live import FrameTap, LiveGate
from gated.services.models import VisionKit, policy_of
from gated.services.office import ensure_templates, office_of
from gated.services.presenting import Presenting
from gated.services.recording import Recorder
from gated.services.room import Room
from gated.services.snapshots import Snapshots, SnapshotTaker
from gated.services.strangers import outlook
from gated.services.sync.catchup import catch_up
from gated.services.sync.elsewhere import known as known_elsewhere
from gated.services.workspace import Workspace
from gated.storage.gallery_cache import GalleryCache
from gated.vision.analyzer import Analyzer
from gated.vision.badges import BadgeReader

log = logging.getLogger(__name__)


class _Stopped(Exception):
    """The end was asked for while the gate was being built."""


@dataclass(frozen=True)
class Surroundings:
    """What the process lends to the gate that it runs.

    show: hands something to the screen in the main thread and never waits. stopping: whether the
    end was asked for.
    """

    settings: Settings
    workspace: Workspace
    clock: Clock
    board: GateBoard
    tap: FrameTap
    screen: Screen
    show: Callable[..., None]
    crash: OnCrash
    stopping: Callable[[], bool]


class GateSide:
    """Everything from the relay to the camera of one running gate."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._settings = around.settings
        self._workspace = around.workspace
        self._board = around.board
        self._clock = around.clock
        self._crash = around.crash
        self._inbox = BoundedInbox()
        self.live = LiveGate(around.tap, self._inbox.post)
        self.room = Room(around.workspace, around.clock)
        self.door: Door | None = None
        self.many_changes = threading.Event()
        """Set while the hub tells of many people one after another."""
        self.loops: list[Loop] = []
        self._indicators: Indicators = NoIndicators()
        self._camera_wrong = False
        self._photograph: Callable[[Decision], None] = lambda decision: None
        self.report: Callable[[], None] = lambda: None
        """Publishes how the loops and the networks are."""

    def build(self, stack: ExitStack) -> None:
        """Open, load and start it all; the door first, so that it is locked early."""
        settings = self._settings
        self.door = open_door(settings.door, self._inbox.post, self._clock)
        stack.callback(self.door.close)
        self._indicators = open_indicators(settings)
        stack.callback(self._indicators.close)
        kit = self._load_models()
        catch_up(self._workspace, self._clock, kit.model, self._going_on)
        self._renew_templates(kit)
        if not self._around.stopping():
            self._start(kit, self.door, stack)

    def _start(self, kit: VisionKit, door: Door, stack: ExitStack) -> None:
        workspace = self._workspace
        cache = workspace.gallery(kit.model, kit.metric)
        gallery = cache.load()
        self._publish(kit, gallery)
        analyzer = kit.analyzer()
        policy = policy_of(self._settings, kit.calibration)
        gate = Gate(policy, gallery, kit.calibration, seed=secrets.token_bytes(32))
        analyse = self._photographed(self._around.tap.tapped(analyzer.analyse), stack)
        pipeline = self._pipeline(gate, self._camera(kit), analyse, door)
        self._renew_plan()
        self._inbox.post(before_restart(workspace))
        self._inbox.post(last_punches(workspace, self._clock.now()))
        for event in known_elsewhere(workspace):
            self._inbox.post(event)
        others = (
            self._room_keeper(pipeline.journal),
            self._watcher(kit, cache),
            *self._presentations(),
        )
        self.loops += [*pipeline.loops, *others]
        self.report = lambda: self._publish_health(pipeline, analyzer)
        stack.callback(pipeline.stop)
        pipeline.start()
        for loop in others:
            stack.callback(end, loop)
            loop.start()

    def _pipeline(
        self, gate: Gate, camera: SupervisedCamera, analyse: Analyse, door: Door
    ) -> Pipeline:
        return Pipeline(
            gate,
            camera,
            analyse,
            door,
            Recorder(self._workspace, self._settings).append,
            self._clock,
            self._inbox,
            self._crash,
            journal_queue=self._settings.storage.journal_queue,
            on_decision=self._decided,
            on_notice=self._notice,
            on_event=self._told,
            on_state=self._publish_state,
        )

    def _room_keeper(self, journal: JournalWriter) -> Loop:
        def tell(room: str) -> None:
            journal.disk_full = room == "full"
            self._board.publish(room=room)

        return RoomKeeper(self.room.keep, tell, self._crash)

    def _watcher(self, kit: VisionKit, cache: GalleryCache) -> Loop:
        """What hears of changes by the API and by other processes."""
        workspace = self._workspace
        return ChangeWatcher(
            workspace.changed,
            (
                # first, as they say of whom a face is accepted
                Watched("rules", workspace.rules_stamp, self._renew_plan),
                Watched(
                    "gallery", workspace.gallery_stamp, lambda: self._renew_gallery(kit, cache)
                ),
                Watched("orders", lambda: order_stamp(workspace), self._obey, urgent=True),
            ),
            self._crash,
            self.many_changes.is_set,
        )

    def _going_on(self) -> bool:
        """Whether the start may take longer; asked between steps that may take long."""
        watchdog.notify("EXTEND_TIMEOUT_USEC=60000000")
        return not self._around.stopping()

    def _presentations(self) -> Iterator[Loop]:
        """What reads cards and badges, where the settings name any."""
        settings = self._settings.credentials
        presenting = Presenting(Credentials(self._workspace, self._clock), self._inbox.post)
        reader = open_reader(settings)
        if reader is not None:
            yield CardReading(reader, presenting.card, self._inbox.post, self._crash)
        if settings.badges:
            yield BadgeScanner(
                self._around.tap.look,
                BadgeReader().read,
                presenting.badge,
                settings.badge_interval_s,
                self._crash,
            )

    def _photographed(self, analyse: Analyse, stack: ExitStack) -> Analyse:
        """`analyse`, of whose frames the pictures of attacks are kept where the settings say so."""
        taker = SnapshotTaker.of(self._workspace)
        if taker is None:
            return analyse
        writer = SnapshotWriter(Snapshots(self._workspace, self._clock).keep, self._crash)

        def photograph(decision: Decision) -> None:
            taken = taker.take(decision)
            if taken is not None:
                writer.offer(taken)

        self._photograph = photograph
        self.loops.append(writer)
        stack.callback(end, writer)
        writer.start()
        return taker.tapped(analyse)

    def _renew_plan(self) -> None:
        plan = load_plan(self._workspace)
        self._inbox.post(PlanReplaced(plan))
        misfit = misfit_of(self._settings, plan.rules)
        if misfit:
            log.error("a rule of the hub cannot be kept here: %s", misfit)
        self._board.publish(misfit=misfit)

    def _renew_gallery(self, kit: VisionKit, cache: GalleryCache) -> None:
        gallery = cache.load()
        self._inbox.post(GalleryReplaced(gallery))
        self._publish(kit, gallery)

    def _load_models(self) -> VisionKit:
        settings = self._settings
        kit = VisionKit(settings, pad=True)
        if kit.pad_problem:
            log.error("nobody is let in by face: %s", kit.pad_problem)
        pad = kit.models.pad
        self._board.publish(
            role=settings.gate.role,
            door=settings.door.driver,
            liveness=settings.liveness.level,
            pad_model=pad.model if pad else None,
        )
        if settings.gate.demo:
            enroll_demo_person(office_of(self._workspace, kit, self._clock), settings)
        return kit

    def _renew_templates(self, kit: VisionKit) -> None:
        """After a change of the engine: templates from the stored photos; ends early at a stop."""

        def progress(done: int, total: int) -> None:
            watchdog.notify("EXTEND_TIMEOUT_USEC=60000000")
            self._around.show(self._around.screen.renewing, done, total)
            if self._around.stopping():
                raise _Stopped

        with contextlib.suppress(_Stopped):
            for problem in ensure_templates(office_of(self._workspace, kit, self._clock), progress):
                log.warning("%s", problem)

    def _camera(self, kit: VisionKit) -> SupervisedCamera:
        settings = self._settings.camera
        return SupervisedCamera(
            open_camera(settings, self._clock, demo=kit.demo_portraits()),
            self._clock,
            on_event=self._camera_event,
            frozen_after_s=settings.frozen_after_s,
        )

    def _decided(self, decision: Decision, edge: float | None) -> None:
        self._indicators.flash(decision.granted)
        self._photograph(decision)
        self._board.add_decision(view_of(decision, edge))
        self._around.show(self._around.screen.decision, decision, edge)

    def _notice(self, notice: Notice) -> None:
        self._board.tell(notice)
        self._around.show(self._around.screen.notice, notice)

    def _obey(self) -> None:
        order = take_order(self._workspace)
        if order is not None:
            self._inbox.post(order)

    def _told(self, event: RecordEvent) -> None:
        self._board.add_event(event_view(event))

    def _publish_state(self, state: GateState) -> None:
        self._indicators.show(state.lights)
        self._board.publish(
            door_state=state.door,
            door_mode=str(state.mode),
            alarms=dict(state.alarms),
            idle=Light.IDLE in state.lights,
        )

    def _camera_event(self, event: CameraEvent) -> None:
        self._inbox.post(event)
        if event.kind is CameraEventKind.OPENED:
            self._recognise_camera()
        self._board.publish(camera=str(event.kind))
        self._around.show(self._around.screen.camera, event)

    def _recognise_camera(self) -> None:
        """Before the first frame of a camera that was opened: is it the one that was there?"""
        try:
            identity = identity_of(self._settings.camera)
            if identity is None:
                return
            wrong = CameraIdentity(self._workspace, self._clock).seen(identity)
        except (DeviceError, StorageError) as error:
            wrong = str(error)
        if wrong is not None:
            log.error("camera changed: %s", wrong)
        if wrong is not None or self._camera_wrong:
            self._inbox.post(Condition("camera_changed", wrong is not None, wrong or "", "alarm"))
        self._camera_wrong = wrong is not None

    def _publish(self, kit: VisionKit, gallery: Gallery) -> None:
        policy = policy_of(self._settings, kit.calibration)
        threshold = criteria_for(policy, gallery, kit.calibration).threshold
        fmr = kit.calibration.fmr(threshold)
        self._board.publish(
            model=kit.model,
            people=gallery.people,
            templates=len(gallery),
            threshold=threshold,
            gallery_stamp=self._workspace.gallery_stamp(),
            gallery=gallery,
            **outlook(self._workspace, fmr, len(gallery), self._clock.now()),
        )

    def _publish_health(self, pipeline: Pipeline, analyzer: Analyzer) -> None:
        available = pipeline.journal.available and not pipeline.journal.failing
        self._board.publish(journal="available" if available else "unavailable")
        vision = {f"vision.{name}": n for name, n in asdict(analyzer.counters).items()}
        self._board.gauge(**pipeline.counters(), **vision)
