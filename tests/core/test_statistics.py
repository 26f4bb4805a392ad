from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.statistics import binomial_tail, bootstrap, clopper_pearson, pareto_tail


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 5, 0.0, 0.5218),  # five refused attacks of five still allow 52 %
        (5, 5, 0.4782, 1.0),
        (0, 100, 0.0, 0.0362),
        (1, 10, 0.0025, 0.4450),
        (50, 100, 0.3983, 0.6017),
        (0, 0, 0.0, 1.0),
    ],
)
def test_clopper_pearson_of_the_tables(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert clopper_pearson(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 300), st.integers(0, 300))
def test_an_interval_holds_what_was_counted_and_has_equal_tails(a: int, b: int) -> None:
    trials = a + b
    low, high = clopper_pearson(a, trials)
    assert 0.0 <= low <= (a / trials if trials else 0.5) <= high <= 1.0
    if a > 0:
        assert binomial_tail(a, trials, low) == pytest.approx(0.025, abs=1e-6)
    if b > 0:
        assert 1.0 - binomial_tail(a + 1, trials, high) == pytest.approx(0.025, abs=1e-6)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="successes"):
        clopper_pearson(3, 2)


@given(st.integers(1, 40), st.floats(0.01, 0.99))
def test_binomial_tail_sums_the_terms(trials: int, p: float) -> None:
    terms = [math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(trials + 1)]
    for least in range(trials + 2):
        assert binomial_tail(least, trials, p) == pytest.approx(sum(terms[least:]), abs=1e-9)


def test_a_bootstrap_draws_whole_groups() -> None:
    # 20 groups whose members all agree: as uncertain as 20 values, however many members there are
    values = np.repeat([0.0, 1.0], 10)
    low, high = bootstrap(20, lambda drawn: float(drawn @ values / 20), np.random.default_rng(1))
    error = math.sqrt(0.25 / 20)
    assert (low, high) == pytest.approx((0.5 - 1.96 * error, 0.5 + 1.96 * error), abs=0.06)


def test_a_bootstrap_leaves_out_draws_without_a_value() -> None:
    def statistic(drawn: np.ndarray) -> float:
        return float("nan") if drawn[0] == 0 else 7.0

    assert bootstrap(3, statistic, np.random.default_rng(1)) == (7.0, 7.0)


@pytest.mark.parametrize("shape", [-0.3, -0.1, 0.1, 0.3])
def test_the_tail_that_was_drawn_is_found(shape: float) -> None:
    uniform = np.random.default_rng(5).random(50_000)
    excesses = 0.03 * (uniform**-shape - 1.0) / shape
    found = pareto_tail(excesses)
    assert found == pytest.approx((shape, 0.03), abs=0.03)


def test_an_exponential_tail_has_the_shape_zero() -> None:
    excesses = np.random.default_rng(5).exponential(2.0, 50_000)
    assert pareto_tail(excesses) == pytest.approx((0.0, 2.0), abs=0.05)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0]])
def test_no_tail_without_different_values(values: list[float]) -> None:
    with pytest.raises(ValueError, match="different values"):
        pareto_tail(np.array(values))
