"""Stops one thread of a process for a while, as if it hung: freeze.py THREAD SECONDS.

Waits for the relay's release first. Ends early when the process is ended: a thread that is traced
stays until its tracer has seen its end.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

SEIZE, INTERRUPT = 0x4206, 0x4207
"""Of linux/ptrace.h."""
ALL = 0x40000000
"""__WALL: waits for threads too."""
RELAY = Path("/run/header/sim_gpio17/value")
READY = Path("/run/freezes")

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def trace(request: int, thread: int) -> None:
    if libc.ptrace(request, thread, None, None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


thread, seconds = int(sys.argv[1]), float(sys.argv[2])
READY.touch()
while RELAY.read_text().strip() != "1":
    time.sleep(0.01)
trace(SEIZE, thread)
trace(INTERRUPT, thread)
until = time.monotonic() + seconds
while time.monotonic() < until:  # it goes on when its tracer ends
    ended, status = os.waitpid(thread, os.WNOHANG | ALL)
    if ended and not os.WIFSTOPPED(status):
        break
    time.sleep(0.1)
