"""Both shapes of the seam between a gate and its service, behind one face for one suite."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gated.core.messages import Event
from gated.link.client import GateLink
from gated.link.messages import Report
from gated.link.remote_board import RemoteBoard
from gated.link.running_gate import FrameTap, RunningGate
from gated.link.server import LinkServer
from gated.link.status_board import StatusBoard


@dataclass
class DoorSide:
    """What a door process publishes, and what it was asked."""

    board: StatusBoard = field(default_factory=StatusBoard)
    tap: FrameTap = field(default_factory=FrameTap)
    taken: list[Event] = field(default_factory=list)
    refuse: Callable[[Event], None] = lambda event: None

    def act(self, event: Event) -> None:
        self.refuse(event)
        self.taken.append(event)


@dataclass
class Seam:
    """A gate, and how its service sees it."""

    door: DoorSide
    gate: RunningGate
    board: StatusBoard
    link: GateLink | None = None
    server: LinkServer | None = None


@contextmanager
def turning(turn: Callable[[float], None]) -> Iterator[threading.Lock]:
    """A thread calls `turn` while the block runs; who holds the lock holds it up."""
    done, held = threading.Event(), threading.Lock()

    def run() -> None:
        while not done.wait(0.001):  # so that somebody else may have the lock
            with held:
                turn(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield held
    finally:
        done.set()
        thread.join(20)


@contextmanager
def one_process() -> Iterator[Seam]:
    door = DoorSide()
    yield Seam(door, RunningGate(door.tap, door.act), door.board)


@contextmanager
def serving(server: LinkServer) -> Iterator[threading.Lock]:
    """The door's end runs while the block does."""
    server.open()
    try:
        with turning(server.turn) as held:
            yield held
    finally:
        server.close()


@contextmanager
def connecting(link: GateLink) -> Iterator[threading.Lock]:
    """The service's end runs while the block does."""
    try:
        with turning(link.turn) as held:
            yield held
    finally:
        link.close()


@contextmanager
def two_processes(state_dir: Path) -> Iterator[Seam]:
    door, board = DoorSide(), RemoteBoard()
    server = LinkServer(state_dir, door.board, door.tap, door.act)
    link = GateLink(state_dir, board, 8, lambda: Report(serving=True))
    with serving(server), connecting(link):
        yield Seam(door, link.gate, board, link, server)
