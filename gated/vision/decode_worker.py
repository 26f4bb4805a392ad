"""A program of its own that decodes pictures, each in a process that can do nothing else.

    stdin    a socket; each message is a time limit in seconds, with two open files: photo, pixels
    pixels   one line of JSON, {"shape": [height, width, 3]} and the BGR pixels, or {"refused": ...}

The helper has loaded the decoders and never reads a byte of a photo. For each photo it forks a
process, which gives up its rights before it reads: an attacker who takes it over can open neither
files nor pins nor the network. The process ends with its photo.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import socket
from contextlib import suppress
from pathlib import Path

import PIL.Image
from PIL import MpoImagePlugin, TiffImagePlugin

from gated.errors import EnrollmentRefused
from gated.vision.decoding import MAX_SIDE, decode

IDLE_S = 60.0
MEMORY_BYTES = 768 << 20
CPU_S = 10

# Pillow loads its readers on first use, when the process may open no files any more
PIL.Image.preinit()
READERS = (MpoImagePlugin, TiffImagePlugin)
OUTPUT_BYTES = 3 * MAX_SIDE * MAX_SIDE + 4096

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_NO_NEW_PRIVS = 38


def main() -> None:
    """Decode until the socket is closed or no photo has come for IDLE_S seconds."""
    with socket.socket(fileno=0) as asked, suppress(TimeoutError):
        asked.settimeout(IDLE_S)
        while True:
            message, files, _, _ = socket.recv_fds(asked, 64, 2)
            if not message:
                return
            photo, pixels = files
            asked.send(b"%d" % _apart(photo, pixels, float(message)))


def _apart(photo: int, pixels: int, limit_s: float) -> int:
    """Decode one photo in a process of its own; 0, or what it ended with; -9 after `limit_s`."""
    if (pid := os.fork()) == 0:
        code = 1
        try:
            _decode_one(photo, pixels)
            code = 0
        finally:
            os._exit(code)
    os.close(photo)
    os.close(pixels)
    ended = os.pidfd_open(pid)
    if not select.select([ended], [], [], limit_s)[0]:
        os.kill(pid, signal.SIGKILL)
    os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _decode_one(photo: int, pixels: int) -> None:
    """Decode one photo as the whole work of a process; it has only these two files open."""
    os.dup2(photo, 0)
    os.dup2(pixels, 1)
    os.closerange(3, max(photo, pixels) + 1)
    be_killed_first()
    give_up_rights()
    with open(0, "rb", closefd=False) as source, open(1, "wb", closefd=False) as out:
        try:
            image = decode(source.read(), max_side=MAX_SIDE)
        except EnrollmentRefused as error:
            what = {"advice": error.advice, "measured": error.measured}
            out.write(json.dumps({"refused": type(error).__name__, **what}).encode() + b"\n")
        else:
            out.write(json.dumps({"shape": image.shape}).encode() + b"\n")
            out.write(image.data)


def be_killed_first() -> None:
    """Let the kernel kill this process, not the gate, when memory is short."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def give_up_rights() -> None:
    """Bound memory and time, forbid every new file, socket and process; this cannot be undone."""
    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CPU: CPU_S,
        resource.RLIMIT_FSIZE: OUTPUT_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 0,
    }
    libc = ctypes.CDLL(None)
    for which, value in limits.items():
        resource.setrlimit(which, (value, value))
    # Where the kernel or the service's sandbox forbids it, the limits have to do. In a user
    # namespace of its own, root cannot lift them and the gate's memory cannot be read.
    libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


if __name__ == "__main__":
    main()
