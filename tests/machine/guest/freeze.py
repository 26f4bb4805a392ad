"""Stops one thread of a process for a while, as if it hung: freeze.py THREAD SECONDS."""

from __future__ import annotations

import ctypes
import os
import sys
import time

SEIZE, INTERRUPT = 0x4206, 0x4207
"""Of linux/ptrace.h."""

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def trace(request: int, thread: int) -> None:
    if libc.ptrace(request, thread, None, None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


thread, seconds = int(sys.argv[1]), float(sys.argv[2])
trace(SEIZE, thread)
trace(INTERRUPT, thread)
print("stopped", flush=True)
time.sleep(seconds)  # it goes on when its tracer ends
