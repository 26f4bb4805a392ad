"""The door's end of the socket: one thread, that waits for nobody.

Theory of operation: the thread owning the server calls `turn` again and again. All sockets are
non-blocking. What happens at the gate is put into a bounded queue by whichever thread knows it, and
encoded once for all who listen. Each connection has a bounded queue of what it has not read;
who reads nothing for some seconds, or lets the queue grow full, is cut off and may come again. What
a connection sends is bounded in size, in number and in bytes a second. Nothing here is asked by the
gate, so that the door opens whether or not anybody is connected, or hangs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gated.core.messages import Event, Notice
from gated.errors import Busy, GatedError, GateUnavailable, TooMany
from gated.link import messages as m
from gated.link.card_desk import CardDesk
from gated.link.peers import is_trusted, listening, peer
from gated.link.running_gate import FrameCopy, FrameTap
from gated.link.status_board import DecisionView, GateStatus, RecentEvent, StatusBoard
from gated.link.wire import Unpacker, WireError

log = logging.getLogger(__name__)

MOST_CLIENTS = 4
"""The service, one that takes its place, and commands."""

MOST_QUEUED, MOST_QUEUED_BYTES = 1024, 4 << 20
"""Messages and bytes that a connection has not read, pictures aside, of which it has one."""

STALLED_S = 5.0
"""So long a connection may read nothing of what waits for it."""

HELLO_S = 5.0
"""How soon somebody who connects says who they are."""

MOST_HAPPENINGS = 1024
"""That were not handed to the connections yet; the oldest are dropped, and their numbers tell."""

STATUS_S, HEARTBEAT_S = 0.1, 1.0
"""How often the status is sent at most, and at least."""

FRAME_S = 1 / 15
"""Between two frames that are shown."""

IDLE_TAP_S = 2.0
"""Frames are copied for so long after the last one was asked for."""

ASKS_AT_ONCE, ASKS_PER_S = 200, 50.0
READ_AT_ONCE, READ_PER_S = 24 << 20, 2 << 20
"""Of one connection: more questions are refused, more bytes are left where they are."""

CHUNK = 256 << 10
MOST_REFUSED = 100
"""Messages of one connection that were refused: then it is cut off."""

SERVICE_FIELDS = frozenset({
    "hub", "presence", "journal_problem", "clock", "clock_doubt", "clock_problem",
    "fmr", "fpir", "stranger_visits_per_year", "wrong_openings_per_year",
})  # fmt: skip
"""Fields of the status that a service may publish."""

OWN_FIELDS = ("gallery", "decisions", "happenings", "started_at", "troubles", "counters")
"""Fields of the status that do not travel as they are."""

LONGEST_SAYING = 1000
"""Characters of a trouble."""

Act = Callable[[Event], None]


class Allowance:
    """So many at once, then so many a second. clock: monotonic seconds."""

    def __init__(self, most: float, per_s: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._per_s = per_s
        self._clock = clock
        self._left = most
        self._at = clock()

    def left(self) -> float:
        """Return how many there are now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        return self._left

    def take(self, n: float = 1.0) -> None:
        """Use some up; what is left may be below nothing."""
        self._left = self.left() - n


@dataclass(eq=False)
class _Peer:
    """One service (or command) that is connected."""

    socket: socket.socket
    process: int
    began: float
    asks: Allowance
    reads: Allowance
    unpacker: Unpacker = field(default_factory=lambda: Unpacker(m.DOOR_TAKES))
    waiting: deque[memoryview] = field(default_factory=deque)
    waiting_bytes: int = 0
    moved_at: float = 0.0
    """When it last read something, or nothing waited."""
    greeted: bool = False
    wants_after: int | None = None
    shown_at: float = 0.0
    in_picture: int = 0
    """Bytes of a picture among those that wait."""
    refused: int = 0
    report: m.Report | None = None


class LinkServer:
    """Listens in the state directory.

    act: takes an event of a service, or raises a GatedError. settings: names those of the hub that
    are in force.
    cards: where the card reader's thread offers what it reads.
    on_report: called with what a service says of itself, and with None when it is gone.
    """

    def __init__(
        self,
        state_dir: Path,
        board: StatusBoard,
        tap: FrameTap,
        act: Act,
        *,
        settings: Callable[[], str | None] = lambda: None,
        on_report: Callable[[m.Report | None], None] = lambda report: None,
        cards: CardDesk | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state_dir = state_dir
        self._board = board
        self._tap = tap
        self._act = act
        self._settings = settings
        self._on_report = on_report
        self._cards = cards or CardDesk()
        self._wants_card: _Peer | None = None
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._connections: list[_Peer] = []
        self._happened: deque[RecentEvent | Notice] = deque(maxlen=MOST_HAPPENINGS)
        self._status: tuple[int, float] = (-1, -HEARTBEAT_S)
        self._looking = contextlib.ExitStack()
        self._frames: Any = None
        self._frame: FrameCopy | None = None
        self._wanted_at = 0.0
        self._told: m.Report | None = None
        self._published: set[str] = set()
        self.counters: Counter[str] = Counter()
        """What was refused and cut off since the start."""

    # --- from any thread ----------------------------------------------------------------------

    def wake(self) -> None:
        """Let `turn` look at once; never waits."""
        with contextlib.suppress(BlockingIOError, OSError, AttributeError):
            os.write(self._wakes, b"\0")

    def _hear(self, told: RecentEvent | Notice) -> None:
        self._happened.append(told)
        self.wake()

    # --- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to listen. Raises: StorageError."""
        self._listener = listening(self._state_dir, MOST_CLIENTS)
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._unlisten = self._board.listen(self._hear)
        self._cards.on_card = self.wake

    def close(self) -> None:
        """Cut everybody off and listen no more."""
        self._unlisten()
        for connection in list(self._connections):
            self._drop(connection)
        self._looking.close()
        self._selector.close()
        self._listener.close()
        for end in (self._woken, self._wakes):
            os.close(end)

    def cut_off_all(self) -> None:
        """Let nobody be connected, and forget what they were to be told."""
        self._happened.clear()
        for connection in list(self._connections):
            self._drop(connection, "something went wrong with it")

    def turn(self, timeout: float) -> None:
        """Do what is due; wait at most so many seconds for something to do."""
        for key, events in self._selector.select(self._patience(timeout)):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj == self._woken:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
            else:
                self._serve(key.data, events)
        self._tell_happenings()
        self._tell_status()
        self._show_frame()
        self._hand_over_card()
        self._look_after_connections()

    def _patience(self, timeout: float) -> float:
        """Return the seconds to wait; fewer while something has to come at its time."""
        if any(c.wants_after is not None for c in self._connections):
            return min(timeout, FRAME_S)
        return timeout

    # --- who comes and goes -------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            made, _ = self._listener.accept()
            process, user = peer(made)
        except OSError:
            return
        if not is_trusted(user) or len(self._connections) >= MOST_CLIENTS:
            why = "too_many" if is_trusted(user) else "strangers"
            self.counters[f"link.{why}"] += 1
            made.close()
            return
        made.setblocking(False)
        now = self._clock()
        connection = _Peer(
            made,
            process,
            now,
            Allowance(ASKS_AT_ONCE, ASKS_PER_S, self._clock),
            Allowance(READ_AT_ONCE, READ_PER_S, self._clock),
            moved_at=now,
        )
        self._connections.append(connection)
        self._selector.register(made, selectors.EVENT_READ, connection)

    def _drop(self, connection: _Peer, why: str = "") -> None:
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        with contextlib.suppress(KeyError):
            self._selector.unregister(connection.socket)
        connection.socket.close()
        if connection is self._wants_card:
            self._wants_card = None
            self._cards.end()
        if why:
            self.counters["link.cut_off"] += 1
            log.warning("process %d is cut off: %s", connection.process, why)
        self._publish_report()

    def _look_after_connections(self) -> None:
        now = self._clock()
        for connection in list(self._connections):
            if not connection.waiting:
                connection.moved_at = now
            if now - connection.moved_at > STALLED_S:
                self._drop(connection, f"it has read nothing for {STALLED_S:g} s")
            elif not connection.greeted and now - connection.began > HELLO_S:
                self._drop(connection, "it did not say who it is")
            else:
                self._listen_to(connection)

    def _listen_to(self, connection: _Peer) -> None:
        """Ask the kernel for what this connection can do now."""
        reading = selectors.EVENT_READ if connection.reads.left() > 0 else 0
        writing = selectors.EVENT_WRITE if connection.waiting else 0
        wanted, key = reading | writing, self._selector.get_map().get(connection.socket)
        if key is None:
            if wanted:
                self._selector.register(connection.socket, wanted, connection)
        elif not wanted:
            self._selector.unregister(connection.socket)
        elif key.events != wanted:
            self._selector.modify(connection.socket, wanted, connection)

    # --- what they send -----------------------------------------------------------------------

    def _serve(self, connection: _Peer, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._write(connection)
        if events & selectors.EVENT_READ and connection in self._connections:
            self._read(connection)

    def _read(self, connection: _Peer) -> None:
        try:
            data = connection.socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        connection.reads.take(len(data))
        try:
            for packet in connection.unpacker.feed(data):
                self._take(connection, packet)
                if connection not in self._connections:
                    return
        except WireError as error:
            self._drop(connection, str(error))

    def _take(self, connection: _Peer, packet: Any) -> None:
        try:
            message = m.decode(packet)
            if not connection.greeted and not isinstance(message, m.Hello):
                raise m.RefusedMessage("not_greeted", "the first message says who it is")
            self._obey(connection, message)
        except m.RefusedMessage as refusal:
            self.counters[f"link.{refusal.code}"] += 1
            connection.refused += 1
            log.warning("a message of process %d is refused: %s", connection.process, refusal)
            if connection.refused >= MOST_REFUSED:
                self._drop(connection, "too many of its messages were refused")

    def _obey(self, connection: _Peer, message: m.Message) -> None:
        match message:
            case m.Hello():
                self._greet(connection)
            case m.Ask():
                self._send(connection, m.encode(self._answer(connection, message)))
            case m.Report():
                connection.report = message
                self._publish_report()
            case m.WantFrame(after):
                connection.wants_after = after
                self._wanted_at = self._clock()
            case m.WantCard(within_s):
                self._wait_for_card(connection, within_s)

    def _wait_for_card(self, connection: _Peer, within_s: float) -> None:
        if not self._cards.has_reader:
            problem = "this gate has no card reader (credentials.reader): type the number"
        elif not self._cards.want(within_s):
            problem = "somebody else waits for a card: try again in a minute"
        else:
            self._wants_card = connection
            return
        self._send(connection, m.encode(m.CardRead(problem=problem)))

    def _hand_over_card(self) -> None:
        """Give a card that was read, or that none was, to who waits for it."""
        waiting = self._wants_card
        if waiting is None:
            return
        over, number = self._cards.result()
        if over:
            self._wants_card = None
            self._cards.end()
            self._send(waiting, m.encode(m.CardRead(number)))

    def _greet(self, connection: _Peer) -> None:
        status = self._board.snapshot()
        connection.greeted = True
        welcome = m.Welcome(
            os.getpid(),
            status.started_at,
            self._settings(),
            tuple(reversed(status.decisions)),
            tuple(reversed(status.happenings)),
        )
        self._send(connection, m.encode(welcome))
        self._send(connection, self._status_now(status))

    def _answer(self, connection: _Peer, ask: m.Ask) -> m.Answer:
        number = ask.number
        if ask.until is not None and not self._clock() <= ask.until:
            self.counters["link.late"] += 1
            return m.Answer(number, GateUnavailable.code, "it came too late: nothing was done")
        if connection.asks.left() < 1:
            return m.Answer(number, TooMany.code, "", 1.0)
        connection.asks.take()
        try:
            self._act(ask.event)
        except GatedError as error:
            wait = getattr(error, "retry_after", None)
            return m.Answer(number, error.code, str(error)[:LONGEST_SAYING], wait)
        return m.Answer(number)

    def _publish_report(self) -> None:
        """Show what the newest service says of itself; nothing of one that is gone."""
        reports = [c.report for c in self._connections if c.report is not None]
        report = reports[-1] if reports else None
        if report == self._told:
            return
        self._told = report
        wanted = {} if report is None else dict(list(report.troubles.items())[: m.MOST_TROUBLES])
        for name in self._published - set(wanted):
            self._board.trouble(name, None)
        for name, says in wanted.items():
            self._board.trouble(name[:64], says[:LONGEST_SAYING])
        self._published = {name[:64] for name in wanted}
        if report is not None:
            known = {k: v for k, v in report.fields.items() if k in SERVICE_FIELDS}
            if known:
                self._board.publish(**known)
        self._on_report(report)

    # --- what they are told -------------------------------------------------------------------

    def _send(self, connection: _Peer, *parts: bytes | memoryview) -> None:
        """Queue what a connection is to read; cut it off when it does not keep up."""
        size = sum(len(p) for p in parts)
        waiting = connection.waiting_bytes - connection.in_picture
        full = len(connection.waiting) >= MOST_QUEUED or waiting >= MOST_QUEUED_BYTES
        if full:
            self._drop(connection, "it does not read what it is told")
            return
        if not connection.waiting:
            connection.moved_at = self._clock()
        connection.waiting.extend(memoryview(p) for p in parts)
        connection.waiting_bytes += size
        self._write(connection)

    def _write(self, connection: _Peer) -> None:
        waiting = connection.waiting
        try:
            while waiting:
                sent = connection.socket.send(waiting[0])
                connection.moved_at = self._clock()
                connection.waiting_bytes -= sent
                if sent == len(waiting[0]):
                    waiting.popleft()
                else:
                    waiting[0] = waiting[0][sent:]
                    break
        except BlockingIOError:
            pass
        except OSError:
            self._drop(connection)
            return
        if not waiting:
            connection.in_picture = 0

    def _tell_happenings(self) -> None:
        while self._happened:
            told = self._happened.popleft()
            listeners = [c for c in self._connections if c.greeted]
            if not listeners:
                continue
            try:
                raw = m.encode(_happened(told))
            except m.RefusedMessage as refusal:
                self.counters[f"link.{refusal.code}"] += 1
                continue
            for connection in listeners:
                self._send(connection, raw)

    def _tell_status(self) -> None:
        version, at = self._status
        now, listeners = self._clock(), [c for c in self._connections if c.greeted]
        age = now - at
        changed = self._board.version != version and age >= STATUS_S
        if not listeners or not (changed or age >= HEARTBEAT_S):
            return
        status = self._board.snapshot()
        self._status = self._board.version, now
        raw = self._status_now(status)
        for connection in listeners:
            self._send(connection, raw)

    @property
    def _is_digest_wanted(self) -> bool:
        return any(c.report is not None and c.report.digest for c in self._connections)

    def _status_now(self, status: GateStatus) -> bytes:
        names = (n for n in status.__dataclass_fields__ if n not in OWN_FIELDS)
        told = {name: _plain(getattr(status, name)) for name in names}
        # what the service has published itself it knows already
        troubles = {k: v for k, v in status.troubles.items() if k not in self._published}
        told |= {
            "troubles": troubles,
            "counters": {**status.counters, **self.counters},
            "gallery_digest": status.digest_of_gallery if self._is_digest_wanted else None,
        }
        return m.encode(m.Status(told))

    # --- frames -------------------------------------------------------------------------------

    def _show_frame(self) -> None:
        now = self._clock()
        wanting = [c for c in self._connections if c.wants_after is not None]
        if wanting and self._frames is None:
            with contextlib.suppress(Busy):
                self._frames = self._looking.enter_context(self._tap.look(self.wake))
        elif self._frames is not None and now - self._wanted_at > IDLE_TAP_S and not wanting:
            self._looking.close()
            self._frames = self._frame = None
        if self._frames is None:
            return
        self._frame = self._frames.take(0) or self._frame
        for connection in wanting:
            self._show(connection, self._frame, now)

    def _show(self, connection: _Peer, frame: FrameCopy | None, now: float) -> None:
        after = connection.wants_after
        due = now - connection.shown_at >= FRAME_S and not connection.in_picture
        if frame is None or after is None or frame.number <= after or not due:
            return
        shape = m.shape_of(frame.image, frame.faces, frame.number, frame.recognizing)
        if shape is None:
            return
        connection.wants_after, connection.shown_at = None, now
        self._wanted_at = now
        connection.in_picture = frame.image.nbytes
        self._send(connection, m.encode(shape), frame.image.data.cast("B"))


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _happened(told: RecentEvent | Notice) -> m.Happened:
    if isinstance(told, DecisionView):
        return m.Happened(decision=told)
    if isinstance(told, Notice):
        return m.Happened(notice=told)
    return m.Happened(event=told)
