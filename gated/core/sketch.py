"""Sketches the relative positions of one track's face encodings, without the encodings themselves.

Each encoding is expressed in a basis that the track's own encodings span, one after another, and
that is not stored: lengths and angles stay, but the coordinates cannot be compared with any other
encoding. Beside the similarities that is all that a decision needs of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gated.core.gallery import unit
from gated.core.values import Vector

DIMENSIONS = 24
"""Basis vectors of one track; one more coordinate is the remainder beyond them all."""

LENGTH = DIMENSIONS + 1

_PLACED = 128
_LEAST = 1e-5


class TrackSketch:
    """Converts the encodings of one track, in order, to coordinates."""

    def __init__(self) -> None:
        self._basis: list[npt.NDArray[np.float64]] = []

    def add(self, encoding: Vector) -> npt.NDArray[np.float32]:
        """Return the coordinates, (LENGTH,) float32 of length 1, of the next encoding (d,)."""
        rest = unit(encoding).astype(np.float64)
        coordinates = np.zeros(LENGTH)
        for i, direction in enumerate(self._basis):
            coordinates[i] = float(direction @ rest)
            rest = rest - coordinates[i] * direction
        beyond = float(np.linalg.norm(rest))
        if len(self._basis) == DIMENSIONS or beyond < _LEAST:
            coordinates[DIMENSIONS] = beyond
        else:
            coordinates[len(self._basis)] = beyond
            self._basis.append(rest / beyond)
        return coordinates.astype(np.float32)


def placed(coordinates: npt.NDArray[np.float32], track: int, number: int) -> Vector:
    """Return a vector for these coordinates, far from those of other tracks.

    number: makes the vector unique, by too little to influence a decision.
    """
    chance = np.random.default_rng(track)
    basis, _ = np.linalg.qr(chance.standard_normal((_PLACED, LENGTH)))
    vector = np.append(basis @ coordinates, number * 1e-9)
    return np.asarray(vector, np.float32)
