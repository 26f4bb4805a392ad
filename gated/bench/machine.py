"""Describes the machine that is measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import cv2


def describe_machine() -> dict[str, str | int]:
    """Return processor, usable cores, and relevant versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
