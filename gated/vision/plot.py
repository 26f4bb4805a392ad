"""Detection error trade-off curves as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist

import cv2
import numpy as np
import numpy.typing as npt

Curve = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""(FMR, FNMR), each (points,)."""

WIDTH, HEIGHT = 900, 700
LEFT, RIGHT, TOP, BOTTOM = 100, 30, 40, 80
FMR_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
FNMR_TICKS = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1)
COLOURS = ((180, 90, 20), (30, 110, 210), (60, 150, 60), (130, 60, 150))
GRAY, BLACK = (215, 215, 215), (40, 40, 40)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DEVIATE = NormalDist().inv_cdf


def det_png(curves: Mapping[str, Curve], title: str) -> bytes:
    """Return a PNG file of the curves on normal deviate axes, on which two Gaussians give a line.

    Martin et al., "The DET curve in assessment of detection task performance", 1997.
    """
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    _write(picture, title, (LEFT, 26), 0.6)
    for tick in FMR_TICKS:
        x, _ = _place(tick, 0.1)
        cv2.line(picture, (x, TOP), (x, HEIGHT - BOTTOM), GRAY, 1)
        _write(picture, f"{100 * tick:g} %", (x - 30, HEIGHT - BOTTOM + 24))
    for tick in FNMR_TICKS:
        _, y = _place(0.1, tick)
        cv2.line(picture, (LEFT, y), (WIDTH - RIGHT, y), GRAY, 1)
        _write(picture, f"{100 * tick:g} %", (24, y + 5))
    _write(picture, "false match rate", (WIDTH // 2 - 60, HEIGHT - 20), 0.55)
    _write(picture, "false non-match rate", (LEFT + 8, TOP + 18), 0.55)
    cv2.rectangle(picture, (LEFT, TOP), (WIDTH - RIGHT, HEIGHT - BOTTOM), BLACK, 1)
    for i, (name, (fmr, fnmr)) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        points = [_place(a, b) for a, b in zip(fmr, fnmr, strict=True)]
        cv2.polylines(picture, [np.array(points, np.int32)], False, colour, 2, cv2.LINE_AA)
        _write(picture, name, (WIDTH - RIGHT - 220, TOP + 26 + 24 * i), 0.55, colour)
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise ValueError("the curve cannot be drawn")
    return bytes(data)


def _place(fmr: float, fnmr: float) -> tuple[int, int]:
    """Pixel of a point; beyond the ends of the axes it stays on the frame."""
    x = _along(fmr, FMR_TICKS[0], 0.5)
    y = _along(fnmr, FNMR_TICKS[0] / 2, 0.6)
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return LEFT + round(x * across), HEIGHT - BOTTOM - round(y * up)


def _along(rate: float, low: float, high: float) -> float:
    bounded = min(high, max(low, rate if math.isfinite(rate) else high))
    return (_DEVIATE(bounded) - _DEVIATE(low)) / (_DEVIATE(high) - _DEVIATE(low))


def _write(
    picture: npt.NDArray[np.uint8],
    text: str,
    at: tuple[int, int],
    size: float = 0.45,
    colour: tuple[int, int, int] = BLACK,
) -> None:
    cv2.putText(picture, text, at, _FONT, size, colour, 1, cv2.LINE_AA)
