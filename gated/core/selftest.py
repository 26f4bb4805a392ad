"""Tests a gallery against itself: people who would be missed or confused, and photos that are odd.

Each template is compared as a probe with all the others (leave-one-out). Enrollment photos are
better than frames of a camera, and the gate combines several frames: the figures compare galleries
and settings, they do not replace `gated evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gated.core.calibration import Calibration, fpir_of
from gated.core.gallery import Gallery, GalleryPerson
from gated.core.statistics import Interval, clopper_pearson

RESEMBLE_FMR = 1e-3
"""Photos of one person are odd when less similar than strangers at this false match rate."""

BLOCK = 512

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Resemblance:
    """The similarity of two people, and the false match rate at it."""

    first: GalleryPerson
    second: GalleryPerson
    similarity: float
    fmr: float


@dataclass(frozen=True, slots=True)
class Outlier:
    """A template that does not resemble the person's others, which resemble each other.

    row: in the gallery. similarity: to the nearest other one; others: median among the others.
    """

    row: int
    member: GalleryPerson
    similarity: float
    others: float


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share with its 95 % interval."""

    value: float
    interval: Interval
    trials: int

    @staticmethod
    def of(successes: int, trials: int) -> Proportion | None:
        """Compute the share of successes; None without trials."""
        if not trials:
            return None
        return Proportion(successes / trials, clopper_pearson(successes, trials), trials)


@dataclass(frozen=True, slots=True)
class GalleryReport:
    """Result of `check`.

    fpir: expected for one visit of a stranger at the threshold. taken: templates that would be
    taken for another person if their own person were not enrolled. missed: templates that the
    person's others would not identify. single: people with one template, which tests nothing.
    too_alike: pairs of people above the threshold. scattered: people without two similar photos, so
    that no single one is odd. outliers: single odd photos.
    """

    people: int
    templates: int
    single: int
    threshold: float
    fmr: float
    fpir: float
    taken: Proportion | None
    missed: Proportion | None
    closest: Resemblance | None
    too_alike: tuple[Resemblance, ...]
    scattered: tuple[GalleryPerson, ...]
    outliers: tuple[Outlier, ...]


def check(
    gallery: Gallery, calibration: Calibration, threshold: float, chances: float = 1.0
) -> GalleryReport:
    """Test the whole gallery leave-one-out, in blocks; O(n^2) in the number of templates."""
    n, owners = len(gallery), gallery.owners.astype(np.int64)
    own, foreign = np.full(n, -np.inf, np.float32), np.full(n, -np.inf, np.float32)
    nearest = np.zeros(n, np.int64)
    for rows, scores in _blocks(gallery):
        scores[np.arange(len(rows)), rows] = -np.inf
        same = owners[rows][:, None] == owners[None, :]
        own[rows] = np.where(same, scores, -np.inf).max(axis=1)
        others = np.where(same, -np.inf, scores)
        foreign[rows], nearest[rows] = others.max(axis=1), owners[others.argmax(axis=1)]
    several = np.isfinite(own)
    missed = several & ((own < threshold) | (own < foreign))
    comparable = np.isfinite(foreign)
    pairs = _resemblances(gallery, calibration, owners, foreign, nearest)
    scattered, outliers = _odd(gallery, calibration, owners)
    fmr = calibration.fmr(threshold)
    return GalleryReport(
        gallery.people,
        n,
        int((~several).sum()),
        threshold,
        fmr,
        fpir_of(fmr, n, chances),
        Proportion.of(int((foreign >= threshold).sum()), int(comparable.sum())),
        Proportion.of(int(missed.sum()), int(several.sum())),
        pairs[0] if pairs else None,
        tuple(p for p in pairs if p.similarity >= threshold),
        scattered,
        outliers,
    )


def _blocks(gallery: Gallery) -> Iterator[tuple[Rows, Floats]]:
    """Yield (rows, their similarities to all templates), a block at a time."""
    for start in range(0, len(gallery), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(gallery)))
        yield rows, np.array(gallery.similarities(gallery.vectors[rows]), np.float32)


def _resemblances(
    gallery: Gallery, calibration: Calibration, owners: Rows, foreign: Floats, nearest: Rows
) -> list[Resemblance]:
    """Return each person with the nearest other one, each pair once, most similar first."""
    best: dict[tuple[int, int], float] = {}
    for row in np.flatnonzero(np.isfinite(foreign)):
        pair = (int(owners[row]), int(nearest[row]))
        key = (min(pair), max(pair))
        best[key] = max(best.get(key, -np.inf), float(foreign[row]))
    ranked = sorted(best.items(), key=lambda item: -item[1])
    members = gallery.members
    return [Resemblance(members[a], members[b], s, calibration.fmr(s)) for (a, b), s in ranked]


def _odd(
    gallery: Gallery, calibration: Calibration, owners: Rows
) -> tuple[tuple[GalleryPerson, ...], tuple[Outlier, ...]]:
    """Find people without two similar photos, and photos unlike the person's others."""
    alike = calibration.similarity_at(RESEMBLE_FMR)
    scattered, outliers = [], []
    for owner, member in enumerate(gallery.members):
        rows = np.arange(*np.searchsorted(owners, [owner, owner + 1]))
        if len(rows) < 2:
            continue
        scores = np.array(gallery.similarities(gallery.vectors[rows])[:, rows])
        np.fill_diagonal(scores, -np.inf)
        best = scores.max(axis=1)
        odd = best < alike
        fine = np.flatnonzero(~odd)
        if not len(fine):
            scattered.append(member)
            continue
        among = scores[np.ix_(fine, fine)]
        others = float(np.median(among[np.isfinite(among)]))
        outliers += [
            Outlier(int(rows[i]), member, float(best[i]), others) for i in np.flatnonzero(odd)
        ]
    return tuple(scattered), tuple(outliers)
