"""Requests of a gate to its hub, signed both ways, over one connection that is kept."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gated.errors import ConfigError, HubError, HubUnreachable
from gated.services.sync.signing import HEADER, GateKeys, SignedRequest, answer_message, is_signed

TIMEOUT_S = 20.0
CONNECT_S = 5.0
LARGEST_ANSWER = 64 * 1024 * 1024
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a gate proves itself with, and the key (hex) by which it knows its hub."""

    keys: GateKeys
    hub: str


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where the hub is. ca_file: whom to trust for its certificate, besides the system's."""

    url: str
    ca_file: Path | None = None
    insecure: bool = False

    def require_safe(self) -> None:
        """ConfigError for an address that is none, or that names people in the open."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"sync.hub_url: {self.url} is no address such as https://hub")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not self.insecure:
            raise ConfigError(
                f"sync.hub_url: {self.url} would send names in the open: use https, or accept it "
                "with sync.insecure: true"
            )


class HubClient:
    """Speaks to one hub; one thread at a time (a second one opens a client of its own)."""

    def __init__(self, address: HubAddress, credentials: Credentials | None = None) -> None:
        address.require_safe()
        self._address = address
        self._parts = urlsplit(address.url)
        self._connection: http.client.HTTPConnection | None = None
        self._closing = threading.Event()
        self.credentials = credentials
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
        connection = self._connection
        if connection is not None and (sock := connection.sock) is not None:
            with contextlib.suppress(OSError):
                # wakes who reads from it; that of TLS would take away what they read by
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection, for good; by the thread that uses it."""
        self._closing.set()
        self._drop()

    def _twice(self, method: str, path: str, body: bytes, timeout: float) -> Any:
        """Ask again at the hub's time when it found ours wrong: a gate may have no clock."""
        try:
            return self._ask(method, path, body, timeout)
        except HubError as error:
            if error.told != "clock_skew":
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
        status, told, answer = self._exchange(method, target, body, headers, timeout)
        if status >= 400:
            raise self._refusal(status, told, answer)
        if own is not None:
            proved = is_signed(
                own.hub, told.get(HEADER, ""), answer_message(signature, status, answer)
            )
            if not proved:
                raise HubUnreachable(f"{self._address.url} answers, and is not our hub", status)
        try:
            return json.loads(answer)
        except ValueError:
            raise HubUnreachable(f"{self._address.url} is no hub", status) from None

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
                raise HubUnreachable(f"no answer from {self._address.url}: {error}") from None
        try:
            return self._once(method, target, body, headers, timeout)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise HubUnreachable(f"no answer from {self._address.url}: {error}") from None

    def _once(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = self._connection = self._connection or self._connect()
        if connection.sock is None:
            connection.timeout = CONNECT_S
            connection.connect()
            if self._closing.is_set():  # nobody could cut it while it was not there
                connection.close()
                raise ConnectionError("the program ends")
        connection.sock.settimeout(timeout)
        connection.request(method, target, body or None, dict(headers))
        response = connection.getresponse()
        answer = response.read(LARGEST_ANSWER + 1)
        if len(answer) > LARGEST_ANSWER:
            raise http.client.HTTPException("the answer is too large")
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
        return http.client.HTTPSConnection(host, port, context=context)

    def _refusal(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> HubError:
        try:
            problem = json.loads(body)
            told, detail = str(problem["code"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError):
            told, detail = "", f"status {status}"
            problem = {}
        if told == "clock_skew" and isinstance(problem.get("now"), int):
            self.skew = problem["now"] - int(time.time())
        wait = headers.get("Retry-After", "")
        pause = float(wait) if wait.isdecimal() else None
        return HubError(f"the hub refuses: {detail}", status, told, pause)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()
