"""Notifies systemd: READY, STOPPING, and WATCHDOG only while every loop is alive."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping

from gated.link.loop import Watched


def notify(message: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send one sd_notify(3) message; False without NOTIFY_SOCKET, or when nobody listens there."""
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(address)
            channel.sendall(message.encode())
    except OSError:
        return False
    return True


def interval(environ: Mapping[str, str] = os.environ) -> float:
    """Return the seconds between two watchdog messages: a third of systemd's limit, at most 5."""
    try:
        return min(5.0, int(environ.get("WATCHDOG_USEC", "")) / 3e6)
    except ValueError:
        return 5.0


def stuck(loops: Iterable[Watched]) -> list[str]:
    """Return the names of the loops that have not beaten in time."""
    return [loop.name for loop in loops if loop.stuck]
