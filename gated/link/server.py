"""The door's end of the socket: one thread that never waits for a peer.

Theory of operation: the thread owning the server calls `turn` repeatedly. All sockets are
non-blocking. Any thread may put decisions and events into a bounded queue; they are encoded once
for all connections. Each connection has a bounded send queue; a peer that reads nothing for some
seconds, or whose queue is full, is cut off and may connect again. What a peer sends is bounded in
size, in number and in bytes a second. The gate never waits for this thread, so the door opens
whether or not a service is connected, or hangs.
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
from gated.link.card_request import CardRequest
from gated.link.peers import is_trusted, listening, peer
from gated.link.running_gate import FrameCopy, FrameTap
from gated.link.status_board import DecisionView, GateStatus, RecentEvent, StatusBoard
from gated.link.wire import Unpacker, WireError

log = logging.getLogger(__name__)

MOST_CLIENTS = 4
"""The service, its successor, and commands."""

MOST_QUEUED, MOST_QUEUED_BYTES = 1024, 4 << 20
"""Messages and bytes in the send queue of a connection, beside at most one picture."""

STALLED_S = 5.0
"""Seconds for which a connection may read nothing while its queue is not empty."""

HELLO_S = 5.0
"""Seconds within which a new connection has to send `Hello`."""

MOST_ITEMS = 1024
"""Decisions and events that were not sent yet; the oldest are dropped, and the gap in their numbers
shows it."""

STATUS_S, HEARTBEAT_S = 0.1, 1.0
"""Seconds between two status messages, at least and at most."""

FRAME_S = 1 / 15
"""Seconds between two frames that are sent, at least."""

IDLE_TAP_S = 2.0
"""Seconds for which frames are copied after the last request."""

ASKS_AT_ONCE, ASKS_PER_S = 200, 50.0
READ_AT_ONCE, READ_PER_S = 24 << 20, 2 << 20
"""Limits of one connection: more questions are refused, more bytes are read later."""

CHUNK = 256 << 10
MOST_REFUSED = 100
"""Refused messages after which a connection is cut off."""

SERVICE_FIELDS = frozenset({
    "hub", "presence", "journal_problem", "clock", "clock_doubt", "clock_reason",
    "clock_off_s", "clock_problem",
    "fmr", "fpir", "stranger_visits_per_year", "wrong_openings_per_year",
})  # fmt: skip
"""Fields of the status that a service may publish."""

OWN_FIELDS = ("gallery", "decisions", "recent", "started_at", "troubles", "counters")
"""Fields of the status that are not sent as they are."""

LONGEST_DETAIL = 1000
"""Characters of a trouble or an error."""

Act = Callable[[Event], None]


class TokenBucket:
    """Allows a burst of `most`, then `per_s` a second. clock: monotonic seconds."""

    def __init__(self, most: float, per_s: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._per_s = per_s
        self._clock = clock
        self._left = most
        self._at = clock()

    def left(self) -> float:
        """Return the tokens that are left now; below 0 after a large `take`."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        return self._left

    def take(self, n: float = 1.0) -> None:
        """Use tokens up, also more than there are."""
        self._left = self.left() - n


@dataclass(eq=False)
class _Peer:
    """A connected service or command."""

    socket: socket.socket
    process: int
    began: float
    asks: TokenBucket
    reads: TokenBucket
    unpacker: Unpacker = field(default_factory=lambda: Unpacker(m.DOOR_TAKES))
    waiting: deque[memoryview] = field(default_factory=deque)
    waiting_bytes: int = 0
    moved_at: float = 0.0
    """Time of its last read, or at which its queue was last empty."""
    greeted: bool = False
    wants_after: int | None = None
    shown_at: float = 0.0
    in_picture: int = 0
    """Bytes of a picture in the send queue."""
    refused: int = 0
    report: m.Report | None = None


@dataclass(frozen=True, slots=True)
class LinkHooks:
    """Calls from the socket into its process.

    settings: returns the uid of the hub's settings in force. on_report: called with the report of a
    service, and with None when the service is gone.
    """

    settings: Callable[[], str | None] = lambda: None
    on_report: Callable[[m.Report | None], None] = lambda report: None


class LinkServer:
    """Serves the socket in the state directory.

    act: handles an event of a service, or raises a GatedError. cards: receives what the card
    reader's thread reads.
    """

    def __init__(
        self,
        state_dir: Path,
        board: StatusBoard,
        tap: FrameTap,
        act: Act,
        *,
        hooks: LinkHooks | None = None,
        cards: CardRequest | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state_dir = state_dir
        self._board = board
        self._tap = tap
        self._act = act
        hooks = hooks or LinkHooks()
        self._settings = hooks.settings
        self._on_report = hooks.on_report
        self._cards = cards or CardRequest()
        self._wants_card: _Peer | None = None
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._connections: list[_Peer] = []
        self._items: deque[RecentEvent | Notice] = deque(maxlen=MOST_ITEMS)
        self._status: tuple[int, float] = (-1, -HEARTBEAT_S)
        self._subscription = contextlib.ExitStack()
        self._frames: Any = None
        self._frame: FrameCopy | None = None
        self._wanted_at = 0.0
        self._last_report: m.Report | None = None
        self._published: set[str] = set()
        self.counters: Counter[str] = Counter()
        """Counts what was refused and cut off since the start."""

    # --- from any thread ----------------------------------------------------------------------

    def wake(self) -> None:
        """Make a waiting `turn` return at once; never waits."""
        with contextlib.suppress(BlockingIOError, OSError, AttributeError):
            os.write(self._wakes, b"\0")

    def _queue(self, item: RecentEvent | Notice) -> None:
        self._items.append(item)
        self.wake()

    # --- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Listen on the socket. Raises: StorageError."""
        self._listener = listening(self._state_dir, MOST_CLIENTS)
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._unsubscribe = self._board.listen(self._queue)
        self._cards.on_card = self.wake

    def close(self) -> None:
        """Close all connections and the socket."""
        self._unsubscribe()
        for connection in list(self._connections):
            self._drop(connection)
        self._subscription.close()
        self._selector.close()
        self._listener.close()
        for end in (self._woken, self._wakes):
            os.close(end)

    def cut_off_all(self) -> None:
        """Close all connections, and drop the items that were to be sent."""
        self._items.clear()
        for connection in list(self._connections):
            self._drop(connection, "something went wrong with it")

    def turn(self, timeout: float) -> None:
        """Do what is due; wait at most `timeout` seconds for something to do."""
        for key, events in self._selector.select(self._wait_s(timeout)):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj == self._woken:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
            else:
                self._serve(key.data, events)
        self._send_items()
        self._send_status()
        self._send_frames()
        self._hand_over_card()
        self._check_connections()

    def _wait_s(self, timeout: float) -> float:
        """Return the seconds to wait; fewer while a frame is due."""
        if any(c.wants_after is not None for c in self._connections):
            return min(timeout, FRAME_S)
        return timeout

    # --- connections --------------------------------------------------------------------------

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
            TokenBucket(ASKS_AT_ONCE, ASKS_PER_S, self._clock),
            TokenBucket(READ_AT_ONCE, READ_PER_S, self._clock),
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

    def _check_connections(self) -> None:
        now = self._clock()
        for connection in list(self._connections):
            if not connection.waiting:
                connection.moved_at = now
            if now - connection.moved_at > STALLED_S:
                self._drop(connection, f"it has read nothing for {STALLED_S:g} s")
            elif not connection.greeted and now - connection.began > HELLO_S:
                self._drop(connection, "it did not say who it is")
            else:
                self._update_interest(connection)

    def _update_interest(self, connection: _Peer) -> None:
        """Register what this connection waits for with the selector."""
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

    # --- receiving ----------------------------------------------------------------------------

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
            self._handle(connection, message)
        except m.RefusedMessage as refusal:
            self.counters[f"link.{refusal.code}"] += 1
            connection.refused += 1
            log.warning("a message of process %d is refused: %s", connection.process, refusal)
            if connection.refused >= MOST_REFUSED:
                self._drop(connection, "too many of its messages were refused")

    def _handle(self, connection: _Peer, message: m.Message) -> None:
        match message:
            case m.Hello():
                self._welcome(connection)
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
        """Answer the connection that waits for a card once one was read, or the time is over."""
        waiting = self._wants_card
        if waiting is None:
            return
        over, number = self._cards.result()
        if over:
            self._wants_card = None
            self._cards.end()
            self._send(waiting, m.encode(m.CardRead(number)))

    def _welcome(self, connection: _Peer) -> None:
        status = self._board.snapshot()
        connection.greeted = True
        welcome = m.Welcome(
            os.getpid(),
            status.started_at,
            self._settings(),
            tuple(reversed(status.decisions)),
            tuple(reversed(status.recent)),
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
            return m.Answer(number, error.code, str(error)[:LONGEST_DETAIL], wait)
        return m.Answer(number)

    def _publish_report(self) -> None:
        """Publish the report of the newest service, and withdraw that of one that is gone."""
        reports = [c.report for c in self._connections if c.report is not None]
        report = reports[-1] if reports else None
        if report == self._last_report:
            return
        self._last_report = report
        wanted = {} if report is None else dict(list(report.troubles.items())[: m.MOST_TROUBLES])
        for name in self._published - set(wanted):
            self._board.trouble(name, None)
        for name, says in wanted.items():
            self._board.trouble(name[:64], says[:LONGEST_DETAIL])
        self._published = {name[:64] for name in wanted}
        if report is not None:
            known = {k: v for k, v in report.fields.items() if k in SERVICE_FIELDS}
            if known:
                self._board.publish(**known)
        self._on_report(report)

    # --- sending ------------------------------------------------------------------------------

    def _send(self, connection: _Peer, *parts: bytes | memoryview) -> None:
        """Queue bytes for a connection; cut it off when its queue is full."""
        size = sum(len(p) for p in parts)
        waiting = connection.waiting_bytes - connection.in_picture
        full = len(connection.waiting) >= MOST_QUEUED or waiting >= MOST_QUEUED_BYTES
        if full:
            self._drop(connection, "it does not read what it is sent")
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

    def _send_items(self) -> None:
        while self._items:
            item = self._items.popleft()
            listeners = [c for c in self._connections if c.greeted]
            if not listeners:
                continue
            try:
                raw = m.encode(_board_item(item))
            except m.RefusedMessage as refusal:
                self.counters[f"link.{refusal.code}"] += 1
                continue
            for connection in listeners:
                self._send(connection, raw)

    def _send_status(self) -> None:
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
        fields = {name: _plain(getattr(status, name)) for name in names}
        # the service knows what it has published itself
        troubles = {k: v for k, v in status.troubles.items() if k not in self._published}
        fields |= {
            "troubles": troubles,
            "counters": {**status.counters, **self.counters},
            "gallery_digest": status.digest_of_gallery if self._is_digest_wanted else None,
        }
        return m.encode(m.Status(fields))

    # --- frames -------------------------------------------------------------------------------

    def _send_frames(self) -> None:
        now = self._clock()
        wanting = [c for c in self._connections if c.wants_after is not None]
        if wanting and self._frames is None:
            with contextlib.suppress(Busy):
                self._frames = self._subscription.enter_context(self._tap.subscribe(self.wake))
        elif self._frames is not None and now - self._wanted_at > IDLE_TAP_S and not wanting:
            self._subscription.close()
            self._frames = self._frame = None
        if self._frames is None:
            return
        self._frame = self._frames.take(0) or self._frame
        for connection in wanting:
            self._send_frame(connection, self._frame, now)

    def _send_frame(self, connection: _Peer, frame: FrameCopy | None, now: float) -> None:
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


def _board_item(item: RecentEvent | Notice) -> m.BoardItem:
    if isinstance(item, DecisionView):
        return m.BoardItem(decision=item)
    if isinstance(item, Notice):
        return m.BoardItem(notice=item)
    return m.BoardItem(event=item)
