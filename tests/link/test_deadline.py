"""An exchange ends at its deadline, whatever the partner sends and whenever it is watched."""

from __future__ import annotations

import socket
import ssl
import time

import pytest

from gated.delivery.connection import WatchedConnection
from gated.fleet.gate.pinned import PinnedConnection
from gated.link.deadline import Deadline
from tests.fixtures.dripping import TLS, dripping


def untrusting() -> ssl.SSLContext:
    return ssl.create_default_context()


def test_a_handshake_that_comes_byte_by_byte_ends_at_the_deadline() -> None:
    with dripping(TLS) as port, Deadline(0.3) as deadline:
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011
            WatchedConnection("127.0.0.1", port, untrusting(), deadline).connect()
        assert deadline.is_over
        assert time.monotonic() - began < 5


def test_the_handshake_with_a_hub_ends_at_the_deadline_as_well() -> None:
    with dripping(TLS) as port, Deadline(0.3) as deadline:
        connection = PinnedConnection("127.0.0.1", port, None, untrusting(), None)
        connection.deadline = deadline
        with pytest.raises(OSError):  # noqa: PT011
            connection.connect()
        assert deadline.is_over


def test_what_is_watched_too_late_ends_at_once() -> None:
    one, other = socket.socketpair()
    with one, other, Deadline(0.01) as deadline:
        while not deadline.is_over:
            time.sleep(0.005)
        deadline.watch(one)
        assert one.recv(1) == b""


def test_an_exchange_that_ends_in_time_is_left_alone() -> None:
    one, other = socket.socketpair()
    with one, other:
        with Deadline(0.05) as deadline:
            deadline.watch(one)
        time.sleep(0.1)
        other.sendall(b"x")
        assert one.recv(1) == b"x"
        assert not deadline.is_over
