"""The service's end of the socket: keeps a connection to the door process, asks it with a deadline.

One thread owning a `GateLink` calls `turn` repeatedly; any thread may ask. A door process that
sends nothing for some seconds counts as away, whether it hangs or is gone: its last status is no
longer shown, and what needs it is refused.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from gated.core.messages import Event
from gated.errors import (
    Busy,
    Conflict,
    DoorShut,
    GatedError,
    GateUnavailable,
    StorageError,
    TooMany,
)
from gated.link import messages as m
from gated.link.peers import connected, is_trusted, peer
from gated.link.remote_board import AWAY, RemoteBoard
from gated.link.running_gate import FrameCopy, FrameSubscriber, FrameTap, RunningGate
from gated.link.wire import Unpacker, WireError

log = logging.getLogger(__name__)

CONNECT_S = 2.0
SEND_S = 2.0
"""Seconds for which the door's buffer may be full."""

SILENT_S = 4.0
"""The door sends its status every second; after so long without one it counts as away."""

ASK_S = 3.0
"""The deadline of an act; the door refuses one that arrives later."""

PAUSES_S = (0.1, 0.25, 0.5, 1.0)
"""Between tries to connect; the last one repeats."""

REPORT_S = 5.0
"""Between two reports of the service while nothing changes."""

MOST_QUEUED = 1000
"""Events that wait for a door that is away; the oldest are dropped."""

CHUNK = 1 << 20


class _Closed(WireError):
    """The door has closed the connection."""


class RemoteTap:
    """Frames of the door process; requested from it while this process has a subscriber."""

    def __init__(self, most: int, require: Callable[[], None]) -> None:
        self._tap = FrameTap(most)
        self._require = require
        self.on_subscribe: Callable[[], None] = lambda: None

    @property
    def watched(self) -> bool:
        """True while there is a subscriber."""
        return self._tap.watched

    @contextmanager
    def subscribe(self) -> Iterator[FrameSubscriber]:
        """Yield a subscriber while the block runs. Raises: Busy, GateUnavailable."""
        self._require()
        with self._tap.subscribe() as subscriber:
            self.on_subscribe()
            yield subscriber

    def show(self, frame: FrameCopy) -> None:
        """Hand a frame to all subscribers."""
        self._tap.show(frame)


class GateLink:
    """The connection to the door process.

    board: receives what the door publishes. report: returns the state of the service. on_welcome:
    called with the door's first message; must return at once.
    """

    def __init__(
        self,
        state_dir: Path,
        board: RemoteBoard,
        most_subscribers: int,
        report: Callable[[], m.Report],
        on_welcome: Callable[[m.Welcome], None] = lambda welcome: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state_dir = state_dir
        self._board = board
        self._report = report
        self._on_welcome = on_welcome
        self._clock = clock
        self.tap = RemoteTap(most_subscribers, board.require)
        self.gate = RunningGate(self.tap, self.ask, self.notify, board.require)
        self._sending = threading.Lock()
        self._socket: socket.socket | None = None
        self._unpacker = Unpacker(m.SERVICE_TAKES)
        self._answers: dict[int, Future[m.Answer]] = {}
        self._number = 0
        self._queued: deque[Event] = deque(maxlen=MOST_QUEUED)
        self._received_at = 0.0
        self._failures = 0
        self._try_at = 0.0
        self._due = threading.Event()
        self._reported_at = 0.0
        self._wanting = False
        self._seen = -1
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.refused = 0
        """Counts messages of the door that were refused."""
        board.on_change = self.changed
        self.tap.on_subscribe = self.wake

    # --- from any thread ----------------------------------------------------------------------

    def wake(self) -> None:
        """Make a waiting `turn` return at once; never waits."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wakes, b"\0")

    def changed(self) -> None:
        """Send a report as soon as possible; never waits."""
        self._due.set()
        self.wake()

    def notify(self, event: Event) -> None:
        """Queue an event for the gate, also while it is away; never waits, raises nothing."""
        self._queued.append(event)
        self.wake()

    def ask(self, event: Event) -> None:
        """Have the gate handle an event, and wait for its answer.

        Raises: GateUnavailable when there is none in time (the gate then does not do it either), or
        the gate's refusal.
        """
        self._board.require()
        answer: Future[m.Answer] = Future()
        with self._sending:
            self._number += 1
            number = self._number
            self._answers[number] = answer
        try:
            self._send(m.encode(m.Ask(number, event, self._clock() + ASK_S)))
            answered = answer.result(ASK_S)
        except TimeoutError:
            raise GateUnavailable(AWAY) from None
        except m.RefusedMessage as refusal:
            raise GateUnavailable(f"the gate cannot be asked that: {refusal}") from None
        finally:
            with self._sending:
                self._answers.pop(number, None)
        raise_refusal(answered)

    # --- the thread ---------------------------------------------------------------------------

    def turn(self, timeout: float) -> None:
        """Connect, handle what arrived and send what is due; wait at most `timeout` seconds."""
        if self._socket is None:
            self._connect(timeout)
            return
        try:
            ends: list[socket.socket | int] = [self._socket, self._woken]
            ready, _, _ = select.select(ends, [], [], timeout)
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
            if self._socket in ready:
                self._read(self._socket)
            if self._clock() - self._received_at > SILENT_S:
                raise WireError(f"the door has said nothing for {SILENT_S:g} s")
            if self._board.there:
                self._send_what_is_due()
        except (OSError, WireError, GateUnavailable) as error:
            self._lost(error)

    def close(self) -> None:
        """Close; open questions fail with GateUnavailable."""
        self._lost(None)
        for end in (self._woken, self._wakes):
            os.close(end)

    def _connect(self, timeout: float) -> None:
        wait = self._try_at - self._clock()
        if wait > 0:
            select.select([], [], [], min(wait, timeout))
            return
        try:
            made = connected(self._state_dir, CONNECT_S)
            if not is_trusted(peer(made)[1]):
                made.close()
                raise PermissionError("the socket belongs to somebody else")
        except OSError:
            self._retry_later()
            return
        made.settimeout(SEND_S)
        self._unpacker, self._received_at = Unpacker(m.SERVICE_TAKES), self._clock()
        self._socket, self._wanting, self._seen = made, False, -1
        try:
            self._send(m.encode(m.Hello(os.getpid())))
        except GateUnavailable as error:
            self._lost(error)

    def _retry_later(self) -> None:
        pause = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1
        self._try_at = self._clock() + pause

    def _lost(self, why: Exception | None) -> None:
        was = self._board.there
        with self._sending:
            if self._socket is not None:
                self._socket.close()
            self._socket = None
            left, self._answers = list(self._answers.values()), {}
        self._board.away()
        for answer in left:
            answer.set_exception(GateUnavailable(AWAY))
        if was and why is not None:
            # an orderly end is normal, silence is a fault
            level = logging.INFO if isinstance(why, _Closed) else logging.WARNING
            log.log(level, "the door process is away: %s", why)
        self._retry_later()

    def _read(self, connection: socket.socket) -> None:
        data = connection.recv(CHUNK, socket.MSG_DONTWAIT)
        if not data:
            raise _Closed("it has closed the connection")
        self._received_at = self._clock()
        for packet in self._unpacker.feed(data):
            try:
                self._take(m.decode(packet), packet.picture)
            except m.RefusedMessage as refusal:
                self.refused += 1
                log.warning("a message of the door process is refused: %s", refusal)

    def _take(self, message: m.Message, picture: bytes) -> None:
        match message:
            case m.Welcome():
                self._failures = 0
                self._reported_at = 0.0
                self._board.welcome(message)
                self._on_welcome(message)
                self._due.set()
            case m.Status(fields):
                self._board.status(fields)
            case m.BoardItem():
                self._board.add(message.item)
            case m.Answer(number):
                with self._sending:
                    answer = self._answers.pop(number, None)
                if answer is not None:
                    answer.set_result(message)
            case m.FrameShape():
                self._wanting, self._seen = False, message.number
                self._show(message, picture)

    def _show(self, shape: m.FrameShape, picture: bytes) -> None:
        image = m.image_of(shape, picture)
        self.tap.show(FrameCopy(image, m.faces_of(shape), shape.number, shape.recognizing))

    def _send_what_is_due(self) -> None:
        while self._queued:
            with self._sending:
                self._number += 1
                number = self._number
            try:
                raw = m.encode(m.Ask(number, self._queued[0]))
            except m.RefusedMessage as refusal:
                log.error("an event for the gate cannot be sent: %s", refusal)
            else:
                self._send(raw)
            self._queued.popleft()
        now = self._clock()
        if self._due.is_set() or now - self._reported_at >= REPORT_S:
            self._due.clear()
            self._reported_at = now
            with contextlib.suppress(m.RefusedMessage):
                self._send(m.encode(self._report()))
        if self.tap.watched and not self._wanting:
            self._wanting = True
            self._send(m.encode(m.WantFrame(self._seen)))

    def _send(self, raw: bytes) -> None:
        """Send bytes; the connection is unusable after an error. Raises: GateUnavailable."""
        with self._sending:
            if self._socket is None:
                raise GateUnavailable(AWAY)
            try:
                self._socket.sendall(raw)
            except OSError:
                # some of it may have been sent: the door could not find the next message
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                raise GateUnavailable(AWAY) from None


def raise_refusal(answer: m.Answer) -> None:
    """Return when the gate has done what was asked. Raises: the gate's refusal."""
    if answer.code is not None:
        raise _error_of(answer)


def _error_of(answer: m.Answer) -> GatedError:
    wait = answer.retry_after or 1.0
    match answer.code:
        case Conflict.code:
            return Conflict(answer.detail)
        case DoorShut.code:
            return DoorShut(answer.detail)
        case StorageError.code:
            return StorageError(answer.detail)
        case TooMany.code:
            return TooMany(wait)
        case Busy.code:
            return Busy(answer.detail, wait)
        case _:
            return GateUnavailable(answer.detail or AWAY)
