from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.calibration import Calibration
from gated.core.evaluation import (
    Owners,
    Similarities,
    all_pairs,
    det_curve,
    draw_gallery,
    halves,
    impostors,
    kfold_accuracy,
    open_set,
    open_set_at,
    taken_in_visit,
    tmr_at_fmr,
)
from gated.core.evidence import Criteria
from gated.core.gallery import unit


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def crowd(people: int, photos: int, noise: float, alone: int = 0) -> tuple[Similarities, Owners]:
    """Similarities and owners of made people; `alone` more of them have one photo."""
    random = np.random.default_rng(11)
    owners = np.concatenate(
        [np.repeat(np.arange(people), photos), np.arange(people, people + alone)]
    )
    faces = unit(random.normal(size=(people + alone, 32)).astype(np.float32))
    seen = unit((faces[owners] + noise * random.normal(size=(len(owners), 32))).astype(np.float32))
    return np.asarray(seen @ seen.T, np.float32), owners


@given(st.lists(st.integers(0, 5), min_size=2, max_size=12), st.integers(0, 1000))
def test_all_pairs_are_compared_once(drawn: list[int], seed: int) -> None:
    owners = np.unique(drawn, return_inverse=True)[1]
    n = len(owners)
    scores = np.random.default_rng(seed).random((n, n)).astype(np.float32)
    pairs = all_pairs(scores, owners)
    expected: dict[bool, list[float]] = {True: [], False: []}
    for i in range(n):
        for j in range(i + 1, n):
            expected[bool(owners[i] == owners[j])].append(float(scores[i, j]))
    assert sorted(pairs.genuine.tolist()) == sorted(expected[True])
    assert sorted(pairs.impostor.tolist()) == sorted(expected[False])
    assert pairs.top.tolist() == sorted(expected[False], reverse=True)
    for score, (a, b) in zip(pairs.top, pairs.top_owners, strict=True):
        assert score in scores[np.ix_(owners == a, owners == b)]


def test_the_true_match_rate_is_that_of_the_count() -> None:
    scores, owners = crowd(60, 3, 0.1)
    pairs = all_pairs(scores, owners)
    for rate in (1e-2, 1e-3):
        allowed = np.sort(pairs.impostor)[::-1][int(rate * len(pairs.impostor))]
        estimate = tmr_at_fmr(pairs, rate, rng())
        assert estimate is not None
        assert estimate.threshold == pytest.approx(float(allowed))
        assert estimate.value == pytest.approx(float((pairs.genuine > allowed).mean()))
        assert estimate.interval[0] <= estimate.value <= estimate.interval[1]
        assert estimate.interval[1] - estimate.interval[0] < 0.3


def test_a_rate_that_no_comparison_stands_for_is_not_measured() -> None:
    scores, owners = crowd(6, 3, 0.1)
    assert tmr_at_fmr(all_pairs(scores, owners), 1e-5, rng()) is None
    strangers = np.arange(len(owners))
    assert tmr_at_fmr(all_pairs(scores, strangers), 1e-2, rng()) is None


def test_people_with_many_photos_widen_the_interval() -> None:
    # half of the genuine comparisons are of one person, whom the matcher knows badly
    scores, owners = crowd(30, 3, 0.02)
    many = np.concatenate([owners, np.full(10, 30)])
    wide = np.full((len(many), len(many)), -0.5, np.float32)
    wide[: len(owners), : len(owners)] = scores
    estimate = tmr_at_fmr(all_pairs(wide, many), 1e-2, rng())
    assert estimate is not None
    low, high = estimate.interval
    assert estimate.value == pytest.approx(90 / 135, abs=0.01)
    # without that person everybody is recognised; twice drawn, half are
    assert low < 0.5
    assert high == 1.0


def test_the_det_curve_falls_from_all_missed_to_none() -> None:
    scores, owners = crowd(60, 3, 0.15)
    pairs = all_pairs(scores, owners)
    fmr, fnmr = det_curve(pairs)
    assert (np.diff(fmr) > 0).all()
    assert (np.diff(fnmr) <= 0).all()
    for rate in (1e-2, 1e-3):
        estimate = tmr_at_fmr(pairs, rate, rng())
        assert estimate is not None
        nearest = fnmr[np.abs(np.log(fmr / rate)).argmin()]
        assert 1 - estimate.value == pytest.approx(nearest, abs=0.05)


def test_accuracy_takes_its_threshold_from_the_other_folds() -> None:
    easy = (np.array([0.1, 0.2, 0.8, 0.9], np.float32), np.array([False, False, True, True]))
    # scores that only a threshold of its own would separate
    shifted = (np.array([1.1, 1.2, 1.8, 1.9], np.float32), np.array([False, False, True, True]))
    assert kfold_accuracy([easy, easy]).value == 1.0
    found = kfold_accuracy([easy, easy, shifted])
    assert found.folds == (1.0, 1.0, 0.5)
    assert (found.right, found.pairs) == (10, 12)


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.4]), st.booleans()), min_size=1),
    st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.4]), st.booleans()), min_size=1),
)
def test_no_threshold_would_have_done_better_on_the_others(
    first: list[tuple[float, bool]], second: list[tuple[float, bool]]
) -> None:
    folds = [
        (np.array([s for s, _ in f], np.float32), np.array([t for _, t in f]))
        for f in (first, second)
    ]
    best = [
        max(int(((s > cut) == t).sum()) for cut in (0.0, 0.15, 0.25, 0.35, 0.5)) for s, t in folds
    ]
    # each fold alone, given twice, reaches its own best
    for fold, expected in zip(folds, best, strict=True):
        assert kfold_accuracy([fold, fold]).right == 2 * expected


@given(st.integers(2, 30), st.integers(1, 4), st.integers(0, 20), st.integers(0, 10_000))
def test_a_gallery_divides_the_people(people: int, photos: int, alone: int, seed: int) -> None:
    owners = np.concatenate([np.repeat(np.arange(people), photos), people + np.arange(alone)])
    everybody = np.arange(people + alone)
    draw = draw_gallery(owners, everybody, np.random.default_rng(seed))
    if draw is None:
        assert photos == 1 or people + alone < 2
        return
    parts = (draw.enrolled, draw.mates, draw.strangers)
    enrolled, mates, strangers = (set(owners[i].tolist()) for i in parts)
    assert enrolled == mates
    assert not enrolled & strangers
    assert len(enrolled) == len(draw.enrolled), "one photo a person"
    assert not set(draw.enrolled.tolist()) & set(draw.mates.tolist())
    assert len(strangers) >= 0.25 * (people + alone)


def test_people_can_be_enrolled_from_several_photos() -> None:
    owners = np.repeat(np.arange(8), [4, 4, 4, 4, 3, 2, 1, 1])
    draw = draw_gallery(owners, np.arange(8), rng(), enrolled_from=3)
    assert draw is not None
    assert np.bincount(owners[draw.enrolled]).tolist() == [3, 3, 3, 3]
    assert np.bincount(owners[draw.mates]).tolist() == [1, 1, 1, 1]
    assert set(owners[draw.strangers].tolist()) == {4, 5, 6, 7}
    seen: list[int] = []

    def threshold(templates: int) -> float:
        seen.append(templates)
        return 0.5

    scores = np.ones((len(owners), len(owners)), np.float32)
    found = open_set_at(scores, owners, threshold, rng(), galleries=2, enrolled_from=3)
    assert found is not None
    assert (seen, found.gallery) == ([12, 12], 4)


def test_the_promise_is_kept_on_people_who_were_not_calibrated_on() -> None:
    scores, owners = crowd(300, 2, 0.12, alone=300)
    found = open_set(scores, owners, lambda c, n: c.threshold(0.02, n), rng(), galleries=10)
    assert found is not None
    assert found.galleries == 20
    assert found.gallery == pytest.approx(150, abs=10)
    assert 0.005 < found.fpir.value < 0.03
    assert found.fpir.interval[0] < found.fpir.value < found.fpir.interval[1]
    assert found.fnir.interval[0] <= found.fnir.value <= found.fnir.interval[1]
    assert np.mean([f for f, _ in found.per_gallery]) == pytest.approx(found.fpir.value, abs=0.01)


@given(st.integers(2, 50), st.integers(0, 1000))
def test_nobody_is_calibrated_on_and_tried(people: int, seed: int) -> None:
    (a, b), (c, d) = halves(people, np.random.default_rng(seed))
    assert sorted([*a, *b]) == list(range(people))
    assert (a.tolist(), b.tolist()) == (d.tolist(), c.tolist())


def test_the_threshold_is_that_of_the_other_half() -> None:
    scores, owners = crowd(40, 2, 0.1, alone=40)
    seen: list[float] = []
    sizes: list[int] = []

    def threshold(calibration: Calibration, people: int) -> float:
        seen.append(calibration.similarity_at(0.1))
        sizes.append(people)
        return 0.5

    open_set(scores, owners, threshold, np.random.default_rng(5), galleries=1)
    both = halves(80, np.random.default_rng(5))
    tails = [np.quantile(impostors(scores, owners, calibrated), 0.9) for _, calibrated in both]
    assert seen == pytest.approx(tails)
    # a quarter of the half stays strangers whatever their photos
    assert sizes == [min(int((tested < 40).sum()), 30) for tested, _ in both] == [23, 17]


def test_a_stranger_above_and_a_mate_below_the_threshold_are_errors() -> None:
    owners = np.array([0, 0, 1, 1, 2, 3])
    scores = np.zeros((6, 6), np.float32)
    scores[:2, :2] = scores[2:4, 2:4] = 0.9
    scores[:, 4] = 0.7  # the stranger 2 looks like everybody
    found = open_set_at(scores, owners, lambda n: 0.6, rng(), galleries=5)
    assert found is not None
    assert (found.fpir.value, found.fnir.value) == (0.5, 0.0)
    strict = open_set_at(scores, owners, lambda n: 0.95, rng(), galleries=5)
    assert strict is not None
    assert (strict.fpir.value, strict.fnir.value) == (0.0, 1.0)
    scores[0:2, 2:4] = scores[2:4, 0:2] = 0.92  # found, but as the other person
    swapped = open_set_at(scores, owners, lambda n: 0.6, rng(), galleries=5)
    assert swapped is not None
    assert swapped.fnir.value == 1.0


def test_too_few_people_give_no_figure() -> None:
    scores, owners = crowd(4, 2, 0.1)
    assert open_set(scores, owners, lambda c, n: 0.5, rng(), galleries=2) is None
    assert open_set_at(scores[:2, :2], np.array([0, 1]), lambda n: 0.5, rng()) is None


def test_impostors_are_of_two_people_and_of_some_photos_each() -> None:
    owners = np.array([0] * 10 + [1] * 3)
    scores = np.arange(169, dtype=np.float32).reshape(13, 13)
    found = impostors(scores, owners, np.array([0, 1]))
    expected = [scores[i, j] for i in range(4) for j in range(10, 13)]
    expected += [scores[j, i] for i in range(4) for j in range(10, 13)]
    assert sorted(found.tolist()) == sorted(float(v) for v in expected)


@pytest.mark.parametrize(
    ("column", "taken"),
    [
        ([0.7, 0.7, 0.7], True),
        ([0.7, 0.7, 0.5], True),  # the mean counts
        ([0.7, 0.7, 0.4], False),
        ([0.7, 0.7], False),
        ([0.9, 0.1, 0.9, 0.1, 0.9, 0.1], False),  # contrary frames in between
        ([0.1, 0.1, 0.7, 0.7, 0.7, 0.1], True),  # the best moment counts
        ([0.5, 0.5, 0.5], False),
    ],
)
def test_a_visit_is_taken_as_the_gate_would(column: list[float], taken: bool) -> None:
    criteria = Criteria(threshold=0.6, floor=0.4, reject=0.2, margin=0.0, frames=3)
    scores = np.array([[s, 0.0] for s in column], np.float32)
    vectors, weights = np.ones((len(column), 4), np.float32), np.ones(len(column))
    found = taken_in_visit(scores, vectors, weights, criteria, kept=30)
    assert found.tolist() == [taken, False]


def test_a_visit_weighs_no_more_samples_than_the_gate_keeps() -> None:
    criteria = Criteria(threshold=0.6, floor=0.4, reject=0.2, margin=0.0, frames=3)
    scores = np.array([[0.41]] * 10 + [[0.65]] * 5, np.float32)
    vectors, weights = np.ones((15, 4), np.float32), np.ones(15)
    assert taken_in_visit(scores, vectors, weights, criteria, kept=5).all()
    assert not taken_in_visit(scores, vectors, weights, criteria, kept=30).any()
