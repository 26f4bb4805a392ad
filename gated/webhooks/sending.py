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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gated.delivery.client_tls import why_failed
from gated.delivery.connection import WatchedConnection
from gated.link.deadline import Deadline

TIMEOUT_S = 10.0
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
    address, tls = _address(host, port, to.private), _tls(parts.scheme, to)
    sent = {"Content-Type": "application/json", "User-Agent": "gated", **to.headers, **headers}
    with Deadline(within_s) as deadline:
        connection = WatchedConnection(host, port, tls, deadline, address)
        try:
            connection.request("POST", path, body, sent)
            answer = connection.getresponse()
            answer.read(READ_BYTES)
            return answer.status
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = "no answer in time" if deadline.is_over else why_failed(error)
            raise HookFailed(f"{host}: {why}") from None
        finally:
            with contextlib.suppress(OSError):
                connection.close()


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
