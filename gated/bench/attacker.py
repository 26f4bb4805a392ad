"""Attacks a gate over the network: `python -m gated.bench.attacker KIND HOST PORT SECONDS`."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time

LISTS = 4_300_000
MANY = {"bodies that do not end": 60, "silent connections": 260}
"""Connections held at a time, by kind of attack."""

PAUSE_S = 0.05
"""Pause before each further connection."""


def attack(kind: str, host: str, port: int, seconds: float) -> None:
    """Run one kind of attack for `seconds`."""
    os.nice(19)  # an attacker would use another machine
    body = b"[" + b"[]," * LISTS + b"[]]"
    head = (
        f"POST /api/sync/edits HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    requests = {"large bodies": head + body, "bodies that do not end": head + body[:-1]}
    end, held = time.monotonic() + seconds, list[socket.socket]()
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            made = socket.create_connection((host, port), 5)
            held.append(made)
            made.settimeout(5)
            made.sendall(requests.get(kind, b""))
            if kind == "large bodies":
                made.recv(4096)
        if len(held) > MANY.get(kind, 0):
            held.pop(0).close()
            time.sleep(PAUSE_S if kind in MANY else 0)


if __name__ == "__main__":
    attack(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
