"""Tries, inside the sandbox of a unit, what its process must not be able to do; prints what it can.

One JSON object: what was tried -> "can" or why not.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
NEW_NAMESPACE, TRACE_ATTACH, EXECUTABLE, PRIVATE_ANONYMOUS = 0x10000000, 16, 7, 0x22


def called(result: int) -> None:
    """OSError for a call of the C library that failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def internet(family: int, kind: int) -> None:
    with socket.socket(family, kind) as made:
        if kind == socket.SOCK_STREAM:
            made.settimeout(2)
            made.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))


def opened(path: str, flags: int) -> None:
    os.close(os.open(path, flags | os.O_NONBLOCK))


def written(path: str) -> None:
    Path(path).write_text("")
    Path(path).unlink()


def mapped() -> None:
    libc.mmap.restype = ctypes.c_void_p
    if libc.mmap(None, 4096, EXECUTABLE, PRIVATE_ANONYMOUS, -1, 0) == ctypes.c_void_p(-1).value:
        called(-1)


def tries() -> dict[str, Callable[[], object]]:
    devices = {
        "camera": "/dev/video0",
        "GPIO": "/dev/gpiochip0",
        "disk": "/dev/vda",
        "memory": "/dev/mem",
        "watchdog": "/dev/watchdog",
    }
    return {
        "IPv4 socket": lambda: internet(socket.AF_INET, socket.SOCK_STREAM),
        "IPv6 socket": lambda: internet(socket.AF_INET6, socket.SOCK_STREAM),
        "raw socket": lambda: internet(socket.AF_PACKET, socket.SOCK_RAW),
        **{f"device {n}": (lambda p=p: opened(p, os.O_RDWR)) for n, p in devices.items()},  # type: ignore[misc]
        "write to /usr": lambda: written("/usr/probe"),
        "write to /etc/gated": lambda: written("/etc/gated/probe"),
        "write to /opt/gated": lambda: written("/opt/gated/probe"),
        "read /home": lambda: os.listdir("/home"),
        "read /etc/shadow": lambda: Path("/etc/shadow").read_bytes(),
        "write to its state": lambda: written("/var/lib/gated/probe"),
        "become root": lambda: os.setuid(0),
        "signal process 1": lambda: os.kill(1, signal.SIGCONT),
        "see other users' processes": lambda: os.listdir("/proc/1/fd"),
        "mount": lambda: called(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None)),
        "new namespace": lambda: called(libc.unshare(NEW_NAMESPACE)),
        "trace a process": lambda: called(libc.ptrace(TRACE_ATTACH, os.getppid(), None, None)),
        "set the clock": lambda: _set_clock(),
        "write and execute memory": mapped,
        "set-user-id file": lambda: _set_user_id(),
    }


def _set_clock() -> None:
    import time

    time.clock_settime(time.CLOCK_REALTIME, time.time())


def _set_user_id() -> None:
    path = "/var/lib/gated/probe-suid"
    try:
        Path(path).touch()
        os.chmod(path, 0o4755)  # noqa: S103  # what must fail
    finally:
        Path(path).unlink(missing_ok=True)


def main() -> None:
    found = {}
    for what, attempt in tries().items():
        try:
            attempt()
            found[what] = "can"
        except OSError as error:
            found[what] = error.strerror or str(error)
    status = Path("/proc/self/status").read_text()
    for key in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp"):
        found[key] = next(
            line.split()[1] for line in status.splitlines() if line.startswith(key + ":")
        )
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
