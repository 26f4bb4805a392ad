"""Combines the frames of one track into evidence of identity.

A frame *agrees* with the person it resembles most when it reaches the frame floor. A frame is
*contrary* when it agrees with somebody else, or resembles nobody (below `reject`). Frames between
the two are ignored. Only the agreeing frames since the last contrary one count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gated.core.challenge import Posture
from gated.core.facial_motion import Shape
from gated.core.gallery import GalleryPerson, Match, unit
from gated.core.pad import PadScore
from gated.core.values import Vector

FLOOR_FMR = 1e-3
"""A frame agrees when it reaches the similarity of this false match rate."""

REJECT_FMR = 2e-2
"""A frame below the similarity of this false match rate resembles nobody."""


@dataclass(slots=True, eq=False)
class Sample:
    """One usable frame of a track. `match` belongs to the gate's present gallery."""

    captured_at: float
    vector: Vector
    weight: float
    close: bool
    pad: PadScore | None
    match: Match | None
    posture: Posture | None = None
    shape: Shape | None = None
    """The mesh, in a frame without much noise."""
    grey: bool = False
    """Seen in a picture without colour."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """Thresholds of a match, and the number of frames that it needs.

    pool_shift: additional similarity for the mean embedding of the frames; None: only the mean of
    the single similarities counts.
    """

    threshold: float
    floor: float
    reject: float
    margin: float
    frames: int
    pool_shift: float | None = None


Pair = tuple[Sample, Match]


class Identity(StrEnum):
    MATCH = "match"
    AMBIGUOUS = "ambiguous"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Identification:
    """The identity, its person and number of agreeing frames, mean similarity and margin.

    pads: live scores of the agreeing frames, where there are any; shapes: their meshes. threshold:
    the one that was applied; None where nothing was compared. fresh: the newest frame agrees. grey:
    all agreeing frames are without colour.
    """

    identity: Identity
    member: GalleryPerson | None = None
    similarity: float | None = None
    margin: float | None = None
    frames: int = 0
    pads: tuple[PadScore, ...] = ()
    shapes: tuple[Shape, ...] = ()
    threshold: float | None = None
    fresh: bool = False
    grey: bool = False


def weigh(samples: Iterable[Sample], criteria: Criteria) -> Identification:
    """Combine the samples of one track, oldest first.

    AMBIGUOUS when the margin is too small, also when the best person varies between frames.
    """
    seen: list[Pair] = []
    known: list[Pair] = []
    run: list[Pair] = []
    for sample in samples:
        match = sample.match
        if match is not None:
            seen.append((sample, match))
        if match is None or not match.similarity >= criteria.reject:
            known, run = [], []
        elif match.similarity >= criteria.floor:
            if run and run[-1][1].member.person.id != match.member.person.id:
                run = []
            run.append((sample, match))
            known.append((sample, match))
    if not run:
        if not seen:
            return Identification(Identity.NONE)
        similarity = _similarity(seen, criteria)
        return Identification(Identity.NONE, similarity=similarity, threshold=criteria.threshold)
    identity = _identity(run, known, criteria)
    return Identification(
        identity,
        run[-1][1].member if identity is Identity.MATCH else None,
        _similarity(run, criteria),
        _margin(run),
        len(run),
        tuple(sample.pad for sample, _ in run if sample.pad is not None),
        tuple(sample.shape for sample, _ in run if sample.shape is not None),
        criteria.threshold,
        fresh=run[-1][0] is sample,
        grey=all(sample.grey for sample, _ in run),
    )


def _identity(run: list[Pair], known: list[Pair], criteria: Criteria) -> Identity:
    if _suffice(run, criteria):
        return Identity.MATCH if _margin(run) >= criteria.margin else Identity.AMBIGUOUS
    if _suffice(known, criteria) and _margin(known) < criteria.margin:
        return Identity.AMBIGUOUS
    return Identity.NONE


def _suffice(pairs: list[Pair], criteria: Criteria) -> bool:
    return len(pairs) >= criteria.frames and _similarity(pairs, criteria) >= criteria.threshold


def _similarity(pairs: list[Pair], criteria: Criteria) -> float:
    """Return the larger of mean similarity and (shifted) similarity of the mean embedding.

    The cosine of the mean embedding to a template is the mean of the cosines divided by the length
    of the mean of the unit vectors, which is shorter the more the frames differ.
    """
    mean = _mean((s.weight, m.similarity) for s, m in pairs)
    if criteria.pool_shift is None or mean <= 0 or len(pairs) < criteria.frames:
        return mean
    weights = np.array([s.weight for s, _ in pairs])
    vectors = unit(np.stack([s.vector for s, _ in pairs]))
    length = float(np.linalg.norm(weights @ vectors)) / float(weights.sum())
    return max(mean, mean / max(length, 1e-6) - criteria.pool_shift)


def _margin(pairs: list[Pair]) -> float:
    return _mean((s.weight, m.similarity - m.runner_up_similarity) for s, m in pairs)


def _mean(weighted: Iterable[tuple[float, float]]) -> float:
    pairs = list(weighted)
    total = sum(w for w, _ in pairs)
    return sum(w * x for w, x in pairs) / total
