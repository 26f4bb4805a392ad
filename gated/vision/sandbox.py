"""Decode pictures from strangers, each in a process that holds no secret and can open nothing."""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, BinaryIO, Final

import numpy as np

from gated.core.values import Image
from gated.errors import EnrollmentRefused, NoPicture, PictureTooLarge
from gated.vision.decoding import MAX_SIDE, check_file, unreadable

DEADLINE_S = 20.0
GRACE_S = 5.0
"""The helper's tolerance beyond the time limit of the photo."""
STAYS_S = 30.0
"""A helper that was not needed for so long is replaced; it ends by itself after IDLE_S."""

COMMAND: Final = (sys.executable, "-I", "-B", "-m", "gated.vision.decode_worker")
ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1"}

_REFUSALS = {c.__name__: c for c in (EnrollmentRefused, NoPicture, PictureTooLarge)}


def decode_apart(data: bytes, deadline_s: float = DEADLINE_S) -> Image:
    """Decode as `decoding.decode` does, in a process that is killed after `deadline_s` seconds.

    Raises: EnrollmentRefused(`unreadable_image`) also when it needs too much time or memory.
    """
    check_file(data)
    # in memory: no part of a photo reaches the disk, whatever happens to either process
    with _memory("photo") as photo, _memory("pixels") as pixels:
        photo.write(data)
        photo.seek(0)
        code = decoders.run(photo.fileno(), pixels.fileno(), deadline_s)
        pixels.seek(0)
        if code != 0:
            raise unreadable("takes too much time or memory to decode, or is damaged")
        return _result(pixels)


def _memory(name: str) -> BinaryIO:
    return os.fdopen(os.memfd_create(name), "w+b", buffering=0)


class Decoders:
    """Has a helper start a process for each photo; one photo at a time, any thread may ask.

    Starting a program takes many times as long as decoding, so that the helper stays for a while.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._helper: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._used_at = 0.0

    def run(self, photo: int, pixels: int, limit_s: float) -> int:
        """Decode from one open file into the other; 0 when there is a result to read."""
        with self._lock:
            if time.monotonic() - self._used_at > STAYS_S:
                self._end()  # it may be about to end by itself
            _, asked = self._helper = self._helper or _start()
            try:
                asked.settimeout(limit_s + GRACE_S)
                socket.send_fds(asked, [b"%f" % limit_s], [photo, pixels])
                code = int(asked.recv(64) or b"-1")
            except OSError:
                code = -1
            if code < 0:
                self._end()  # its state is unknown
            self._used_at = time.monotonic()
            return code

    def close(self) -> None:
        """End the helper; the next photo gets another one."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._helper is None:
            return
        process, asked = self._helper
        self._helper = None
        asked.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(  # noqa: S603
            COMMAND,
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    return process, ours


decoders = Decoders()
"""One for this process: photos are decoded one after the other."""

atexit.register(decoders.close)


def _result(pixels: BinaryIO) -> Image:
    """Read the output of the process and check all of it: the process may be taken over."""
    head, _, _ = os.pread(pixels.fileno(), 4096, 0).partition(b"\n")
    try:
        document = json.loads(head)
        if "refused" in document:
            raise _refusal(document)
        height, width, channels = map(int, document["shape"])
        if channels != 3 or not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            raise ValueError(document)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise unreadable("cannot be decoded") from None
    image = np.empty((height, width, 3), np.uint8)
    if os.preadv(pixels.fileno(), [image.data], len(head) + 1) != image.nbytes:
        raise unreadable("cannot be decoded")
    return image


def _refusal(document: dict[str, Any]) -> EnrollmentRefused:
    """Return the refusal in a document.

    Raises: ValueError and others for one that no answer in JSON could hold.
    """
    advice, measured = str(document["advice"])[:500], document["measured"]
    numbers = {str(name): float(measured[name]) for name in measured}
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError(measured)
    "".join((advice, *numbers)).encode()  # half a character is none
    return _REFUSALS[document["refused"]]("unreadable_image", advice, numbers)
