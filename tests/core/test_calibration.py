from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.calibration import FMR_FLOOR, Calibration

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
