"""Waiting for what is missing, and what happens meanwhile."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.messages import (
    CredentialPresented,
    JournalState,
    LastPunches,
    Observation,
    PlanReplaced,
    SetDoorMode,
    Tick,
    Unlock,
)
from gated.core.pad import PAD_LEVELS
from gated.core.plan import AccessPlan, AntiPassback, Pass, SiteRules
from gated.core.policy import GatePolicy
from gated.core.schedule import Hours, Schedule
from gated.core.values import Direction, DoorMode, Method, Reason, TrackedFace
from tests.core.policies import policy_with
from tests.core.scenes import (
    ANN,
    BOB,
    CLEO,
    SURE,
    Scene,
    at,
    decisions,
    face,
    gallery,
    notices,
    person,
    reasons,
    records,
)

PATIENCE = 15.0
ann, bob = face({ANN: SURE}), face({BOB: SURE}, track=2)
ANNS_CARD, BOBS_CARD = CredentialPresented(Method.CARD, ANN), CredentialPresented(Method.CARD, BOB)
ANNS_PIN = CredentialPresented(Method.PIN, ANN)
NOBODYS = CredentialPresented(Method.CARD, None)


def plan(rules: SiteRules | None = None, **anns: Any) -> PlanReplaced:
    """Rules for Ann, Bob and Cleo, of whom Ann has some of her own."""
    passes = {n: Pass(person(n)) for n in (BOB, CLEO)}
    passes[ANN] = Pass(person(ANN), **anns)
    return PlanReplaced(AccessPlan(people=passes, rules=rules or SiteRules()))


def scene(rules: SiteRules | None = None, policy: GatePolicy | None = None, **anns: Any) -> Scene:
    here = Scene(policy)
    here.send(plan(rules, **anns))
    return here


def opened(here: Scene) -> int:
    return sum(isinstance(command, Unlock) for command in here.commands)


# --- a second factor ------------------------------------------------------------------------------


def test_the_question_is_asked_once_and_answered_late_comes_to_nothing() -> None:
    here = scene(two_factors=True)
    assert notices(here.watch(ann, frames=20)).count("needs_second_factor") == 1
    here.lose(1)
    assert reasons(here.wait(PATIENCE - 3.0)) == []
    assert reasons(here.wait(2.0)) == [Reason.SECOND_FACTOR_MISSING]
    assert notices(here.send(ANNS_CARD)) == ["needs_face"]
    assert opened(here) == 0


def test_both_factors_are_told() -> None:
    here = scene(two_factors=True)
    here.watch(ann)
    (granted,) = decisions(here.send(ANNS_CARD))
    assert granted.granted
    assert (granted.method, granted.factors) == (Method.FACE, (Method.CARD, Method.FACE))
    assert granted.frames == 3, "the face that was seen is in the row"


def test_a_rule_may_go_away_while_somebody_waits() -> None:
    here = scene(two_factors=True)
    here.watch(ann)
    here.send(plan())
    assert reasons(here.see(ann)) == [Reason.GRANTED]


def test_a_rule_may_come_while_somebody_waits() -> None:
    here = scene(two_factors=True)
    here.watch(ann)
    here.send(plan(active=False, two_factors=True))
    assert reasons(here.send(ANNS_CARD)) == [Reason.INACTIVE]
    assert opened(here) == 0


@pytest.mark.parametrize("people", [[BOB], []])
def test_who_is_removed_does_not_wait_any_more(people: list[int]) -> None:
    here = scene(two_factors=True)
    here.watch(ann)
    here.lose(1)
    here.enrol(*people)
    assert reasons(here.wait(2 * PATIENCE)) == []
    assert notices(here.send(ANNS_CARD)) == ["needs_face"]


def test_nobody_is_let_in_unrecorded_after_waiting() -> None:
    here = scene(two_factors=True)
    here.watch(ann)
    here.send(JournalState(False))
    assert reasons(here.send(ANNS_CARD)) == [Reason.LOG_UNAVAILABLE]


def test_a_photo_held_up_meanwhile_stops_the_second_factor() -> None:
    policy = policy_with(pad=PAD_LEVELS["normal"], lockout_s=30.0)
    here = scene(policy=policy, two_factors=True)
    here.watch(face({ANN: SURE}, pad=0.9))
    here.watch(face({ANN: SURE}, track=7, pad=0.01), frames=6)
    assert here.verdicts[-1][0] is Reason.SPOOF
    here.send(ANNS_CARD)
    assert opened(here) == 0


# --- cards ----------------------------------------------------------------------------------------


def test_a_card_of_nobody_is_told_once_however_often_it_is_shown() -> None:
    here = scene()
    seen = []
    for _ in range(20):
        here.wait(0.2)
        seen += reasons(here.send(NOBODYS))
    assert seen == [Reason.UNKNOWN_CREDENTIAL]


def test_somebody_whom_no_rule_speaks_of_has_no_card() -> None:
    assert reasons(scene().send(CredentialPresented(Method.CARD, 99))) == [
        Reason.UNKNOWN_CREDENTIAL
    ]


def test_a_card_shown_twice_opens_once() -> None:
    here = scene(face=False)
    assert reasons(here.send(ANNS_CARD)) == [Reason.GRANTED]
    here.wait(0.5)
    assert reasons(here.send(ANNS_CARD)) == [Reason.COOLDOWN]
    assert opened(here) == 1


def test_a_card_and_then_the_face_are_one_visit() -> None:
    here = scene()
    assert notices(here.send(ANNS_CARD)) == ["needs_face"]
    (granted,) = decisions(here.watch(ann, frames=6))
    assert (granted.method, granted.factors) == (Method.CARD, (Method.CARD, Method.FACE))
    assert here.gate.claim is None
    assert reasons(here.wait(2 * PATIENCE)) == []


def test_a_gate_that_waits_for_cards_looks_at_nobody_else() -> None:
    here = scene(policy=policy_with(trigger=True))
    assert here.watch(ann, frames=6) == []
    here.send(ANNS_CARD)
    assert reasons(here.watch(bob, frames=6)) == []
    assert reasons(here.watch(ann, frames=6)) == [Reason.GRANTED]


def test_a_refused_card_may_be_accepted_a_moment_later() -> None:
    here = scene(face=False, valid_until=0.0)
    assert reasons(here.send(ANNS_CARD)) == [Reason.EXPIRED]
    here.send(plan(face=False))
    assert reasons(here.send(ANNS_CARD)) == [Reason.GRANTED]


# --- company --------------------------------------------------------------------------------------


def test_two_persons_are_let_in_by_one_opening_each_with_a_row() -> None:
    here = scene(SiteRules(two_person=True))
    here.watch(ann)
    granted = decisions(here.watch(bob))
    assert [d.person and d.person.id for d in granted] == [BOB, ANN]
    assert {d.visit for d in granted} == {1, 2}
    assert here.door[0][1] == "unlock"


def test_one_person_is_not_two_with_a_card() -> None:
    here = scene(SiteRules(two_person=True))
    here.watch(ann)
    assert reasons(here.send(ANNS_CARD)) == []
    assert opened(here) == 0


def test_the_first_is_not_let_in_when_something_is_against_them_by_then() -> None:
    here = scene(SiteRules(two_person=True, partner_s=30.0))
    here.watch(ann)
    here.send(plan(SiteRules(two_person=True), active=False))
    assert [d.person and d.person.id for d in decisions(here.watch(bob))] == [BOB]


# --- whatever happens -----------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["face", "card", "pin"]), st.sampled_from([ANN, BOB, CLEO])),
        st.tuples(st.just("wait"), st.sampled_from([1, 6, 16])),
    ),
    max_size=25,
)


@given(steps=STEPS, two_factors=st.booleans())
def test_nobody_is_let_in_with_less_than_the_rules_ask_for(
    steps: list[tuple[str, int]], two_factors: bool
) -> None:
    """Ann is without a face, Bob has one, Cleo needs a second factor everywhere."""
    passes = {
        ANN: Pass(person(ANN), face=False),
        BOB: Pass(person(BOB)),
        CLEO: Pass(person(CLEO), two_factors=True),
    }
    rules = SiteRules(AntiPassback.SOFT, two_factors=0 if two_factors else None)
    here = Scene(policy_with(direction=Direction.ENTRY, cooldown_s=0.0), gallery([BOB, CLEO]))
    here.send(PlanReplaced(AccessPlan(people=passes, rules=rules)))
    shown: dict[int, dict[str, float]] = defaultdict(dict)
    for track, (what, whom) in enumerate(steps, start=10):
        before = len(here.verdicts)
        if what == "wait":
            here.wait(float(whom))
        elif what == "face":
            looks = {} if whom == ANN else {whom: SURE}
            here.watch(face(looks, track=track, eye=20.0))
            shown[whom]["face"] = here.now
            here.send(Observation(track, here.now, 640, 480, lost=(track,)))
        else:
            shown[whom][what] = here.now
            here.send(CredentialPresented(Method(what), whom))
        for reason, name in here.verdicts[before:]:
            if reason is Reason.GRANTED:
                id_ = next(n for n in (ANN, BOB, CLEO) if person(n).name == name)
                fresh = {k for k, t in shown[id_].items() if here.now - t <= PATIENCE}
                assert len(fresh) >= 1 + (two_factors or id_ == CLEO)
                assert id_ == ANN or "face" in fresh
                shown[id_].clear()
    here.wait(60.0)
    assert not here.gate.admission.access.waiting


def test_what_time_had_forgiven_before_a_start_is_no_news() -> None:
    here = scene(SiteRules(AntiPassback.HARD, forgive_after_s=60.0))
    entered = at(here.now).utc
    here.send(
        LastPunches({ANN: (Direction.ENTRY, entered - 61.0), BOB: (Direction.ENTRY, entered)})
    )
    assert records(here.send(Tick())) == []
    here.wait(61.0)
    assert records(here.send(Tick())) == [("presence_forgiven", "info")]


# --- the first one in -----------------------------------------------------------------------------

NOON_TO_TWO = Schedule(1, "noon to two", ((Hours(12 * 60, 14 * 60),),) * 7)


def with_first_in() -> Scene:
    """A door that the first entry between noon and two frees; it is noon."""
    here = Scene()
    people = {n: Pass(person(n)) for n in (ANN, BOB, CLEO)}
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
    here.now += (noon - at(here.now).utc) % 86400.0
    hours = AccessPlan(people=people, schedules={1: NOON_TO_TWO}, rules=SiteRules(first_in=1))
    here.send(PlanReplaced(hours))
    return here


def come(here: Scene, who: TrackedFace) -> None:
    here.watch(who)
    here.lose(who.track_id)
    here.wait(10.0)


def mode_of(here: Scene) -> DoorMode | None:
    return here.gate.state.mode


def test_the_first_one_in_frees_the_door_until_the_hours_end() -> None:
    here = with_first_in()
    assert mode_of(here) is DoorMode.NORMAL
    come(here, ann)
    assert mode_of(here) is DoorMode.FREE_ACCESS
    here.wait(7000.0)
    assert mode_of(here) is DoorMode.FREE_ACCESS
    here.wait(300.0)
    assert mode_of(here) is DoorMode.NORMAL
    come(here, bob)
    assert mode_of(here) is DoorMode.NORMAL, "the hours are over"
    here.wait(86400.0 - 7300.0)
    come(here, bob)
    assert mode_of(here) is DoorMode.FREE_ACCESS, "the first one of the next day"


def test_what_somebody_sets_in_the_hours_of_the_first_one_in_stays() -> None:
    here = with_first_in()
    come(here, ann)
    here.send(SetDoorMode(DoorMode.NORMAL, "eve", "a stranger is about"))
    come(here, bob)
    assert mode_of(here) is DoorMode.NORMAL, "the second one in is not the first"
    here.send(SetDoorMode(DoorMode.FREE_ACCESS, "eve", "a delivery until three"))
    here.wait(7300.0)
    assert mode_of(here) is DoorMode.FREE_ACCESS, "somebody has set that"
