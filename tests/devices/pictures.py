"""Pictures and recordings made in the test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from gated.core.values import Box, Image
from gated.devices.demo_scene import Portrait

WIDTH, HEIGHT, FPS = 160, 120, 10.0
LEVELS = (20, 60, 100, 140, 180, 220)


def flat(level: int) -> Image:
    """A picture of one gray level."""
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def video(path: Path, fps: float = FPS) -> Path:
    """A video of pictures with LEVELS, in order."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for level in LEVELS:
        writer.write(flat(level))
    writer.release()
    return path


def folder(path: Path) -> Path:
    """A folder of pictures with LEVELS, in order of their names."""
    path.mkdir()
    for i, level in enumerate(LEVELS):
        assert cv2.imwrite(str(path / f"{i + 7}.png"), flat(level))
    (path / "notes.txt").write_text("not a picture")
    return path


def portrait() -> Portrait:
    """Somebody with a red face on a blue ground."""
    image = np.zeros((600, 400, 3), np.uint8)
    image[:] = (200, 40, 40)
    cv2.ellipse(image, (200, 200), (70, 90), 0, 0, 360, (60, 60, 230), -1)
    return Portrait(image, Box(130, 110, 140, 180), 60.0)
