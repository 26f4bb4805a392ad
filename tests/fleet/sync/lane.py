"""A gate from the card to the relay with its loops to the hub: all but camera and faces."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.access import site_store
from gated.access.other_gates import known_presence
from gated.access.presence import forgiving
from gated.config import DoorSettings
from gated.core.gallery import Gallery
from gated.core.gate import Gate
from gated.core.messages import CredentialPresented, Decision, Event, PlanReplaced, Tick
from gated.core.plan import AccessPlan, Pass, SiteRules
from gated.core.policy import GatePolicy
from gated.core.values import Method, PersonRef
from gated.database import site_zones
from gated.database.tables import persons as table
from gated.devices.clock import SystemClock
from gated.devices.simulated import SimulatedDoor
from gated.fleet.gate.hub_loops import loops_of
from gated.link.loop import Loop, end
from gated.link.status_board import StatusBoard
from gated.live.recording import Recorder
from gated.people import person_store
from gated.runtime.controller import Controller, GateListeners
from gated.runtime.inbox import BoundedInbox
from gated.runtime.journal_writer import JournalWriter
from gated.workspace import Workspace
from tests.core.scenes import CALIBRATION

PATIENCE_S = 60.0


class Lane:
    """One direction of one gate, by cards alone."""

    def __init__(self, workspace: Workspace, policy: GatePolicy, rules: SiteRules) -> None:
        self.workspace = workspace
        self.board = StatusBoard()
        self.decisions: list[Decision] = []
        self.crashes: list[BaseException] = []
        self.heard: list[tuple[Event, float]] = []
        """What came from the hub, with the monotonic time at which it did."""
        self._decided = threading.Condition()
        self._clock = SystemClock()
        self._inbox = BoundedInbox()
        with workspace.database.write() as session:
            site_store.set_rules(session, site_zones.ALL, {f: getattr(rules, f) for f in SENT})
            people = list(_people(session))
        self._inbox.post(PlanReplaced(_plan(people, rules)))
        for event in known_presence(workspace):
            self._inbox.post(event)
        self._door = SimulatedDoor(DoorSettings(), self._inbox.post, self._clock)
        recorder = Recorder(workspace, workspace.settings)
        self._journal = JournalWriter(recorder.append, 64, self._crash)
        self.gate = Gate(policy, Gallery.build(CALIBRATION.model, "cosine", [], []), CALIBRATION)
        self._controller = Controller(
            self.gate,
            self._inbox,
            self._door,
            self._journal,
            self._clock,
            GateListeners(on_decision=self._decide),
            self._crash,
        )
        self.loops: list[Loop] = [
            self._journal,
            self._controller,
            *loops_of(
                workspace, self.board, self._clock, self._hear, threading.Event(), self._crash
            ),
        ]

    @contextmanager
    def running(self) -> Iterator[Lane]:
        for loop in self.loops:
            loop.start()
        try:
            yield self
        finally:
            for loop in self.loops:
                loop.stop()
            self._inbox.post(Tick())  # wakes the controller
            for loop in reversed(self.loops):
                end(loop)
            self._door.close()
            assert not self.crashes, self.crashes

    def shows_card(self, uid: str) -> str:
        """The reason of the decision about somebody who comes now."""
        number = len(self.decisions)
        person = self._ids()[uid]
        self._inbox.post(CredentialPresented(Method.CARD, person))
        with self._decided:
            assert self._decided.wait_for(lambda: len(self.decisions) > number, PATIENCE_S)
        return self.decisions[number].reason.value

    def forgives(self, uid: str | None) -> None:
        """An operator lets a person (None: everybody) count as outside."""
        whom = None if uid is None else self._ids()[uid]
        self._inbox.post(forgiving(self.workspace, whom, "op", "asked for it"))

    def rule(self) -> str:
        """The rule that the last decision names."""
        return self.decisions[-1].rule

    def knows(self, inside: set[str], others: int = 0) -> bool:
        """Whether these people, and so many others, come to be inside for this gate."""
        ids = {self._ids()[uid] for uid in inside}
        presence = self.gate.admission.access.presence
        return within(lambda: set(presence.inside) == ids and presence.others == others)

    @property
    def problems(self) -> tuple[str, ...]:
        return self.board.snapshot().problems

    def _ids(self) -> dict[str, int]:
        with self.workspace.database.read() as session:
            return {p.uid: p.id for p in _people(session)}

    def _hear(self, event: Event) -> None:
        self.heard.append((event, time.monotonic()))
        self._inbox.post(event)

    def _decide(self, decision: Decision, edge: float | None) -> None:
        with self._decided:
            self.decisions.append(decision)
            self._decided.notify_all()

    def _crash(self, name: str, error: BaseException) -> None:
        self.crashes.append(error)


SENT = ("anti_passback", "occupancy", "without_hub")


def _plan(people: list[PersonRef], rules: SiteRules) -> AccessPlan:
    return AccessPlan(people={p.id: Pass(p, face=False) for p in people}, rules=rules)


def _people(session: Session) -> list[PersonRef]:
    ids = session.execute(sa.select(table.c.id)).scalars().all()
    return list(person_store.refs(session, ids).values())


def within(true: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
    """Whether something comes true in that time."""
    end_ = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end_:
            return False
        time.sleep(0.01)
    return True
