from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gated.core.gate import Gate
from gated.core.messages import (
    Attention,
    CameraEvent,
    Command,
    DoorEvent,
    Expected,
    GalleryReplaced,
    JournalState,
    LastPunches,
    Lock,
    Notice,
    Observation,
    OperatorUnlock,
    RecordDecision,
    RecordEvent,
    Trigger,
    Unlock,
)
from gated.core.pad import PAD_LEVELS
from gated.core.policy import CHANCES
from gated.core.values import CameraEventKind, Direction, DoorEventKind, Outcome, Reason, Severity
from tests.core.policies import door_rules, policy_with
from tests.core.scenes import (
    ANN,
    BOB,
    CALIBRATION,
    DIMENSION,
    STRANGE,
    SURE,
    UNSURE,
    WEAK,
    Scene,
    at,
    decisions,
    face,
    gallery,
    like,
    notices,
    reasons,
    records,
)

ann = face({ANN: SURE})
bob = face({BOB: SURE})
stranger = face({ANN: STRANGE})
NORMAL = policy_with(pad=PAD_LEVELS["normal"])
REX = DoorEvent(DoorEventKind.REX)
FIRE = DoorEvent(DoorEventKind.FIRE)
FIRE_CLEARED = DoorEvent(DoorEventKind.FIRE_CLEARED)
GRANTED_ANN = (Reason.GRANTED, "Ann")
GRANTED_BOB = (Reason.GRANTED, "Bob")


# --- granted --------------------------------------------------------------------------------------


def test_who_walks_up_is_granted_once() -> None:
    scene = Scene()
    assert scene.watch(ann, frames=2) == [Notice(1, "look_here")]
    record, unlock, notice, attention = scene.see(ann)
    assert isinstance(record, RecordDecision)
    assert unlock == Unlock(3.0, "visit 1")
    assert notice == Notice(1, "granted", "Ann")
    assert attention == Attention(settled=frozenset({1}))
    assert scene.watch(ann, frames=100) == [Lock("deadline")]
    assert scene.verdicts == [GRANTED_ANN]
    assert scene.door == [(0.3, "unlock"), (3.3, "lock")]


def test_a_decision_says_all_there_is_to_say() -> None:
    scene = Scene()
    scene.see(face(flaws=("too_small",)))
    (decision,) = decisions(scene.watch(face({ANN: 0.5, BOB: 0.1}), frames=3))
    assert decision.granted
    assert decision.person is not None
    assert decision.person.personnel_code == "P1"
    assert decision.score == pytest.approx(0.5, abs=1e-4)
    # a false match rate of 1e-4 is at 0.4; a visit is worth several chances
    assert decision.threshold == pytest.approx(0.4 + 0.1 * math.log10(CHANCES))
    assert decision.margin == pytest.approx(0.4, abs=1e-4)
    assert decision.confidence == pytest.approx(5 / 6, abs=1e-3)
    assert (decision.frames, decision.visit, decision.track_id) == (3, 1, 1)
    assert decision.first_seen == pytest.approx(100.05)
    assert decision.usable_since == pytest.approx(100.15)
    assert decision.captured_at == pytest.approx(100.35)
    assert decision.at == at(scene.now)
    assert decision.direction is Direction.ENTRY


def test_a_gallery_of_one_has_no_margin_to_tell() -> None:
    scene = Scene(people=gallery([ANN]))
    (decision,) = decisions(scene.watch(ann))
    assert decision.granted
    assert decision.margin is None


def test_a_person_of_whom_every_frame_is_weak_is_not_granted() -> None:
    scene = Scene()
    scene.watch(face({ANN: WEAK}), frames=100)
    assert {reason for reason, _ in scene.verdicts} == {Reason.NO_MATCH}


def test_two_people_side_by_side_each_get_their_own_verdict() -> None:
    scene = Scene()
    pair = face({ANN: SURE}, track=1), face({BOB: SURE}, track=2)
    commands = scene.watch(*pair)
    assert scene.verdicts == [GRANTED_ANN, GRANTED_BOB]
    assert [c.cause for c in commands if isinstance(c, Unlock)] == ["visit 1", "visit 2"]


def test_a_stranger_beside_a_granted_person_is_still_denied() -> None:
    scene = Scene()
    scene.watch(face({ANN: SURE}, track=1), face({}, track=2), frames=30)
    assert scene.verdicts == [GRANTED_ANN, (Reason.NO_MATCH, None)]


def test_direction_alternates_over_visits() -> None:
    scene = Scene()
    seen = []
    for track in (1, 2, 3):
        seen += decisions(scene.watch(face({ANN: SURE}, track=track)))
        scene.lose(track)
        scene.wait(10)
    assert [d.direction for d in seen] == [Direction.ENTRY, Direction.EXIT, Direction.ENTRY]


def test_the_last_punches_are_taken_over_at_start() -> None:
    scene = Scene()
    scene.send(LastPunches({ANN: (Direction.ENTRY, at(scene.now).utc - 3600)}))
    (decision,) = decisions(scene.watch(ann))
    assert decision.direction is Direction.EXIT


def test_a_corrected_log_turns_the_direction_at_once() -> None:
    scene = Scene()
    scene.watch(ann)
    scene.lose(1)
    scene.wait(10)
    seen = at(scene.now).utc
    scene.send(LastPunches({ANN: None}, complete_to=seen))
    (again,) = decisions(scene.watch(face({ANN: SURE}, track=2)))
    assert again.direction is Direction.ENTRY
    scene.lose(2)
    scene.wait(10)
    scene.send(LastPunches({ANN: None}, complete_to=seen))  # older than what the gate saw itself
    (third,) = decisions(scene.watch(face({ANN: SURE}, track=3)))
    assert third.direction is Direction.EXIT


def test_an_open_visit_is_flagged_on_grants_only() -> None:
    policy = policy_with(cooldown_s=60.0, auto_reset_s=10.0)
    scene = Scene(policy)
    scene.watch(ann)
    scene.lose(1)
    scene.wait(30)
    (denied,) = decisions(scene.watch(face({ANN: SURE}, track=2)))
    assert (denied.reason, denied.flags) == (Reason.COOLDOWN, ())
    scene.lose(2)
    scene.wait(60)
    (granted,) = decisions(scene.watch(face({ANN: SURE}, track=3)))
    assert granted.flags == ("previous_visit_open",)


# --- denied ---------------------------------------------------------------------------------------


def test_a_stranger_is_denied_and_not_named() -> None:
    scene = Scene()
    scene.watch(stranger, frames=30)
    (decision,) = decisions(scene.commands)
    assert (decision.outcome, decision.reason) == (Outcome.DENIED, Reason.NO_MATCH)
    assert decision.person is None
    assert decision.confidence < 0.2
    assert scene.door == []
    assert "no_match" in notices(scene.commands)


def test_who_is_seen_upside_down_is_told_why_and_not_called_a_stranger() -> None:
    scene = Scene()
    scene.watch(stranger, frames=30, turn=180)
    assert [d.reason for d in decisions(scene.commands)] == [Reason.LOW_QUALITY]
    assert "rotate" in notices(scene.commands)
    (refusal,) = (c for c in scene.commands if isinstance(c, Notice) and c.code == "low_quality")
    assert refusal.detail == "rotate"


def test_who_is_recognised_all_the_same_is_let_in_though_the_picture_seems_turned() -> None:
    scene = Scene()
    scene.watch(face({ANN: SURE}), turn=180)
    assert scene.verdicts == [(Reason.GRANTED, "Ann")]


def test_a_name_appears_only_above_the_threshold() -> None:
    scene = Scene()
    scene.watch(face({ANN: 0.39}), frames=30)
    (decision,) = decisions(scene.commands)
    assert (decision.reason, decision.person) == (Reason.NO_MATCH, None)
    assert decision.score == pytest.approx(0.39, abs=1e-4)


def test_never_two_denials_of_one_visit_within_five_seconds() -> None:
    scene = Scene()
    scene.watch(stranger, frames=400)
    times = [t for t, c in scene.log if isinstance(c, RecordDecision)]
    assert len(times) == 3  # as many as a visit may have
    assert min(np.diff(times)) >= 5.0


def test_after_the_last_denial_the_visit_is_over() -> None:
    scene = Scene(policy_with(max_denials=1))
    scene.watch(stranger, frames=30)
    assert scene.gate.handle(Trigger(""), at(scene.now)) == []
    assert reasons(scene.watch(ann, frames=100)) == []
    assert scene.verdicts == [(Reason.NO_MATCH, None)]


def test_a_retryable_denial_may_become_the_grant_of_the_visit() -> None:
    scene = Scene()
    scene.watch(stranger, frames=30)
    scene.watch(ann, frames=3)  # put the scarf away
    assert scene.verdicts == [(Reason.NO_MATCH, None), GRANTED_ANN]
    assert len({d.visit for d in decisions(scene.commands)}) == 1


def test_twins_are_ambiguous_not_a_coin_toss() -> None:
    scene = Scene()
    for _ in range(15):
        scene.see(face({ANN: 0.62, BOB: 0.6}))
        scene.see(face({ANN: 0.6, BOB: 0.62}))
    assert scene.verdicts == [(Reason.AMBIGUOUS, None)]


def test_who_resembles_two_people_alike_is_ambiguous() -> None:
    scene = Scene()
    scene.watch(face({ANN: 0.62, BOB: 0.6}), frames=30)
    assert scene.verdicts == [(Reason.AMBIGUOUS, None)]
    scene.watch(ann, frames=30)
    assert scene.door == []  # not retryable


def test_who_is_switched_off_is_denied_by_name() -> None:
    scene = Scene(people=gallery(inactive=[ANN]))
    scene.watch(ann, frames=100)
    assert scene.verdicts == [(Reason.INACTIVE, "Ann")]
    assert scene.door == []


def test_who_is_switched_off_is_denied_once_though_the_track_breaks() -> None:
    scene = Scene(people=gallery(inactive=[ANN]))
    for track in range(1, 6):
        scene.watch(face({ANN: SURE}, track=track), frames=4)
        scene.lose(track)
    assert scene.verdicts == [(Reason.INACTIVE, "Ann")]


def test_who_comes_back_at_once_is_cooling_down() -> None:
    scene = Scene(policy_with(cooldown_s=30.0))
    scene.watch(ann)
    scene.lose(1)
    scene.wait(2.5)
    scene.watch(face({ANN: SURE}, track=2))
    assert scene.verdicts == [GRANTED_ANN, (Reason.COOLDOWN, "Ann")]
    scene.lose(2)
    scene.wait(30)
    scene.watch(face({ANN: SURE}, track=3))
    assert scene.verdicts[2:] == [GRANTED_ANN]


def test_nobody_is_granted_while_the_log_is_unavailable() -> None:
    scene = Scene()
    assert records(scene.send(JournalState(False))) == [("log_unavailable", "alarm")]
    assert scene.send(JournalState(False)) == []
    scene.watch(ann, frames=20)
    assert scene.verdicts == [(Reason.LOG_UNAVAILABLE, "Ann")]
    assert scene.door == []
    assert records(scene.send(JournalState(True))) == [("log_available", "info")]
    scene.lose(1)
    scene.wait(5)
    scene.watch(face({ANN: SURE}, track=2))
    assert scene.verdicts[1:] == [GRANTED_ANN]


def test_a_close_face_that_is_never_usable_is_told_so() -> None:
    scene = Scene()
    commands = scene.watch(face(flaws=("too_dark",)), frames=70)
    assert reasons(commands) == [Reason.LOW_QUALITY]
    assert notices(commands) == ["too_dark", "low_quality"]
    (decision,) = decisions(commands)
    assert (decision.score, decision.confidence, decision.flaws) == (None, 0.0, ("too_dark",))


def test_a_glimpse_does_not_spare_the_verdict_on_quality() -> None:
    scene = Scene()
    scene.watch(face({ANN: SURE}), frames=2)
    scene.watch(face(flaws=("extreme_pose",)), frames=70)
    assert scene.verdicts == [(Reason.LOW_QUALITY, None)]


def test_one_usable_frame_starts_the_wait_for_quality_anew() -> None:
    scene = Scene()
    for _ in range(2):
        scene.watch(face(flaws=("extreme_pose",)), frames=40)
        scene.see(stranger)
    assert scene.verdicts == []


def test_a_stranger_who_turns_away_after_the_verdict_gets_no_second_one() -> None:
    scene = Scene()
    scene.watch(stranger, frames=20)
    scene.watch(face(flaws=("extreme_pose",)), frames=150)
    assert scene.verdicts == [(Reason.NO_MATCH, None)]


@pytest.mark.parametrize(
    "passer_by", [face(flaws=("too_small",), eye=12.0), face(flaws=("outside_zone",))]
)
def test_who_is_far_away_or_outside_the_zone_is_left_in_peace(passer_by: object) -> None:
    scene = Scene()
    assert isinstance(passer_by, type(ann))
    scene.watch(passer_by, frames=150)
    scene.lose(1)
    assert scene.verdicts == []


def test_after_a_verdict_on_quality_the_visit_may_still_be_granted() -> None:
    scene = Scene()
    scene.watch(face(flaws=("too_dark",)), frames=70)
    scene.watch(ann)
    assert scene.verdicts == [(Reason.LOW_QUALITY, None), GRANTED_ANN]


def test_a_stranger_who_leaves_before_the_verdict_leaves_a_trace() -> None:
    scene = Scene()
    scene.watch(stranger, frames=4)
    scene.lose(1)
    assert scene.verdicts == [(Reason.NO_MATCH, None)]


def test_somebody_far_away_who_turns_round_leaves_none() -> None:
    scene = Scene()
    scene.watch(face({ANN: STRANGE}, eye=20.0), frames=4)
    scene.lose(1)
    assert scene.verdicts == []


def test_two_glimpses_are_too_few_to_say_no() -> None:
    scene = Scene()
    scene.see(stranger)
    scene.watch(face(None), frames=30)
    scene.see(stranger)
    scene.lose(1)
    assert scene.verdicts == []


def test_a_distant_face_that_stays_is_denied_later() -> None:
    scene = Scene()
    scene.watch(face({ANN: STRANGE}, eye=20.0), frames=40)
    assert scene.verdicts == []
    scene.watch(face({ANN: STRANGE}, eye=20.0), frames=30)
    assert scene.verdicts == [(Reason.NO_MATCH, None)]


# --- the evidence of a track ----------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [1, 2, 5])
def test_a_grant_needs_as_many_frames_as_configured(wanted: int) -> None:
    scene = Scene(policy_with(frames=wanted))
    scene.watch(ann, frames=wanted - 1)
    assert scene.verdicts == []
    scene.see(ann)
    assert scene.verdicts == [GRANTED_ANN]


def test_a_track_that_changes_hands_grants_neither_on_the_frames_of_the_other() -> None:
    scene = Scene()
    scene.watch(ann, frames=2)
    scene.watch(bob, frames=2)
    scene.watch(ann, frames=2)
    assert scene.door == []
    scene.watch(bob, frames=2)
    assert scene.door == []
    scene.see(bob)
    (decision,) = decisions(scene.commands)
    assert (decision.person, decision.frames) == (gallery().members[1].person, 3)


def test_a_stranger_who_takes_over_a_track_inherits_nothing() -> None:
    scene = Scene()
    scene.watch(ann, frames=2)
    scene.see(stranger)
    scene.watch(ann, frames=2)
    assert scene.door == []


def test_frames_that_say_nothing_do_not_count() -> None:
    scene = Scene()
    scene.watch(ann, frames=2)
    scene.watch(face({ANN: UNSURE}), frames=8)
    assert scene.door == []
    scene.see(ann)
    assert scene.verdicts == [GRANTED_ANN]


def test_frames_with_flaws_or_without_an_embedding_do_not_count() -> None:
    scene = Scene()
    scene.watch(ann, frames=2)
    scene.watch(face({ANN: SURE}, flaws=("blurred",)), frames=5)
    scene.watch(face(None), frames=5)
    assert scene.door == []


def test_the_same_frame_again_is_no_further_frame() -> None:
    scene = Scene()
    scene.see(ann, ann, ann)
    frozen = Observation(9, scene.now, 640, 480, (ann,))
    for _ in range(5):
        scene.send(frozen)
    assert scene.door == []


@pytest.mark.parametrize("age", [1.0, 1.5, 60.0, -0.1, -math.inf, math.nan])
def test_frames_that_are_stale_or_from_the_future_are_refused(age: float) -> None:
    scene = Scene()
    for _ in range(10):
        assert notices(scene.see(ann, age=age)) == []
    assert scene.verdicts == []
    assert scene.gate.stale_frames == 10


def test_frames_that_are_just_fresh_enough_count() -> None:
    scene = Scene()
    for _ in range(3):
        scene.see(ann, age=0.99)
    assert scene.verdicts == [GRANTED_ANN]


def test_a_broken_embedding_grants_nobody_and_breaks_nothing() -> None:
    scene = Scene()
    broken = face(np.full(DIMENSION, np.nan, np.float32))
    scene.watch(ann, frames=2)
    scene.see(broken)
    scene.see(ann)
    assert scene.door == []
    scene.watch(ann, frames=2)
    assert scene.verdicts == [GRANTED_ANN]


def test_an_empty_gallery_knows_nobody() -> None:
    scene = Scene(people=gallery(()))
    scene.watch(ann, frames=30)
    (decision,) = decisions(scene.commands)
    assert (decision.reason, decision.score, decision.confidence) == (Reason.NO_MATCH, None, 0.0)


def test_a_gallery_without_her_in_mid_track_never_grants_her() -> None:
    scene = Scene()
    scene.watch(ann, frames=2)
    scene.enrol(BOB)
    scene.watch(ann, frames=20)
    assert scene.verdicts == [(Reason.NO_MATCH, None)]


def test_a_gallery_that_switches_her_off_in_mid_track_never_grants_her() -> None:
    scene = Scene()
    scene.watch(ann, frames=2)
    scene.enrol(ANN, BOB, inactive=[ANN])
    scene.see(ann)
    assert scene.verdicts == [(Reason.INACTIVE, "Ann")]


def test_who_is_enrolled_in_mid_track_is_known_at_once() -> None:
    scene = Scene(people=gallery([BOB]))
    scene.watch(face({ANN: SURE}), frames=5)
    scene.enrol(ANN, BOB)
    scene.see(face({ANN: SURE}))
    assert scene.verdicts == [GRANTED_ANN]


def test_the_threshold_follows_the_size_of_the_gallery() -> None:
    gate = Gate(policy_with(fpir=1e-3), gallery([ANN]), CALIBRATION)
    assert gate.criteria.threshold == pytest.approx(0.4 + 0.1 * math.log10(CHANCES))  # the floor
    many = gallery(range(1, DIMENSION))
    vectors, owners = np.repeat(many.vectors, 100, 0), np.repeat(many.owners, 100)
    gate.handle(GalleryReplaced(replace(many, vectors=vectors, owners=owners)), at(0))
    assert gate.criteria.threshold == pytest.approx(0.6 + 0.1 * math.log10(CHANCES), abs=0.01)


def test_a_tolerance_overrides_the_promise() -> None:
    scene = Scene(policy_with(similarity=0.9))
    scene.watch(face({ANN: 0.85}), frames=20)
    assert scene.verdicts == [(Reason.NO_MATCH, None)]
    lax = Scene(policy_with(similarity=0.2))
    lax.watch(face({ANN: 0.22}))
    assert lax.verdicts == [GRANTED_ANN]
    laxer = Scene(policy_with(similarity=0.1))
    laxer.watch(face({ANN: 0.15}))
    assert laxer.verdicts == [GRANTED_ANN]


# --- liveness -------------------------------------------------------------------------------------


def test_a_live_face_is_granted() -> None:
    scene = Scene(NORMAL)
    (decision,) = decisions(scene.watch(face({ANN: SURE}, pad=0.9)))
    assert decision.reason is Reason.GRANTED
    assert decision.pad == pytest.approx(0.9)


def test_an_attack_is_denied_though_the_match_is_perfect() -> None:
    scene = Scene(NORMAL)
    scene.watch(face({ANN: 1.0}, pad=0.1), frames=100)
    assert scene.verdicts == [(Reason.SPOOF, "Ann")]
    assert scene.door == []


def test_an_attack_is_not_offset_by_a_live_end() -> None:
    scene = Scene(NORMAL)
    scene.watch(face({ANN: 1.0}, pad=0.1), frames=3)
    scene.watch(face({ANN: 1.0}, pad=1.0), frames=100)
    assert scene.verdicts == [(Reason.SPOOF, "Ann")]


def test_an_attack_earlier_on_the_track_is_not_forgiven() -> None:
    scene = Scene(NORMAL)
    scene.watch(face({}, pad=0.35), frames=17)
    scene.watch(face({}, pad=0.0), frames=10)  # too soon for another denial
    assert scene.verdicts == [(Reason.NO_MATCH, None)]
    scene.watch(face({ANN: SURE}, pad=0.9), frames=3)
    assert scene.door == []


def test_an_undecided_liveness_pends_and_then_denies() -> None:
    scene = Scene(NORMAL)
    scene.watch(face({ANN: SURE}, pad=0.4), frames=10)
    assert scene.verdicts == []
    scene.watch(face({ANN: SURE}, pad=0.4), frames=10)
    assert scene.verdicts == [(Reason.LIVENESS_UNDECIDED, "Ann")]


def test_an_undecided_liveness_may_end_in_a_grant() -> None:
    scene = Scene(NORMAL)
    scene.watch(face({ANN: SURE}, pad=0.4), frames=20)
    scene.watch(face({ANN: SURE}, pad=0.9), frames=20)
    assert scene.verdicts == [(Reason.LIVENESS_UNDECIDED, "Ann"), GRANTED_ANN]


def test_who_leaves_while_liveness_is_undecided_leaves_a_trace() -> None:
    scene = Scene(NORMAL)
    scene.watch(face({ANN: SURE}, pad=0.4), frames=5)
    scene.lose(1)
    assert scene.verdicts == [(Reason.LIVENESS_UNDECIDED, "Ann")]


def test_without_the_models_nobody_is_granted_unless_liveness_is_off() -> None:
    scene = Scene(NORMAL)
    scene.watch(ann, frames=30)
    assert scene.verdicts == [(Reason.LIVENESS_UNDECIDED, "Ann")]
    off = Scene(policy_with(pad=PAD_LEVELS["off"]))
    off.watch(face({ANN: SURE}, pad=0.0))
    assert off.verdicts == [GRANTED_ANN]


def test_a_face_without_its_surroundings_is_sent_back_at_once() -> None:
    scene = Scene(NORMAL)
    filling = face({ANN: SURE}, eye=140.0, pad=0.6)
    assert notices(scene.watch(filling, frames=1)) == ["step_back"]
    assert notices(Scene(NORMAL).watch(face({ANN: SURE}, pad=0.6), frames=1)) == ["look_here"]
    off = Scene(policy_with(pad=PAD_LEVELS["off"]))
    assert notices(off.watch(filling, frames=1)) == ["look_here"]


def test_a_picture_without_colour_is_said_to_be_infra_red() -> None:
    scene = Scene(NORMAL)
    grey = face({ANN: SURE}, grey=True)
    commands = scene.watch(grey, frames=20)
    assert scene.verdicts == [(Reason.LIVENESS_UNDECIDED, "Ann")]
    assert "infra_red" in notices(commands)
    assert "hold_still" not in notices(commands)


def test_a_turned_picture_is_said_to_be_turned() -> None:
    scene = Scene()
    seen = Observation(1, scene.now, 640, 480, (face({}),), turn=180)
    assert notices(scene.send(seen)) == ["rotate"]


def test_who_came_close_in_the_dark_is_logged_once() -> None:
    scene = Scene()
    scene.watch(face(flaws=("too_dark",)), frames=5)
    commands = scene.lose(1)
    (decision,) = decisions(commands)
    assert (decision.reason, decision.flaws) == (Reason.LOW_QUALITY, ("too_dark",))
    for flaws, frames in ((("too_dark",), 2), (("blurred",), 5)):
        quiet = Scene()
        quiet.watch(face(flaws=flaws), frames=frames)
        assert decisions(quiet.lose(1)) == []
    told = Scene()
    told.watch(face(flaws=("too_dark",)), frames=70)
    assert told.verdicts == [(Reason.LOW_QUALITY, None)]
    told.lose(1)
    assert told.verdicts == [(Reason.LOW_QUALITY, None)]


def test_liveness_never_makes_a_match() -> None:
    scene = Scene(NORMAL)
    scene.watch(face({ANN: 0.39}, pad=1.0), frames=30)
    assert scene.verdicts == [(Reason.NO_MATCH, None)]


def test_a_strangers_live_face_does_not_vouch_for_the_photo_held_up_next() -> None:
    scene = Scene(NORMAL)
    scene.watch(face({}, pad=1.0), frames=14)
    scene.watch(face({ANN: 1.0}, pad=0.1), frames=10)
    assert scene.door == []
    assert scene.verdicts[-1] == (Reason.SPOOF, "Ann")


def test_strict_wants_more_frames() -> None:
    scene = Scene(policy_with(pad=PAD_LEVELS["strict"]))
    scene.watch(face({ANN: SURE}, pad=0.9), frames=4)
    assert scene.verdicts == []
    scene.see(face({ANN: SURE}, pad=0.9))
    assert scene.verdicts == [GRANTED_ANN]


def test_a_small_face_is_asked_to_come_closer_and_never_called_an_attack() -> None:
    scene = Scene(NORMAL)
    commands = scene.watch(face({ANN: SURE}, eye=20.0, pad=0.1), frames=60)
    assert {reason for reason, _ in scene.verdicts} == {Reason.LIVENESS_UNDECIDED}
    assert "come_closer" in notices(commands)
    assert Notice(1, Reason.LIVENESS_UNDECIDED, "come_closer") in commands
    commands = scene.watch(face({ANN: SURE}, pad=0.9), frames=60)
    assert GRANTED_ANN in scene.verdicts


def test_a_blurred_face_is_never_called_an_attack() -> None:
    scene = Scene(NORMAL)
    scene.watch(face({ANN: SURE}, pad=0.1, sharpness=0.2), frames=60)
    assert {reason for reason, _ in scene.verdicts} == {Reason.LIVENESS_UNDECIDED}


def test_a_face_that_fills_the_picture_is_asked_to_step_back() -> None:
    scene = Scene(NORMAL)
    commands = scene.watch(face({ANN: SURE}, eye=150.0, pad=0.8), frames=20)
    assert scene.verdicts == [(Reason.LIVENESS_UNDECIDED, "Ann")]
    assert "step_back" in notices(commands)
    scene.watch(face({ANN: SURE}, eye=60.0, pad=1.0), frames=60)
    assert scene.verdicts[-1] == GRANTED_ANN


def test_who_is_only_undecided_is_told_to_try_again() -> None:
    scene = Scene(NORMAL)
    commands = scene.watch(face({ANN: SURE}, pad=0.4), frames=20)
    assert "hold_still" in notices(commands)
    assert Notice(1, Reason.LIVENESS_UNDECIDED, "hold_still") in commands


def attack(scene: Scene, track: int, looks: dict[int, float] | None = None) -> list[Command]:
    """Somebody shows a photo and takes it away again."""
    photo = face({} if looks is None else looks, track=track, pad=0.1)
    return scene.watch(photo) + scene.lose(track)


def test_nobody_is_let_in_right_after_an_attack_in_their_name() -> None:
    scene = Scene(NORMAL)
    attack(scene, 1, {ANN: SURE})
    began = scene.now
    scene.watch(face({ANN: SURE}, track=2, pad=0.9), frames=150)
    assert scene.verdicts[:2] == [(Reason.SPOOF, "Ann"), (Reason.LIVENESS_UNDECIDED, "Ann")]
    assert scene.verdicts[-1] == GRANTED_ANN
    (granted,) = [d for d in decisions(scene.commands) if d.granted]
    assert granted.at.mono - began >= 9.5


def test_an_attack_in_one_name_does_not_keep_others_out() -> None:
    scene = Scene(NORMAL)
    attack(scene, 1, {ANN: SURE})
    scene.watch(face({BOB: SURE}, track=2, pad=0.9))
    assert scene.verdicts == [(Reason.SPOOF, "Ann"), GRANTED_BOB]


def test_a_photo_that_stays_is_one_attack() -> None:
    scene = Scene(NORMAL)
    scene.watch(face({}, pad=0.1), frames=600)
    assert scene.verdicts == [(Reason.SPOOF, None)]
    assert records(scene.commands) == []


def test_repeated_attacks_raise_an_alarm() -> None:
    scene = Scene(NORMAL)
    assert records(attack(scene, 1) + attack(scene, 2)) == []
    assert records(attack(scene, 3)) == [("repeated_attacks", "alarm")]
    scene.wait(400.0)
    assert records(attack(scene, 4) + attack(scene, 5)) == []


# --- the life of a visit --------------------------------------------------------------------------


def test_a_visit_closes_two_seconds_after_the_loss_and_rearms_at_once() -> None:
    scene = Scene(policy_with(cooldown_s=0.0))
    scene.watch(ann)
    scene.lose(1)
    scene.wait(2.0)
    scene.watch(face({ANN: SURE}, track=2))
    assert scene.verdicts == [GRANTED_ANN, GRANTED_ANN]


def test_a_track_that_breaks_is_the_same_visit() -> None:
    scene = Scene(policy_with(cooldown_s=0.0))
    scene.watch(ann)
    scene.lose(1)
    scene.wait(1.0)
    commands = scene.watch(face({ANN: SURE}, track=2), frames=50)
    assert scene.verdicts == [GRANTED_ANN]
    assert commands[-2:] == [Attention(settled=frozenset({2})), Lock("deadline")]
    assert len(scene.gate.visits) == 1


def test_a_visit_is_closed_in_time_though_the_tick_is_late() -> None:
    scene = Scene(policy_with(cooldown_s=0.0, frames=1))
    scene.see(ann)
    scene.lose(1)
    scene.now += 30.0
    scene.send(Observation(9, scene.now, 640, 480, (face({ANN: SURE}, track=2),)))
    assert scene.verdicts == [GRANTED_ANN, GRANTED_ANN]


def test_a_track_that_is_never_reported_lost_does_not_lock_its_person_out() -> None:
    scene = Scene(policy_with(cooldown_s=0.0))
    scene.watch(ann)
    scene.wait(10.0)  # the camera died, or the report was dropped
    assert not scene.gate.tracks
    assert not scene.gate.visits
    scene.watch(face({ANN: SURE}, track=2))
    assert scene.verdicts == [GRANTED_ANN, GRANTED_ANN]


def test_nothing_is_kept_of_the_thousands_who_passed() -> None:
    scene = Scene()
    for track in range(1, 1001):
        scene.see(face({ANN: SURE if track % 2 else STRANGE}, track=track), lost=(track - 1,))
    scene.lose(1000)
    scene.wait(5.0)
    assert not scene.gate.tracks
    assert not scene.gate.visits
    assert scene.gate.deadline is None


def test_a_loss_of_nobody_is_nothing() -> None:
    assert Scene().lose(7, 8) == []


def test_a_face_that_is_lost_in_its_own_frame_breaks_nothing() -> None:
    scene = Scene()
    assert scene.see(ann, lost=(1,)) == []
    assert not scene.gate.tracks


# --- attention ------------------------------------------------------------------------------------


def test_attempts_on_a_track_are_capped_and_taken_up_again() -> None:
    scene = Scene(policy_with(max_attempts=10))
    commands = scene.watch(stranger, frames=10)
    assert commands[-1] == Attention(settled=frozenset({1}))
    commands = scene.watch(face(None), frames=60)  # nothing is embedded meanwhile
    assert Attention(settled=frozenset()) in commands
    scene.watch(ann)
    assert scene.verdicts[-1] == GRANTED_ANN


def test_a_face_that_resembled_nobody_is_looked_at_now_and_then_until_one_frame_agrees() -> None:
    scene = Scene()
    assert Attention(strange=frozenset({1})) not in scene.watch(stranger, frames=5)
    assert scene.see(stranger)[-1] == Attention(strange=frozenset({1}))
    assert Attention() in scene.see(ann)
    scene.watch(ann, frames=2)
    assert scene.verdicts == [GRANTED_ANN]


def test_a_face_held_against_a_claim_is_never_strange() -> None:
    scene = Scene()
    scene.watch(stranger, frames=6)
    assert Attention() in scene.send(Expected(ANN, 10.0))


def test_attempts_from_afar_do_not_cost_the_person_at_the_door() -> None:
    scene = Scene(policy_with(max_attempts=10))
    far, near = face({ANN: UNSURE}, eye=20.0), face({ANN: SURE}, eye=40.0)
    scene.watch(far, frames=10)
    assert scene.gate.tracks[1].rests_until is not None
    assert Attention(settled=frozenset()) in scene.see(near)
    scene.watch(near, frames=2)
    assert scene.verdicts == [GRANTED_ANN]


def test_fewer_attempts_than_frames_still_lead_to_a_grant() -> None:
    scene = Scene(policy_with(max_attempts=2, frames=3))
    scene.watch(ann, frames=3)
    assert scene.verdicts == [GRANTED_ANN]


def test_a_denial_for_good_settles_the_track() -> None:
    scene = Scene(people=gallery(inactive=[ANN]))
    assert scene.watch(ann)[-1] == Attention(settled=frozenset({1}))
    assert scene.lose(1) == [Attention(settled=frozenset())]


def test_faces_are_matched_only_after_a_trigger() -> None:
    scene = Scene(policy_with(trigger=True, trigger_window_s=10.0))
    assert scene.watch(ann, frames=50) == []
    assert scene.send(Trigger("button")) == [Attention(watching=True)]
    scene.watch(ann, frames=2)
    assert scene.verdicts == []
    scene.see(ann)
    assert scene.verdicts == [GRANTED_ANN]
    assert scene.wait(10.0)[-1] == Attention(watching=False)


def test_the_trigger_input_of_the_door_opens_the_window_and_nothing_else() -> None:
    scene = Scene(policy_with(trigger=True, trigger_window_s=10.0))
    assert scene.send(DoorEvent(DoorEventKind.TRIGGER)) == [Attention(watching=True)]
    scene.watch(ann, frames=3)
    assert scene.verdicts == [GRANTED_ANN]


def test_the_window_of_a_trigger_ends() -> None:
    scene = Scene(policy_with(trigger=True, trigger_window_s=10.0))
    scene.send(Trigger("button"))
    assert scene.wait(10.0) == [Attention(watching=False)]
    assert scene.watch(ann, frames=20) == []


def test_a_trigger_in_the_window_prolongs_it() -> None:
    scene = Scene(policy_with(trigger=True, trigger_window_s=10.0))
    scene.send(Trigger("button"))
    scene.wait(8.0)
    assert scene.send(Trigger("button")) == []
    assert scene.wait(9.0) == []


def test_guidance_speaks_to_the_nearest_and_does_not_repeat_itself() -> None:
    scene = Scene()
    far = face(track=1, eye=20.0, flaws=("too_small",))
    near = face(track=2, eye=50.0, flaws=("extreme_pose",))
    assert scene.see(far, near) == [Notice(2, "extreme_pose")]
    assert scene.see(far, near) == []
    assert scene.see(far, replace(near, flaws=("too_dark",))) == [Notice(2, "too_dark")]
    assert scene.see(far, lost=(2,)) == [Notice(1, "too_small")]


# --- door -----------------------------------------------------------------------------------------


def test_rex_extends_a_grant_and_is_not_cut_short_by_it() -> None:
    scene = Scene()
    scene.watch(ann)
    scene.wait(2.0)
    rex = scene.send(REX)
    assert rex == [RecordEvent(at(scene.now), "door_rex", {"detail": ""}), Unlock(3.0, "rex")]
    scene.wait(10.0)
    assert scene.door == [(0.3, "unlock"), (2.3, "unlock"), (5.3, "lock")]


def test_rex_only_informs_where_it_is_wired_so() -> None:
    scene = Scene(policy_with(door=door_rules(rex_releases=False)))
    assert records(scene.send(REX)) == [("door_rex", "info")]
    assert scene.door == []


def test_a_grant_after_another_extends_and_never_stacks() -> None:
    scene = Scene()
    for track, who in enumerate((ANN, BOB), start=1):
        scene.watch(face({who: SURE}, track=track), frames=10)
    scene.wait(10.0)
    assert scene.door == [(0.3, "unlock"), (1.3, "unlock"), (4.3, "lock")]


def test_a_late_tick_still_locks() -> None:
    scene = Scene()
    scene.watch(ann)
    scene.now += 60.0
    assert scene.send(REX)[0] == Lock("deadline")


def test_fire_stops_every_relock_until_it_is_cleared() -> None:
    scene = Scene()
    scene.watch(ann)
    assert records(scene.send(FIRE)) == [("door_fire", "alarm")]
    scene.wait(60.0)
    scene.send(REX)
    scene.watch(face({BOB: SURE}, track=2))
    scene.send(OperatorUnlock("op", "drill"))
    scene.wait(60.0)
    assert "lock" not in [what for _, what in scene.door]
    assert scene.verdicts == [GRANTED_ANN, GRANTED_BOB]
    assert scene.send(FIRE_CLEARED)[-1] == Lock("fire cleared")
    scene.send(REX)
    assert scene.wait(3.0) == [Lock("deadline")]


def test_fire_wins_over_a_relock_that_is_due_at_the_same_moment() -> None:
    scene = Scene()
    scene.watch(ann)
    scene.now += 60.0
    assert not [c for c in scene.send(FIRE) if isinstance(c, Lock)]


def test_an_operator_opens_and_is_named_in_the_record_first() -> None:
    scene = Scene()
    record, unlock = scene.send(OperatorUnlock("op", "parcel", 8.0))
    assert isinstance(record, RecordEvent)
    assert (record.kind, record.actor, record.cause) == ("door_remote_unlock", "op", "parcel")
    assert "op" not in str(record.body)
    assert unlock == Unlock(8.0, "remote")
    scene.wait(60.0)
    assert scene.door == [(0.0, "unlock"), (8.0, "lock")]


@pytest.mark.parametrize(("asked", "given"), [(None, 3.0), (600.0, 30.0)])
def test_an_operator_opens_for_the_usual_time_and_never_for_longer_than_the_longest(
    asked: float | None, given: float
) -> None:
    scene = Scene()
    assert scene.send(OperatorUnlock("op", "", asked))[-1] == Unlock(given, "remote")


def test_an_operator_opens_nothing_unrecorded() -> None:
    scene = Scene()
    scene.send(JournalState(False))
    assert scene.send(OperatorUnlock("op", "parcel")) == [Notice(None, "log_unavailable")]


def test_a_door_that_opens_without_a_grant_is_forced() -> None:
    scene = Scene()
    opened = DoorEvent(DoorEventKind.CONTACT_OPEN)
    assert records(scene.send(opened)) == [("door_forced", "alarm")]
    scene.watch(ann)
    assert records(scene.send(opened)) == [("door_contact_open", "info")]
    scene.wait(5.0)
    scene.send(FIRE)
    assert records(scene.send(opened)) == [("door_contact_open", "info")]


@pytest.mark.parametrize(
    ("event", "kind", "severity"),
    [
        (DoorEvent(DoorEventKind.TAMPER, "lid"), "door_tamper", "alarm"),
        (DoorEvent(DoorEventKind.FAULT), "door_fault", "alarm"),
        (DoorEvent(DoorEventKind.CONTACT_CLOSED), "door_contact_closed", "info"),
        (DoorEvent(DoorEventKind.RELOCKED), "door_relocked", "info"),
        (CameraEvent(CameraEventKind.LOST, "unplugged"), "camera_lost", "alarm"),
        (CameraEvent(CameraEventKind.FROZEN), "camera_frozen", "alarm"),
        (CameraEvent(CameraEventKind.OPENED), "camera_opened", "info"),
    ],
)
def test_events_are_recorded_with_their_severity(
    event: DoorEvent | CameraEvent, kind: str, severity: Severity
) -> None:
    scene = Scene()
    (record,) = scene.send(event)
    assert record == RecordEvent(at(scene.now), kind, {"detail": event.detail}, severity)


# --- time -----------------------------------------------------------------------------------------


def test_an_idle_gate_wants_no_tick() -> None:
    assert Scene().gate.deadline is None


@pytest.mark.parametrize("start", [0.0, 0.1, 1234.567, 1e6 / 3, 9_876_543.21])
def test_a_tick_at_the_deadline_always_finds_its_work_due(start: float) -> None:
    scene = Scene(policy_with(max_attempts=3, visit_closes_after_s=0.3, denial_interval_s=0.7))
    scene.now = start
    for n in range(50):  # `wait` fails when a tick leaves the deadline where it was
        scene.watch(face({ANN: STRANGE}, track=n), frames=3)
        scene.send(REX)
        scene.see(lost=(n,), after=0.3)
        scene.wait(1.1)


def test_like_makes_the_cosines_that_it_is_asked_for() -> None:
    match = gallery().match(like({ANN: 0.6, BOB: 0.3}))
    assert match is not None
    assert match.similarity == pytest.approx(0.6, abs=1e-6)
    assert match.runner_up_similarity == pytest.approx(0.3, abs=1e-6)
