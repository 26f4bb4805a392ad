from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.challenge import (
    BACK,
    HELD,
    PROVING,
    Challenge,
    Movement,
    Posture,
    draw,
)
from gated.core.facial_motion import LEAST_FRAMES
from gated.core.messages import (
    Attention,
    Command,
    CredentialPresented,
    Expected,
    Notice,
    PlanReplaced,
)
from gated.core.pad import PAD_LEVELS, QUIET_NOISE
from gated.core.plan import AccessPlan, Pass, SiteRules
from gated.core.values import Method, PadReading, Reason, TrackedFace
from gated.core.visit import VisitState
from tests.core.policies import asking, policy_with
from tests.core.scenes import ANN, BOB, SURE, UNSURE, Scene, face, gallery, notices, person
from tests.core.test_facial_motion import frames

LEFT, RIGHT, UP = Movement.TURN_LEFT, Movement.TURN_RIGHT, Movement.LOOK_UP
BLINKS, CLOSER = Movement.BLINK_TWICE, Movement.COME_CLOSER
AHEAD = (0.0, 0.0, 0.3)


def posture(yaw: float = 0.0, pitch: float = 0.0, eyes: float = 0.3, eye: float = 60.0) -> Posture:
    return Posture((yaw, yaw), (pitch, pitch), eyes, eye)


def shown(wanted: Movement) -> list[Posture]:
    """The frames of somebody who does as they are told and comes back."""
    frame = {
        LEFT: posture(yaw=25.0),
        RIGHT: posture(yaw=-25.0),
        UP: posture(pitch=20.0),
        CLOSER: posture(eye=90.0),
    }
    if wanted is BLINKS:
        return [posture(eyes=0.1), posture(), posture(eyes=0.1), posture(), posture()]
    return [frame[wanted]] * HELD + [posture()]


def answer(challenge: Challenge, frames: Iterable[Posture]) -> Challenge:
    for frame in frames:
        challenge.see(frame)
    return challenge


# --- which movements ------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=40), st.integers(1, 1000), st.integers(1, 3))
def test_a_photo_that_only_comes_closer_is_never_enough(
    seed: bytes, number: int, count: int
) -> None:
    policy = asking(count)
    movements = draw(seed, number, policy)
    assert draw(seed, number, policy) == movements
    assert len(set(movements)) == len(movements) == count
    assert set(movements) & set(PROVING)
    assert set(movements) <= set(policy.movements)


def test_everything_is_asked_for_in_every_place() -> None:
    seen = {draw(b"seed", n, asking(2)) for n in range(200)}
    assert {first for first, _ in seen} == {last for _, last in seen} == set(asking(2).movements)
    assert {draw(b"seed", n, asking(2)) for n in range(20)} != {
        draw(b"another", n, asking(2)) for n in range(20)
    }


# --- whether they are shown -----------------------------------------------------------------------


@given(st.permutations(list(Movement)).map(lambda all_: all_[:2]))
def test_who_does_as_told_passes(movements: list[Movement]) -> None:
    challenge = Challenge(ANN, movements, 100.0)
    prompts = [challenge.prompt]
    challenge.see(posture())
    for movement in movements:
        prompts.append(challenge.prompt)
        answer(challenge, shown(movement))
    assert challenge.passed
    assert prompts[0] == BACK
    assert prompts[1] == movements[0]


@pytest.mark.parametrize("wanted", list(Movement))
@pytest.mark.parametrize("other", list(Movement))
def test_another_movement_is_no_answer(wanted: Movement, other: Movement) -> None:
    challenge = Challenge(ANN, [wanted], 100.0)
    answer(challenge, [posture(), *shown(other)])
    assert challenge.passed == (wanted is other)
    assert challenge.failed == ({wanted, other} == {LEFT, RIGHT})


def test_the_order_counts() -> None:
    challenge = Challenge(ANN, [UP, LEFT], 100.0)
    answer(challenge, [posture(), *shown(LEFT), *shown(UP)])
    assert (challenge.passed, challenge.done) == (False, 1)


def test_one_frame_shows_nothing() -> None:
    challenge = Challenge(ANN, [LEFT], 100.0)
    answer(challenge, [posture(), posture(yaw=30.0), posture(), posture(yaw=30.0), posture()])
    assert not challenge.passed


def test_both_measures_have_to_agree() -> None:
    """A tilted photo moves the mesh, and the landmarks hardly."""
    challenge = Challenge(ANN, [LEFT], 100.0)
    answer(challenge, [posture(), *[replace(posture(), yaw=(12.0, 30.0))] * 9])
    assert challenge.done == 0


def test_a_movement_begins_and_ends_before_the_camera() -> None:
    challenge = Challenge(ANN, [LEFT], 100.0)
    answer(challenge, [posture(yaw=25.0)] * 9)
    assert challenge.prompt == BACK
    answer(challenge, [posture(), *[posture(yaw=25.0)] * 9])
    assert (challenge.done, challenge.passed, challenge.prompt) == (1, False, BACK)
    assert answer(challenge, [posture(yaw=5.0)]).passed


def test_in_a_mirrored_picture_left_is_left() -> None:
    challenge = Challenge(ANN, [LEFT], 100.0, mirrored=True)
    assert answer(challenge, [posture(), *shown(RIGHT)]).passed


def test_eyes_that_close_because_the_picture_is_tilted_are_no_blink() -> None:
    tilted = posture(pitch=8.0, eyes=0.15)
    challenge = Challenge(ANN, [BLINKS], 100.0)
    assert not answer(challenge, [posture(), *[tilted, posture()] * 4]).passed


# --- at the gate ----------------------------------------------------------------------------------

ASKING = policy_with(pad=PAD_LEVELS["challenge"], challenge=asking(2, movements=(LEFT, UP)))
YAWS = {LEFT: (25.0, 0.0, 0.3), UP: (0.0, 20.0, 0.3)}


def ann(
    mesh: tuple[float, float, float] = AHEAD, looks: float = SURE, pad: float = 0.9
) -> TrackedFace:
    return face({ANN: looks}, pad=pad, mesh=mesh)


def prompted(commands: Iterable[Command]) -> list[Notice]:
    return [c for c in commands if isinstance(c, Notice) and c.steps]


def obey(scene: Scene, turns: TrackedFace | None = None) -> list[Command]:
    """Ann does what the gate says, for as long as it takes; `turns`: whose head moves for hers."""
    commands = scene.watch(ann(), frames=6)
    for _ in range(12):
        challenge = scene.gate.tracks[1].challenge
        if challenge is None or challenge.passed:
            break
        prompt = challenge.prompt
        moved = ann() if prompt == BACK else ann(YAWS[Movement(prompt)])
        if turns is not None and prompt != BACK:
            moved = replace(turns, mesh=moved.mesh, quality=moved.quality)
        commands += scene.watch(moved, frames=2)
    return commands + scene.watch(ann(), frames=3)


def test_who_moves_as_asked_is_granted() -> None:
    scene = Scene(ASKING)
    commands = obey(scene)
    scene.wait(30.0)
    assert scene.verdicts == [(Reason.GRANTED, "Ann")]
    prompts = prompted(commands)
    assert prompts[0].code == BACK
    assert {p.code for p in prompts} == {BACK, LEFT, UP}
    assert [p.done for p in prompts] == sorted(p.done for p in prompts)
    assert all(p.steps == 2 and p.track_id == 1 for p in prompts)
    left = [p.seconds_left or 0.0 for p in prompts]
    assert left[0] == 12.0
    assert left == sorted(left, reverse=True)


def test_the_mesh_is_wanted_only_of_who_is_asked() -> None:
    scene = Scene(ASKING)
    commands = scene.watch(ann(), face({}, track=2, pad=0.9), frames=5)
    assert [c.challenged for c in commands if isinstance(c, Attention)] == [frozenset({1})]
    obey(scene)
    assert scene.gate._attention.challenged == frozenset()


def test_who_does_nothing_is_refused_in_time_and_may_try_again() -> None:
    scene = Scene(ASKING)
    scene.watch(ann(), frames=130)
    assert scene.verdicts == [(Reason.CHALLENGE_FAILED, "Ann")]
    scene.watch(ann(), frames=50)
    obey(scene)
    assert scene.verdicts[1:] == [(Reason.GRANTED, "Ann")]


def test_who_disappears_is_refused_in_time() -> None:
    scene = Scene(ASKING)
    scene.watch(ann(), frames=6)
    for _ in range(5):
        scene.see(face(flaws=("extreme_pose",)), after=3.0)
    assert scene.verdicts == [(Reason.CHALLENGE_FAILED, "Ann")]


def test_who_leaves_leaves_a_trace() -> None:
    scene = Scene(ASKING)
    scene.watch(ann(), frames=6)
    scene.lose(1)
    assert scene.verdicts == [(Reason.CHALLENGE_FAILED, "Ann")]


@pytest.mark.parametrize("helper", [face({BOB: SURE}, pad=0.9), face({ANN: UNSURE}, pad=0.9)])
def test_nobody_turns_their_head_for_somebody_else(helper: TrackedFace) -> None:
    scene = Scene(ASKING)
    obey(scene, helper)
    assert scene.door == []


def test_an_attack_in_the_middle_is_an_attack() -> None:
    scene = Scene(ASKING)
    scene.watch(ann(), frames=5)
    scene.watch(ann(pad=0.0), frames=60)
    assert scene.verdicts == [(Reason.SPOOF, "Ann")]


def test_without_a_mesh_nobody_passes() -> None:
    scene = Scene(ASKING)
    scene.watch(face({ANN: SURE}, pad=0.9), frames=400)
    assert {reason for reason, _ in scene.verdicts} == {Reason.CHALLENGE_FAILED}


def test_who_is_switched_off_meanwhile_is_not_granted() -> None:
    scene = Scene(ASKING)
    scene.watch(ann(), frames=6)
    scene.enrol(ANN, BOB, inactive=[ANN])
    obey(scene)
    assert scene.verdicts == [(Reason.INACTIVE, "Ann")]


def test_the_time_to_answer_is_not_cut_by_the_card() -> None:
    scene = Scene(replace(ASKING, trigger=True))
    scene.send(Expected(ANN, 1.0))
    obey(scene)
    assert scene.verdicts == [(Reason.GRANTED, "Ann")]


def test_who_has_passed_and_is_to_show_a_card_has_not_failed() -> None:
    """The card may come when the time for the movements is over."""
    scene = Scene(ASKING)
    passes = {ANN: Pass(person(ANN), two_factors=True)}
    scene.send(PlanReplaced(AccessPlan(people=passes, rules=SiteRules(partner_s=30.0))))
    obey(scene)
    assert "needs_second_factor" in notices(scene.commands)
    for _ in range(15):
        scene.see(ann(), after=1.0)
    assert scene.verdicts == []
    scene.send(CredentialPresented(Method.CARD, ANN))
    assert scene.verdicts == [(Reason.GRANTED, "Ann")]


def test_what_was_passed_before_the_card_did_not_come_counts_no_more() -> None:
    scene = Scene(ASKING)
    passes = {ANN: Pass(person(ANN), two_factors=True)}
    scene.send(PlanReplaced(AccessPlan(people=passes)))
    obey(scene)
    for _ in range(16):
        scene.see(ann(), after=1.0)
    assert [reason for reason, _ in scene.verdicts] == [Reason.SECOND_FACTOR_MISSING]
    asked = len(prompted(scene.commands))
    for _ in range(6):
        scene.see(ann(), after=1.0)
    assert len(prompted(scene.commands)) > asked, "who stays is asked for movements again"


def test_the_same_seed_asks_for_the_same() -> None:
    first, second = Scene(ASKING), Scene(ASKING)
    assert notices(obey(first)) == notices(obey(second))
    other = Scene(ASKING, gallery())
    other.gate.challenger.seed = b""
    other.watch(ann(), frames=30)
    assert other.verdicts == [(Reason.LIVENESS_UNDECIDED, "Ann")]


# --- in pictures without colour ---------------------------------------------------------------

IN_THE_DARK = replace(ASKING, challenge=replace(ASKING.challenge, infra_red=True))


def in_infra_red(scene: Scene) -> list[tuple[Reason, str | None]]:
    """Ann does what the gate says before a camera that sees no colour."""
    grey = PadReading(None, grey=True)
    scene.watch(replace(ann(), pad=grey), frames=6)
    for _ in range(12):
        challenge = scene.gate.tracks[1].challenge
        if challenge is None or challenge.passed:
            break
        prompt = challenge.prompt
        moved = ann() if prompt == BACK else ann(YAWS[Movement(prompt)])
        scene.watch(replace(moved, pad=grey), frames=2)
    scene.watch(replace(ann(), pad=grey), frames=3)
    return scene.verdicts


def test_in_infra_red_who_moves_as_asked_is_granted_where_it_is_so_set() -> None:
    assert in_infra_red(Scene(IN_THE_DARK)) == [(Reason.GRANTED, "Ann")]
    stepping = replace(IN_THE_DARK, challenge=replace(IN_THE_DARK.challenge, doubt_s=0.0))
    assert in_infra_red(Scene(stepping)) == [(Reason.GRANTED, "Ann")]
    assert (Reason.GRANTED, "Ann") not in in_infra_red(Scene(ASKING))


def test_in_infra_red_talking_is_not_enough() -> None:
    scene = Scene(replace(IN_THE_DARK, challenge=replace(IN_THE_DARK.challenge, doubt_s=1.0)))
    for seen in filmed("talking"):
        scene.watch(replace(seen, pad=PadReading(None, grey=True)), frames=1)
    assert scene.verdicts == []


def test_an_attack_in_colour_is_none_in_infra_red_either() -> None:
    scene = Scene(IN_THE_DARK)
    scene.watch(ann(pad=0.0), frames=8)
    assert in_infra_red(scene)[0] == (Reason.SPOOF, "Ann")
    assert (Reason.GRANTED, "Ann") not in scene.verdicts


# --- in doubt only ----------------------------------------------------------------------------

STEPPING_UP = replace(
    ASKING, pad=PAD_LEVELS["strict"], challenge=replace(ASKING.challenge, doubt_s=1.0)
)


def filmed(kind: str, count: int = 30, noise: float = 0.0) -> list[TrackedFace]:
    """Ann in frames in which her face moves by itself, or like a mask."""
    seen = ann()
    assert seen.mesh is not None
    return [
        replace(
            face({ANN: SURE}, pad=0.9, mesh=AHEAD, noise=noise), mesh=replace(seen.mesh, shape=s)
        )
        for s in frames(kind, count)
    ]


def test_who_is_seen_to_talk_is_asked_for_nothing() -> None:
    scene = Scene(STEPPING_UP)
    commands = [c for f in filmed("talking") for c in scene.watch(f, frames=1)]
    assert scene.verdicts == [(Reason.GRANTED, "Ann")]
    assert prompted(commands) == []


def test_who_keeps_still_is_asked_after_a_moment_and_let_in_when_they_move() -> None:
    scene = Scene(STEPPING_UP)
    still = filmed("rigid", 1)[0]
    early = scene.watch(still, frames=LEAST_FRAMES - 1)
    assert (prompted(early), scene.verdicts) == ([], [])
    assert scene.gate.tracks[1].visit.state is VisitState.PENDING
    commands = scene.watch(still, frames=2)
    assert [n.code for n in prompted(commands)][:1] == [BACK]
    obey(scene)
    assert scene.verdicts == [(Reason.GRANTED, "Ann")]


def test_a_mask_that_moves_like_a_mask_is_not_let_in() -> None:
    scene = Scene(STEPPING_UP)
    commands = [c for f in filmed("rigid") for c in scene.watch(f, frames=1)]
    assert prompted(commands)
    scene.watch(filmed("rigid")[0], frames=130)
    assert {reason for reason, _ in scene.verdicts} == {Reason.CHALLENGE_FAILED}


def test_the_mesh_trembles_in_noise_and_shows_nothing_there() -> None:
    scene = Scene(STEPPING_UP)
    for seen in filmed("talking", noise=QUIET_NOISE):
        scene.watch(seen, frames=1)
    assert scene.verdicts == []


def test_a_strangers_moving_face_does_not_vouch_for_a_mask() -> None:
    scene = Scene(STEPPING_UP)
    stranger = face({}, pad=0.9, mesh=AHEAD)
    for seen in filmed("talking"):
        scene.watch(replace(stranger, mesh=seen.mesh), frames=1)
    scene.watch(ann(), frames=6)
    assert (Reason.GRANTED, "Ann") not in scene.verdicts
