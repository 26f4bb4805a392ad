"""Is the person before this machine's camera: writes pictures into /dev/video0 for ever.

Shows the photo that /run/shown names, slowly coming nearer, or an empty wall where it names none;
with grain, as a picture that stays the same is a camera that froze. `black`: a covered lens;
`still`: the same picture again and again.
"""

from __future__ import annotations

import fcntl
import struct
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
DEVICE = sys.argv[1] if len(sys.argv) > 1 else "/dev/video0"
PER_SECOND = 1.0 if "emulated" in Path("/proc/cmdline").read_text() else 8.0
"""An emulated processor looks at one picture in a second, if nothing else is to be done."""
SHOWN = Path("/run/shown")
WIDTH, HEIGHT = 640, 480
VIDIOC_S_FMT, OUTPUT, PROGRESSIVE, SRGB = 0xC0D05605, 2, 1, 8
"""Numbers of linux/videodev2.h."""


def person(photo: Picture, nearness: float) -> Picture:
    """The photo before a wall, as high as `nearness` of the picture."""
    scale = nearness * HEIGHT / photo.shape[0]
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = small[:HEIGHT, :WIDTH]
    picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    height, width = small.shape[:2]
    left = (WIDTH - width) // 2
    picture[HEIGHT - height :, left : left + width] = small
    return picture


def main() -> None:
    random = np.random.default_rng()
    # made once: each picture gets another part of it
    grain = random.integers(0, 7, (HEIGHT + 64, WIDTH + 64, 3), np.uint8)
    wall = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    name, since = "", 0.0
    shown: list[Picture] = [wall]
    with open(DEVICE, "r+b", buffering=0) as camera:
        size = WIDTH * HEIGHT * 3
        picture = struct.pack(
            "=II4sIIII", WIDTH, HEIGHT, b"BGR3", PROGRESSIVE, WIDTH * 3, size, SRGB
        )
        layout = struct.pack("=II", OUTPUT, 0) + picture.ljust(200, b"\0")
        fcntl.ioctl(camera, VIDIOC_S_FMT, bytearray(layout))
        while True:
            wanted = SHOWN.read_text().strip() if SHOWN.exists() else ""
            if wanted != name:
                name, since, shown = wanted, time.monotonic(), [wall]
                if wanted.startswith("/"):
                    photo = np.asarray(cv2.imread(wanted), np.uint8)
                    shown = [person(photo, near) for near in (0.75, 0.8, 0.85, 0.9, 0.95, 1.0)]
            step = min(len(shown) - 1, int(time.monotonic() - since))
            frame: Picture = np.zeros_like(wall) if name == "black" else shown[step]
            if name not in ("black", "still"):
                x, y = random.integers(0, 64, 2)
                frame = np.asarray(cv2.add(frame, grain[y : y + HEIGHT, x : x + WIDTH]), np.uint8)
            camera.write(frame.tobytes())
            time.sleep(1 / PER_SECOND)


if __name__ == "__main__":
    main()
