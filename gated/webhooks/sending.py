"""Posts a body to an address of the configuration, and to no other machine than that one names.

The name is resolved once: what was looked at is what is connected to. No redirect is followed, no
proxy of the environment asked, no more of an answer read than its beginning.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

CONNECT_S, TIMEOUT_S = 5.0, 10.0
READ_BYTES = 4096

SIGNATURE = "Gated-Signature"


class HookFailed(Exception):
    """Nothing was delivered; says why in one sentence."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A target of events. private: addresses of private networks and this machine are allowed."""

    url: str
    private: bool = False
    ca_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def signature(secret: bytes, body: bytes, at: int) -> str:
    """Sign a body: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, as Stripe does.

    The time is signed, too, so that whoever records a request cannot send it again much later.
    """
    digest = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def post(
    to: Destination, body: bytes, headers: Mapping[str, str], within_s: float = TIMEOUT_S
) -> int:
    """Post JSON; return the status of the answer, whatever it is. Raises: HookFailed.

    within_s: for all of it, so that nobody who answers byte by byte holds the thread.
    """
    parts = urlsplit(to.url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _ResolvedConnection(
        host, port, _address(host, port, to.private), _tls(parts.scheme, to)
    )
    over = threading.Timer(within_s, connection.cut)
    over.daemon = True
    over.start()
    try:
        sent = {"Content-Type": "application/json", "User-Agent": "gated", **to.headers, **headers}
        connection.request("POST", path, body, sent)
        answer = connection.getresponse()
        answer.read(READ_BYTES)
        return answer.status
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = "no answer in time" if connection.is_cut else _why(error)
        raise HookFailed(f"{host}: {why}") from None
    finally:
        over.cancel()
        with contextlib.suppress(OSError):
            connection.close()


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def _address(host: str, port: int, private: bool) -> tuple[int, str]:
    """Resolve a name, once: family and address to connect to. Raises: HookFailed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HookFailed(f"{host}: the name is not found ({error})") from None
    for family, _, _, _, address in found:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
        plain = getattr(ip, "ipv4_mapped", None) or ip
        if plain.is_global and not plain.is_multicast:
            return family, str(address[0])
        if private and not (plain.is_multicast or plain.is_unspecified or plain.is_link_local):
            return family, str(address[0])
    raise HookFailed(
        f"{host} is in a private network: nothing is sent there unless the target has "
        "`private_network: true`"
    )


def _tls(scheme: str, to: Destination) -> ssl.SSLContext | None:
    if scheme != "https":
        return None
    try:
        return ssl.create_default_context(cafile=to.ca_file)
    except OSError as error:
        raise HookFailed(f"{to.ca_file} cannot be used: {error}") from None


class _ResolvedConnection(http.client.HTTPConnection):
    """A connection to an address that was looked at, by the name that it was asked for."""

    def __init__(
        self, host: str, port: int, address: tuple[int, str], tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(host, port)
        self.default_port = 443 if tls else 80
        self._resolved = address
        self._tls = tls
        self.is_cut = False

    def cut(self) -> None:
        """End what another thread waits for."""
        self.is_cut = True
        if (sock := self.sock) is not None:
            with contextlib.suppress(OSError):
                # wakes who reads from it; that of TLS would take away what they read by
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def connect(self) -> None:
        """Connect to the address. Raises: OSError."""
        family, address = self._resolved
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(CONNECT_S)
            plain.connect((address, self.port))
            plain.settimeout(TIMEOUT_S)
            secure = self._tls
            self.sock = secure.wrap_socket(plain, server_hostname=self.host) if secure else plain
        except BaseException:
            plain.close()
            raise
