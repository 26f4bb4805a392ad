from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.pad import (
    CLEAR_REACH,
    CLEAR_SHARPNESS,
    PAD_LEVELS,
    QUIET_NOISE,
    WHOLE_REACH,
    AttackMemory,
    Liveness,
    PadPolicy,
    PadScore,
    pad_score,
)
from gated.core.values import TrackedFace
from tests.core.scenes import face

SCORES = st.lists(
    st.builds(PadScore, st.floats(0, 1), clear=st.booleans(), whole=st.booleans()), max_size=12
)
ORDER = [Liveness.ATTACK, Liveness.UNDECIDED, Liveness.LIVE]
NORMAL, STRICT = PAD_LEVELS["normal"], PAD_LEVELS["strict"]


def scores(
    *live: float, clear: bool = True, whole: bool = True, quiet: bool = True
) -> list[PadScore]:
    return [PadScore(x, clear, whole, quiet, partly=whole) for x in live]


# --- the verdict ----------------------------------------------------------------------------------


def test_enough_scores_are_judged_by_their_mean() -> None:
    policy = PadPolicy(enabled=True, frames=3, live=0.5, attack=0.3)
    for seen, liveness, mean in (
        (scores(0.9, 0.2, 0.7), Liveness.LIVE, 0.6),
        (scores(0.1, 0.4, 0.1), Liveness.ATTACK, 0.2),
        (scores(0.4, 0.4, 0.4), Liveness.UNDECIDED, 0.4),
    ):
        verdict, score = policy.verdict(seen)
        assert verdict is liveness
        assert score == pytest.approx(mean)


def test_the_limits_themselves_count() -> None:
    policy = PadPolicy(enabled=True, frames=1, live=0.5, live_cut_off=0.75, attack=0.25)
    assert policy.verdict(scores(0.5))[0] is Liveness.LIVE
    assert policy.verdict(scores(0.25))[0] is Liveness.ATTACK
    assert policy.verdict(scores(0.75, whole=False))[0] is Liveness.LIVE


@pytest.mark.parametrize("seen", [(), (0.0, 0.0), (1.0, 1.0)])
def test_too_few_scores_decide_nothing(seen: tuple[float, ...]) -> None:
    assert NORMAL.verdict(scores(*seen))[0] is Liveness.UNDECIDED


def test_small_or_blurred_faces_prove_no_attack_but_may_be_seen_to_live() -> None:
    assert NORMAL.verdict(scores(*[0.0] * 20, clear=False))[0] is Liveness.UNDECIDED
    assert NORMAL.verdict(scores(*[0.6] * 3, clear=False))[0] is Liveness.LIVE
    mixed = scores(0.0, 0.0) + scores(*[0.0] * 9, clear=False)
    assert NORMAL.verdict(mixed)[0] is Liveness.UNDECIDED
    assert NORMAL.verdict([*mixed, PadScore(0.0)])[0] is Liveness.ATTACK


def test_more_is_asked_of_a_face_that_fills_the_picture() -> None:
    assert NORMAL.verdict(scores(*[0.97] * 9, whole=False))[0] is Liveness.UNDECIDED
    assert NORMAL.verdict(scores(*[0.97] * 8) + scores(0.97, whole=False))[0] is (
        Liveness.UNDECIDED
    )
    assert NORMAL.verdict(scores(*[0.98] * 3, whole=False))[0] is Liveness.LIVE
    assert STRICT.verdict(scores(*[0.98] * 30, whole=False))[0] is Liveness.UNDECIDED


def test_less_is_asked_where_some_of_the_surroundings_are_seen() -> None:
    for policy in (NORMAL, STRICT):
        partly = [PadScore(policy.live_partly, whole=False)] * policy.frames
        assert policy.verdict(partly)[0] is Liveness.LIVE
        one_closer = [*partly, PadScore(policy.live_partly, whole=False, partly=False)]
        assert policy.verdict(one_closer)[0] is Liveness.UNDECIDED
        assert policy.live < policy.live_partly < policy.live_cut_off


def test_more_is_asked_of_a_face_in_noise() -> None:
    for policy in (NORMAL, STRICT):
        almost = scores(*[policy.live_noisy - 0.01] * policy.frames, quiet=False)
        assert policy.verdict(almost)[0] is Liveness.UNDECIDED
        enough = scores(*[policy.live_noisy] * policy.frames, quiet=False)
        assert policy.verdict(enough)[0] is Liveness.LIVE
    cut_too = scores(*[0.9] * 3, quiet=False, whole=False)
    assert NORMAL.verdict(cut_too)[0] is Liveness.UNDECIDED


def test_clear_frames_prove_an_attack_though_others_look_alive() -> None:
    held_closer = scores(0.1, 0.1, 0.1) + scores(*[1.0] * 9, clear=False)
    assert NORMAL.verdict(held_closer)[0] is Liveness.ATTACK


@given(SCORES)
def test_switched_off_it_never_judges(seen: list[PadScore]) -> None:
    assert PAD_LEVELS["off"].verdict(seen)[0] is Liveness.OFF


@given(SCORES, st.integers(0, 11), st.floats(0, 1))
def test_a_higher_score_never_makes_it_less_live(
    seen: list[PadScore], i: int, better: float
) -> None:
    if not seen:
        return
    raised = list(seen)
    old = seen[i % len(seen)]
    raised[i % len(seen)] = PadScore(max(better, old.live), old.clear, old.whole)
    for policy in (NORMAL, STRICT):
        before, after = policy.verdict(seen)[0], policy.verdict(raised)[0]
        assert ORDER.index(before) <= ORDER.index(after)


@given(SCORES)
def test_strict_is_never_laxer_than_normal(seen: list[PadScore]) -> None:
    if STRICT.verdict(seen)[0] is Liveness.LIVE:
        assert NORMAL.verdict(seen)[0] is Liveness.LIVE


@given(SCORES)
def test_an_attack_is_proved_by_clear_frames_alone(seen: list[PadScore]) -> None:
    clear = [s for s in seen if s.clear]
    attack = NORMAL.verdict(seen)[0] is Liveness.ATTACK
    assert attack == (NORMAL.verdict(clear)[0] is Liveness.ATTACK)


def test_a_score_that_is_no_number_is_never_live() -> None:
    assert NORMAL.verdict(scores(1.0, 1.0, float("nan")))[0] is Liveness.UNDECIDED


# --- what one frame may be used for ---------------------------------------------------------------


def wide(fraction: float) -> TrackedFace:
    """A face whose box has this share of a frame 1000 pixels wide and high."""
    return face({}, eye=fraction * 1000 / 3, pad=0.7)  # the box is three eye distances high


def test_a_frame_without_a_score_is_no_evidence() -> None:
    assert pad_score(face({}), True, 640, 480) is None


def test_the_surroundings_of_a_face_have_to_be_in_the_picture() -> None:
    most = 1 / WHOLE_REACH
    assert pad_score(wide(most - 0.01), True, 1000, 1000) == PadScore(0.7, True, True)
    assert pad_score(wide(most + 0.01), True, 1000, 1000) == PadScore(0.7, True, False)
    least = 1 / CLEAR_REACH
    assert pad_score(wide(least - 0.01), True, 1000, 1000) == PadScore(0.7, True, False)
    beyond = PadScore(0.7, False, False, partly=False)
    assert pad_score(wide(least + 0.01), True, 1000, 1000) == beyond
    portrait_format = pad_score(wide(0.4), True, 500, 1000)
    assert portrait_format is not None
    assert not portrait_format.whole


def test_only_a_close_and_sharp_face_is_clear() -> None:
    sharp = face({}, pad=0.7)
    assert sharp.quality.sharpness > CLEAR_SHARPNESS
    blurred = face({}, pad=0.7, sharpness=CLEAR_SHARPNESS - 0.01)
    clear = [pad_score(f, close, 640, 480) for f in (sharp, blurred) for close in (True, False)]
    assert [s.clear for s in clear if s] == [True, False, False, False]


def test_a_face_in_noise_proves_no_attack() -> None:
    seen = [
        pad_score(face({}, pad=0.1, noise=n), True, 640, 480)
        for n in (0.0, QUIET_NOISE - 0.1, QUIET_NOISE)
    ]
    assert [(s.quiet, s.clear) for s in seen if s] == [(True, True), (True, True), (False, False)]
    assert NORMAL.verdict([seen[2]] * 9 if seen[2] else [])[0] is Liveness.UNDECIDED


def test_advice_says_what_would_help() -> None:
    assert NORMAL.advice([]) == "hold_still"
    assert NORMAL.advice(scores(0.4)) == "hold_still"
    assert NORMAL.advice(scores(0.4, clear=False)) == "come_closer"
    assert NORMAL.advice(scores(0.4, clear=False, whole=False)) == "step_back"


# --- what attacks lead to -------------------------------------------------------------------------


def test_a_name_is_locked_for_a_while_after_an_attack_in_it() -> None:
    memory = AttackMemory(lockout_s=10.0)
    memory.attacked(1, 100.0)
    memory.attacked(None, 101.0)
    assert memory.locks(1, 109.9)
    assert not memory.locks(1, 110.0)
    assert not memory.locks(2, 101.0)


def test_three_attacks_in_the_window_are_an_alarm_and_a_new_count() -> None:
    memory = AttackMemory(alarm_attacks=3, alarm_window_s=300.0)
    assert [memory.attacked(None, t) for t in (0.0, 10.0, 299.9, 310.0, 320.0, 330.0)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]


def test_attacks_far_apart_are_no_alarm_and_are_forgotten() -> None:
    memory = AttackMemory(alarm_attacks=3, alarm_window_s=300.0)
    assert not any(memory.attacked(n, 150.0 * n) for n in range(1000))
    assert len(memory.recent) <= 2
    assert len(memory.locked_until) == 1
