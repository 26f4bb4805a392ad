"""Measures whether a face moves by itself, unlike a print that is moved.

The paths of the points of a rigid object span three dimensions (Tomasi & Kanade, "Shape and motion
from image streams under orthography", 1992). Speech and expressions add motion beyond them. A small
remainder proves little: a person who stands still moves no more than paper does. So this measure
never refuses anybody; without motion the level `strict` asks for movements. docs/accuracy.md has
the figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Shape = npt.NDArray[np.float32]
"""(points, 2): positions of points of one face in any unit; the first two are the outer corners of
the eyes."""

LEAST_FRAMES = 12
"""Fewer frames always fit into three dimensions."""

SHOWN = 0.012
"""In distances of the eyes. Prints and masks reached 0.009 at most, people who talk 0.015."""

RIGID = 3
SMOOTHED = 3
"""Frames that are averaged, as the mesh jitters from frame to frame."""


def facial_motion(shapes: Sequence[Shape]) -> float | None:
    """Return the motion of points that no rigid object could make, over successive frames.

    In distances of the outer corners of the eyes, 90th percentile over frames; None for too few
    frames.
    """
    if len(shapes) < LEAST_FRAMES:
        return None
    places = np.stack(shapes).astype(np.float64)
    # one unit for all frames: the eyes come together when the head turns
    apart = float(np.median(np.linalg.norm(places[:, 0] - places[:, 1], axis=1)))
    frames, points = len(places) - SMOOTHED + 1, places.shape[1]
    smooth = np.mean([places[i : i + frames] for i in range(SMOOTHED)], axis=0) / max(apart, 1e-6)
    paths = smooth.transpose(0, 2, 1).reshape(2 * frames, points)
    paths = paths - paths.mean(axis=1, keepdims=True)
    left, sizes, right = np.linalg.svd(paths, full_matrices=False)
    rest = (left[:, RIGID:] * sizes[RIGID:]) @ right[RIGID:]
    moved = np.sqrt((rest.reshape(frames, 2, points) ** 2).sum(axis=1).mean(axis=1))
    return float(np.percentile(moved, 90))


def moves_by_itself(shapes: Sequence[Shape]) -> bool:
    """Return whether the face speaks or changes its expression."""
    found = facial_motion(shapes)
    return found is not None and found >= SHOWN
