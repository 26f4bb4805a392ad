from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from gated.vision.plot import COLOURS, HEIGHT, LEFT, WIDTH, det_png


def drawn(png: bytes, colour: tuple[int, int, int]) -> npt.NDArray[np.intp]:
    """(n, 2) rows and columns of the curve's pixels, the legend left out."""
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (HEIGHT, WIDTH, 3)
    where = np.argwhere((picture == colour).all(axis=2))
    return where[(where[:, 1] < WIDTH - 260) | (where[:, 0] > 120)]


def test_a_better_curve_lies_below_and_a_worse_one_above() -> None:
    fmr = np.logspace(-5, -1, 50)
    png = det_png({"good": (fmr, 0.01 * fmr**-0.1), "bad": (fmr, 0.05 * fmr**-0.1)}, "two")
    good, bad = drawn(png, COLOURS[0]), drawn(png, COLOURS[1])
    assert len(good) > 100
    for column in (300, 450, 600):
        assert good[good[:, 1] == column][:, 0].min() > bad[bad[:, 1] == column][:, 0].max()


def test_rates_beyond_the_axes_stay_on_the_frame() -> None:
    fmr, fnmr = np.array([0.0, 1e-9, 1e-3, 1.0]), np.array([1.0, 1.0, 0.0, 0.0])
    pixels = drawn(det_png({"edge": (fmr, fnmr)}, "edge"), COLOURS[0])
    assert pixels[:, 1].min() >= LEFT - 2
    assert len(pixels) > 100
