"""One connection to a broker, from its opening to its end, without state for the next one.

Each connection is a new session (clean start, no expiry): messages that were published while the
gate was offline are not delivered. Packets of the broker are bounded before they are read, as the
broker is not trusted.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gated.config import MqttSettings
from gated.delivery.client_tls import UnusableFiles, client_tls, why_failed
from gated.delivery.secret_files import read_secret
from gated.errors import ConfigError

CONNECT_S = 3.0
ANSWER_S = 5.0
KEEPALIVE_S = 10
"""Seconds; a connection without traffic ends after one and a half times as long."""
MOST_PACKET = 16_384
"""Bytes of one packet of the broker; a command has 1,024 at most."""
MOST_BYTES, PER_S = 256 * 1024, 60.0
"""The most bytes that are read from a broker within so many seconds; more ends the connection."""
MOST_WAITING = 50
"""Received messages that wait to be handled."""


class MqttFailed(Exception):
    """The connection cannot be used (any more); the message is why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A received message; nothing of it is trusted."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class LastWill:
    """A message that the broker publishes, retained, when the connection breaks."""

    topic: str
    payload: bytes


class _BoundedClient(paho.Client):
    """Limits the size of packets, and the bytes per minute, that are read."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.problem = ""
        self._since = time.monotonic()
        self._taken = 0

    def _handle_publish(self) -> MQTTErrorCode:
        # never subscribed to: paho would keep each QoS 2 message until the broker releases it
        if self._in_packet["command"] & 0x04:
            self.problem = "it sent a message of QoS 2"
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        return super()._handle_publish()

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        # as paho does, but that a connection whose certificate is not trusted is closed
        context = self._ssl_context
        assert context is not None  # noqa: S101
        return context.wrap_socket(tcp_sock, server_hostname=self._host)

    def _sock_recv(self, bufsize: int) -> bytes:
        # paho asks for the rest of a packet, whose length the broker has announced
        if bufsize > MOST_PACKET:
            self.problem = f"it sent a packet of more than {MOST_PACKET} bytes"
            raise ConnectionError(self.problem)
        data: bytes = super()._sock_recv(bufsize)
        now = time.monotonic()
        if now - self._since > PER_S:
            self._since, self._taken = now, 0
        self._taken += len(data)
        if self._taken > MOST_BYTES:
            self.problem = f"it sent more than {MOST_BYTES // 1024} kB within a minute"
            raise ConnectionError(self.problem)
        return data


class Connection:
    """An open connection, used by one thread. Making it connects; raises MqttFailed."""

    def __init__(self, settings: MqttSettings, client_id: str, will: LastWill | None) -> None:
        self._client = _BoundedClient(
            CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        self._client.connect_timeout = CONNECT_S
        self._client.suppress_exceptions = True
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._received
        self._client.on_publish = self._acknowledged
        self._client.on_subscribe = self._subscribed
        self._answer: ReasonCode | None = None
        self._ended: str | None = None
        self._sent_at: dict[int, float] = {}
        self._incoming: deque[Incoming] = deque(maxlen=MOST_WAITING)
        self.refused_topics = False
        """True when the broker did not take a subscription."""
        if will is not None:
            self._client.will_set(will.topic, will.payload, qos=1, retain=True)
        try:
            self._open(settings)
        except BaseException:
            self._shut()
            raise

    # --- opening ------------------------------------------------------------------------------

    def _open(self, settings: MqttSettings) -> None:
        host, port = settings.address
        try:
            if settings.username is not None:
                password = settings.password_file and read_secret(settings.password_file, 1)
                secret = password.decode("utf-8") if password else None
                self._client.username_pw_set(settings.username, secret)
            if settings.tls:
                self._client.tls_set_context(_tls(settings))
            self._client.connect(
                host, port, KEEPALIVE_S, clean_start=True, properties=_connect_properties()
            )
        except ConfigError as error:
            raise MqttFailed(str(error)) from None
        except (OSError, ValueError) as error:
            raise MqttFailed(f"{host}:{port}: {why_failed(error)}") from None
        self._until(lambda: self._answer is not None, f"{host}:{port} does not answer")
        if self._answer is not None and self._answer.is_failure:
            raise MqttFailed(self._why_ended())

    def _until(self, done: Callable[[], bool], says: str) -> None:
        end = time.monotonic() + ANSWER_S
        while not done():
            if time.monotonic() > end:
                raise MqttFailed(says)
            self.turn(0.2)

    # --- use ----------------------------------------------------------------------------------

    def turn(self, timeout: float) -> None:
        """Read and write what is ready; wait at most `timeout` seconds for it. Raises:
        MqttFailed."""
        client, sock = self._client, self._client.socket()
        if sock is None or self._ended is not None:
            raise MqttFailed(self._why_ended())
        pending = getattr(sock, "pending", lambda: 0)() > 0
        poll = select.poll()  # select has no place for descriptors above 1023
        wanted = select.POLLIN | (select.POLLOUT if client.want_write() else 0)
        poll.register(sock.fileno(), wanted)
        ready = poll.poll(0 if pending else timeout * 1000)
        events = ready[0][1] if ready else 0
        readable = pending or bool(events & ~select.POLLOUT)
        try:
            failed = _turned(client, readable, bool(events & select.POLLOUT))
        except Exception as error:  # paho's parser raises many kinds for a malformed packet
            raise MqttFailed(f"it sent what is no MQTT ({type(error).__name__})") from None
        if failed or client.socket() is None or self._ended is not None:
            raise MqttFailed(self._why_ended())

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1,
        expires_s: int | None = None,
    ) -> int:  # fmt: skip
        """Publish a message; return its number for `waits_for`."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expires_s is not None:
            properties.MessageExpiryInterval = expires_s
        sent = self._client.publish(topic, payload, qos, retain, properties)
        if qos:
            self._sent_at.setdefault(sent.mid, time.monotonic())
        return sent.mid

    def subscribe(self, topic: str) -> None:
        """Subscribe to a topic, without its retained message."""
        options = SubscribeOptions(
            qos=1, noLocal=True, retainAsPublished=True,
            retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND,
        )  # fmt: skip
        self._client.subscribe(topic, options=options)

    def taken(self) -> list[Incoming]:
        """Return the received messages, and forget them."""
        found = []
        while self._incoming:
            found.append(self._incoming.popleft())
        return found

    @property
    def unacknowledged(self) -> int:
        """The number of messages that the broker has not confirmed."""
        return len(self._sent_at)

    @property
    def stalled(self) -> bool:
        """True when the broker has not confirmed a message for `ANSWER_S`."""
        oldest = min(self._sent_at.values(), default=None)
        return oldest is not None and time.monotonic() - oldest > ANSWER_S

    def waits_for(self, numbers: set[int]) -> bool:
        """Return whether one of these messages is not confirmed yet."""
        return not numbers.isdisjoint(self._sent_at)

    def close(self) -> None:
        """End the connection; the last will is not published."""
        with contextlib.suppress(Exception):
            self._client.disconnect()
            self.turn(0)
        self._shut()

    def _shut(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    # --- callbacks of paho --------------------------------------------------------------------

    def _connected(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        self._answer = code

    def _disconnected(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        self._ended = str(code)

    def _received(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        # a topic that is not UTF-8 raises here, and paho drops the message
        topic = message.topic
        self._incoming.append(Incoming(topic, bytes(message.payload), bool(message.retain)))

    def _acknowledged(self, _c: Any, _u: Any, mid: int, code: ReasonCode, _p: Any) -> None:
        self._sent_at.pop(mid, None)
        if code.is_failure:
            self._ended = f"it does not take what is published: {code}"

    def _subscribed(self, _c: Any, _u: Any, _m: int, codes: list[ReasonCode], _p: Any) -> None:
        self.refused_topics = self.refused_topics or any(code.is_failure for code in codes)

    def _why_ended(self) -> str:
        if self._answer is not None and self._answer.is_failure:
            return f"it refuses this gate: {self._answer}"
        return self._client.problem or f"the connection has ended: {self._ended or 'lost'}"


def try_broker(settings: MqttSettings) -> str | None:
    """Connect once, with another client id than the running gate; return why that fails, or
    None."""
    try:
        Connection(settings, f"gated-doctor-{uuid.uuid4()}", None).close()
    except MqttFailed as error:
        return str(error)
    return None


def _turned(client: paho.Client, readable: bool, writable: bool) -> bool:
    """Let the client read, write and ping; return True when one of these failed."""
    failed = readable and bool(client.loop_read())
    if not failed and writable and client.socket() is not None:
        failed = bool(client.loop_write())
    return failed or bool(client.loop_misc())


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 0
    properties.MaximumPacketSize = MOST_PACKET
    properties.ReceiveMaximum = MOST_WAITING
    return properties


def _tls(settings: MqttSettings) -> ssl.SSLContext:
    """Return the TLS context. Raises: ConfigError."""
    try:
        return client_tls(settings.ca_file, settings.certificate_file, settings.key_file)
    except UnusableFiles as error:
        raise ConfigError(str(error)) from None
