"""Passes events from the inbox to the gate, and executes its commands.

Theory of operation: one thread owns the gate. It stamps the time, hands each event to
`Gate.handle` and executes the commands in their order: a record is queued before the door moves,
and a grant whose record found no place moves nothing. It never blocks: records go into a bounded
queue, the call of the door returns at once, attention is replaced as a whole. Whatever ends this
thread, the door is locked on the way out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

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
    ResetFire,
    Tick,
    Unlock,
)
from gated.core.values import DoorEventKind, Instant
from gated.errors import DeviceError
from gated.link.loop import Loop, OnCrash
from gated.ports import Clock, Door
from gated.runtime.inbox import BoundedInbox
from gated.runtime.journal_writer import JournalWriter

log = logging.getLogger(__name__)

IDLE_S = 1.0

Tape = Callable[[Event, Instant, Sequence[Command]], None]


class Controller(Loop):
    """Executes the gate's commands.

    on_attention: receives what the inference thread has to look for. on_decision: receives each
    decision with the monotonic time of the relay's edge (None when the door was not moved).
    on_notice: receives notices to show. on_event: receives each event that is recorded. on_state:
    receives the gate's state, at the start and when it changes. tape: receives each event with its
    time and the resulting commands. All must return at once.
    """

    def __init__(
        self,
        gate: Gate,
        inbox: BoundedInbox,
        door: Door,
        journal: JournalWriter,
        clock: Clock,
        on_crash: OnCrash,
        *,
        on_attention: Callable[[Attention], None],
        on_decision: Callable[[Decision, float | None], None],
        on_notice: Callable[[Notice], None],
        on_event: Callable[[RecordEvent], None],
        on_state: Callable[[GateState], None],
        tape: Tape | None = None,
    ) -> None:
        super().__init__("controller", on_crash)
        self._gate = gate
        self._inbox = inbox
        self._door = door
        self._journal = journal
        self._clock = clock
        self._on_attention = on_attention
        self._on_decision = on_decision
        self._on_notice = on_notice
        self._on_event = on_event
        self._on_state = on_state
        self._tape = tape
        self._state: GateState | None = None
        self._recordable = True

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.beat()
                self.turn()
        finally:
            self._door.lock()

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
        recorded = True
        edge: float | None = None
        now = self._clock.now()
        commands = self._gate.handle(event, now)
        for command in commands:
            if isinstance(command, RecordDecision):
                if decision is not None:
                    self._on_decision(decision, edge)
                decision, edge = command.decision, None
                recorded = self._journal.offer(command)
            elif isinstance(command, Unlock):
                if recorded and self._drive(command):
                    edge = self._clock.now().mono
            else:
                self._execute(command)
        if decision is not None:
            self._on_decision(decision, edge)
        if self._tape is not None:
            self._tape(event, now, commands)
        state = self._gate.state
        if state != self._state:
            self._state = state
            self._on_state(state)

    def _execute(self, command: Command) -> None:
        match command:
            case Lock() | ResetFire():
                self._drive(command)
            case RecordEvent():
                self._journal.offer(command)
                self._on_event(command)
            case Attention():
                self._on_attention(command)
            case Notice():
                self._on_notice(command)

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
