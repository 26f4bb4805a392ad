from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gated.core.access import RULES, AccessRules, Need, Request, Verdict, Waiting
from gated.core.messages import Decision
from gated.core.plan import AccessGroup, AccessPlan, AntiPassback, Pass, SiteRules, UnsetClock
from gated.core.presence import forgiven_before
from gated.core.schedule import ALWAYS, Hours, Schedule
from gated.core.values import Direction, Instant, Method, Outcome, Reason
from tests.core.scenes import ANN, BOB, at, person

DAY_SHIFT = Schedule(1, "day shift", ((Hours(8 * 60, 17 * 60),),) * 7)
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)

ann, bob = Request(person(ANN)), Request(person(BOB))
CARD = frozenset({Method.CARD})


def monday(hour: float, clock_ok: bool = True) -> Instant:
    return Instant(hour * 3600, MONDAY.timestamp() + hour * 3600, clock_ok)


def rules(*passes: Pass, groups: Iterable[AccessGroup] = (), **site: Any) -> AccessRules:
    """The rules of a gate with these people; `site` are its SiteRules, `ungrouped` those of it."""
    plan = AccessPlan(
        schedules={1: DAY_SHIFT},
        groups={g.id: g for g in groups},
        people={p.person.id: p for p in passes},
        ungrouped=site.pop("ungrouped", (ALWAYS,)),
        rules=SiteRules(**site),
    )
    return AccessRules(cooldown_s=0.0, plan=plan)


def anns(**own: Any) -> Pass:
    return Pass(person(ANN), **own)


def waits(access: AccessRules, request: Request, need: Need, until: float) -> None:
    decision = Decision(at(0), Outcome.GRANTED, Reason.GRANTED, request.person)
    verdict = Verdict(Reason.SECOND_PERSON_MISSING, need.value, need=need)
    access.waiting[request.person.id] = Waiting(request, decision, verdict, until)


# --- who, unrecorded, again -----------------------------------------------------------------------


def test_who_is_active_may_pass() -> None:
    assert AccessRules().check(ann, at(0)) == Verdict()


def test_who_is_inactive_may_not_whatever_else_holds() -> None:
    access = AccessRules(journal_available=False)
    assert access.check(replace(ann, active=False), at(0)).reason is Reason.INACTIVE


def test_who_has_no_photo_can_be_inactive_as_well() -> None:
    assert rules(anns(active=False)).check(ann, at(0)).reason is Reason.INACTIVE


def test_nobody_passes_unrecorded() -> None:
    verdict = AccessRules(journal_available=False).check(ann, at(0))
    assert verdict.reason is Reason.LOG_UNAVAILABLE


def test_the_cooldown_holds_for_the_person_and_ends() -> None:
    access = AccessRules(cooldown_s=3.0)
    access.granted(ann, at(10))
    assert access.check(ann, at(12.9)).reason is Reason.COOLDOWN
    assert access.check(bob, at(12.9)).granted
    assert access.check(ann, at(13)).granted


def test_a_check_starts_no_cooldown() -> None:
    access = AccessRules(cooldown_s=3.0)
    assert access.check(ann, at(0)) == access.check(ann, at(1)) == Verdict()


def test_no_cooldown_configured() -> None:
    access = AccessRules(cooldown_s=0.0)
    access.granted(ann, at(10))
    assert access.check(ann, at(10)).granted


def test_years_of_grants_are_not_remembered() -> None:
    access = AccessRules(cooldown_s=3.0)
    for n in range(5000):
        access.granted(Request(person(n)), at(float(n)))
    assert len(access.last_grant) <= 1025
    assert access.check(Request(person(4999)), at(5000.0)).reason is Reason.COOLDOWN


# --- schedules, groups, validity ------------------------------------------------------------------


def test_a_group_opens_the_door_while_its_schedule_is_open() -> None:
    access = rules(anns(groups=(7,)), groups=[AccessGroup(7, "staff", (1,))])
    assert access.check(ann, monday(8)).granted
    late = access.check(ann, monday(17))
    assert (late.reason, late.rule) == (Reason.OUTSIDE_SCHEDULE, "schedule day shift")
    assert late.text == "closed at Monday, 2026-11-23 17:00: day shift"


def test_any_of_several_groups_will_do() -> None:
    groups = [AccessGroup(7, "staff", (1,)), AccessGroup(8, "guards", (ALWAYS,))]
    access = rules(anns(groups=(7, 8)), groups=groups)
    assert access.check(ann, monday(3)).granted


def test_a_group_that_does_not_open_this_door() -> None:
    access = rules(anns(groups=(9,)), groups=[AccessGroup(9, "warehouse")])
    verdict = access.check(ann, monday(12))
    assert (verdict.reason, verdict.rule) == (Reason.NO_ACCESS, "group warehouse")


def test_who_is_in_no_group_is_told_apart() -> None:
    groups = [AccessGroup(7, "staff", (ALWAYS,))]
    assert rules(groups=groups).check(ann, monday(12)).granted
    assert rules(groups=groups, ungrouped=()).check(ann, monday(12)).reason is Reason.NO_ACCESS
    assert rules(ungrouped=(1,)).check(ann, monday(18)).reason is Reason.OUTSIDE_SCHEDULE


def test_a_group_that_is_gone_says_nothing() -> None:
    access = rules(anns(groups=(99,)), ungrouped=())
    assert access.check(ann, monday(12)).reason is Reason.NO_ACCESS


def test_a_schedule_that_is_gone_is_closed() -> None:
    access = rules(anns(groups=(7,)), groups=[AccessGroup(7, "staff", (5,))])
    assert access.check(ann, monday(12)).reason is Reason.OUTSIDE_SCHEDULE


@pytest.mark.parametrize(
    ("hour", "reason"),
    [(9, Reason.NOT_YET_VALID), (10, Reason.GRANTED), (11, Reason.GRANTED), (12, Reason.EXPIRED)],
)
def test_validity_begins_and_ends(hour: float, reason: Reason) -> None:
    access = rules(anns(valid_from=monday(10).utc, valid_until=monday(12).utc))
    assert access.check(ann, monday(hour)).reason is reason


def test_a_visit_is_over_at_its_end() -> None:
    verdict = rules(anns(valid_until=monday(12).utc, visitor=True)).check(ann, monday(12))
    assert (verdict.reason, verdict.rule) == (Reason.VISIT_OVER, "visitor")
    assert verdict.text == "the visit ended 2026-11-23 12:00"


# --- the clock ------------------------------------------------------------------------------------


def test_an_unset_clock_refuses_what_is_bound_to_time_and_nothing_else() -> None:
    groups = [AccessGroup(7, "staff", (1,)), AccessGroup(8, "guards", (ALWAYS,))]
    access = rules(anns(groups=(7,)), Pass(person(BOB), groups=(8,)), groups=groups)
    verdict = access.check(ann, monday(12, clock_ok=False))
    assert (verdict.reason, verdict.rule) == (Reason.CLOCK_UNSET, "schedule day shift")
    assert access.check(bob, monday(12, clock_ok=False)).granted


def test_an_unset_clock_refuses_dates() -> None:
    access = rules(anns(valid_until=monday(99).utc))
    assert access.check(ann, monday(12, clock_ok=False)).reason is Reason.CLOCK_UNSET


def test_a_clock_can_be_trusted_in_words() -> None:
    access = rules(ungrouped=(1,), unset_clock=UnsetClock.TRUST)
    assert access.check(ann, monday(12, clock_ok=False)).granted
    assert access.check(ann, monday(20, clock_ok=False)).reason is Reason.OUTSIDE_SCHEDULE


def test_an_unset_clock_demands_the_second_factor_of_the_night() -> None:
    access = rules(two_factors=1)
    assert access.check(ann, monday(20)).granted
    assert access.check(ann, monday(20, clock_ok=False)).need is Need.SECOND_FACTOR


# --- anti-passback and occupancy ------------------------------------------------------------------


def test_hard_anti_passback_asks_for_an_exit() -> None:
    access = rules(anti_passback=AntiPassback.HARD)
    access.granted(ann, monday(8))
    verdict = access.check(ann, monday(9))
    assert (verdict.reason, verdict.rule) == (Reason.ANTI_PASSBACK, "anti_passback hard")
    assert verdict.text == "inside since 2026-11-23 08:00, without an exit"
    access.granted(replace(ann, direction=Direction.EXIT), monday(10))
    assert access.check(ann, monday(11)).granted


def test_an_exit_is_never_an_offence() -> None:
    access = rules(anti_passback=AntiPassback.HARD)
    assert access.check(replace(ann, direction=Direction.EXIT), monday(8)) == Verdict()


def test_soft_anti_passback_lets_in_and_says_so() -> None:
    access = rules(anti_passback=AntiPassback.SOFT)
    access.granted(ann, monday(8))
    assert access.check(ann, monday(9)) == Verdict(flags=("anti_passback",))
    assert access.check(bob, monday(9)) == Verdict()


def test_timed_anti_passback_ends() -> None:
    access = rules(anti_passback=AntiPassback.TIMED, timed_s=600)
    access.granted(ann, monday(8))
    assert access.check(ann, monday(8.16)).reason is Reason.ANTI_PASSBACK
    assert access.check(ann, monday(8.17)).granted


def test_who_is_exempt_is_held_up_by_neither() -> None:
    access = rules(anns(exempt=True), anti_passback=AntiPassback.HARD, occupancy=1)
    access.granted(ann, monday(8))
    access.granted(bob, monday(8))
    assert access.check(ann, monday(9)).granted


def test_the_limit_of_people_inside() -> None:
    access = rules(occupancy=1)
    access.granted(ann, monday(8))
    verdict = access.check(bob, monday(9))
    assert (verdict.reason, verdict.text) == (Reason.OCCUPANCY, "1 of at most 1 are inside")
    assert access.check(ann, monday(9)).granted, "who is counted already takes no room"
    access.granted(replace(ann, direction=Direction.EXIT), monday(10))
    assert access.check(bob, monday(11)).granted


def test_time_forgives_unless_nobody_has_set_the_clock() -> None:
    access = rules(anti_passback=AntiPassback.HARD, forgive_after_s=3600)
    access.granted(ann, monday(8))
    assert access.forgive_by_time(monday(9)) == 0
    assert access.forgive_by_time(monday(9.1, clock_ok=False)) == 0
    assert access.forgive_by_time(monday(9.1)) == 1
    assert access.check(ann, monday(9.1)).granted


# --- factors --------------------------------------------------------------------------------------


def test_a_card_is_enough_for_who_is_not_recognised_by_face() -> None:
    access = rules(anns(face=False))
    assert access.check(replace(ann, factors=CARD), at(0)).granted
    assert access.check(ann, at(0)).reason is Reason.FACE_NOT_ACCEPTED


def test_a_card_of_somebody_with_a_face_asks_for_it() -> None:
    verdict = rules().check(replace(ann, factors=CARD), at(0))
    assert (verdict.reason, verdict.need) == (Reason.FACE_MISSING, Need.FACE)
    assert rules().check(replace(ann, factors=CARD | {Method.FACE}), at(0)).granted
    assert rules(credential_alone=True).check(replace(ann, factors=CARD), at(0)).granted


@pytest.mark.parametrize("face", [True, False])
def test_a_second_factor(face: bool) -> None:
    access = rules(anns(face=face, two_factors=True))
    first = frozenset({Method.FACE if face else Method.PIN})
    verdict = access.check(replace(ann, factors=first), at(0))
    assert (verdict.reason, verdict.need) == (Reason.SECOND_FACTOR_MISSING, Need.SECOND_FACTOR)
    assert access.check(replace(ann, factors=first | CARD), at(0)).granted


def test_a_second_factor_while_a_schedule_is_open() -> None:
    access = rules(two_factors=1)
    assert access.check(ann, monday(12)).need is Need.SECOND_FACTOR
    assert access.check(ann, monday(18)).granted


# --- company --------------------------------------------------------------------------------------


def test_two_persons_who_wait_for_each_other() -> None:
    access = rules(two_person=True)
    assert access.check(ann, at(0)).need is Need.SECOND_PERSON
    waits(access, ann, Need.SECOND_PERSON, until=10.0)
    assert access.check(ann, at(1)).need is Need.SECOND_PERSON, "nobody accompanies oneself"
    assert access.check(bob, at(9.9)).granted
    assert access.check(bob, at(10)).need is Need.SECOND_PERSON
    assert access.check(replace(ann, company=frozenset({BOB})), at(10)).granted


def test_two_who_enter_together_need_room_for_both() -> None:
    access = rules(two_person=True, occupancy=1)
    assert access.check(ann, at(0)).reason is Reason.OCCUPANCY


def test_who_needs_an_escort_follows_one() -> None:
    access = rules(anns(needs_escort=True), Pass(person(BOB), may_escort=True), escort_s=10)
    assert access.check(ann, at(0)).need is Need.ESCORT
    access.granted(bob, at(5))
    assert access.check(ann, at(14.9)).granted
    assert access.check(ann, at(15)).reason is Reason.ESCORT_MISSING


def test_an_escort_and_a_visitor_are_two_persons() -> None:
    visitor, escort = anns(needs_escort=True), Pass(person(BOB), may_escort=True)
    access = rules(visitor, escort, two_person=True)
    waits(access, ann, Need.ESCORT, until=10.0)
    assert access.check(bob, at(1)).granted
    access = rules(visitor, escort, two_person=True)
    waits(access, bob, Need.SECOND_PERSON, until=10.0)
    assert access.check(ann, at(1)).granted


def test_somebody_who_is_no_escort_does_not_open_to_a_visitor() -> None:
    access = rules(anns(needs_escort=True), two_person=True)
    waits(access, ann, Need.ESCORT, until=10.0)
    assert access.check(bob, at(1)).need is Need.SECOND_PERSON


# --- all of them ----------------------------------------------------------------------------------


def test_a_gate_that_leads_out_holds_nobody_back() -> None:
    own = anns(valid_until=0.0, needs_escort=True, two_factors=True)
    access = rules(own, ungrouped=(), occupancy=0, two_person=True, two_factors=1)
    out = replace(ann, direction=Direction.EXIT, leaving=True)
    assert access.check(out, monday(3, clock_ok=False)).granted


def test_what_forbids_comes_before_what_is_missing() -> None:
    access = rules(anns(two_factors=True), ungrouped=(1,), two_person=True)
    assert access.check(ann, monday(20)).reason is Reason.OUTSIDE_SCHEDULE
    assert access.check(ann, monday(12)).need is Need.SECOND_FACTOR


def test_every_rule_says_something() -> None:
    said = dict(rules(anns(two_factors=True), ungrouped=()).examine(ann, monday(12)))
    assert list(said) == [name for name, _ in RULES]
    against = [name for name, verdict in said.items() if not verdict.granted]
    assert against == ["schedule", "factors"]


# --- the clock on the wall --------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_last_day_ends_at_midnight_of_the_gate() -> None:
    end = datetime(2026, 4, 1, tzinfo=BERLIN).timestamp()
    plan = AccessPlan(BERLIN, people={ANN: anns(leaves_at=end)})
    access = AccessRules(plan=plan)
    assert access.check(ann, Instant(0.0, end - 1)).granted
    refused = access.check(ann, Instant(0.0, end))
    assert (refused.reason, refused.text) == (
        Reason.INACTIVE,
        "the last day was over 2026-04-01 00:00",
    )


@pytest.mark.parametrize(
    ("forgive_at", "now", "forgiven"),
    [
        # put back at three: the hands stand at 02:45 twice, and it was forgiven the first time
        ("02:45", "2026-10-25T02:50+02:00", "2026-10-25T02:45+02:00"),
        ("02:45", "2026-10-25T02:30+01:00", "2026-10-25T02:45+02:00"),
        ("02:45", "2026-10-25T04:00+01:00", "2026-10-25T02:45+02:00"),
        # put forward at two: 02:30 never comes, and is counted from two o'clock
        ("02:30", "2026-03-29T03:15+02:00", "2026-03-28T02:30+01:00"),
        ("02:30", "2026-03-29T03:45+02:00", "2026-03-29T03:30+02:00"),
        ("03:00", "2026-03-29T03:00+02:00", "2026-03-29T03:00+02:00"),
    ],
)
def test_forgiving_at_a_time_of_day_in_the_nights_when_clocks_change(
    forgive_at: str, now: str, forgiven: str
) -> None:
    hour, minute = map(int, forgive_at.split(":"))
    site = SiteRules(forgive_after_s=30 * 86_400, forgive_at=hour * 60 + minute)
    plan, utc = AccessPlan(BERLIN, rules=site), datetime.fromisoformat(now).timestamp()
    assert forgiven_before(plan, utc) == datetime.fromisoformat(forgiven).timestamp()
