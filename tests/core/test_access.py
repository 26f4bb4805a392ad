from __future__ import annotations

from gated.core.access import AccessRules
from gated.core.gallery import Member
from gated.core.model import Reason
from tests.core.scenes import ANN, BOB, at, person

ann, bob = Member(person(ANN)), Member(person(BOB))


def test_who_is_active_may_pass() -> None:
    assert AccessRules().check(ann, at(0)) is Reason.GRANTED


def test_who_is_inactive_may_not_whatever_else_holds() -> None:
    rules = AccessRules(journal_available=False)
    assert rules.check(Member(person(ANN), active=False), at(0)) is Reason.INACTIVE


def test_nobody_passes_unrecorded() -> None:
    assert AccessRules(journal_available=False).check(ann, at(0)) is Reason.LOG_UNAVAILABLE


def test_the_cooldown_holds_for_the_person_and_ends() -> None:
    rules = AccessRules(cooldown_s=3.0)
    rules.granted(ann, at(10))
    assert rules.check(ann, at(12.9)) is Reason.COOLDOWN
    assert rules.check(bob, at(12.9)) is Reason.GRANTED
    assert rules.check(ann, at(13)) is Reason.GRANTED


def test_a_check_starts_no_cooldown() -> None:
    rules = AccessRules(cooldown_s=3.0)
    assert rules.check(ann, at(0)) is rules.check(ann, at(1)) is Reason.GRANTED


def test_no_cooldown_configured() -> None:
    rules = AccessRules(cooldown_s=0.0)
    rules.granted(ann, at(10))
    assert rules.check(ann, at(10)) is Reason.GRANTED


def test_years_of_grants_are_not_remembered() -> None:
    rules = AccessRules(cooldown_s=3.0)
    for n in range(5000):
        rules.granted(Member(person(n)), at(float(n)))
    assert len(rules.last_grant) <= 1025
    assert rules.check(Member(person(4999)), at(5000.0)) is Reason.COOLDOWN
