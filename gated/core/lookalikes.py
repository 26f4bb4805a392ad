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

ALIKE = 100
"""Pairs of strangers who may be one person that are listed at most."""

ALIKE_FMR = 1e-3
"""Share of pairs of two strangers that are listed by mistake."""


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


def alike(
    gallery: Gallery, calibration: Calibration, fmr: float = ALIKE_FMR
) -> list[tuple[int, int]]:
    """List the pairs of members who may be one person by all their templates, most similar first.

    fmr: share of pairs of strangers that may count as alike. O(n^2); ALIKE pairs at most.
    """
    if gallery.people < 2:
        return []
    starts = np.searchsorted(gallery.owners, np.arange(gallery.people))
    rows = np.add.reduceat(gallery.similarities(gallery.vectors), starts, axis=0)
    sums = np.add.reduceat(rows, starts, axis=1)
    sizes = np.diff(np.append(starts, len(gallery)))
    means = sums / np.outer(sizes, sizes)
    first, second = np.triu_indices(gallery.people, 1)
    found = means[first, second]
    order = np.argsort(-found)[:ALIKE]
    least = calibration.similarity_at(fmr)
    return [(int(first[i]), int(second[i])) for i in order if found[i] >= least]


def _least(calibration: Calibration, level: Likeness, templates: int) -> float:
    """Return the similarity from which on somebody is offered as so alike."""
    return calibration.similarity_at(min(HIGHEST_FMR[level], CHANCE[level] / templates))
