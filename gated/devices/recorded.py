"""Plays recordings as a camera: a video file, a folder of pictures, or generated frames."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from gated.core.values import Image
from gated.devices.opencv import silence_opencv
from gated.errors import SourceError
from gated.ports import Clock, EndOfStream, Frame

log = logging.getLogger(__name__)

DIGITS = re.compile(r"(\d+)", re.ASCII)
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})

MAX_LAG_S = 1.0
"""A reader that is further behind is not caught up with: the recording waits for it."""

Source = Callable[[], Iterator[Image]]
"""Returns an iterator over the frames, from the first one, at each call."""


class RecordedCamera:
    """Plays a source at `fps` frames a second, or as fast as it is read.

    In real time, frames are dated by the clock as if just captured; otherwise by their position in
    the recording, so that times do not depend on the machine.
    """

    def __init__(
        self, name: str, source: Source, fps: float, clock: Clock, *, loop: bool, realtime: bool
    ) -> None:
        self.name = name
        self._source = source
        self._fps = fps
        self._clock = clock
        self._loop = loop
        self._realtime = realtime
        self._frames: Iterator[Image] | None = None
        self._number = 0
        self._due = 0.0

    def open(self) -> None:
        """Start from the first frame."""
        self._frames = self._source()
        self._due = self._clock.now().mono

    def read(self) -> Frame:
        """Return the next frame. Raises: EndOfStream after the last one, unless it loops."""
        image = self._next()
        self._number += 1
        if not self._realtime:
            return Frame(image, self._number / self._fps, self._number)
        self._keep_pace()
        return Frame(image, self._clock.now().mono, self._number)

    def close(self) -> None:
        self._frames = None

    def _next(self) -> Image:
        if self._frames is None:
            raise EndOfStream
        image = next(self._frames, None)
        if image is None and self._loop:
            self._frames = self._source()
            image = next(self._frames, None)
        if image is None:
            raise EndOfStream
        return image

    def _keep_pace(self) -> None:
        now = self._clock.now().mono
        self._due = max(self._due + 1.0 / self._fps, now - MAX_LAG_S)
        if self._due > now:
            time.sleep(self._due - now)


def recording(path: Path, default_fps: float) -> tuple[Source, float]:
    """Return the frames of a video file or a folder of pictures, and their rate.

    Raises: SourceError when there is nothing to play.
    """
    if path.is_dir():
        return _folder(path), default_fps
    if not path.is_file():
        raise SourceError(f"{path}: no such video file or folder")
    return _video(path, default_fps)


def _folder(path: Path) -> Source:
    files = sorted((p for p in path.iterdir() if p.suffix.lower() in PICTURES), key=_as_counted)
    if not files:
        raise SourceError(f"{path}: no picture in this folder ({', '.join(sorted(PICTURES))})")
    if all(_picture(file) is None for file in files):
        raise SourceError(f"{path}: none of the pictures in this folder can be read")

    def frames() -> Iterator[Image]:
        for file in files:
            image = _picture(file)
            if image is None:
                log.warning("%s: left out, not a readable picture", file)
            else:
                yield image

    return frames


def _as_counted(file: Path) -> list[tuple[int, str]]:
    """Return a sort key that puts frame2 before frame10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in DIGITS.split(file.name)]


def _picture(file: Path) -> Image | None:
    try:
        image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, OSError):  # an empty file, a limit of the decoder, no permission
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _video(path: Path, default_fps: float) -> tuple[Source, float]:
    silence_opencv()
    # one backend, named: otherwise OpenCV tries all, and each writes messages
    probe = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    readable = probe.isOpened() and probe.grab()
    fps = float(probe.get(cv2.CAP_PROP_FPS)) if readable else 0.0
    probe.release()
    if not readable:
        raise SourceError(f"{path}: not a readable video")

    def frames() -> Iterator[Image]:
        video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        try:
            while True:
                ok, image = video.read()
                if not ok:
                    return
                yield np.asarray(image, np.uint8)
        finally:
            video.release()

    return frames, fps if 1.0 <= fps <= 240.0 else default_fps
