"""Pictures from strangers, decoded by a process that holds no secret and can open nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import BinaryIO, Final

import numpy as np

from gated.core.model import Image
from gated.errors import EnrollmentRefused, NoPicture, PictureTooLarge
from gated.vision.decoding import MAX_SIDE, check_file, unreadable

DEADLINE_S = 20.0

COMMAND: Final = (sys.executable, "-I", "-B", "-m", "gated.vision.decode_worker")
ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1"}

_REFUSALS = {c.__name__: c for c in (EnrollmentRefused, NoPicture, PictureTooLarge)}


def decode_apart(data: bytes, deadline_s: float = DEADLINE_S) -> Image:
    """As `decoding.decode`, in a process of its own that is killed after `deadline_s` seconds.

    EnrollmentRefused(`unreadable_image`) also when the process needs too much time or memory.
    """
    check_file(data)
    # in memory: nothing of a photo reaches the disk, whatever happens to either process
    with _memory("photo") as photo, _memory("pixels") as pixels:
        photo.write(data)
        photo.seek(0)
        code = _run(photo, pixels, deadline_s)
        pixels.seek(0)
        if code != 0:
            raise unreadable("takes too much time or memory to decode, or is damaged")
        return _result(pixels)


def _memory(name: str) -> BinaryIO:
    return os.fdopen(os.memfd_create(name), "w+b", buffering=0)


def _run(photo: BinaryIO, pixels: BinaryIO, deadline_s: float) -> int:
    process = subprocess.Popen(  # noqa: S603
        COMMAND,
        stdin=photo,
        stdout=pixels,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
    killer = threading.Timer(deadline_s, process.kill)
    killer.start()
    try:
        return process.wait()
    finally:
        killer.cancel()
        process.kill()
        process.wait()


def _result(pixels: BinaryIO) -> Image:
    """What the process has left behind, of which nothing is believed that was not checked."""
    head, _, _ = os.pread(pixels.fileno(), 4096, 0).partition(b"\n")
    try:
        told = json.loads(head)
        if "refused" in told:
            advice, measured = str(told["advice"])[:500], told["measured"]
            refusal = _REFUSALS[told["refused"]]
            raise refusal("unreadable_image", advice, {k: float(measured[k]) for k in measured})
        height, width, channels = map(int, told["shape"])
        if channels != 3 or not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            raise ValueError(told)
    except (ValueError, TypeError, KeyError):
        raise unreadable("cannot be decoded") from None
    image = np.empty((height, width, 3), np.uint8)
    if os.preadv(pixels.fileno(), [image.data], len(head) + 1) != image.nbytes:
        raise unreadable("cannot be decoded")
    return image
