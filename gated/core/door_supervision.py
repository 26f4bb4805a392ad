"""Supervises the door: its state, the passages through it, and alarms.

The gate hands over all events but observations, and asks for admissions. Each event of the door is
recorded with its severity; a warning or an alarm stands until it is acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from gated.core.alarms import AlarmSounder, RepetitionCounter, detail_values
from gated.core.door import DoorControl, DoorInput, DoorState
from gated.core.messages import (
    CAMERA_NEWS,
    AlarmsAcknowledged,
    CameraEvent,
    Command,
    Condition,
    DoorEvent,
    GateState,
    Notice,
    Noticed,
    OperatorUnlock,
    RecordEvent,
    ResetFire,
    Restored,
    SetDoorMode,
    Silenced,
)
from gated.core.mode_end import ModeEnd, written
from gated.core.passage import Passage, Passages
from gated.core.policy import GatePolicy
from gated.core.values import (
    CameraEventKind,
    DoorEventKind,
    DoorMode,
    Instant,
    Light,
    Method,
    Reason,
    Severity,
)

DOOR_SEVERITY: dict[DoorEventKind, Severity] = {
    DoorEventKind.FIRE: "alarm",
    DoorEventKind.TAMPER: "alarm",
    DoorEventKind.FAULT: "alarm",
    DoorEventKind.POWER_FAIL: "warning",
    DoorEventKind.FIRE_HELD: "warning",
}
"""Severity of the events that are more than information."""

DOOR_FAULT = "door_fault"
HARDWARE = frozenset({DOOR_FAULT, "relay_lost", "reader_lost", "controller_lost", "indicator_lost"})
"""Troubles that are a fault of the hardware, besides the camera's."""

HARMLESS = frozenset(
    {
        Reason.LOW_QUALITY,
        Reason.LIVENESS_UNDECIDED,
        Reason.COOLDOWN,
        Reason.INTERLOCK,
        Reason.LOCKDOWN,
        Reason.OUT_OF_SERVICE,
        Reason.CAMERA_CHANGED,
        Reason.LOG_UNAVAILABLE,
        Reason.HUB_REVOKED,
        Reason.SPOOF,
    }
)
"""Denials that do not count as suspicious, and spoofs, which are counted separately."""

Settled = Callable[[Passage, bool], None]

EntranceEvent = (
    DoorEvent
    | CameraEvent
    | OperatorUnlock
    | SetDoorMode
    | ResetFire
    | Restored
    | AlarmsAcknowledged
    | Silenced
    | Condition
    | Noticed
)


class DoorSupervision:
    """The door of one gate. on_settled: called with each passage, and whether it was made."""

    def __init__(self, policy: GatePolicy, on_settled: Settled) -> None:
        self.policy = policy
        self.door = DoorControl(policy.door)
        self.passages = Passages(policy.contact)
        self.alarms = AlarmSounder(policy.alarm_sound_s)
        self.journal_available = True
        self._denials = RepetitionCounter(policy.alarm_denials, policy.alarm_denials_window_s)
        self._troubles: dict[str, str] = {}
        self._on_settled = on_settled
        self.mode_end: ModeEnd | None = None
        """When the mode ends by itself; None: when somebody sets another one."""
        self._looks_at_end = 0.0

    # --- admissions and state -----------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """The time at which `advance` has something to do; None: never."""
        looks = self._looks_at_end if self.mode_end is not None else None
        due = (self.door.deadline, self.passages.until, self.alarms.sounds_until, looks)
        return min((t for t in due if t is not None), default=None)

    def advance(self, now: Instant) -> Iterator[Command]:
        """Do what is due."""
        yield from self._look_at_end(now)
        yield from self.door.advance(now)
        used = self._stands_open(now)
        yield from self._settle(self.passages.given_up(now.mono), used, now)
        self.alarms.advance(now.mono)

    def admit(self, passage: Passage, for_s: float, now: Instant) -> Iterator[Command]:
        """Release the door for a person who was granted access."""
        yield from self.door.release(DoorInput.GRANT, for_s, f"visit {passage.visit}", now)
        ends = now.mono + min(for_s, self.policy.door.max_s) + self.policy.door.grace_s
        passed = self.passages.granted(passage, ends, self._stands_open(now))
        yield from self._settle(passed, True, now)

    def not_released(self, now: Instant) -> Iterator[Command]:
        """Take back the last grant, for which the relay did not move."""
        yield from self._settle(self.passages.not_released(), False, now)

    @property
    def distrusts_camera(self) -> bool:
        """True while nobody is let in by face because the camera was exchanged."""
        return self.policy.refuse_changed_camera and Reason.CAMERA_CHANGED in self._troubles

    def denied(self, reason: Reason, now: Instant) -> Iterator[Command]:
        """Count a denial; many of them make a warning."""
        if reason not in HARMLESS and self._denials.happened(now.mono):
            body = {"denials": self._denials.limit, "within_s": self._denials.window_s}
            yield RecordEvent(now, "repeated_denials", body, "warning")

    def recorded(self, commands: Iterable[Command]) -> None:
        """Handle the recorded events among the commands of one event."""
        for command in commands:
            if isinstance(command, RecordEvent):
                self.alarms.recorded(command.kind, command.severity, command.at.mono)

    def state(self, looking: bool) -> GateState:
        """Return the state of the gate. looking: a person in front of the camera is examined."""
        lights = {Light.LOOK_HERE if looking else Light.IDLE}
        if self._troubles or not self.journal_available or DOOR_FAULT in self.alarms.standing:
            lights.add(Light.FAULT)
        if self.door.state is DoorState.HELD_WARNING:
            lights.add(Light.HELD_WARNING)
        if self.alarms.sounds_until is not None:
            lights.add(Light.ALARM)
        hindering = HARDWARE | ({Reason.CAMERA_CHANGED} if self.distrusts_camera else set())
        faults = {name: detail for name, detail in self._troubles.items() if name in hindering}
        return GateState(
            str(self.door.state),
            self.door.mode,
            frozenset(lights),
            dict(self.alarms.standing),
            faults,
            None if self.mode_end is None else self.mode_end.until,
        )

    # --- events -------------------------------------------------------------------------------

    def handle(self, event: EntranceEvent, now: Instant) -> Iterator[Command]:
        """Handle one event that is no observation."""
        match event:
            case DoorEvent():
                yield from self._door_event(event, now)
            case CameraEvent():
                yield self._camera_event(event, now)
            case Condition(name, present, detail, graded, values):
                severity = graded if present else "info"
                kind = name if present else f"{name}_over"
                named = detail_values(name, values)
                yield self._trouble(name, kind, severity, detail, now, named)
            case OperatorUnlock():
                yield from self._operator_unlock(event, now)
            case Noticed(kind, severity, body):
                yield RecordEvent(now, kind, body, severity)
            case SetDoorMode():
                yield from self._set_mode(event, now)
            case ResetFire(actor, cause):
                if self.door.state is DoorState.FIRE:
                    yield RecordEvent(now, "door_fire_reset", actor=actor, cause=cause)
                    yield event
            case Restored():
                yield from self._restore(event, now)
            case AlarmsAcknowledged(kind):
                self.alarms.acknowledged(kind)
            case Silenced(actor):
                self.alarms.silence()
                yield RecordEvent(now, "alarm_silenced", actor=actor)

    def _door_event(self, event: DoorEvent, now: Instant) -> Iterator[Command]:
        gone_through = self._goes_through(event.kind, now)
        moved = list(self._move(event.kind, now))
        severity = DOOR_SEVERITY.get(event.kind, "info")
        if event.kind in (DoorEventKind.FAULT, DoorEventKind.FAULT_OVER):
            yield self._trouble(DOOR_FAULT, f"door_{event.kind}", severity, event.detail, now)
        elif not any(isinstance(c, RecordEvent) for c in moved):
            yield RecordEvent(now, f"door_{event.kind}", {"detail": event.detail}, severity)
        yield from moved
        opened = event.kind is DoorEventKind.CONTACT_OPEN and not self.door.maybe_rebound(now.mono)
        if gone_through or (opened and self.door.state is not DoorState.FORCED):
            yield from self._settle(self.passages.opened(), True, now)

    def _stands_open(self, now: Instant) -> bool:
        """Return whether the leaf stands open, neither forced nor merely rebounded."""
        door = self.door
        forced = door.state is DoorState.FORCED
        return door.leaf_open and not forced and not door.maybe_rebound(now.mono)

    def _goes_through(self, kind: DoorEventKind, now: Instant) -> bool:
        """Return whether the leaf closes now after being reopened, which was no rebound."""
        return (
            kind is DoorEventKind.CONTACT_CLOSED
            and self.door.reopened is not None
            and self.door.state is not DoorState.FORCED
            and not self.door.maybe_rebound(now.mono)
        )

    def _move(self, kind: DoorEventKind, now: Instant) -> list[Command]:
        match kind:
            case DoorEventKind.CONTACT_OPEN | DoorEventKind.FOUND_OPEN:
                return self.door.leaf(True, now, found=kind is DoorEventKind.FOUND_OPEN)
            case DoorEventKind.CONTACT_CLOSED:
                return self.door.leaf(False, now)
            case DoorEventKind.REX:
                return self.door.release(DoorInput.REX, self.policy.unlock_s, "rex", now)
            case DoorEventKind.OTHER_OPEN | DoorEventKind.OTHER_CLOSED:
                return self.door.other_door(kind is DoorEventKind.OTHER_OPEN, now)
            case DoorEventKind.FIRE:
                return self.door.take(DoorInput.FIRE, now)
            case DoorEventKind.FIRE_CLEARED:
                return self.door.take(DoorInput.FIRE_CLEARED, now)
        return []

    def _camera_event(self, event: CameraEvent, now: Instant) -> RecordEvent:
        kind = f"camera_{event.kind}"
        if event.kind in (CameraEventKind.COVERED, CameraEventKind.TURNED):
            return self._trouble("view", kind, "alarm", event.detail, now)
        if event.kind in CAMERA_NEWS:
            self._troubles.pop("view", None)
            return RecordEvent(now, kind, {"detail": event.detail})
        opened = event.kind is CameraEventKind.OPENED
        if opened:
            self._troubles.pop("view", None)
        return self._trouble("camera", kind, "info" if opened else "alarm", event.detail, now)

    def _trouble(
        self,
        name: str,
        kind: str,
        severity: Severity,
        detail: str,
        now: Instant,
        values: Mapping[str, int | str] | None = None,
    ) -> RecordEvent:
        """Record that a condition that hinders the gate began or (severity info) ended.

        values: of the detail, for whoever has words of their own.
        """
        if severity == "info":
            self._troubles.pop(name, None)
        else:
            self._troubles[name] = detail
        return RecordEvent(now, kind, {**(values or {}), "detail": detail}, severity)

    def _operator_unlock(self, event: OperatorUnlock, now: Instant) -> Iterator[Command]:
        if not self.journal_available:
            yield Notice(None, Reason.LOG_UNAVAILABLE)
            return
        actor, cause, refusal = event.actor, event.cause, self.door.refusal()
        if refusal is not None:
            body = {"reason": str(refusal)}
            yield RecordEvent(now, "door_remote_refused", body, actor=actor, cause=cause)
            yield Notice(None, refusal)
            return
        body = {"cause": "remote"}
        yield RecordEvent(now, "door_remote_unlock", body, actor=actor, cause=cause)
        for_s = event.for_s or self.policy.unlock_s
        yield from self.door.release(DoorInput.OPERATOR, for_s, Method.REMOTE, now)

    def _set_mode(self, event: SetDoorMode, now: Instant) -> Iterator[Command]:
        mode, before, end = event.mode, self.door.mode, self._end_of(event, now)
        if mode is before and (end and end.until) == (self.mode_end and self.mode_end.until):
            return
        if mode is DoorMode.FREE_ACCESS:
            endless = event.until is not None and end is None
            if endless or not self.journal_available:
                yield Notice(None, Reason.CLOCK_UNSET if endless else Reason.LOG_UNAVAILABLE)
                return
        body = {"mode": str(mode), "before": str(before)}
        if end is not None:
            body["until"] = written(end.until)
        yield RecordEvent(now, "door_mode", body, actor=event.actor, cause=event.cause)
        self._end_at(end, now)
        if mode is not before:
            yield from self.door.set_mode(mode, now)

    def _end_of(self, event: SetDoorMode, now: Instant) -> ModeEnd | None:
        """Return the end of a mode; None without one, and by a clock that may be wrong."""
        if event.until is None or event.mode is DoorMode.NORMAL or not now.sure:
            return None
        return ModeEnd.at(event.until, now)

    def _end_at(self, end: ModeEnd | None, now: Instant) -> None:
        self.mode_end = end
        self._looks_at_end = now.mono if end is None else end.next_look(now)

    def _look_at_end(self, now: Instant) -> Iterator[Command]:
        """Set the door to normal once its mode is over."""
        end, mode = self.mode_end, self.door.mode
        if end is None:
            return
        if end.is_over(mode, now):
            self.mode_end = None
            yield _back_to_normal(mode, "until", now)
            yield from self.door.set_mode(DoorMode.NORMAL, now)
        elif now.mono >= self._looks_at_end:
            self._looks_at_end = end.next_look(now)

    def _restore(self, before: Restored, now: Instant) -> Iterator[Command]:
        """Restore alarms and mode, but not free access: a door must not open by itself."""
        self.alarms.standing.update(before.alarms)
        mode, end = before.mode, before.end
        if mode is DoorMode.FREE_ACCESS:
            yield _back_to_normal(mode, "restart", now)
        elif mode is not DoorMode.NORMAL and end is not None and end.is_over(mode, now):
            yield _back_to_normal(mode, "until", now)
        elif mode is not DoorMode.NORMAL:
            if before.unlogged:
                body = {"mode": str(mode), "before": str(mode), "cause": "restart"}
                until = {} if end is None else {"until": written(end.until)}
                yield RecordEvent(now, "door_mode", body | until)
            self._end_at(end, now)
            yield from self.door.set_mode(mode, now)

    def _settle(self, passages: Iterable[Passage], used: bool, now: Instant) -> Iterator[Command]:
        for passage in passages:
            self._on_settled(passage, used)
            yield RecordEvent(now, "passed" if used else "not_used", {"visit": passage.visit})


def _back_to_normal(before: DoorMode, cause: str, now: Instant) -> RecordEvent:
    body = {"mode": str(DoorMode.NORMAL), "before": str(before), "cause": cause}
    return RecordEvent(now, "door_mode", body)
