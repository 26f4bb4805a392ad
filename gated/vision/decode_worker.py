"""A program of its own that decodes one picture and can do nothing else: file in, pixels out.

    stdin    the file
    stdout   one line of JSON, {"shape": [height, width, 3]} and the BGR pixels, or {"refused": ...}

It takes its own rights away before it reads a byte: after the imports it can open nothing, so
neither files, pins nor the network are there for whoever takes it over.
"""

from __future__ import annotations

import ctypes
import json
import resource
import sys
from contextlib import suppress
from pathlib import Path

import PIL.Image
from PIL import MpoImagePlugin, TiffImagePlugin

from gated.errors import EnrollmentRefused
from gated.vision.decoding import MAX_SIDE, decode

MEMORY_BYTES = 768 << 20
CPU_S = 10

# Pillow would load its readers when it needs them, which is too late then
PIL.Image.preinit()
READERS = (MpoImagePlugin, TiffImagePlugin)
OUTPUT_BYTES = 3 * MAX_SIDE * MAX_SIDE + 4096

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_NO_NEW_PRIVS = 38


def main() -> None:
    """Decode what is on stdin; the exit code is 0 also when it is refused."""
    be_killed_first()
    give_up_rights()
    out = sys.stdout.buffer
    try:
        image = decode(sys.stdin.buffer.read(), max_side=MAX_SIDE)
    except EnrollmentRefused as error:
        told = {"refused": type(error).__name__, "advice": error.advice, "measured": error.measured}
        out.write(json.dumps(told).encode() + b"\n")
    else:
        out.write(json.dumps({"shape": image.shape}).encode() + b"\n")
        out.write(image.data)
    out.flush()


def be_killed_first() -> None:
    """When memory is short, this process has to go, not the gate."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def give_up_rights() -> None:
    """Bound memory and time, forbid every new file, socket and process; never to be undone."""
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
