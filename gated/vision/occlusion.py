"""Detects what covers a face whose landmarks are known.

Where lips should be a mask or a hand shows less structure than the eyes do; where eyes should be
sunglasses are darker than the cheeks. docs/accuracy.md has what this finds and what it misses.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.values import Face, Image

SIZE = 112
PLACES = ((38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2))
"""Eyes, nose and corners of the mouth in the aligned picture (the ArcFace template)."""

EYES = (slice(44, 60), slice(28, 50)), (slice(44, 60), slice(62, 84))
EYES_AND_LIDS = (slice(44, 60), slice(26, 50)), (slice(44, 60), slice(62, 86))
CHEEKS = (slice(66, 80), slice(24, 40)), (slice(66, 80), slice(72, 88))
MOUTH = ((slice(82, 102), slice(36, 76)),)

LEAST_MOUTH = 0.4
LEAST_EYES = 0.3

Grey = npt.NDArray[np.float32]
Places = tuple[tuple[slice, slice], ...]


@dataclass(frozen=True, slots=True)
class Visibility:
    """mouth: its structure as a share of that of the eyes; eyes: their light, of the cheeks'."""

    mouth: float
    eyes: float

    @property
    def covered(self) -> bool:
        """True when mouth or eyes are hidden."""
        return self.mouth < LEAST_MOUTH or self.eyes < LEAST_EYES


def visibility(image: Image, face: Face) -> Visibility:
    """Measure how much of mouth and eyes is visible; image: BGR uint8."""
    grey = _aligned(image, face)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    structure = np.asarray(slope, np.float32)
    return Visibility(
        mouth=_mean(structure, MOUTH) / (_mean(structure, EYES) + 1),
        eyes=(_mean(grey, EYES_AND_LIDS) + 1) / (_mean(grey, CHEEKS) + 1),
    )


def _mean(values: Grey, places: Places) -> float:
    return float(np.mean([values[place].mean() for place in places]))


def _aligned(image: Image, face: Face) -> Grey:
    """Return the face in grey, (SIZE, SIZE), turned and scaled so that its landmarks lie at
    PLACES."""
    x, y = face.landmarks.T.astype(np.float64)
    one, none = np.ones_like(x), np.zeros_like(x)
    # least squares for a, b, c, d of the similarity x' = a x - b y + c, y' = b x + a y + d
    system = np.vstack([np.column_stack([x, -y, one, none]), np.column_stack([y, x, none, one])])
    wanted = np.asarray(PLACES).T.ravel()
    a, b, c, d = np.linalg.lstsq(system, wanted, rcond=None)[0]
    turn = np.array([[a, -b, c], [b, a, d]])
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.warpAffine(grey, turn, (SIZE, SIZE)), np.float32)
