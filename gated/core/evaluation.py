"""Computes error rates of a matcher from photos of known people: 1:1 and open-set 1:N.

Comparisons that share a person are not independent: intervals come from resampling people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gated.core.calibration import Calibration, fit
from gated.core.evidence import Criteria, Identity, Sample, weigh
from gated.core.gallery import GalleryPerson, Match
from gated.core.statistics import Floats, Interval, bootstrap
from gated.core.values import PersonRef, Vector

Similarities = npt.NDArray[np.float32]
Owners = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RATES = (1e-2, 1e-3, 1e-4, 1e-5)

KEPT = 0.04
"""Share of the impostor comparisons, the most similar ones, that are kept with their people: enough
for a bootstrap at the largest rate."""

STRANGERS = 0.25
"""Least share of people who are not enrolled, also where everybody has several photos."""

PER_PERSON = 4
"""Most photos of one person in a calibration: more would bias it towards that person."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A rate with its 95 % interval over people, and the threshold it was measured at."""

    value: float
    interval: Interval
    threshold: float | None = None


# --- verification -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """All comparisons of a set of photos.

    genuine, genuine_owner: (g,). impostor: (m,), unsorted. top, top_owners: the most alike
    impostors, descending, (k,) and (k, 2). photos: (people,) number of photos of each person.
    """

    genuine: Similarities
    genuine_owner: Owners
    impostor: Similarities
    top: Similarities
    top_owners: Owners
    photos: Owners


def all_pairs(similarities: Similarities, owners: Owners) -> Pairs:
    """Compare each photo with each later one. similarities: (n, n); owners: (n,), 0 to people-1."""
    genuine, whose, impostor, pairs = [], [], [], []
    for i, owner in enumerate(owners[:-1]):
        row, same = similarities[i, i + 1 :], owners[i + 1 :] == owner
        genuine.append(row[same])
        whose.append(np.full(int(same.sum()), owner))
        impostor.append(row[~same])
        others = owners[i + 1 :][~same]
        pairs.append(np.stack([np.full(len(others), owner), others], axis=1).astype(np.int32))
    scores, people = np.concatenate(impostor), np.concatenate(pairs)
    kept = min(len(scores), max(1000, int(KEPT * len(scores))))
    top = np.argpartition(-scores, kept - 1)[:kept] if kept else np.empty(0, np.int64)
    top = top[np.argsort(-scores[top], kind="stable")]
    return Pairs(
        np.concatenate(genuine),
        np.concatenate(whose).astype(np.int64),
        scores,
        scores[top],
        people[top].astype(np.int64),
        np.bincount(owners),
    )


def tmr_at_fmr(pairs: Pairs, rate: float, rng: np.random.Generator) -> Estimate | None:
    """Return the true match rate at a false match rate of `rate`.

    None when that is less than one impostor comparison. A comparison matches above the threshold.
    """
    allowed = int(rate * len(pairs.impostor))
    if allowed < 1 or not len(pairs.genuine):
        return None

    def statistic(drawn: Floats) -> float:
        weights = drawn[pairs.genuine_owner]
        total = float(weights.sum())
        if total == 0.0:
            return float("nan")
        threshold = _threshold(pairs, rate, drawn)
        return float(weights[pairs.genuine > threshold].sum()) / total

    everybody = np.ones(len(pairs.photos))
    interval = bootstrap(len(pairs.photos), statistic, rng)
    return Estimate(statistic(everybody), interval, _threshold(pairs, rate, everybody))


def _threshold(pairs: Pairs, rate: float, drawn: Floats) -> float:
    """Return the similarity that `rate` of the impostors exceed, with each person `drawn` times."""
    photos = drawn * pairs.photos
    total = (photos.sum() ** 2 - (photos**2).sum()) / 2.0
    above = np.cumsum(drawn[pairs.top_owners[:, 0]] * drawn[pairs.top_owners[:, 1]])
    place = int(np.searchsorted(above, rate * total, side="right"))
    return float(pairs.top[min(place, len(pairs.top) - 1)])


def det_curve(pairs: Pairs, points: int = 200) -> tuple[Floats, Floats]:
    """Return (FMR, FNMR) at thresholds with even steps of log FMR."""
    impostor, genuine = np.sort(pairs.impostor), np.sort(pairs.genuine)
    rates = np.logspace(-np.log10(len(impostor)), np.log10(0.5), points)
    places = np.maximum(len(impostor) - 1 - np.floor(rates * len(impostor)).astype(int), 0)
    misses = np.searchsorted(genuine, impostor[places], side="right") / len(genuine)
    return rates, np.asarray(misses, np.float64)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of pairs decided correctly at the threshold that was best on the other folds."""

    value: float
    folds: tuple[float, ...]
    right: int
    pairs: int


def kfold_accuracy(folds: Sequence[tuple[Similarities, Bools]]) -> Accuracy:
    """Return the accuracy over two or more folds of (similarities, same person or not)."""
    rights = []
    for i, (scores, same) in enumerate(folds):
        others = [fold for j, fold in enumerate(folds) if j != i]
        threshold = _best_threshold(
            np.concatenate([s for s, _ in others]), np.concatenate([t for _, t in others])
        )
        rights.append(int(((scores > threshold) == same).sum()))
    sizes = [len(scores) for scores, _ in folds]
    shares = tuple(right / size for right, size in zip(rights, sizes, strict=True))
    return Accuracy(sum(shares) / len(shares), shares, sum(rights), sum(sizes))


def _best_threshold(scores: Similarities, same: Bools) -> float:
    """Return the threshold with the fewest errors, halfway between two scores."""
    order = np.argsort(scores, kind="stable")
    ranked, truth = scores[order], same[order]
    # errors when everything up to and including place k - 1 is called different
    errors = np.concatenate([[0], np.cumsum(truth)]) + (
        int((~truth).sum()) - np.concatenate([[0], np.cumsum(~truth)])
    )
    # equal scores cannot be distinguished
    possible = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    place = int(np.where(possible, errors, len(scores) + 1).argmin())
    if place == 0:
        return float(ranked[0]) - 1.0
    if place == len(ranked):
        return float(ranked[-1])
    return (float(ranked[place - 1]) + float(ranked[place])) / 2.0


# --- identification ---------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Tally:
    """Errors and trials of each person, (people,) float64."""

    errors: Floats
    trials: Floats

    @staticmethod
    def empty(people: int) -> Tally:
        return Tally(np.zeros(people), np.zeros(people))

    def add(self, owners: Owners, wrong: Bools) -> None:
        np.add.at(self.errors, owners, wrong)
        np.add.at(self.trials, owners, 1.0)

    def estimate(self, rng: np.random.Generator) -> Estimate:
        """Return the errors per trial over all people."""

        def rate(drawn: Floats) -> float:
            trials = float(drawn @ self.trials)
            return float(drawn @ self.errors) / trials if trials else float("nan")

        people = len(self.trials)
        return Estimate(rate(np.ones(people)), bootstrap(people, rate, rng))


@dataclass(frozen=True, slots=True)
class OpenSet:
    """Error rates of identification over random galleries.

    fpir: strangers taken for somebody; fnir: enrolled people not taken for themselves; both per
    photo. gallery: people per gallery, on average. per_gallery: (FPIR, FNIR) of each.
    """

    fpir: Estimate
    fnir: Estimate
    galleries: int
    gallery: float
    threshold: float
    per_gallery: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """The roles of photos (indices) in one random gallery."""

    enrolled: Owners
    mates: Owners
    strangers: Owners


ThresholdOf = Callable[[int], float]
"""Maps the number of templates in the gallery to the threshold."""


def open_set(
    similarities: Similarities,
    owners: Owners,
    threshold_of: Callable[[Calibration, int], float],
    rng: np.random.Generator,
    galleries: int = 50,
    enrolled_from: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> OpenSet | None:
    """Measure identification with thresholds calibrated on other people.

    Cross-fitted: each time the people are divided at random into two halves; each half is
    tested with the threshold calibrated on the other one. similarities: (n, n), template of the row
    against probe of the column. None when there are too few people.
    """
    people = int(owners.max()) + 1
    false, missed = Tally.empty(people), Tally.empty(people)
    sizes, thresholds, rates = [], [], []
    for done in range(galleries):
        report(done, galleries)
        for tested, calibrated in halves(people, rng):
            draw = draw_gallery(owners, tested, rng, enrolled_from)
            calibration = _calibrate(similarities, owners, calibrated)
            if calibration is None or draw is None:
                return None
            threshold = threshold_of(calibration, len(draw.enrolled))
            rates.append(_try(similarities, owners, draw, threshold, false, missed))
            sizes.append(len(draw.enrolled) // enrolled_from)
            thresholds.append(threshold)
    report(galleries, galleries)
    return _summary(false, missed, sizes, thresholds, rates, rng)


def open_set_at(
    similarities: Similarities,
    owners: Owners,
    threshold_of: ThresholdOf,
    rng: np.random.Generator,
    galleries: int = 50,
    enrolled_from: int = 1,
) -> OpenSet | None:
    """Measure identification with a given calibration, and galleries of all the people at once."""
    people = int(owners.max()) + 1
    false, missed = Tally.empty(people), Tally.empty(people)
    sizes, thresholds, rates = [], [], []
    for _ in range(galleries):
        draw = draw_gallery(owners, np.arange(people), rng, enrolled_from)
        if draw is None:
            return None
        threshold = threshold_of(len(draw.enrolled))
        rates.append(_try(similarities, owners, draw, threshold, false, missed))
        sizes.append(len(draw.enrolled) // enrolled_from)
        thresholds.append(threshold)
    return _summary(false, missed, sizes, thresholds, rates, rng)


def _summary(
    false: Tally,
    missed: Tally,
    sizes: Sequence[int],
    thresholds: Sequence[float],
    rates: Sequence[tuple[float, float]],
    rng: np.random.Generator,
) -> OpenSet:
    return OpenSet(
        false.estimate(rng),
        missed.estimate(rng),
        len(sizes),
        float(np.mean(sizes)),
        float(np.mean(thresholds)),
        tuple(rates),
    )


def draw_gallery(
    owners: Owners, people: Owners, rng: np.random.Generator, enrolled_from: int = 1
) -> Draw | None:
    """Enroll people who have more photos than `enrolled_from` with so many; others are strangers.

    Where there are too few others, some of the former stay strangers, too. None when one of the
    groups is empty.
    """
    photos = np.bincount(owners, minlength=int(people.max()) + 1)
    able = rng.permutation(people[photos[people] > enrolled_from])
    wanted = max(int(np.ceil(STRANGERS * len(people))), 1)
    spare = max(0, wanted - (len(people) - len(able)))
    chosen = np.sort(able[: max(0, len(able) - spare)])
    drawn = [rng.permutation(np.flatnonzero(owners == p))[:enrolled_from] for p in chosen]
    enrolled = np.concatenate([*drawn, np.empty(0, np.int64)])
    of_chosen = np.isin(owners, chosen)
    mates = np.setdiff1d(np.flatnonzero(of_chosen), enrolled)
    strangers = np.flatnonzero(np.isin(owners, people) & ~of_chosen)
    return Draw(enrolled, mates, strangers) if len(enrolled) and len(strangers) else None


def halves(people: int, rng: np.random.Generator) -> list[tuple[Owners, Owners]]:
    """Return two splits (people to test, people to calibrate on), disjoint, one the reverse."""
    order = rng.permutation(people)
    a, b = np.sort(order[: people // 2]), np.sort(order[people // 2 :])
    return [(a, b), (b, a)]


def _calibrate(similarities: Similarities, owners: Owners, people: Owners) -> Calibration | None:
    """Calibrate on the comparisons of these people's photos alone."""
    scores = impostors(similarities, owners, people)
    try:
        return fit(scores, "model", "half of the people")
    except ValueError:
        return None


def impostors(similarities: Similarities, owners: Owners, people: Owners) -> Floats:
    """Return impostor similarities among at most PER_PERSON photos of each of these people."""
    photos = np.concatenate([np.flatnonzero(owners == p)[:PER_PERSON] for p in people])
    part = similarities[np.ix_(photos, photos)]
    return np.asarray(part[owners[photos][:, None] != owners[photos][None, :]], np.float64)


def _try(
    similarities: Similarities,
    owners: Owners,
    draw: Draw,
    threshold: float,
    false: Tally,
    missed: Tally,
) -> tuple[float, float]:
    """Count the errors of one gallery, and return its (FPIR, FNIR)."""
    to_strangers = similarities[np.ix_(draw.enrolled, draw.strangers)]
    taken = to_strangers.max(axis=0) >= threshold
    false.add(owners[draw.strangers], taken)
    to_mates = similarities[np.ix_(draw.enrolled, draw.mates)]
    best = owners[draw.enrolled][to_mates.argmax(axis=0)]
    lost = (to_mates.max(axis=0) < threshold) | (best != owners[draw.mates])
    missed.add(owners[draw.mates], lost)
    return float(taken.mean()), float(lost.mean())


# --- visits -----------------------------------------------------------------------------------


def taken_in_visit(
    similarities: Similarities, vectors: Vector, weights: Floats, criteria: Criteria, kept: int
) -> Bools:
    """Return (templates,) booleans: would a track match the template, were it the only one?

    similarities: (frames, templates), oldest frame first; vectors: (frames, d); kept: number of
    newest samples that the gate weighs after each frame.
    """
    found = np.zeros(similarities.shape[1], np.bool_)
    # the mean embedding may reach the threshold where no single frame does
    least = criteria.threshold if criteria.pool_shift is None else criteria.floor
    for column in np.flatnonzero((similarities >= least).any(axis=0)):
        samples = [
            Sample(float(i), vectors[i], float(weights[i]), True, None, Match(_ANYBODY, float(s)))
            for i, s in enumerate(similarities[:, column])
        ]
        ends = range(criteria.frames, len(samples) + 1)
        found[column] = any(
            weigh(samples[max(0, end - kept) : end], criteria).identity is Identity.MATCH
            for end in ends
        )
    return found


_ANYBODY = GalleryPerson(PersonRef(0, "", "", ""))
