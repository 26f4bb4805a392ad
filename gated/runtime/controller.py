"""Passes events from the inbox to the gate, and executes its commands.

Theory of operation: one thread owns the gate. It stamps the time, hands each event to
`Gate.handle` and executes the commands in order: a record is queued before the door moves, and a
grant whose record finds no place in the queue does not move the door. The thread never blocks:
records go into a bounded queue, calls of the door return at once, attention is replaced as a whole.
However the thread ends, it locks the door.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gated.core.gate import Gate
from gated.core.messages import (
    Attention,
    Command,
    Decision,
    DoorEvent,
    Event,
    GateState,
    JournalState,
    Lock,
    Notice,
    RecordDecision,
    RecordEvent,
    ReleaseFailed,
    ResetFire,
    Tick,
    Unlock,
)
from gated.core.values import DoorEventKind, Instant
from gated.errors import DeviceError
from gated.link.loop import Loop, OnCrash
from gated.ports import Clock, Door, SupervisedSource
from gated.runtime.inbox import BoundedInbox
from gated.runtime.journal_writer import JournalWriter

log = logging.getLogger(__name__)

IDLE_S = 1.0

Tape = Callable[[Event, Instant, Sequence[Command]], None]


def _ignore(*_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateListeners:
    """Receivers of what a gate does. All must return at once.

    on_attention: which evidence the inference thread has to collect. on_decision: each decision
    with the monotonic time of the relay's edge (None when the door was not moved). on_notice: each
    notice to show. on_event: each event that is recorded. on_state: the gate's state, at the start
    and when it changes. tape: each event with its time and the resulting commands.
    """

    on_attention: Callable[[Attention], None] = _ignore
    on_decision: Callable[[Decision, float | None], None] = _ignore
    on_notice: Callable[[Notice], None] = _ignore
    on_event: Callable[[RecordEvent], None] = _ignore
    on_state: Callable[[GateState], None] = _ignore
    tape: Tape | None = None


@dataclass(frozen=True, slots=True)
class GateDevices:
    """The hardware of a gate, and its clock."""

    camera: SupervisedSource
    door: Door
    clock: Clock


class Controller(Loop):
    """Executes the gate's commands."""

    def __init__(
        self,
        gate: Gate,
        inbox: BoundedInbox,
        door: Door,
        journal: JournalWriter,
        clock: Clock,
        listeners: GateListeners,
        on_crash: OnCrash,
    ) -> None:
        super().__init__("controller", on_crash)
        self._gate = gate
        self._inbox = inbox
        self._door = door
        self._journal = journal
        self._clock = clock
        self._listeners = listeners
        self._state: GateState | None = None
        self._recordable = True

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.beat()
                self.turn()
        finally:
            self._lock_at_end()

    def _lock_at_end(self) -> None:
        """Lock; a door that does not obey is no crash, and does not hide one."""
        try:
            self._door.lock()
        except DeviceError as error:
            log.error("the door cannot be locked: %s", error)

    def turn(self) -> None:
        """Wait for one event or the gate's deadline, and handle it."""
        deadline = self._gate.deadline
        wait = IDLE_S
        if deadline is not None:
            wait = min(IDLE_S, max(0.0, deadline - self._clock.now().mono))
        event = self._inbox.get(wait)
        if event is None and (deadline is None or self._clock.now().mono < deadline):
            return
        self._follow_journal()
        self._process(event or Tick())

    def _follow_journal(self) -> None:
        recordable = self._journal.available
        if recordable != self._recordable:
            self._recordable = recordable
            log.log(
                logging.INFO if recordable else logging.ERROR,
                "decisions %s be recorded",
                "can" if recordable else "cannot",
            )
            self._process(JournalState(recordable))

    def _process(self, event: Event) -> None:
        decision: Decision | None = None
        recorded, failed = True, False
        edge: float | None = None
        listeners, now = self._listeners, self._clock.now()
        commands = self._gate.handle(event, now)
        for command in commands:
            if isinstance(command, RecordDecision):
                if decision is not None:
                    listeners.on_decision(decision, edge)
                decision, edge = command.decision, None
                recorded = self._journal.offer(command)
            elif isinstance(command, Unlock):
                if recorded and self._drive(command):
                    edge = self._clock.now().mono
                elif decision is not None and decision.granted:
                    failed = True
            else:
                self._execute(command)
        if decision is not None:
            listeners.on_decision(decision, edge)
        if listeners.tape is not None:
            listeners.tape(event, now, commands)
        state = self._gate.state
        if state != self._state:
            self._state = state
            listeners.on_state(state)
        if failed:
            # at once: a grant that comes next is another one
            self._process(ReleaseFailed())

    def _execute(self, command: Command) -> None:
        match command:
            case Lock() | ResetFire():
                self._drive(command)
            case RecordEvent():
                self._journal.offer(command)
                self._listeners.on_event(command)
            case Attention():
                self._listeners.on_attention(command)
            case Notice():
                self._listeners.on_notice(command)

    def _drive(self, command: Unlock | Lock | ResetFire) -> bool:
        try:
            match command:
                case Unlock(for_s):
                    self._door.unlock(for_s)
                case Lock():
                    self._door.lock()
                case ResetFire():
                    self._door.reset_fire()
        except DeviceError as error:
            log.error("the door does not obey: %s", error)
            self._inbox.post(DoorEvent(DoorEventKind.FAULT, str(error)))
            return False
        return True
