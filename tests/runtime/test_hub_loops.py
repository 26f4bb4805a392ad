"""What a gate does with its hub never ends and never hurries."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gated.config import Settings, StorageSettings
from gated.errors import HubUnreachable, StorageError
from gated.fleet.gate.client import HubAddress, HubClient
from gated.fleet.gate.hub_loops import LONGEST_PAUSE_S, Backoff, HubLoop, UplinkLoop
from gated.fleet.gate.uplink import Uplink
from gated.journal.journal import Entry
from tests.people.people import NOW
from tests.workspaces import open_workspace


class Scripted(HubLoop):
    """Does what it was told, turn by turn; then waits to be stopped."""

    def __init__(self, turns: list[Callable[[], float]]) -> None:
        self.crashes: list[BaseException] = []
        client = HubClient(HubAddress("http://127.0.0.1:9"))
        super().__init__("scripted", client, lambda _, error: self.crashes.append(error))
        self._backoff = Backoff(0.01)
        self.turns = turns
        self.done = threading.Event()

    def turn(self) -> float:
        if not self.turns:
            self.done.set()
            return 60.0
        return self.turns.pop(0)()


def fails(error: Exception) -> Callable[[], float]:
    def turn() -> float:
        raise error

    return turn


def test_pauses_grow_to_a_bound_and_differ_between_gates() -> None:
    one, other = Backoff(), Backoff()
    pauses = [one.next() for _ in range(20)]
    assert pauses[0] < 1 < pauses[6]
    assert max(pauses) <= LONGEST_PAUSE_S
    assert pauses != [other.next() for _ in range(20)]
    one.reset()
    assert one.next() < 1


def test_a_hub_that_asks_for_time_is_given_it() -> None:
    assert Backoff().next(at_least=30) > 30
    # whoever answers in its place, a proxy or a stranger, does not end the contact for days
    assert Backoff().next(at_least=float("inf")) <= 2 * LONGEST_PAUSE_S


def test_neither_hub_nor_storage_ends_the_loop() -> None:
    random.seed(1)
    turns = [fails(HubUnreachable("gone")), fails(StorageError("full")), lambda: 0.0]
    loop = Scripted(turns)
    loop.start()
    assert loop.done.wait(20)
    assert loop.connected
    assert not loop.crashes
    loop.stop()
    loop.join(20)
    assert not loop.is_alive()


def test_a_mistake_of_ours_is_reported() -> None:
    loop = Scripted([fails(KeyError("mistake"))])
    loop.start()
    loop.join(20)
    assert [type(e) for e in loop.crashes] == [KeyError]


class Hurried(UplinkLoop):
    """Has nothing to send for a minute, unless it is woken."""

    def __init__(self, uplink: Uplink) -> None:
        client = HubClient(HubAddress("http://127.0.0.1:9"))
        super().__init__(uplink, client, lambda _: ({}, None), lambda _: None, lambda *_: None)
        self.turns = 0
        self.turned = threading.Condition()

    def turn(self) -> float:
        self._grown.clear()
        with self.turned:
            self.turns += 1
            self.turned.notify_all()
        return 60.0


def test_a_new_row_is_sent_at_once_while_others_wait_for_it(tmp_path: Path) -> None:
    settings = Settings(storage=StorageSettings(state_dir=tmp_path))
    with open_workspace(settings) as workspace:
        uplink = Uplink.of(workspace, HubClient(HubAddress("http://127.0.0.1:9")))
        loop = Hurried(uplink)
        workspace.journal.on_append = loop.grown
        loop.start()
        uplink.hurry = True
        with loop.turned:
            assert loop.turned.wait_for(lambda: loop.turns == 1, 20)
        workspace.journal.append([Entry(NOW, "tried", {})])
        with loop.turned:
            assert loop.turned.wait_for(lambda: loop.turns == 2, 20)
        loop.stop()
        loop.join(20)
        assert not loop.is_alive()


class Waiting(HubLoop):
    """Asks a hub that never answers."""

    def __init__(self, port: int) -> None:
        self.crashes: list[BaseException] = []
        self.hub = HubClient(HubAddress(f"http://127.0.0.1:{port}"))
        super().__init__("waiting", self.hub, lambda _, error: self.crashes.append(error))

    def turn(self) -> float:
        self.hub.get("/api/sync/presence", timeout=120)
        return 0.0


def test_a_loop_that_waits_for_an_answer_ends_when_it_is_stopped() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        loop = Waiting(silent.getsockname()[1])
        loop.start()
        asked, _ = silent.accept()
        with asked:
            assert asked.recv(1)
            loop.stop()
            loop.join(30)
            assert not loop.is_alive()
            assert not loop.crashes


def test_an_outage_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    gone = fails(HubUnreachable("gone"))
    loop = Scripted([gone, gone, gone, lambda: 0.0, lambda: 0.0])
    loop.start()
    assert loop.done.wait(20)
    loop.stop()
    loop.join(20)
    assert [r.getMessage() for r in caplog.records] == [
        "scripted: gone",
        "scripted: connected",
    ]
