"""Sends messages to a collector, and waits for its receipt.

Syslog has no acknowledgement. So each batch has a connection of its own, which this side closes
first: a collector that has read to the end closes its side, too, and that is the receipt. One that
was killed with bytes unread resets the connection, and one that hangs does nothing: both receive
the batch again.
"""

from __future__ import annotations

import socket
import ssl

from gated.config import SyslogSettings
from gated.delivery.client_tls import UnusableFiles, client_tls, why_failed
from gated.link.deadline import Deadline

CONNECT_S, WITHIN_S = 5.0, 10.0


class SyslogFailed(Exception):
    """The collector gave no receipt; the message is why, in one sentence."""


def hand_over(settings: SyslogSettings, framed: bytes, within_s: float = WITHIN_S) -> None:
    """Send framed messages and wait until the collector has read them. Raises: SyslogFailed.

    within_s: for the whole exchange, so that a collector that reads byte by byte cannot hold the
    thread.
    """
    host = settings.host or ""
    where = f"{host}:{settings.port}"
    try:
        plain = socket.create_connection((host, settings.port), CONNECT_S)
    except (OSError, UnicodeError) as error:
        raise SyslogFailed(f"{where}: {why_failed(error)}") from None
    with Deadline(within_s) as deadline:
        deadline.watch(plain)
        try:
            with plain, _tls(settings).wrap_socket(plain, server_hostname=host) as secure:
                secure.settimeout(within_s)
                secure.sendall(framed)
                _await_end(secure)
                if deadline.is_over:
                    raise TimeoutError  # ended by the deadline, not by the collector: no receipt
        except (OSError, ValueError) as error:
            late = "it has not read everything in time"
            raise SyslogFailed(
                f"{where}: {late if deadline.is_over else why_failed(error)}"
            ) from None


def _await_end(secure: ssl.SSLSocket) -> None:
    """Send close_notify and wait for the collector's. Raises: OSError when the connection
    breaks."""
    try:
        secure.unwrap()
    except ssl.SSLEOFError:
        return  # closed without close_notify, as some do: a reset would be another error
    except ssl.SSLSyscallError as error:
        raise ConnectionError("the connection broke") from error


def _tls(settings: SyslogSettings) -> ssl.SSLContext:
    """Return the TLS context. Raises: SyslogFailed."""
    try:
        return client_tls(settings.ca_file, settings.certificate_file, settings.key_file)
    except UnusableFiles as error:
        raise SyslogFailed(str(error)) from None
