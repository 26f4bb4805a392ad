"""Connections of the server: each holds a place as long as its socket is open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol

from gated.http.callers import RECOGNISED
from gated.http.problems import Problem
from gated.web.places import LONGEST_DELAY_S, ConnectionPlace, Places

HEAD_BYTES = 16 * 1024
"""Request line and headers."""

PIECE = 16 * 1024
"""Parsed at a time: no more once a body is enough."""

SMALL_CHUNKS = 256
SMALL = 64
"""A body in more chunks, of fewer bytes on average, is refused: each costs its parsing."""

LINGER_BYTES = 256 * 1024
"""Thrown away after an answer, so that its client gets to read it before the end."""

KEPT_UNREAD = 16 * 1024
"""So much of a body that nobody reads is waited for; more ends the connection."""

SWEEP_S = 0.5

_RESET = struct.pack("ii", 1, 0)


class Quiet(logging.Logger):
    """Logs at debug level whatever a stranger can cause at will."""

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.debug(msg, *args, **kwargs)


def _quiet() -> Quiet:
    logger = Quiet("gated.web.connections")
    logger.parent = logging.getLogger("gated.api")
    return logger


class _Connection(socket.socket):
    """An accepted socket, whose place is free again when it is closed."""

    place: ConnectionPlace
    places: Places

    def close(self) -> None:
        self.places.leave(self.place)
        super().close()


class Listener(socket.socket):
    """A listening socket that lets in whom there is a place for."""

    places: Places

    def accept(self) -> tuple[socket.socket, Any]:
        """As a socket does; ConnectionAbortedError for a connection that was refused."""
        made, address = super().accept()
        place = self.places.enter(str(address[0]))
        if place is None:
            # without an answer there are no last bytes to wait for
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            made.close()
            raise ConnectionAbortedError("there is no place for it")
        kept = _Connection(made.family, made.type, made.proto, fileno=made.detach())
        kept.place, kept.places = place, self.places
        place.cut = lambda: _shut(kept)
        return kept, address


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Parser(h11.Connection):
    """h11's, that counts chunks."""

    _chunks = _bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > SMALL_CHUNKS and self._bytes < self._chunks * SMALL:
                raise h11.RemoteProtocolError("the body comes in chunks that are too small")
        return event


class _Flow(FlowControl):
    """Reads on from what is kept, before from the socket."""

    def __init__(self, transport: asyncio.Transport, resumed: Callable[[], None]) -> None:
        super().__init__(transport)
        self._resumed = resumed

    def resume_reading(self) -> None:
        super().resume_reading()
        self._resumed()


class _Line:
    """A connection as an answer sees it: its end waits until the client could read the answer."""

    def __init__(self, protocol: GuardedProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.end()


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn, within the bounds of a place."""

    def __init__(self, *args: Any, places: Places, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _quiet()
        self.conn = _Parser(h11.SERVER, HEAD_BYTES)
        self.limit_concurrency = None
        self.app = cast(Any, self._surrounded(cast(ASGIApp, self.app)))
        self._places = places
        self._place = ConnectionPlace("", 0.0)
        self._kept = bytearray()
        self._thrown = 0
        self._feeding = False

    # --- the connection -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self._feed_soon)
        raw = transport.get_extra_info("socket")
        own = getattr(raw, "_sock", None)
        if isinstance(own, _Connection):
            self._place = own.place
            self._place.cut = transport.abort

    def connection_lost(self, exc: Exception | None) -> None:
        self._kept.clear()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._place.stalled, self._place.since = True, self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._place.stalled = False

    # --- what comes in ------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse in pieces, and no more than is wanted."""
        if self._place.ending:
            self._thrown += len(data)
            if self._thrown > LINGER_BYTES:
                self.flow.pause_reading()
            return
        self._kept += data
        self._feed()

    def _feed_soon(self) -> None:
        if self._kept:
            self.loop.call_soon(self._feed)

    def _feed(self) -> None:
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._kept and not (
                self.flow.read_paused or self._place.ending or self.transport.is_closing()
            ):
                piece = bytes(self._kept[:PIECE])
                del self._kept[:PIECE]
                self.conn.receive_data(piece)
                self.handle_events()
        finally:
            self._feeding = False
        if self._kept and not self.flow.read_paused:
            self._kept.clear()

    def send_400_response(self, msg: str) -> None:
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # an answer has begun already
            self.transport.abort()
        else:
            self._place.turn(self.loop.time(), ending=True)

    # --- what goes out ------------------------------------------------------------------------

    def _surrounded(self, app: ASGIApp) -> ASGIApp:
        async def with_place(scope: Scope, receive: Receive, send: Send) -> None:
            cycle = self.cycle
            cycle.transport = cast(Any, _Line(self))
            self._place.turn(self.loop.time())
            delay = self._places.delay_s(self._place)
            if delay > LONGEST_DELAY_S:
                await Problem(429, "too many requests", headers=_AWAY)(scope, receive, send)
                return
            if delay:
                self._place.turn(self.loop.time(), waiting=True)
                await asyncio.sleep(delay)
                self._place.turn(self.loop.time())
            scope[RECOGNISED] = lambda owner: self._places.recognise(self._place, owner)

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    if message["status"] == 401:
                        self._places.forget(self._place)
                    if cycle.more_body and self._left_unread(scope) > KEPT_UNREAD:
                        message = {**message, "headers": [*message["headers"], _CLOSE]}
                await send(message)

            try:
                await app(scope, receive, answer)
            except asyncio.CancelledError:
                # the server has stopped, and with it what lasts: no fault to be read of
                if cycle.response_started:
                    cycle.disconnected = True
                    self.transport.close()
                else:
                    await Problem(503, "the server stops", headers=_AWAY)(scope, receive, answer)

        return with_place

    def _left_unread(self, scope: Scope) -> int:
        """Return how long the unread body is said to be, in bytes; LINGER_BYTES for chunks."""
        for name, value in scope["headers"]:
            if name == b"content-length":
                return int(value[:20])
        return LINGER_BYTES

    def on_response_complete(self) -> None:
        if not self._place.ending:
            self._place.turn(self.loop.time(), waiting=True, resting=True)
        super().on_response_complete()

    def shutdown(self) -> None:
        try:
            super().shutdown()
        except h11.LocalProtocolError:  # it has ended badly before
            self.transport.abort()

    def end(self) -> None:
        """Close the connection; what its client still sends is thrown away for a moment."""
        if self._place.ending:
            return
        self._place.turn(self.loop.time(), ending=True)
        self._kept.clear()
        if self.conn.their_state is h11.SEND_BODY:
            self.flow.resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()
        else:
            self.transport.close()


_CLOSE = (b"connection", b"close")
_AWAY = {"Retry-After": "5", "Connection": "close"}
