from __future__ import annotations

import math

import pytest

from gated.core.messages import Expected, Trigger
from gated.core.pad import PAD_LEVELS
from gated.core.policy import CHANCES
from gated.core.values import Reason
from tests.core.policies import policy_with
from tests.core.scenes import ANN, BOB, CLEO, DIMENSION, SURE, Scene, decisions, face, gallery

CARDS = policy_with(trigger=True)
"""Nobody is recognised before somebody asks for it."""

ann, bob = face({ANN: SURE}), face({BOB: SURE})
twin = face({ANN: 0.6, BOB: 0.62})
GRANTED_ANN = (Reason.GRANTED, "Ann")
NOBODY = (Reason.NO_MATCH, None)


def test_who_is_expected_is_verified_once() -> None:
    scene = Scene(CARDS)
    scene.watch(ann, frames=20)
    assert scene.verdicts == []
    scene.send(Expected(ANN, 10.0))
    scene.watch(ann)
    assert scene.verdicts == [GRANTED_ANN]
    scene.lose(1)
    scene.wait(5.0)
    scene.watch(face({ANN: SURE}, track=2), frames=20)
    assert scene.verdicts == [GRANTED_ANN]


def test_a_card_in_the_wrong_hands_opens_nothing() -> None:
    scene = Scene(CARDS)
    scene.send(Expected(ANN, 10.0))
    scene.watch(bob, frames=30)
    assert scene.verdicts == [NOBODY]


def test_a_claim_ends_in_time() -> None:
    scene = Scene(CARDS)
    scene.send(Expected(ANN, 1.0))
    scene.wait(1.0)
    scene.watch(ann, frames=20)
    assert scene.verdicts == []
    assert scene.gate.claim is None


@pytest.mark.parametrize("withdrawn", [Expected(None), Expected(ANN, 0.0), Expected(ANN, math.nan)])
def test_a_claim_can_be_withdrawn(withdrawn: Expected) -> None:
    scene = Scene(CARDS)
    scene.send(Expected(ANN, 10.0))
    scene.send(withdrawn)
    scene.watch(ann, frames=20)
    assert scene.verdicts == []


def test_one_comparison_has_the_threshold_of_one_comparison() -> None:
    many = gallery(range(1, DIMENSION))
    scene = Scene(policy_with(fpir=1e-4), many)
    at_first = face({ANN: 0.5})
    scene.watch(at_first, frames=30)
    assert scene.verdicts == [NOBODY]
    scene.send(Expected(ANN, 10.0))
    (decision,) = decisions(scene.watch(at_first))
    assert decision.granted
    # a false match rate of 1e-4 is at 0.4
    assert decision.threshold == pytest.approx(0.4 + 0.1 * math.log10(CHANCES), abs=1e-4)
    assert decision.margin is None


def test_twins_are_told_apart_by_their_cards() -> None:
    scene = Scene()
    scene.watch(twin, frames=30)
    assert scene.verdicts == [(Reason.AMBIGUOUS, None)]
    scene.send(Expected(ANN, 10.0))
    scene.watch(twin)
    assert scene.verdicts[1:] == [GRANTED_ANN]


def test_others_are_still_identified_where_the_gate_identifies() -> None:
    scene = Scene()
    scene.send(Expected(ANN, 10.0))
    scene.watch(bob)
    assert scene.verdicts == [(Reason.GRANTED, "Bob")]
    triggered = Scene(CARDS)
    triggered.send(Expected(ANN, 10.0))
    triggered.send(Trigger("button"))
    triggered.watch(bob)
    assert triggered.verdicts == [(Reason.GRANTED, "Bob")]


def test_no_card_makes_up_for_liveness_or_for_being_switched_off() -> None:
    attack = Scene(policy_with(trigger=True, pad=PAD_LEVELS["normal"]))
    attack.send(Expected(ANN, 10.0))
    attack.watch(face({ANN: SURE}, pad=0.1), frames=20)
    assert attack.verdicts == [(Reason.SPOOF, "Ann")]
    attack.send(Expected(ANN, 10.0))
    attack.watch(face({ANN: SURE}, pad=0.9), frames=20)
    assert attack.door == []
    inactive = Scene(CARDS, gallery(inactive=[ANN]))
    inactive.send(Expected(ANN, 10.0))
    inactive.watch(ann)
    assert inactive.verdicts == [(Reason.INACTIVE, "Ann")]


def test_who_has_no_template_is_verified_by_nothing() -> None:
    scene = Scene(CARDS)
    scene.send(Expected(CLEO, 10.0))
    scene.watch(face({CLEO: SURE}), frames=30)
    assert scene.verdicts == [NOBODY]


def test_a_new_gallery_holds_for_the_claim_too() -> None:
    scene = Scene(CARDS)
    scene.send(Expected(ANN, 10.0))
    scene.watch(ann, frames=2)
    scene.enrol(BOB)
    scene.watch(ann, frames=3)
    assert scene.door == []
    scene.enrol(ANN, BOB)
    scene.see(ann)
    assert scene.verdicts == [GRANTED_ANN]


def test_a_claim_lets_one_in_also_of_two_in_one_frame() -> None:
    scene = Scene(CARDS)
    scene.send(Expected(ANN, 10.0))
    scene.watch(ann, face({BOB: SURE}, track=2), frames=30)
    assert scene.verdicts == [GRANTED_ANN]
