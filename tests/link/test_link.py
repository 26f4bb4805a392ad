"""What either end of the socket does when the other hangs, floods, disappears or is a stranger."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gated.core.gallery import Gallery
from gated.core.messages import AlarmsAcknowledged, Attention, Observation, OperatorUnlock
from gated.core.values import Instant
from gated.errors import GateUnavailable, StorageError, TooMany
from gated.link import messages as m
from gated.link import server as served
from gated.link.client import GateLink
from gated.link.messages import Report
from gated.link.peers import socket_path
from gated.link.remote_board import RemoteBoard
from gated.link.server import LinkHooks, LinkServer
from gated.link.status_board import view_of
from gated.link.wire import HEADER, VERSION, Unpacker, packed
from gated.ports import Frame
from tests.devices.waiting import eventually
from tests.link.seams import DoorSide, Seam, connecting, serving, two_processes
from tests.link.test_gate import decision

UNLOCK = OperatorUnlock("olga", "a visitor", 3.0)


class Door:
    """The door's end, turned by hand, on a clock of its own."""

    def __init__(self, state_dir: Path) -> None:
        self.now = 100.0
        self.side = DoorSide()
        self.reports: list[Report | None] = []
        self.server = LinkServer(
            state_dir,
            self.side.board,
            self.side.tap,
            self.side.act,
            hooks=LinkHooks(on_report=self.reports.append),
            clock=lambda: self.now,
        )
        self.state_dir = state_dir
        self.peers: list[Peer] = []

    def close(self) -> None:
        for peer in self.peers:
            peer.socket.close()
        self.server.close()

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.server.turn(0)

    def connect(self, *, hello: bool = True) -> Peer:
        peer = Peer(self.state_dir)
        self.peers.append(peer)
        self.turn()
        if hello:
            peer.send(m.encode(m.Hello(1)))
            self.turn()
        return peer


class Peer:
    """Somebody who is connected, as raw as can be."""

    def __init__(self, state_dir: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(socket_path(state_dir)))
        self.socket.setblocking(False)
        self.unpacker = Unpacker(m.SERVICE_TAKES)

    def send(self, raw: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # it was cut off
            self.socket.send(raw)

    def read(self) -> list[m.Message]:
        """What came; EOFError when it was cut off."""
        came: list[m.Message] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    data = self.socket.recv(1 << 20)
                except ConnectionResetError:
                    data = b""
                if not data:
                    if came:
                        return came
                    raise EOFError
                came += [m.decode(p) for p in self.unpacker.feed(data)]
        return came

    def is_cut_off(self) -> bool:
        try:
            while self.read():
                pass
        except EOFError:
            return True
        return False


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path)
    door.server.open()
    yield door
    door.close()


def watched(door: Door) -> bool:
    return door.side.tap.watched


def counted(door: Door, name: str) -> int:
    return door.server.counters[f"link.{name}"]


# --- who may connect --------------------------------------------------------------------------


def test_the_socket_is_for_its_owner_alone(door: Door, tmp_path: Path) -> None:
    mode = socket_path(tmp_path).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_cut_off_even_where_the_file_lets_them_in(
    door: Door, tmp_path: Path
) -> None:
    socket_path(tmp_path).chmod(0o666)
    tmp_path.chmod(0o755)
    code = (
        "import os, socket; os.setuid(65534); s = socket.socket(1); s.connect('gate.sock');"
        "print(s.recv(9))"
    )
    asks = [sys.executable, "-I", "-S", "-c", code]
    with subprocess.Popen(asks, stdout=subprocess.PIPE, cwd=tmp_path) as stranger:

        def refused() -> bool:
            door.turn()
            return counted(door, "strangers") == 1

        assert eventually(refused, 20)
        assert stranger.communicate(timeout=20)[0].strip() == b"b''"


def test_so_many_may_connect_and_no_more(door: Door) -> None:
    peers = [door.connect() for _ in range(served.MOST_CLIENTS)]
    one_more = door.connect()
    assert one_more.is_cut_off()
    assert counted(door, "too_many") == 1
    peers[0].socket.close()
    door.turn()
    assert not door.connect().is_cut_off()


def test_who_does_not_say_who_they_are_is_cut_off(door: Door) -> None:
    peer = door.connect(hello=False)
    door.now += served.HELLO_S
    door.turn()
    assert not peer.is_cut_off()
    door.now += 0.1
    door.turn()
    assert peer.is_cut_off()


def test_a_long_path_can_be_listened_at(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with two_processes(deep) as seam:
        assert eventually(lambda: bool(seam.link and seam.link._board.there))
        seam.gate.post(UNLOCK)
        assert seam.door.taken == [UNLOCK]


def test_a_path_that_is_taken_is_named(tmp_path: Path) -> None:
    socket_path(tmp_path).mkdir()
    with pytest.raises(StorageError, match=r"gate\.sock"):
        Door(tmp_path).server.open()


def test_a_socket_that_a_killed_program_left_is_replaced(tmp_path: Path) -> None:
    first = Door(tmp_path)
    first.server.open()
    second = Door(tmp_path)
    second.server.open()
    assert not second.connect().is_cut_off()
    second.close()
    first.close()


# --- what they send ---------------------------------------------------------------------------


def test_nothing_is_taken_before_the_first_message(door: Door) -> None:
    peer = door.connect(hello=False)
    peer.send(m.encode(m.Ask(1, UNLOCK)))
    door.turn()
    assert door.side.taken == []
    assert counted(door, "not_greeted") == 1


def test_unknown_and_malformed_messages_are_counted_and_the_next_is_taken(door: Door) -> None:
    peer = door.connect()
    peer.send(packed(99, b"{}") + packed(2, b"{}") + m.encode(m.Ask(1, UNLOCK)))
    door.turn()
    assert door.side.taken == [UNLOCK]
    assert (counted(door, "unknown_message"), counted(door, "malformed")) == (1, 1)


def test_who_sends_nothing_but_rubbish_is_cut_off(door: Door) -> None:
    peer = door.connect()
    for _ in range(served.MOST_REFUSED):
        peer.send(packed(99, b""))
    door.turn()
    assert peer.is_cut_off()


@pytest.mark.parametrize(
    "raw", [HEADER.pack(VERSION + 1, 1, 0, 0), HEADER.pack(VERSION, 2, 1 << 30, 0), b"GET / HTTP/1"]
)
def test_who_does_not_speak_the_language_is_cut_off(door: Door, raw: bytes) -> None:
    peer = door.connect()
    peer.send(raw)
    door.turn()
    assert peer.is_cut_off()


def test_questions_are_bounded_in_number(door: Door) -> None:
    peer = door.connect()
    peer.read()
    most = served.ASKS_AT_ONCE
    for number in range(most + 5):
        peer.send(m.encode(m.Ask(number, AlarmsAcknowledged("tamper"))))
        door.turn(1)
    codes = [a.code for a in peer.read() if isinstance(a, m.Answer)]
    assert (codes[:most], codes[most:]) == ([None] * most, [TooMany.code] * 5)
    door.now += 1.0
    peer.send(m.encode(m.Ask(most, UNLOCK)))
    door.turn()
    assert door.side.taken[-1] == UNLOCK


def test_who_sends_too_much_has_to_wait_and_others_do_not(door: Door) -> None:
    flood, other = door.connect(), door.connect()
    raw = m.encode(m.Ask(1, OperatorUnlock("x" * 200_000, "flood")))
    sent, most = 0, served.READ_AT_ONCE + 4 * len(raw)
    for _ in range(1000):
        with contextlib.suppress(BlockingIOError):
            sent += flood.socket.send(raw)
        door.turn(1)
    assert served.READ_AT_ONCE <= sent < most + (1 << 20)
    other.send(m.encode(m.Ask(1, UNLOCK)))
    door.turn()
    assert door.side.taken[-1] == UNLOCK


def test_an_act_that_comes_too_late_is_not_done(door: Door) -> None:
    peer = door.connect()
    peer.read()
    peer.send(m.encode(m.Ask(1, UNLOCK, until=door.now + 3)))
    door.now += 3.1
    door.turn()
    assert door.side.taken == []
    assert m.Answer(1, "gate_unavailable", "it came too late: nothing was done") in peer.read()


# --- who hangs --------------------------------------------------------------------------------


def test_who_reads_nothing_is_cut_off_by_time(door: Door) -> None:
    peer = door.connect()
    while door.server._connections and not door.server._connections[0].waiting:
        door.side.board.add_decision(view_of(decision(), None))
        door.turn(1)
    door.now += served.STALLED_S + 0.1
    door.turn()
    assert counted(door, "cut_off") == 1
    assert peer.is_cut_off()


def test_who_reads_nothing_is_cut_off_by_number(door: Door) -> None:
    hung, well = door.connect(), door.connect()
    for _ in range(3 * served.MOST_QUEUED):
        door.side.board.add_decision(view_of(decision(), None))
        door.turn(1)
        well.read()
    assert counted(door, "cut_off") == 1
    assert hung.is_cut_off()
    assert not well.is_cut_off()


def test_a_slow_watcher_gets_the_newest_frame_and_no_queue(door: Door) -> None:
    peer = door.connect()
    image = np.zeros((720, 1280, 3), np.uint8)

    def show(number: int) -> None:
        seen = Observation(number, 0.0, 1280, 720)
        door.side.tap.tapped(lambda f, a: seen)(Frame(image, 0.0, number), Attention())

    for number in range(50):
        peer.send(m.encode(m.WantFrame(-1)))
        door.turn(1)
        show(number)
        door.now += 0.09
        door.turn(1)
    (connection,) = door.server._connections
    assert connection.waiting_bytes < image.nbytes + served.MOST_QUEUED_BYTES


def test_frames_cost_nothing_when_nobody_asks_any_more(door: Door) -> None:
    peer = door.connect()
    peer.send(m.encode(m.WantFrame(-1)))
    door.turn()
    assert watched(door)
    seen = Observation(1, 0.0, 8, 8)
    frame = Frame(np.zeros((8, 8, 3), np.uint8), 0.0, 1)
    door.side.tap.tapped(lambda f, a: seen)(frame, Attention())
    door.turn()
    door.now += served.IDLE_TAP_S + 0.1
    door.turn()
    assert not watched(door)
    assert any(isinstance(told, m.FrameShape) for told in peer.read())


# --- what a service says of itself ------------------------------------------------------------


def test_troubles_of_a_service_are_the_gates_until_it_is_gone(door: Door) -> None:
    peer = door.connect()
    report = Report(
        address="http://x", troubles={"hub_unreachable": "no answer"},
        fields={"hub": {"since": 3}, "door_state": "open", "journal_problem": "row 7"},
    )  # fmt: skip
    peer.send(m.encode(report))
    door.turn()
    seen = door.side.board.snapshot()
    assert set(seen.problems) == {"hub_unreachable", "journal_broken"}
    assert (seen.hub, seen.door_state) == ({"since": 3}, None), "the door's state is the door's"
    peer.socket.close()
    door.turn()
    assert "hub_unreachable" not in door.side.board.snapshot().problems
    assert [r is None for r in door.reports] == [False, True]


def test_so_many_troubles_and_no_more(door: Door) -> None:
    peer = door.connect()
    peer.send(m.encode(Report(troubles={f"t{n}": "x" * 900 for n in range(50)})))
    door.turn()
    assert len(door.side.board.snapshot().troubles) == m.MOST_TROUBLES


# --- the service's end ------------------------------------------------------------------------


@pytest.fixture
def seam(tmp_path: Path) -> Iterator[Seam]:
    with two_processes(tmp_path) as seam:
        assert eventually(lambda: there(seam))
        yield seam


def there(seam: Seam) -> bool:
    assert isinstance(seam.board, RemoteBoard)
    return seam.board.there


def test_a_service_without_a_door_says_so_at_once(tmp_path: Path) -> None:
    board = RemoteBoard()
    link = GateLink(tmp_path, board, 8, Report)
    with connecting(link):
        with pytest.raises(GateUnavailable):
            link.ask(UNLOCK)
        with pytest.raises(GateUnavailable):
            link.gate.require()
        with pytest.raises(GateUnavailable):
            link.gate.tap.subscribe().__enter__()
        assert board.snapshot().problems == ("gate_unavailable",)
        assert board.snapshot().role == "gate"


def test_both_find_each_other_in_any_order_and_again(tmp_path: Path) -> None:
    side, board = DoorSide(), RemoteBoard()
    link = GateLink(tmp_path, board, 8, Report)
    with connecting(link):
        for run in range(2):
            with serving(LinkServer(tmp_path, side.board, side.tap, side.act)):
                assert eventually(lambda: board.there)
                link.ask(UNLOCK)
            assert eventually(lambda: not board.there)
            assert len(side.taken) == run + 1


def test_what_happened_meanwhile_is_heard_when_the_same_run_is_back(tmp_path: Path) -> None:
    side, board = DoorSide(), RemoteBoard()
    heard: list[object] = []
    board.listen(heard.append)
    link = GateLink(tmp_path, board, 8, Report)
    with connecting(link):
        with serving(LinkServer(tmp_path, side.board, side.tap, side.act)):
            assert eventually(lambda: board.there)
            side.board.add_decision(view_of(decision(), None))
            assert eventually(lambda: len(heard) == 1)
        side.board.add_decision(view_of(decision(visit=2), None))
        with serving(LinkServer(tmp_path, side.board, side.tap, side.act)):
            assert eventually(lambda: len(heard) == 2)
    assert heard == list(reversed(side.board.snapshot().recent))


def test_another_run_of_the_door_begins_anew(tmp_path: Path) -> None:
    board = RemoteBoard()
    link = GateLink(tmp_path, board, 8, Report)
    with connecting(link):
        for _ in range(2):
            side = DoorSide()
            side.board.add_decision(view_of(decision(), None))
            with serving(LinkServer(tmp_path, side.board, side.tap, side.act)):
                assert eventually(lambda: board.there)
                assert board.snapshot().started_at == side.board.snapshot().started_at
                assert eventually(lambda: len(board.snapshot().recent) == 1)
            assert eventually(lambda: not board.there)


def test_what_was_told_while_the_door_was_away_arrives(tmp_path: Path) -> None:
    side, board = DoorSide(), RemoteBoard()
    link = GateLink(tmp_path, board, 8, Report)
    link.notify(AlarmsAcknowledged("tamper"))
    with connecting(link), serving(LinkServer(tmp_path, side.board, side.tap, side.act)):
        assert eventually(lambda: side.taken == [AlarmsAcknowledged("tamper")])


def test_a_service_that_was_cut_off_comes_again(seam: Seam) -> None:
    assert seam.server is not None
    (connection,) = seam.server._connections
    connection.socket.shutdown(socket.SHUT_RDWR)
    assert eventually(lambda: not there(seam))
    assert eventually(lambda: there(seam))
    seam.gate.post(UNLOCK)


def test_a_door_that_hangs_is_away_and_does_nothing_late(tmp_path: Path) -> None:
    """Its end reads nothing; the service's clock goes on, and so does the door's afterwards."""
    side, board, ahead = DoorSide(), RemoteBoard(), [0.0]

    def now() -> float:
        return time.monotonic() + ahead[0]

    server = LinkServer(tmp_path, side.board, side.tap, side.act, clock=now)
    link = GateLink(tmp_path, board, 8, Report, clock=now)
    failed: list[Exception] = []

    def ask() -> None:
        try:
            link.ask(UNLOCK)
        except GateUnavailable as error:
            failed.append(error)

    with serving(server) as held, connecting(link):
        assert eventually(lambda: board.there)
        with held:
            asking = threading.Thread(target=ask)
            asking.start()
            assert eventually(lambda: bool(link._answers))
            ahead[0] = 10.0
            assert eventually(lambda: not board.there)
            asking.join(60)
            assert len(failed) == 1
        assert eventually(lambda: board.there)
        assert side.taken == []


def test_the_first_message_names_the_settings_that_run(tmp_path: Path) -> None:
    welcomed: list[m.Welcome] = []
    side = DoorSide()
    hooks = LinkHooks(settings=lambda: "g7")
    server = LinkServer(tmp_path, side.board, side.tap, side.act, hooks=hooks)
    link = GateLink(tmp_path, RemoteBoard(), 8, Report, welcomed.append)
    with serving(server), connecting(link):
        assert eventually(lambda: bool(welcomed))
    assert (welcomed[0].settings, welcomed[0].process) == ("g7", os.getpid())


def test_moments_of_both_processes_are_on_one_clock() -> None:
    asked = "import time; print(time.monotonic())"
    before = time.monotonic()
    other = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True)
    assert before < float(other.stdout) < time.monotonic()
    assert Instant(before, 0.0).sure


def test_the_gallery_is_named_for_a_service_that_asks(door: Door) -> None:
    gallery = Gallery("m", "cosine", np.zeros((0, 4), np.float32), np.zeros(0, np.int32), ())
    door.side.board.publish(gallery=gallery)
    peer = door.connect()

    def told() -> object:
        door.now += served.HEARTBEAT_S
        door.turn()
        status = [s for s in peer.read() if isinstance(s, m.Status)][-1]
        return status.fields["gallery_digest"]

    assert told() is None
    peer.send(m.encode(Report(digest=True)))
    door.turn()
    assert told() == gallery.digest()
