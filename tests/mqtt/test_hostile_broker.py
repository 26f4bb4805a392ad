"""A broker that is anybody: packets without end, floods, nonsense, silence."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gated.config import MqttSettings
from gated.mqtt.connection import MOST_BYTES, MOST_PACKET, Connection, MqttFailed

CONNACK = bytes([0x20, 3, 0, 0, 0])
Behave = Callable[[socket.socket], None]


@contextmanager
def hostile(behave: Behave) -> Iterator[MqttSettings]:
    """Take one connection, answer the greeting as a broker does, and then behave."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            taken, _ = server.accept()
            with taken, suppress(OSError):
                taken.recv(4096)
                behave(taken)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield MqttSettings(host="127.0.0.1", port=server.getsockname()[1], tls=False)


def greeted(then: bytes, times: int = 1) -> Behave:
    def behave(to: socket.socket) -> None:
        to.sendall(CONNACK)
        for _ in range(times):
            to.sendall(then)
        time.sleep(20)

    return behave


def published(payload: bytes, qos: int = 0) -> bytes:
    body = b"\0\1t" + (b"\0\7" if qos else b"") + b"\0" + payload
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([0x30 | qos << 1]) + bytes(digits) + body


def end_of(settings: MqttSettings) -> str:
    """Speak until the connection fails; return why."""
    connection = Connection(settings, "gated-test", None)

    def speak() -> None:
        for _ in range(2000):
            connection.turn(0.05)

    try:
        with pytest.raises(MqttFailed) as failed:
            speak()
        return str(failed.value)
    finally:
        connection.close()


def test_a_packet_that_is_too_long_is_not_read() -> None:
    """Its length is said before: 200 MB are never taken into memory."""
    head = bytes([0x30, 0x80, 0x80, 0x80, 0x60])
    with hostile(greeted(head + b"x" * 1000)) as settings:
        assert f"more than {MOST_PACKET} bytes" in end_of(settings)


def test_a_flood_ends_the_connection() -> None:
    many = 2 * MOST_BYTES // 1000
    with hostile(greeted(published(b"x" * 1000), times=many)) as settings:
        assert "within a minute" in end_of(settings)


def test_what_would_be_kept_for_ever_ends_the_connection() -> None:
    with hostile(greeted(published(b"x", qos=2))) as settings:
        assert "QoS 2" in end_of(settings)


@pytest.mark.parametrize(
    "nonsense", [bytes([0x30, 2, 0xFF, 0xFF]), bytes([0xF0, 0]), bytes([0x40, 1, 0]), b"\xff" * 64]
)
def test_what_is_no_mqtt_ends_the_connection(nonsense: bytes) -> None:
    with hostile(greeted(nonsense)) as settings:
        assert end_of(settings)


def test_a_topic_that_is_no_text_is_dropped() -> None:
    bad = bytes([0x30, 5, 0, 2, 0xFF, 0xFE, 0])
    with hostile(greeted(bad + published(b"good"))) as settings:
        connection = Connection(settings, "gated-test", None)
        found = []
        for _ in range(100):
            connection.turn(0.05)
            found += connection.taken()
            if found:
                break
        connection.close()
        assert [(m.topic, m.payload) for m in found] == [("t", b"good")]


def test_a_handshake_that_comes_byte_by_byte_is_given_up() -> None:
    def drip(to: socket.socket) -> None:
        to.sendall(b"\x16\x03\x03\x3f\xff")  # a long record of TLS is on its way
        for _ in range(300):
            to.sendall(b"x")
            time.sleep(0.1)

    with hostile(drip) as plain:
        settings = plain.model_copy(update={"tls": True})
        began = time.monotonic()
        with pytest.raises(MqttFailed, match="no answer in time"):
            Connection(settings, "gated-test", None)
        assert time.monotonic() - began < 20, "the broker would go on for half a minute"


def test_who_greets_and_says_nothing_is_left() -> None:
    with (
        hostile(lambda to: time.sleep(20)) as settings,
        pytest.raises(MqttFailed, match="does not answer"),
    ):
        Connection(settings, "gated-test", None)


def test_who_refuses_is_named() -> None:
    with (
        hostile(lambda to: to.sendall(bytes([0x20, 3, 0, 0x87, 0]))) as settings,
        pytest.raises(MqttFailed, match="Not authorized"),
    ):
        Connection(settings, "gated-test", None)


def test_nobody_is_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(MqttFailed, match="refused"):
        Connection(MqttSettings(host="127.0.0.1", port=port, tls=False), "gated-test", None)
