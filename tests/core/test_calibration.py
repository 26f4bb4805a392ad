from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.calibration import FMR_FLOOR, Calibration, fit, fpir_of, per_year

SFACE = Calibration("sface", "LFW", ((0.22, -2.0), (0.358, -3.0), (0.415, -4.0), (0.465, -5.0)))

similarities = st.floats(-1.5, 1.5)
rates = st.floats(1e-12, 0.99)


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    steps = draw(st.lists(st.tuples(st.floats(0.01, 0.3), st.floats(0.1, 2.0)), min_size=1))
    similarity, rate = draw(st.floats(-1.0, 0.5)), draw(st.floats(-2.0, 0.0))
    knots = [(similarity, rate)]
    for rise, fall in steps:
        similarity, rate = similarity + rise, rate - fall
        knots.append((similarity, rate))
    return Calibration("any", "drawn", tuple(knots))


@pytest.mark.parametrize(("similarity", "rate"), [(0.358, 1e-3), (0.415, 1e-4), (0.465, 1e-5)])
def test_the_knots_are_met(similarity: float, rate: float) -> None:
    assert SFACE.fmr(similarity) == pytest.approx(rate)
    assert SFACE.similarity_at(rate) == pytest.approx(similarity)


def test_between_and_beyond_the_knots_the_line_goes_on() -> None:
    assert SFACE.log10_fmr((0.358 + 0.415) / 2) == pytest.approx(-3.5)
    assert SFACE.log10_fmr(0.515) == pytest.approx(-6.0)  # the slope of the last two knots
    assert SFACE.fmr(-1.0) == 1.0  # no rate is more than everybody


@given(calibrations(), rates)
def test_similarity_at_is_the_inverse_of_fmr(calibration: Calibration, rate: float) -> None:
    assert calibration.fmr(calibration.similarity_at(rate)) == pytest.approx(rate, rel=1e-6)


@given(calibrations(), similarities, similarities)
def test_more_alike_is_never_a_higher_rate(calibration: Calibration, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0.0 <= calibration.fmr(high) <= calibration.fmr(low) <= 1.0
    assert 0.0 <= calibration.confidence(low) <= calibration.confidence(high) <= 1.0


def test_confidence_means_a_rate() -> None:
    assert SFACE.confidence(0.358) == pytest.approx(0.5)
    assert SFACE.confidence(0.415) == pytest.approx(4 / 6)
    assert SFACE.confidence(SFACE.similarity_at(1e-6)) == pytest.approx(1.0)
    assert SFACE.confidence(1.0) == 1.0
    assert SFACE.confidence(-1.0) == 0.0


@given(calibrations(), st.floats(1e-6, 0.5), st.integers(0, 100_000), st.integers(0, 100_000))
def test_the_threshold_rises_with_people_and_is_never_lax(
    calibration: Calibration, fpir: float, a: int, b: int
) -> None:
    few, many = sorted((a, b))
    assert calibration.threshold(fpir, few) <= calibration.threshold(fpir, many) + 1e-12
    assert calibration.fmr(calibration.threshold(fpir, few)) <= FMR_FLOOR * (1 + 1e-9)


@given(st.floats(1e-6, 0.5), st.integers(1, 100_000))
def test_the_threshold_keeps_the_promise_for_the_whole_gallery(fpir: float, people: int) -> None:
    fmr = SFACE.fmr(SFACE.threshold(fpir, people))
    kept = -math.expm1(people * math.log1p(-fmr))
    assert kept <= fpir * (1 + 1e-6)
    if fmr < FMR_FLOOR * (1 - 1e-6):  # and is no stricter than it says
        assert kept == pytest.approx(fpir, rel=1e-5)


def test_several_chances_ask_for_a_lower_rate_each() -> None:
    single, triple = SFACE.threshold(1e-3, 500), SFACE.threshold(1e-3, 500, chances=3)
    assert SFACE.fmr(triple) == pytest.approx(SFACE.fmr(single) / 3)
    assert SFACE.threshold(0.5, 1, chances=10) == pytest.approx(SFACE.similarity_at(1e-5))


def test_the_floor_rules_small_galleries() -> None:
    assert SFACE.threshold(0.5, 1) == pytest.approx(0.415)
    assert SFACE.threshold(1e-3, 1000) == pytest.approx(SFACE.similarity_at(1e-6), abs=1e-4)


@pytest.mark.parametrize(
    "knots",
    [
        ((0.3, -3.0),),
        ((0.3, -3.0), (0.3, -4.0)),
        ((0.4, -3.0), (0.3, -4.0)),
        ((0.3, -4.0), (0.4, -3.0)),
        ((0.3, -3.0), (0.4, -3.0)),
    ],
)
def test_a_line_that_does_not_fall_is_refused(knots: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="knots"):
        Calibration("m", "s", knots)


def test_a_fit_meets_the_distribution_far_beyond_what_was_seen() -> None:
    scores = np.random.default_rng(2).normal(0.1, 0.1, 200_000)
    fitted = fit(scores, "m", "drawn")
    for rate, deviate in ((1e-1, 1.2816), (1e-2, 2.3263), (1e-3, 3.0902), (1e-4, 3.719)):
        assert fitted.similarity_at(rate) == pytest.approx(0.1 + 0.1 * deviate, abs=0.006)
    # beyond what was seen it stays on the strict side: the true 1e-7 is at 0.62
    assert 0.6 < fitted.similarity_at(1e-7) < 0.7


@given(st.integers(100, 3000), st.integers(0, 2**32 - 1), st.sampled_from(["normal", "uniform"]))
def test_a_fit_is_a_calibration_whatever_its_size(size: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.1, 0.1, size) if kind == "normal" else rng.uniform(-0.2, 0.4, size)
    fitted = fit(scores, "m", "drawn")
    for rate in (0.3, 0.1):
        above = float((scores > fitted.similarity_at(rate)).mean())
        assert above == pytest.approx(rate, abs=0.011)


def test_a_small_fit_is_stricter_than_a_large_one() -> None:
    scores = np.random.default_rng(2).normal(0.1, 0.1, 200_000)
    few, many = fit(scores[:500], "m", "few"), fit(scores, "m", "many")
    assert few.similarity_at(1e-5) > many.similarity_at(1e-5)


@pytest.mark.parametrize("scores", [[0.5] * 99, [0.5] * 1000])
def test_too_little_to_fit_is_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match=r"needs|knots"):
        fit(np.array(scores), "m", "s")


def test_a_calibration_survives_being_written() -> None:
    assert Calibration.from_dict(json.loads(json.dumps(SFACE.as_dict()))) == SFACE


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model": "m", "source": "s"},
        {"model": "m", "source": "s", "knots": 3},
        {"model": "m", "source": "s", "knots": [[1, 2, 3]]},
        {"model": "m", "source": "s", "knots": [["a", "b"]]},
        {"model": "m", "source": "s", "knots": [[0.1, -1.0]]},
        [],
    ],
)
def test_what_is_no_calibration_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match=r"no calibration|knots|could not|unpack"):
        Calibration.from_dict(values)


@given(rates, st.integers(1, 100_000))
def test_fpir_and_threshold_are_inverse(fpir: float, templates: int) -> None:
    fmr = SFACE.fmr(SFACE.threshold(min(fpir, 0.5), templates, chances=3))
    assert fpir_of(fmr, templates, chances=3) <= min(fpir, 0.5) * (1 + 1e-6)


def test_visits_a_year() -> None:
    assert per_year(90, 90 * 86_400) == pytest.approx(365.25)
    assert per_year(5, 0.0) == 0.0
