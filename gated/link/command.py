"""The command line's end of the socket: a question to the running door process, and its answer."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from gated.core.messages import Event
from gated.errors import GateUnavailable, NoCardCame
from gated.link import messages as m
from gated.link.client import ASK_S, CONNECT_S, raise_refusal
from gated.link.peers import connected, is_trusted, peer
from gated.link.wire import Unpacker, WireError

NOBODY = "no gate runs here: start it first"
SILENT = "the gate does not answer: `gated doctor` says more"
CHUNK = 1 << 16
REFUSES_S = 0.3
"""Within this time a gate says that it will not wait for a card."""

T = TypeVar("T", bound=m.Message)


class CommandLink:
    """A connection that asks, and unlike a service sends no reports."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unpacker = Unpacker(m.SERVICE_TAKES)
        self._socket.sendall(m.encode(m.Hello(os.getpid())))
        self._wait(m.Welcome, ASK_S)

    def ask(self, event: Event) -> None:
        """Have the gate handle an event. Raises: GateUnavailable, or the gate's refusal."""
        number = 1
        self._socket.sendall(m.encode(m.Ask(number, event, time.monotonic() + ASK_S)))
        raise_refusal(self._wait(m.Answer, ASK_S, lambda answer: answer.number == number))

    def next_card(self, within_s: float, on_waiting: Callable[[], None] = lambda: None) -> str:
        """Return the number of the next card at the reader; the card opens nothing.

        on_waiting: called once the gate waits for a card, as it refuses at once.
        Raises: NoCardCame when none came in time, GateUnavailable where the gate has no reader.
        """
        self._socket.sendall(m.encode(m.WantCard(within_s)))
        card = self._within(m.CardRead, REFUSES_S)
        if card is None:
            on_waiting()
            card = self._wait(m.CardRead, within_s + ASK_S)
        if card.problem:
            raise GateUnavailable(card.problem)
        if card.number is None:
            raise NoCardCame(f"no card was held to the reader within {within_s:.0f} s")
        return card.number

    def _wait(
        self, kind: type[T], within_s: float, is_meant: Callable[[T], bool] = lambda message: True
    ) -> T:
        message = self._within(kind, within_s, is_meant)
        if message is None:
            raise GateUnavailable(SILENT)
        return message

    def _within(
        self, kind: type[T], within_s: float, is_meant: Callable[[T], bool] = lambda message: True
    ) -> T | None:
        """Return the next such message; None when none came in time."""
        until = time.monotonic() + within_s
        while (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select([self._socket], [], [], left)
            data = self._socket.recv(CHUNK) if ready else b""
            if ready and not data:
                raise GateUnavailable(SILENT)
            for packet in self._unpacker.feed(data):
                message = m.decode(packet)
                if isinstance(message, kind) and is_meant(message):
                    return message
        return None


@contextmanager
def running_door(state_dir: Path) -> Iterator[CommandLink]:
    """Connect to the door process of a state directory. Raises: GateUnavailable."""
    try:
        connection = connected(state_dir, CONNECT_S)
    except OSError:
        raise GateUnavailable(NOBODY) from None
    with connection:
        if not is_trusted(peer(connection)[1]):
            raise GateUnavailable("the socket of the gate belongs to somebody else")
        try:
            yield CommandLink(connection)
        except (OSError, WireError, m.RefusedMessage) as error:
            raise GateUnavailable(f"the gate cannot be asked: {error}") from None
