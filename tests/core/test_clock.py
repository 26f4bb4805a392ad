"""What a clock is worth: it goes on from when it was right, or somebody else has to say so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.clock import (
    DAY_S,
    DRIFT,
    HUB_AGREES_S,
    HUB_COUNTS_S,
    LEAP_S,
    SETTLE_S,
    ClockStanding,
    Doubt,
    Evidence,
    Known,
    judge,
    judged,
)
from gated.core.values import Instant

UTC = 1.8e9
HERE, BEFORE = "this boot", "the boot before"
YEAR = 365 * DAY_S

leaps = st.floats(2 * LEAP_S, 20 * YEAR)
passing = st.floats(0.0, 200 * DAY_S)
signs = st.sampled_from((1.0, -1.0))


def at(mono: float, ahead: float = 0.0, ok: bool = True) -> Instant:
    """A moment of a machine that was switched on at UTC; its clock is so far ahead."""
    return Instant(mono, UTC + mono + ahead, ok)


def known(mono: float = 500.0, boot: str = HERE, ahead: float = 0.0) -> Known:
    return Known(UTC + mono + ahead, mono, boot)


def test_a_first_start_has_nothing_to_hold_the_clock_against() -> None:
    assert judge(at(SETTLE_S), Evidence(HERE)).trusted
    assert judge(at(SETTLE_S - 1), Evidence(HERE)).doubt is Doubt.SETTLING
    assert judge(at(SETTLE_S, ok=False), Evidence(HERE)).standing is ClockStanding.UNSET


@given(passing, st.floats(-LEAP_S, LEAP_S))
def test_a_clock_that_goes_on_is_trusted(passed: float, ahead: float) -> None:
    assert judge(at(500 + passed, ahead), Evidence(HERE, known())).trusted


@given(passing, leaps, signs)
def test_a_leap_within_a_boot_is_noticed_whichever_way_and_whatever_claims(
    passed: float, leap: float, sign: float
) -> None:
    leap += 2 * DRIFT * passed
    for ok in (True, False):
        trust = judge(at(500 + passed, sign * leap, ok), Evidence(HERE, known()))
        assert not trust.trusted
        assert trust.doubted
        assert trust.by_s == pytest.approx(sign * leap, rel=1e-6, abs=1e-3)
        assert trust.standing is (ClockStanding.DOUBTFUL if ok else ClockStanding.UNSET)


@given(passing, st.floats(DAY_S * 1.01, 20 * YEAR))
def test_a_start_later_than_the_machine_can_have_been_off_waits(up: float, off: float) -> None:
    trust = judge(at(up, off), Evidence(HERE, Known(UTC, 9e5, BEFORE)))
    assert trust.doubt is Doubt.AHEAD
    assert trust.shows_time, "the door goes by it, nothing is erased by it"
    shorter = judge(at(up, off), Evidence(HERE, Known(UTC, 9e5, BEFORE), off_s=off + 1))
    assert shorter.trusted is (up >= SETTLE_S)


@given(passing, leaps)
def test_no_clock_shows_a_time_before_it_was_last_right(up: float, back: float) -> None:
    last = Known(UTC + up + back, 9e5, BEFORE)
    trust = judge(at(up), Evidence(HERE, last))
    assert trust.doubt is Doubt.BEHIND
    assert trust.shows_time is (back <= DAY_S), "who is not valid any more must not come back"


@given(passing, leaps, signs, st.sampled_from((None, HERE, BEFORE)))
def test_the_hub_settles_it(passed: float, leap: float, sign: float, boot: str | None) -> None:
    now = at(500 + passed, sign * leap)
    last = None if boot is None else known(boot=boot)
    heard = min(passed, HUB_COUNTS_S)
    right = Known(now.utc - heard, now.mono - heard, HERE)
    assert judge(now, Evidence(HERE, last, right)).trusted
    far = Known(right.utc + HUB_AGREES_S * 2 + DAY_S, right.mono, HERE)
    trust = judge(now, Evidence(HERE, last, far))
    assert (trust.doubt, trust.shows_time) == (Doubt.HUB_DISAGREES, False)


def test_the_word_of_a_hub_is_over_with_the_boot_and_after_a_day() -> None:
    now = at(500 + 2 * HUB_COUNTS_S, YEAR)
    for word in (
        Known(now.utc, now.mono, BEFORE),
        Known(now.utc - HUB_COUNTS_S - 1, now.mono - HUB_COUNTS_S - 1, HERE),
    ):
        assert judge(now, Evidence(HERE, known(), word)).doubt is Doubt.LEAPT


@given(
    st.floats(0, YEAR),
    st.floats(-20 * YEAR, 20 * YEAR),
    st.booleans(),
    st.sampled_from((None, HERE, BEFORE)),
)
def test_what_is_not_trusted_marks_the_moment(
    mono: float, ahead: float, ok: bool, boot: str | None
) -> None:
    last = None if boot is None else known(boot=boot)
    evidence = Evidence(HERE, last)
    now = at(mono, ahead, ok)
    trust, moment = judge(now, evidence), judged(now, evidence)
    assert (moment.mono, moment.utc) == (now.mono, now.utc)
    assert moment.sure or trust.doubted or trust.doubt is Doubt.SETTLING or not ok
    assert not (trust.trusted and not moment.sure)
    assert not (trust.doubted and moment.sure)
    assert (str(trust) == "") is trust.trusted


@pytest.mark.parametrize(
    ("leap_s", "words"),
    [
        (7200.0, "2 hours"),
        (7199.99, "2 hours"),
        (-7199.6, "2 hours"),
        (5400.0, "90 minutes"),
        (2 * DAY_S - 0.2, "2 days"),
    ],
)
def test_a_leap_is_named_by_whole_seconds(leap_s: float, words: str) -> None:
    now = at(3600.0)
    before = Evidence(HERE, Known(now.utc - leap_s, now.mono, HERE))
    assert str(judge(now, before)) == f"the clock was set by {words}"


@pytest.mark.parametrize("told", [None, 1, {}, {"utc": "x"}, {"utc": 1, "mono": 2, "boot": "b"}])
def test_what_was_stored_and_makes_no_sense_is_not_known(told: object) -> None:
    assert Known.read(told) is None
