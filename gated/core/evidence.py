"""What the frames of one track say together about who it is.

A frame *agrees* with the person it resembles most when it reaches the frame floor. A frame is
*contrary* when it agrees with somebody else, or resembles nobody (below `reject`). Between the two
it says nothing. Only the agreeing frames since the last contrary one count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from gated.core.gallery import Match, Member
from gated.core.model import Vector

FLOOR_FMR = 1e-3
"""A frame agrees from the similarity of this false match rate on."""

REJECT_FMR = 2e-2
"""A frame below the similarity of this false match rate resembles nobody."""


@dataclass(slots=True, eq=False)
class Sample:
    """One usable frame of a track. `match` belongs to the gate's present gallery."""

    captured_at: float
    vector: Vector
    weight: float
    close: bool
    pad: float | None
    match: Match | None


@dataclass(frozen=True, slots=True)
class Criteria:
    """Similarities that evidence is held against, and how much of it a match needs."""

    threshold: float
    floor: float
    reject: float
    margin: float
    frames: int


class Identity(StrEnum):
    MATCH = "match"
    AMBIGUOUS = "ambiguous"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Finding:
    """identity; the person and agreeing frames it rests on; mean similarity and margin."""

    identity: Identity
    member: Member | None = None
    similarity: float | None = None
    margin: float | None = None
    frames: int = 0


def weigh(samples: Iterable[Sample], criteria: Criteria) -> Finding:
    """Combine the samples of one track, oldest first."""
    run: list[tuple[float, Match]] = []
    seen: list[tuple[float, float]] = []
    for sample in samples:
        match = sample.match
        if match is None:
            run = []
            continue
        seen.append((sample.weight, match.similarity))
        if match.similarity >= criteria.floor:
            if run and run[-1][1].member.person.id != match.member.person.id:
                run = []
            run.append((sample.weight, match))
        elif match.similarity < criteria.reject:
            run = []
    if not run:
        return Finding(Identity.NONE, similarity=_mean(seen) if seen else None)
    similarity = _mean((w, m.similarity) for w, m in run)
    margin = _mean((w, m.similarity - m.runner_up_similarity) for w, m in run)
    member = run[-1][1].member
    if len(run) < criteria.frames or similarity < criteria.threshold:
        return Finding(Identity.NONE, None, similarity, margin, len(run))
    clear = margin >= criteria.margin
    return Finding(
        Identity.MATCH if clear else Identity.AMBIGUOUS,
        member if clear else None,
        similarity,
        margin,
        len(run),
    )


def _mean(weighted: Iterable[tuple[float, float]]) -> float:
    pairs = list(weighted)
    total = sum(w for w, _ in pairs)
    return sum(w * x for w, x in pairs) / total
