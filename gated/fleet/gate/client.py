"""Requests of a gate to its hub, signed both ways, over one connection that is kept."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gated.config.addresses import problem_of, shown
from gated.errors import ConfigError, HubError, HubUnreachable, Revoked
from gated.fleet.gate.pinned import PinnedConnection, shown_by
from gated.fleet.wire.signing import GateKeys, SignedRequest, answer_message, is_signed
from gated.http.headers import HEADER
from gated.link.deadline import Deadline
from gated.live.hub_failures import failure_of

TIMEOUT_S = 20.0
CONNECT_S = 5.0
TRANSFER_S = 60.0
"""So long an exchange may take beyond what it waits for; pages have some MB at most."""
LARGEST_ANSWER = 64 * 1024 * 1024
LATEST = 10**11
"""UTC seconds: no hub understands a later time, whoever has named it in the hub's place."""
REVOKED = Revoked.code
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


BY_PROXY = {
    401: "it, or a proxy before it, asks for another sign-in",
    403: "it, or a proxy before it, forbids this",
    404: "it has no such page: is the address right (sync.hub_url)",
    413: "what was sent is too large for a proxy before it: raise client_max_body_size there",
    502: "a proxy says that it is down",
    504: "a proxy says that it does not answer in time",
}
"""The meaning of an answer that is not the hub's own."""


class _TooSlow(TimeoutError):
    """Bytes came, and did not come to an end in time."""


class _TooLargeAnswer(http.client.HTTPException):
    """More than `LARGEST_ANSWER`."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The proof of a gate, and the key (hex) by which it knows its hub."""

    keys: GateKeys
    hub: str


@dataclass(frozen=True, slots=True)
class HubAddress:
    """The place of the hub. ca_file: whom to trust for its certificate, besides the system's.

    pin: SHA-256 (hex) of the key of a certificate that somebody has accepted; only that is right.
    """

    url: str
    ca_file: Path | None = None
    insecure: bool = False
    pin: str | None = None

    @property
    def shown(self) -> str:
        """The address as it may be shown to anyone."""
        return shown(self.url, "the address of the hub")

    def require_safe(self) -> None:
        """ConfigError for an address that is none, or that names people in the open."""
        if problem := problem_of(self.url):
            raise ConfigError(f"sync.hub_url: {problem}")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"sync.hub_url: {self.shown} is no address such as https://hub")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not self.insecure:
            raise ConfigError(
                f"sync.hub_url: {self.shown} would send names in the open: use https, or accept it "
                "with sync.insecure: true"
            )


class HubClient:
    """Speaks to one hub; one thread at a time (a second one opens a client of its own).

    transfer_s: so long an exchange may take in all, beyond the wait for the answer to begin.
    """

    def __init__(
        self,
        address: HubAddress,
        credentials: ClientCredentials | None = None,
        *,
        transfer_s: float = TRANSFER_S,
    ) -> None:
        address.require_safe()
        self._transfer_s = transfer_s
        self._address = address
        self._parts = urlsplit(address.url)
        self._connection: http.client.HTTPConnection | None = None
        self._closing = threading.Event()
        self.credentials = credentials
        self.certificate_until: datetime | None = None
        """End of the certificate that the hub showed last."""
        self.skew = 0
        """Seconds that the hub's clock is ahead of ours, as far as it complained of it."""

    def post(self, path: str, body: Mapping[str, Any], timeout: float = TIMEOUT_S) -> Any:
        """The answer to a JSON body; HubError, HubUnreachable."""
        return self._twice("POST", path, json.dumps(body).encode(), timeout)

    def get(self, path: str, timeout: float = TIMEOUT_S) -> Any:
        """The answer to a question; HubError, HubUnreachable."""
        return self._twice("GET", path, b"", timeout)

    def cut(self) -> None:
        """End what another thread waits for, for good; that thread has to close."""
        self._closing.set()
        _wake(self._connection)

    def close(self) -> None:
        """Let go of the connection, for good; by the thread that uses it."""
        self._closing.set()
        self._drop()

    def _twice(self, method: str, path: str, body: bytes, timeout: float) -> Any:
        """Ask again at the hub's time when it found ours wrong: a gate may have no clock."""
        try:
            return self._ask(method, path, body, timeout)
        except HubError as error:
            if error.hub_code != "clock_skew":
                raise
        return self._ask(method, path, body, timeout)

    def _ask(self, method: str, path: str, body: bytes, timeout: float) -> Any:
        target = self._parts.path.rstrip("/") + path
        signed = SignedRequest(method, path, int(time.time()) + self.skew, body)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        signature = ""
        if (own := self.credentials) is not None:
            signature = own.keys.sign(signed.message())
            headers["Authorization"] = f"Bearer {own.keys.token}"
            headers[HEADER] = f"{signed.at}.{signature}"
        status, replied, answer = self._exchange(method, target, body, headers, timeout)
        if status >= 400:
            refusal = self._refusal(status, replied, answer)
            proof = answer_message(signature, status, answer)
            if own is not None and refusal.hub_code == REVOKED:
                # only the hub itself may say so: what a gate does then is more than trying again
                proved = is_signed(own.hub, replied.get(HEADER, ""), proof)
                refusal.reason = REVOKED if proved else "not_signed_in"
            raise refusal
        if own is not None:
            proved = is_signed(
                own.hub, replied.get(HEADER, ""), answer_message(signature, status, answer)
            )
            if not proved:
                raise HubUnreachable(
                    f"{self._address.shown} answers, and is not our hub",
                    status,
                    reason="not_our_hub",
                )
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise HubUnreachable(
                f"{self._address.shown} is no hub", status, reason="not_our_hub"
            ) from None

    def _exchange(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        kept = self._connection is not None
        try:
            return self._once(method, target, body, headers, timeout)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            # the hub may have ended a connection that was kept: that says nothing about the hub
            ended = isinstance(error, http.client.RemoteDisconnected | ConnectionError)
            if not (kept and ended) or self._closing.is_set():
                raise self._unreachable(error) from None
        try:
            return self._once(method, target, body, headers, timeout)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> HubUnreachable:
        reason, says = failure_of(error)
        if isinstance(error, _TooLargeAnswer):
            reason = "too_large"
        elif self._parts.scheme == "http" and self._speaks_tls():
            reason, says = "tls_wanted", "TLS is spoken at this port: write https:// instead"
        return HubUnreachable(f"no answer from {self._address.shown}: {says}", reason=reason)

    def _speaks_tls(self) -> bool:
        """Return whether the port of an http:// address wants TLS: then no answer makes sense."""
        if self._closing.is_set() or self.credentials is not None:
            return False  # asked when somebody tries to join; later it is known
        try:
            return bool(shown_by(str(self._parts.hostname), self._parts.port or 80))
        except HubUnreachable:
            return False

    def _once(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = self._connection = self._connection or self._connect()
        if connection.sock is None:
            connection.timeout = CONNECT_S
            with Deadline(3 * CONNECT_S) as deadline:
                if isinstance(connection, PinnedConnection):
                    connection.deadline = deadline
                connection.connect()
            self.certificate_until = getattr(connection, "until", None)
            if self._closing.is_set():  # nobody could cut it while it was not there
                connection.close()
                raise ConnectionError("the program ends")
        connection.sock.settimeout(timeout)
        with _ended_after(connection, timeout + self._transfer_s):
            connection.request(method, target, body or None, dict(headers))
            response = connection.getresponse()
            answer = response.read(LARGEST_ANSWER + 1)
        if len(answer) > LARGEST_ANSWER:
            raise _TooLargeAnswer("the answer is too large")
        return response.status, response.headers, answer

    def _connect(self) -> http.client.HTTPConnection:
        if self._closing.is_set():
            raise ConnectionError("the program ends")
        host, port = str(self._parts.hostname), self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port)
        try:
            context = ssl.create_default_context()
            if self._address.ca_file is not None:
                context.load_verify_locations(self._address.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"sync.ca_file: cannot be used: {error}") from None
        return PinnedConnection(host, port, self._address.pin, context, self._address.ca_file)

    def _refusal(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> HubError:
        try:
            problem = json.loads(body)
            code, detail = str(problem["code"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError, RecursionError):
            code, detail = "", BY_PROXY.get(status, f"status {status}")
            problem = {}
        now = problem.get("now")
        if code == "clock_skew" and isinstance(now, int) and 0 <= now < LATEST:
            self.skew = now - int(time.time())
        wait = headers.get("Retry-After", "")
        pause = float(wait) if wait.isdecimal() else None
        return HubError(f"the hub refuses: {detail}", status, code, pause)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


@contextlib.contextmanager
def _ended_after(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Let nobody who sends byte by byte hold the thread. TimeoutError."""
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        _wake(connection)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if is_over.is_set():
            raise _TooSlow("timed out") from None
        raise
    finally:
        timer.cancel()
    if is_over.is_set():  # what was read by then may be a part
        raise _TooSlow("timed out")


def _wake(connection: http.client.HTTPConnection | None) -> None:
    """End what another thread reads from a connection."""
    if connection is not None and (sock := connection.sock) is not None:
        with contextlib.suppress(OSError):
            # that of TLS would take away what they read by
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
