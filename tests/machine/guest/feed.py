"""Is the person before this machine's camera: writes pictures into /dev/video0 for ever.

Shows the photo that /run/shown names, slowly coming nearer, or an empty room where it names none;
with grain, as a picture that stays the same is a camera that froze. After the photo's path may come
the part of it that is shown, in pixels: left, top, width, height. `black`: a covered lens; `still`:
the same picture again and again.
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
EMULATED = "emulated" in Path("/proc/cmdline").read_text()
PER_SECOND, EMPTY_PER_SECOND = (1.0, 0.25) if EMULATED else (8.0, 8.0)
"""An emulated processor looks at one picture in a second, if nothing else is to be done; looking at
an empty wall is most of what it would do."""
LOOK_S = 0.1
"""How often it looks whether somebody else is to be shown."""
SHOWN = Path("/run/shown")
WIDTH, HEIGHT = 640, 480
VIDIOC_S_FMT, OUTPUT, PROGRESSIVE, SRGB = 0xC0D05605, 2, 1, 8
"""Numbers of linux/videodev2.h."""


def empty_room() -> Picture:
    """A wall with furniture: a lens that sees no edge counts as covered."""
    room = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    cv2.rectangle(room, (20, 120), (150, 430), (70, 85, 100), -1)
    for top in range(140, 420, 55):
        cv2.line(room, (30, top), (140, top), (40, 50, 60), 2)
    cv2.rectangle(room, (500, 60), (610, 170), (180, 170, 150), 4)
    cv2.rectangle(room, (0, 430), (WIDTH, 440), (60, 60, 60), -1)
    return room


def part(wanted: str) -> Picture:
    """The photo, or the part of it, that a line of /run/shown names."""
    path, *box = wanted.split()
    photo = np.asarray(cv2.imread(path), np.uint8)
    if not box:
        return photo
    left, top, width, height = map(int, box)
    return photo[top : top + height, left : left + width]


def person(photo: Picture, nearness: float) -> Picture:
    """The photo before the empty room, as high as `nearness` of the picture."""
    scale = nearness * HEIGHT / photo.shape[0]
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = small[:HEIGHT, :WIDTH]
    picture = empty_room()
    height, width = small.shape[:2]
    left = (WIDTH - width) // 2
    picture[HEIGHT - height :, left : left + width] = small
    return picture


def main() -> None:
    random = np.random.default_rng()
    # made once: each picture gets another part of it
    grain = random.integers(0, 7, (HEIGHT + 64, WIDTH + 64, 3), np.uint8)
    wall = empty_room()
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
                    photo = part(wanted)
                    shown = [person(photo, near) for near in (0.75, 0.8, 0.85, 0.9, 0.95, 1.0)]
            step = min(len(shown) - 1, int(time.monotonic() - since))
            frame: Picture = np.zeros_like(wall) if name == "black" else shown[step]
            if name not in ("black", "still"):
                x, y = random.integers(0, 64, 2)
                frame = np.asarray(cv2.add(frame, grain[y : y + HEIGHT, x : x + WIDTH]), np.uint8)
            camera.write(frame.tobytes())
            pause(name)


def pause(name: str) -> None:
    """Wait until the next picture is due, or somebody else is to be shown."""
    due = time.monotonic() + 1 / (PER_SECOND if name else EMPTY_PER_SECOND)
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(LOOK_S, left))
        if (SHOWN.read_text().strip() if SHOWN.exists() else "") != name:
            return


if __name__ == "__main__":
    main()
