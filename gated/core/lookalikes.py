"""Finds the people of a gallery whom somebody without a name resembles, to be offered in a choice.

Nobody is let in by it: it lies below the threshold of a grant, and somebody has to look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gated.core.calibration import FMR_FLOOR, Calibration
from gated.core.gallery import Gallery, GalleryPerson

Likeness = Literal["strong", "some"]

CHANCE: dict[Likeness, float] = {"strong": 0.01, "some": 0.1}
"""Highest probability that a stranger is offered somebody as so alike, however many there are."""

HIGHEST_FMR: dict[Likeness, float] = {"strong": FMR_FLOOR, "some": 1e-3}
"""The same of one comparison, in a gallery of few people."""

OFFERED = 3
"""People who are offered at most, the most similar first."""


@dataclass(frozen=True, slots=True)
class Lookalike:
    """A person whom a face resembles."""

    member: GalleryPerson
    likeness: Likeness


def lookalikes(
    gallery: Gallery, calibration: Calibration, faces: npt.NDArray[np.float32]
) -> list[Lookalike]:
    """Find whom the faces (k, d) of one stranger resemble, by the mean over these faces."""
    if not len(gallery) or not len(faces):
        return []
    mean = gallery.similarities(faces).mean(axis=0)
    starts = np.searchsorted(gallery.owners, np.arange(gallery.people))
    of_people = np.maximum.reduceat(mean, starts)
    least = {level: _least(calibration, level, len(gallery)) for level in CHANCE}
    return [
        Lookalike(gallery.members[i], "strong" if of_people[i] >= least["strong"] else "some")
        for i in np.argsort(-of_people)[:OFFERED]
        if of_people[i] >= least["some"]
    ]


def _least(calibration: Calibration, level: Likeness, templates: int) -> float:
    """Return the similarity from which on somebody is offered as so alike."""
    return calibration.similarity_at(min(HIGHEST_FMR[level], CHANCE[level] / templates))
