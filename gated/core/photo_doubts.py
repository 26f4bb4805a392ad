"""Finds photos of a person that do harm: they resemble somebody else, or nobody.

Each makes wrong refusals or wrong grants, and more photos of that kind make it worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gated.core.calibration import Calibration
from gated.core.gallery import Gallery, GalleryPerson
from gated.core.selftest import RESEMBLE_FMR

Reason = Literal["other_person", "unlike", "scattered"]


@dataclass(frozen=True, slots=True)
class PhotoDoubt:
    """A photo that does harm.

    place: among the person's templates. reason: it resembles `other` so much that one may be taken
    for the other, or more than the person's own photos; it is unlike the person's other photos; no
    two of the person's photos resemble each other, so that none can be singled out.
    """

    place: int
    reason: Reason
    other: GalleryPerson | None = None


def photo_doubts(
    gallery: Gallery, calibration: Calibration, threshold: float, person_id: int
) -> list[PhotoDoubt]:
    """Compare each photo of a person with the person's others and with everybody else's.

    threshold: similarity from which on the gate lets in.
    """
    owner = next((i for i, m in enumerate(gallery.members) if m.person.id == person_id), None)
    if owner is None:
        return []
    start, end = np.searchsorted(gallery.owners, [owner, owner + 1])
    scores = np.array(gallery.similarities(gallery.vectors[start:end]))
    scores[np.arange(end - start), np.arange(start, end)] = -np.inf
    own = scores[:, start:end].max(axis=1)
    scores[:, start:end] = -np.inf
    foreign, nearest = scores.max(axis=1), gallery.owners[scores.argmax(axis=1)]
    alike = calibration.similarity_at(RESEMBLE_FMR)
    odd = (own < alike) if end - start > 1 else np.zeros(1, bool)
    found = []
    for place in range(end - start):
        nearer = end - start > 1 and foreign[place] > own[place] and foreign[place] >= alike
        if foreign[place] >= threshold or nearer:
            found.append(PhotoDoubt(place, "other_person", gallery.members[int(nearest[place])]))
        elif odd[place]:
            found.append(PhotoDoubt(place, "scattered" if odd.all() else "unlike"))
    return found
