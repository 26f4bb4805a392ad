"""Builds and runs the gate of a process: everything from the relay to the camera."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

from gated.access.access_plan import load_plan, rule_conflict
from gated.access.credential_lookup import CredentialLookup
from gated.access.credentials import Credentials
from gated.access.last_punches import last_punches
from gated.access.other_gates import known_presence
from gated.config import Settings
from gated.core.evidence import FLOOR_FMR
from gated.core.gallery import Gallery
from gated.core.gate import Gate
from gated.core.messages import (
    CameraEvent,
    Condition,
    Decision,
    Event,
    GalleryReplaced,
    GateState,
    Notice,
    PlanReplaced,
    RecordEvent,
    Restored,
)
from gated.core.mode_end import written
from gated.core.policy import criteria_for
from gated.core.values import CameraEventKind, Image, Light, PadReading, TrackedFace
from gated.daemon.screen import Screen
from gated.devices.cameras import open_camera
from gated.devices.card_output import CardReporter, open_card_output
from gated.devices.doors import open_door, open_indicators
from gated.devices.drivers import DoorHardware
from gated.devices.identity import identity_of
from gated.devices.indicators import NoIndicators
from gated.devices.last_wiring import keep_wiring
from gated.devices.readers import open_reader
from gated.devices.supervised import SupervisedCamera
from gated.devices.timed_door import TimedDoor
from gated.door.act_check import ActCheck
from gated.door.alarms import before_restart
from gated.door.door_memory import DoorMemory
from gated.enrollment.gallery_cache import GalleryCache, open_gallery
from gated.enrollment.models import VisionKit, policy_of
from gated.enrollment.strangers import error_estimate
from gated.errors import DeviceError, GatedError, StorageError
from gated.link.card_request import CardRequest
from gated.link.loop import Loop, OnCrash, Watched, end
from gated.link.running_gate import FrameTap, RunningGate
from gated.link.status_board import StatusBoard, event_view, view_of
from gated.live.camera_identity import CameraIdentity
from gated.live.disk_space import DiskSpace
from gated.live.log_outage import LogOutage
from gated.live.recording import Recorder
from gated.live.refused_visits import RefusalTaker, RefusedVisit, RefusedVisits, Scale
from gated.live.snapshots import Snapshots, SnapshotTaker
from gated.live.strain import StrainWatch
from gated.ports import Clock, Door, Indicators
from gated.runtime.badge_scanner import BadgeScanner
from gated.runtime.card_reading import CardReading
from gated.runtime.change_watcher import ChangeWatcher, WatchedState
from gated.runtime.controller import GateDevices, GateListeners
from gated.runtime.disk_space_loop import DiskSpaceLoop
from gated.runtime.inbox import BoundedInbox
from gated.runtime.incident_tape import IncidentTape
from gated.runtime.inference import Analyse
from gated.runtime.journal_writer import JournalWriter
from gated.runtime.pipeline import Pipeline
from gated.runtime.second_camera import SecondCamera
from gated.runtime.snapshot_writer import SnapshotWriter
from gated.vision import badges
from gated.vision.analyzer import Analyzer
from gated.vision.second_look import confirmed, look
from gated.vision.uprightness import setting_for
from gated.workspace import Workspace

if TYPE_CHECKING:
    from gated.access.pins import PinCheck

log = logging.getLogger(__name__)

SECOND_LOST = "second_camera_lost"
"""Problem and alarm: the infra-red camera shows nothing, so that nobody is let in by face."""
UNREADABLE = "templates_unreadable"
"""Problem and alarm: files of templates cannot be read, or not with this key."""


@dataclass(frozen=True)
class ProcessContext:
    """The parts of the process that the gate uses.

    show: calls a method of the screen in the main thread; never waits. stopping: returns whether
    the process is to end. prepare_people: brings the people up to date for a model.
    """

    settings: Settings
    workspace: Workspace
    clock: Clock
    board: StatusBoard
    tap: FrameTap
    screen: Screen
    show: Callable[..., None]
    crash: OnCrash
    stopping: Callable[[], bool]
    cards: CardRequest
    prepare_people: Callable[[str], None]


class GateRuntime:
    """Everything from the relay to the camera of one running gate."""

    def __init__(self, context: ProcessContext) -> None:
        self._context = context
        self._settings = context.settings
        self._workspace = context.workspace
        self._board = context.board
        self._clock = context.clock
        self._crash = context.crash
        self._inbox = BoundedInbox()
        self._acts = ActCheck(context.settings, context.board, self._inbox.post, context.clock)
        self.act = self._acts.take
        """Handles an event of the service, or raises; never waits."""
        self.post = self._inbox.post
        self.live = RunningGate(context.tap, self.act, self._take_news)
        self.room = DiskSpace(context.workspace, context.clock)
        self.door: Door | None = None
        self._memory = DoorMemory(self._settings.storage.state_dir, context.workspace.journal.boot)
        self.many_changes = threading.Event()
        """Set while the hub sends changes of many people."""
        self.loops: list[Watched] = []
        self._indicators: Indicators = NoIndicators()
        self._reporter: CardReporter | None = None
        self._camera_wrong = False
        self._unreadable = 0
        self._faults: Mapping[str, str] = {}
        self._log_outage = LogOutage()
        self._tape: IncidentTape | None = None
        self._hint: str | None = None
        self._keepers: list[Callable[[Decision], None]] = []
        """Called with each decision, to store pictures and templates where configured."""
        self.report: Callable[[], None] = lambda: None
        self.check_strain: Callable[[], None] = lambda: None
        """Publishes whether loops and models keep up with the camera."""

    def _take_news(self, event: Event) -> None:
        try:
            self.act(event)
        except GatedError as error:
            log.error("news of the service is refused: %s", error)

    def build(self, stack: ExitStack) -> None:
        """Open, load and start all parts; the door first, so that it is locked early."""
        settings = self._settings
        notes = DoorHardware(note=self._inbox.post)
        self.door = open_door(settings.door, self._inbox.post, self._clock, hardware=notes)
        stack.callback(self.door.close)
        keep_wiring(settings.storage.state_dir, settings.door)
        self._memory.prepare()
        self._hold_fire(self.door)
        if isinstance(self.door, TimedDoor):
            # its own thread ends every release
            self.loops.append(self.door)
        self._indicators = open_indicators(settings, note=self._inbox.post)
        stack.callback(self._indicators.close)
        self._source: SupervisedCamera | None = None
        self._reporter = open_card_output(settings.card_output, self._inbox.post)
        if self._reporter is not None:
            stack.callback(self._reporter.close)
        kit = self._load_models()
        self._context.prepare_people(kit.model)
        if not self._context.stopping():
            self._start(kit, self.door, stack)

    def _hold_fire(self, door: Door) -> None:
        """Release the door again where a fire was not reset before the program ended."""
        if not self._memory.fire:
            return
        try:
            held = isinstance(door, TimedDoor) and door.hold_fire()
        except DeviceError as error:
            log.error("the release for a fire cannot be taken up again yet: %s", error)
            return
        if held:
            log.warning("the door is released: a fire was not reset before the restart")
        else:
            self._memory.forget_fire()

    def _restored(self) -> Restored:
        """Return the state before the start."""
        restored = before_restart(self._workspace)
        if not restored.unlogged:
            self._memory.forget_mode()
        return restored

    def _start(self, kit: VisionKit, door: Door, stack: ExitStack) -> None:
        workspace = self._workspace
        cache = open_gallery(workspace, kit.model, kit.metric)
        # before anything is read that it watches: what changes meanwhile is read again
        watcher = self._watcher(kit, cache)
        gallery = cache.load()
        self._publish(kit, gallery, cache.stamp)
        self._report_unreadable(cache.unreadable)
        analyzer = kit.analyzer()
        policy = policy_of(self._settings, kit.calibration)
        gate = Gate(policy, gallery, kit.calibration, seed=secrets.token_bytes(32))
        recorder = Recorder(workspace, workspace.settings)
        analyse = self._with_second_camera(analyzer.analyse, kit, stack)
        analyse = self._with_snapshots(self._context.tap.tapped(analyse), stack)
        analyse = self._with_refused_visits(analyse, kit, recorder, stack)
        self._tape = self._start_tape(gallery, stack)
        journal = JournalWriter(
            recorder.append, self._settings.storage.journal_queue, self._crash, self._memory
        )
        pipeline = Pipeline(
            gate,
            GateDevices(self._camera(kit), door, self._clock),
            analyse,
            journal,
            self._inbox,
            self._listeners(),
            self._crash,
        )
        self._renew_plan()
        self._inbox.post(self._restored())
        self._inbox.post(last_punches(workspace, self._clock.now()))
        for event in known_presence(workspace):
            self._inbox.post(event)
        others = (
            self._disk_space_loop(pipeline.journal),
            watcher,
            *self._presentations(),
        )
        self.loops += [*pipeline.loops, *others]
        self.report = lambda: self._publish_health(pipeline, analyzer)
        strain = StrainWatch()
        self.check_strain = lambda: self._report_strain(strain, pipeline)
        stack.callback(pipeline.stop)
        pipeline.start()
        for loop in others:
            stack.callback(end, loop)
            loop.start()

    def _listeners(self) -> GateListeners:
        return GateListeners(
            on_decision=self._on_decision,
            on_notice=self._on_notice,
            on_event=self._on_event,
            on_state=self._publish_state,
            tape=None if self._tape is None else self._tape.offer,
        )

    def _start_loop(self, loop: Loop, stack: ExitStack) -> None:
        """Start a loop that is stopped after the pipeline."""
        self.loops.append(loop)
        stack.callback(end, loop)
        loop.start()

    def _disk_space_loop(self, journal: JournalWriter) -> Loop:
        def publish(room: str) -> None:
            journal.disk_full = room == "full"
            self._board.publish(room=room)

        return DiskSpaceLoop(self.room.keep, publish, self._crash)

    def _watcher(self, kit: VisionKit, cache: GalleryCache) -> Loop:
        """Return the loop that watches for changes by the API and by other processes."""
        workspace = self._workspace
        return ChangeWatcher(
            workspace.changed,
            (
                # before the gallery: they decide whose face is accepted
                WatchedState("rules", workspace.rules_stamp, self._renew_plan),
                WatchedState(
                    "gallery", workspace.gallery_stamp, lambda: self._renew_gallery(kit, cache)
                ),
            ),
            self._crash,
            self.many_changes.is_set,
        )

    def _presentations(self) -> Iterator[Loop]:
        """Yield the loops that read cards and badges, where the settings name a reader."""
        settings = self._settings.credentials
        lookup = CredentialLookup(Credentials(self._workspace, self._clock), self._inbox.post)
        reader = open_reader(settings)
        if reader is not None:
            requests = self._context.cards
            requests.has_reader = True

            def present(number: str) -> None:
                if not requests.offer(number):
                    lookup.card(number)

            @cache
            def pins() -> PinCheck:
                # only when somebody types: few readers have keys, and hashing needs memory
                from gated.access.pins import PinCheck

                return PinCheck(self._workspace, self._clock, self._inbox.post)

            yield CardReading(
                reader,
                present,
                self._inbox.post,
                self._crash,
                lambda typed: lookup.keyed_pin(typed, pins()),
            )
        if settings.badges:
            yield BadgeScanner(
                self._context.tap.subscribe,
                badges.read,
                lookup.badge,
                settings.badge_interval_s,
                self._crash,
            )

    def _with_second_camera(self, analyse: Analyse, kit: VisionKit, stack: ExitStack) -> Analyse:
        """Return `analyse`, wrapped to look into an infra-red camera where there is one."""
        settings = self._settings.liveness.second_camera
        if not settings.is_there:
            return analyse
        camera = SupervisedCamera(
            open_camera(settings, self._clock, demo=kit.demo_portraits()),
            self._clock,
            on_event=self._on_second_camera,
            frozen_after_s=settings.frozen_after_s,
            watch_view=False,
        )
        detector = kit.models.detector

        def confirm(
            reading: PadReading, face: TrackedFace, shape: tuple[int, int], second: Image | None
        ) -> PadReading:
            return confirmed(reading, look(detector, face.face, shape, second))

        second = SecondCamera(camera, confirm, self._crash)
        camera.heartbeat = second.beat
        self._start_loop(second, stack)
        stack.callback(camera.stop)
        return second.tapped(analyse)

    def _on_second_camera(self, event: CameraEvent) -> None:
        """Report a second camera that is lost, frozen or dark: liveness is undecided meanwhile."""
        lost = event.kind not in (CameraEventKind.OPENED, CameraEventKind.CLEAR)
        detail = f"{event.kind}: {event.detail}" if lost else ""
        self._board.trouble(SECOND_LOST, detail or None)
        self.post(Condition(SECOND_LOST, lost, detail, "alarm"))

    def _with_snapshots(self, analyse: Analyse, stack: ExitStack) -> Analyse:
        """Return `analyse`, wrapped to store pictures of attacks where configured."""
        taker = SnapshotTaker.of(self._workspace)
        if taker is None:
            return analyse
        writer = SnapshotWriter(Snapshots(self._workspace, self._clock).keep, self._crash)

        def photograph(decision: Decision) -> None:
            taken = taker.take(decision)
            if taken is not None:
                writer.offer(taken)

        self._keepers.append(photograph)
        self._start_loop(writer, stack)
        return taker.tapped(analyse)

    def _with_refused_visits(
        self, analyse: Analyse, kit: VisionKit, recorder: Recorder, stack: ExitStack
    ) -> Analyse:
        """Return `analyse`, wrapped to store templates of refused visits where configured."""
        refused, board = RefusedVisits(self._workspace, self._clock), self._board
        if not self._settings.privacy.denials_hours:
            refused.expire()
            return analyse
        taker, frames = RefusalTaker(), self._settings.recognition.frames
        alike = kit.calibration.similarity_at(FLOOR_FMR)

        def keep(taken: RefusedVisit) -> None:
            status = board.snapshot()
            threshold = alike if status.threshold is None else status.threshold
            scale = Scale(kit.model, threshold, min(threshold, alike), frames)
            refused.keep(taken, recorder.visit_uid(taken.visit), scale, status.gallery)

        writer = SnapshotWriter(keep, self._crash, "refused visits", refused.expire)

        def offer(decision: Decision) -> None:
            taken = taker.take(decision)
            if taken is not None:
                writer.offer(taken)

        self._keepers.append(offer)
        self._start_loop(writer, stack)
        return taker.tapped(analyse)

    def _start_tape(self, gallery: Gallery, stack: ExitStack) -> IncidentTape | None:
        """Start the incident tape where configured."""
        workspace, most = self._workspace, self._settings.storage.incident_mb << 20
        if not most:
            return None
        gone = workspace.journal.ledger.read
        tape = IncidentTape(workspace.ring, most, gallery, gone, self._crash)
        self._start_loop(tape, stack)
        return tape

    def _renew_plan(self) -> None:
        plan = load_plan(self._workspace)
        self._inbox.post(PlanReplaced(plan))
        conflict = rule_conflict(self._settings, plan.rules)
        if conflict:
            log.error("a rule of the hub cannot be kept here: %s", conflict)
        self._board.publish(rule_conflict=conflict)

    def _renew_gallery(self, kit: VisionKit, cache: GalleryCache) -> None:
        gallery = cache.load()
        self._inbox.post(GalleryReplaced(gallery))
        self._publish(kit, gallery, cache.stamp)
        self._report_unreadable(cache.unreadable)

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
        return kit

    def _camera(self, kit: VisionKit) -> SupervisedCamera:
        settings = self._settings.camera
        known = CameraIdentity(self._workspace, self._clock).accepted()
        self._source = SupervisedCamera(
            open_camera(settings, self._clock, demo=kit.demo_portraits(), known=known),
            self._clock,
            on_event=self._on_camera_event,
            frozen_after_s=settings.frozen_after_s,
            watch_view=settings.watch_view,
        )
        return self._source

    def _on_decision(self, decision: Decision, edge: float | None) -> None:
        self._indicators.flash(decision.granted)
        if self._reporter is not None:
            self._reporter.decided(decision)
        for keeper in self._keepers:
            keeper(decision)
        self._board.add_decision(view_of(decision, edge))
        self._context.show(self._context.screen.decision, decision, edge)

    def _on_notice(self, notice: Notice) -> None:
        self._board.add_notice(notice)
        self._context.show(self._context.screen.notice, notice)

    def _on_event(self, event: RecordEvent) -> None:
        self._board.add_event(event_view(event))
        self._context.show(self._context.screen.event, event)

    def _publish_state(self, state: GateState) -> None:
        self._indicators.show(state.lights)
        self._board.publish(
            door_state=state.door,
            door_mode=str(state.mode),
            door_mode_until=None if state.mode_until is None else written(state.mode_until),
            alarms=dict(state.alarms),
            idle=Light.IDLE in state.lights,
        )
        for name in self._faults.keys() | state.faults.keys():
            if self._faults.get(name) != state.faults.get(name):
                found = state.faults.get(name)
                self._board.trouble(name, None if found is None else found or name)
        self._faults = state.faults

    def _on_camera_event(self, event: CameraEvent) -> None:
        self._inbox.post(event)
        if event.kind is CameraEventKind.OPENED:
            self._recognise_camera()
        clear = event.kind is CameraEventKind.CLEAR
        self._board.publish(camera=str(CameraEventKind.OPENED if clear else event.kind))
        self._context.show(self._context.screen.camera, event)

    def _recognise_camera(self) -> None:
        """Check, before the first frame of a camera that was opened, that it is the accepted
        one."""
        try:
            known = self._source.identity if self._source is not None else None
            identity = known or identity_of(self._settings.camera)
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

    def _publish(self, kit: VisionKit, gallery: Gallery, stamp: str | None) -> None:
        policy = policy_of(self._settings, kit.calibration)
        threshold = criteria_for(policy, gallery, kit.calibration).threshold
        fmr = kit.calibration.fmr(threshold)
        self._board.publish(
            model=kit.model,
            people=gallery.people,
            templates=len(gallery),
            threshold=threshold,
            # the stamp of this gallery: that of the database may name people who are not read yet
            gallery_stamp=stamp,
            gallery=gallery,
            **error_estimate(self._workspace, fmr, len(gallery), self._clock.now()),
        )

    def _report_unreadable(self, count: int) -> None:
        """Publish that templates cannot be read, so that their people are not recognised."""
        if count == self._unreadable:
            return
        self._unreadable = count
        detail = (
            f"{count} templates cannot be read: put keys/seal.key or the files back"
            if count
            else ""
        )
        self._board.trouble(UNREADABLE, detail or None)
        self.post(Condition(UNREADABLE, count > 0, detail, "alarm", {"count": count}))

    def _report_strain(self, strain: StrainWatch, pipeline: Pipeline) -> None:
        for condition in strain.changes(self._clock.now().mono, pipeline.load()):
            self._board.trouble(condition.name, condition.detail if condition.present else None)
            self.post(condition)

    def _publish_health(self, pipeline: Pipeline, analyzer: Analyzer) -> None:
        journal, now = pipeline.journal, self._clock.now().mono
        available = journal.available and not journal.failing
        for condition in self._log_outage.changes(
            now, failing=journal.failing, waiting=journal.backlog
        ):
            self.post(condition)
        self._board.publish(journal="available" if available else "unavailable")
        camera, hint = self._settings.camera, None
        if analyzer.grey:
            hint = "infra_red"
        if analyzer.turn is not None:
            hint = f"rotate: {setting_for(analyzer.turn, camera.rotate, camera.mirror)}?"
        if hint != self._hint:
            self._hint = hint
            if hint == "infra_red":
                log.warning("the picture has no colour: liveness cannot be judged in it")
            elif hint is not None:
                log.warning("faces are found only when the picture is turned: camera.%s", hint)
            self._board.publish(camera_hint=hint)
        vision = {f"vision.{name}": n for name, n in asdict(analyzer.counters).items()}
        taped = {} if self._tape is None else {"incidents.dropped": self._tape.dropped}
        self._board.gauge(**pipeline.counters(), **vision, **taped)
