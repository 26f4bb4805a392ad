from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.evidence import Criteria, Identification, Identity, Sample, weigh
from gated.core.gallery import GalleryPerson, Match
from gated.core.pad import PadScore
from tests.core.scenes import ANN, BOB, like, person

CRITERIA = Criteria(threshold=0.4, floor=0.3, reject=0.17, margin=0.05, frames=3)


def sample(
    who: int | None,
    similarity: float = 0.6,
    *,
    weight: float = 1.0,
    margin: float = 0.3,
    pad: float | None = None,
) -> Sample:
    """A frame that resembles `who` most; None: an empty gallery was asked."""
    if who is None:
        return Sample(0.0, like({}), weight, True, None, None)
    score = None if pad is None else PadScore(pad)
    other = GalleryPerson(person(BOB if who == ANN else ANN))
    match = Match(GalleryPerson(person(who)), similarity, other, similarity - margin)
    return Sample(0.0, like({}), weight, True, score, match)


def weighed(*samples: Sample) -> Identification:
    return weigh(samples, CRITERIA)


def test_enough_agreeing_frames_are_a_match() -> None:
    finding = weighed(sample(ANN, 0.5), sample(ANN, 0.6), sample(ANN, 0.7))
    assert finding.identity is Identity.MATCH
    assert finding.member is not None
    assert finding.member.person.id == ANN
    assert finding.similarity == pytest.approx(0.6)
    assert finding.margin == pytest.approx(0.3)
    assert finding.frames == 3


def test_one_frame_too_few_is_nobody() -> None:
    finding = weighed(sample(ANN), sample(ANN))
    assert (finding.identity, finding.member, finding.frames) == (Identity.NONE, None, 2)


def test_nothing_seen_is_nobody() -> None:
    assert weighed() == Identification(Identity.NONE)
    assert weighed(sample(None), sample(None), sample(None)) == Identification(Identity.NONE)


def test_agreeing_frames_below_the_threshold_are_nobody() -> None:
    finding = weighed(*[sample(ANN, 0.39)] * 9)
    assert (finding.identity, finding.member) == (Identity.NONE, None)


def test_good_frames_outweigh_poor_ones() -> None:
    poor = sample(ANN, 0.31, weight=0.1)
    assert weighed(poor, poor, sample(ANN, 0.45, weight=0.9)).identity is Identity.MATCH
    heavy = sample(ANN, 0.31, weight=0.9)
    assert weighed(heavy, heavy, sample(ANN, 0.45, weight=0.1)).identity is Identity.NONE


def test_the_mean_embedding_of_frames_that_differ_says_more_than_their_scores() -> None:
    """Three frames, each 0.4 like Ann and otherwise like nothing that the others are like."""
    rest = (1.0 - 0.4**2) ** 0.5
    apart = [replace(sample(ANN, 0.4), vector=like({ANN: 0.4, n: rest})) for n in (5, 6, 7)]
    pooled = 0.4 / (0.4**2 + rest**2 / 3) ** 0.5
    criteria = replace(CRITERIA, threshold=0.5, pool_shift=0.05)
    finding = weigh(apart, criteria)
    assert finding.identity is Identity.MATCH
    assert finding.similarity == pytest.approx(pooled - 0.05)
    assert weigh(apart, replace(criteria, pool_shift=None)).identity is Identity.NONE
    assert weigh(apart, replace(criteria, pool_shift=0.15)).identity is Identity.NONE
    assert weigh(apart[:2], criteria).identity is Identity.NONE, "two frames are no pool"
    alike = weigh([apart[0]] * 9, criteria)
    assert alike.identity is Identity.NONE
    assert alike.similarity == pytest.approx(0.4)


@pytest.mark.parametrize("contrary", [sample(BOB), sample(ANN, 0.16), sample(None)])
def test_a_contrary_frame_starts_the_count_anew(contrary: Sample) -> None:
    assert weighed(*[sample(ANN)] * 9, contrary).identity is Identity.NONE
    assert weighed(contrary, sample(ANN), sample(ANN)).identity is Identity.NONE
    assert weighed(*[sample(ANN)] * 2, contrary, *[sample(ANN)] * 2).identity is Identity.NONE
    assert weighed(contrary, *[sample(ANN)] * 3).identity is Identity.MATCH


def test_a_frame_that_says_nothing_neither_counts_nor_breaks() -> None:
    unsure = sample(BOB, 0.2)
    assert weighed(sample(ANN), unsure, sample(ANN)).frames == 2
    assert weighed(sample(ANN), unsure, sample(ANN), sample(ANN)).identity is Identity.MATCH


def test_a_small_margin_is_ambiguous_and_names_nobody() -> None:
    finding = weighed(*[sample(ANN, margin=0.04)] * 5)
    assert (finding.identity, finding.member) == (Identity.AMBIGUOUS, None)


def test_twins_who_take_turns_are_ambiguous() -> None:
    turns = [sample(ANN, margin=0.02), sample(BOB, margin=0.02)] * 3
    assert weighed(*turns).identity is Identity.AMBIGUOUS


def test_two_different_people_who_take_turns_are_nobody() -> None:
    turns = [sample(ANN, margin=0.4), sample(BOB, margin=0.4)] * 3
    assert weighed(*turns).identity is Identity.NONE


def test_the_only_person_of_a_gallery_is_ahead_of_nobody_by_far() -> None:
    match = Match(GalleryPerson(person(ANN)), 0.6)
    alone = Sample(0.0, like({}), 1.0, True, None, match)
    assert weighed(alone, alone, alone).identity is Identity.MATCH


def test_live_scores_are_those_of_the_agreeing_frames() -> None:
    before = [sample(BOB, pad=0.9)] * 4
    finding = weighed(*before, sample(ANN, pad=0.1), sample(ANN), sample(ANN, pad=0.3))
    assert finding.pads == (PadScore(0.1), PadScore(0.3))


def test_a_similarity_that_is_no_number_never_matches() -> None:
    nan = float("nan")
    assert weighed(*[sample(ANN, nan)] * 5).identity is Identity.NONE
    assert weighed(*[sample(ANN, 0.8, weight=nan)] * 5).member is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ANN, BOB, None]),
            st.sampled_from([0.1, 0.2, 0.31, 0.45, 0.7]),
            st.sampled_from([0.01, 0.1]),
        ),
        max_size=12,
    ),
    st.integers(1, 4),
)
def test_a_match_rests_on_the_last_frames_of_one_person(
    frames: list[tuple[int | None, float, float]], wanted: int
) -> None:
    criteria = Criteria(0.4, 0.3, 0.17, 0.05, wanted)
    finding = weigh([sample(w, s, margin=m) for w, s, m in frames], criteria)
    assert (finding.identity is Identity.MATCH) == (finding.member is not None)
    if finding.member is None:
        return
    who, agreeing = finding.member.person.id, 0
    for person_id, similarity, _ in reversed(frames):
        if person_id is None or similarity < 0.17 or (similarity >= 0.3 and person_id != who):
            break
        agreeing += similarity >= 0.3
    assert finding.frames == agreeing >= wanted
