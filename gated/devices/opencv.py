"""Sets up OpenCV's video input."""

from __future__ import annotations

import os

import cv2


def silence_opencv() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr: they print addresses, passwords included.

    Global to the process; call it before the first capture is opened.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
