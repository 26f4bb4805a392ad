from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.pad import PAD_LEVELS, Liveness, PadPolicy

SCORES = st.lists(st.floats(0, 1), max_size=12)


def test_enough_scores_are_judged_by_their_mean() -> None:
    policy = PadPolicy(enabled=True, frames=3, live=0.5, attack=0.3)
    for scores, liveness, mean in (
        ([0.9, 0.2, 0.7], Liveness.LIVE, 0.6),
        ([0.1, 0.4, 0.1], Liveness.ATTACK, 0.2),
        ([0.4, 0.4, 0.4], Liveness.UNDECIDED, 0.4),
    ):
        verdict, score = policy.verdict(scores)
        assert verdict is liveness
        assert score == pytest.approx(mean)


def test_the_limits_themselves_count() -> None:
    policy = PadPolicy(enabled=True, frames=1, live=0.5, attack=0.25)
    assert policy.verdict([0.5])[0] is Liveness.LIVE
    assert policy.verdict([0.25])[0] is Liveness.ATTACK


@pytest.mark.parametrize("seen", [[], [0.0, 0.0], [1.0, 1.0]])
def test_too_few_scores_decide_nothing(seen: list[float]) -> None:
    assert PadPolicy(enabled=True, frames=3).verdict(seen)[0] is Liveness.UNDECIDED


@given(SCORES)
def test_switched_off_it_never_judges(seen: list[float]) -> None:
    assert PAD_LEVELS["off"].verdict(seen)[0] is Liveness.OFF


@given(SCORES, st.integers(0, 11), st.floats(0, 1))
def test_a_higher_score_never_makes_it_less_live(seen: list[float], i: int, better: float) -> None:
    if not seen:
        return
    order = [Liveness.ATTACK, Liveness.UNDECIDED, Liveness.LIVE]
    raised = list(seen)
    raised[i % len(seen)] = max(better, seen[i % len(seen)])
    for level in ("normal", "strict", "challenge"):
        policy = PAD_LEVELS[level]
        before, after = policy.verdict(seen)[0], policy.verdict(raised)[0]
        assert order.index(before) <= order.index(after)


@given(SCORES)
def test_strict_is_never_laxer_than_normal(seen: list[float]) -> None:
    if PAD_LEVELS["strict"].verdict(seen)[0] is Liveness.LIVE:
        assert PAD_LEVELS["normal"].verdict(seen)[0] is Liveness.LIVE


def test_a_score_that_is_no_number_is_never_live() -> None:
    assert PAD_LEVELS["normal"].verdict([1.0, 1.0, float("nan")])[0] is Liveness.UNDECIDED
