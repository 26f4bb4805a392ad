"""What a command asks the door process that runs here, over the real socket."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gated.core.messages import Event, OperatorUnlock
from gated.errors import Conflict, GateUnavailable, NotFound
from gated.link import messages as m
from gated.link.card_request import CardRequest
from gated.link.command import running_door
from gated.link.peers import connected
from gated.link.server import LinkServer
from tests.devices.waiting import eventually
from tests.link.seams import DoorSide, serving

UNLOCK = OperatorUnlock("command line", "a delivery", 3.0)


@pytest.fixture
def desk() -> CardRequest:
    desk = CardRequest()
    desk.has_reader = True
    return desk


@pytest.fixture
def door(tmp_path: Path, desk: CardRequest) -> Iterator[DoorSide]:
    side = DoorSide()
    with serving(LinkServer(tmp_path, side.board, side.tap, side.act, cards=desk)):
        yield side


def test_an_act_is_done_and_answered(door: DoorSide, tmp_path: Path) -> None:
    with running_door(tmp_path) as gate:
        gate.ask(UNLOCK)
    assert door.taken == [UNLOCK]


def test_what_the_gate_refuses_is_told(door: DoorSide, tmp_path: Path) -> None:
    def refuse(event: Event) -> None:
        raise Conflict("the door is in the mode lockdown")

    door.refuse = refuse
    with pytest.raises(Conflict, match="lockdown"), running_door(tmp_path) as gate:
        gate.ask(UNLOCK)


def test_where_no_gate_runs_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(GateUnavailable, match="start it first"), running_door(tmp_path):
        pass


def test_the_next_card_goes_to_who_waits_and_not_to_the_gate(
    door: DoorSide, desk: CardRequest, tmp_path: Path
) -> None:
    assert not desk.offer("1111222")
    numbers: list[str] = []

    def wait() -> None:
        with running_door(tmp_path) as gate:
            numbers.append(gate.next_card(30.0, lambda: numbers.append("hold it there")))

    waiting = threading.Thread(target=wait)
    waiting.start()
    eventually(lambda: numbers == ["hold it there"])
    eventually(lambda: desk.offer("4711228"))
    waiting.join(10)
    assert numbers == ["hold it there", "4711228"]
    assert not desk.offer("4711228"), "one card is all that was asked for"


def test_no_card_in_time_is_told_and_the_reader_is_the_gates_again(
    door: DoorSide, desk: CardRequest, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="no card"), running_door(tmp_path) as gate:
        gate.next_card(0.1)
    assert not desk.offer("4711228")


def test_who_leaves_while_waiting_takes_no_card_along(
    door: DoorSide, desk: CardRequest, tmp_path: Path
) -> None:
    with contextlib.closing(connected(tmp_path, 2.0)) as leaving:
        leaving.sendall(m.encode(m.Hello(1)) + m.encode(m.WantCard(30.0)))
        eventually(lambda: not desk.result()[0])
    eventually(lambda: desk.result()[0])
    assert not desk.offer("4711228")


def test_a_second_one_who_waits_is_refused(
    door: DoorSide, desk: CardRequest, tmp_path: Path
) -> None:
    assert desk.want(30.0)
    with pytest.raises(GateUnavailable, match="somebody else"), running_door(tmp_path) as gate:
        gate.next_card(1.0)


def test_a_gate_without_a_reader_says_so(door: DoorSide, desk: CardRequest, tmp_path: Path) -> None:
    desk.has_reader = False
    asked: list[str] = []
    with pytest.raises(GateUnavailable, match="no card reader"), running_door(tmp_path) as gate:
        gate.next_card(1.0, lambda: asked.append("hold it there"))
    assert not asked


def test_nobody_keeps_the_reader_for_long() -> None:
    now = [0.0]
    desk = CardRequest(lambda: now[0])
    assert desk.want(1e9)
    now[0] = 121.0
    assert not desk.offer("4711228")
    assert desk.result() == (True, None)
