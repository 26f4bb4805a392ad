"""Schedules, rules and credentials, on both engines."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from gated.errors import Conflict, NotFound
from gated.storage import access, credentials, groups, persons, schedules, settings, sites
from gated.storage.engine import Database
from gated.storage.records import GroupRule
from tests.storage.people import add_person

WEEK = [["08:00-17:00"]] * 5 + [[], []]
CHRISTMAS = date(2026, 12, 25)


def test_a_schedule_keeps_its_hours_and_exceptions(db: Database) -> None:
    with db.write() as session:
        made = schedules.add(session, "Office", WEEK)
        schedules.add(session, "always on holidays too", WEEK, None)
        assert schedules.set_exception(session, made.id, CHRISTMAS, ["10:00-12:00"])
        assert not schedules.set_exception(session, made.id, CHRISTMAS, ["10:00-12:00"])
    with db.read() as session:
        first, second = schedules.list_(session)
        assert (first.name, first.holiday) == ("always on holidays too", None)
        assert second == schedules.get(session, made.id)
        assert second.week == WEEK
        assert second.holiday == []
        assert second.exceptions == {CHRISTMAS: ["10:00-12:00"]}
        assert second.version == made.version + 1
    with db.write() as session:
        schedules.set_exception(session, made.id, CHRISTMAS, None)
        changed = schedules.update(session, made.id, name="OFFICE", holiday=None)
        assert (changed.name, changed.holiday, changed.exceptions) == ("OFFICE", None, {})


def test_names_of_schedules_are_taken_in_any_case(db: Database) -> None:
    with db.write() as session:
        schedules.add(session, "Office", WEEK)
        with pytest.raises(Conflict, match="OFFICE"):
            schedules.add(session, "OFFICE", WEEK)


def test_a_schedule_that_is_needed_cannot_be_removed(db: Database) -> None:
    with db.write() as session:
        used = schedules.add(session, "Office", WEEK)
        staff = groups.add(session, "Staff")
        access.set_rules_of_group(session, staff.id, [GroupRule(None, used.id)])
        with pytest.raises(Conflict, match="Staff"):
            schedules.delete(session, used.id)
        sites.set_rules(session, sites.ALL, {"first_in": used.id})
        groups.delete(session, staff.id)
        with pytest.raises(Conflict, match="first_in"):
            sites.require_unused(session, used.id)
        schedules.set_exception(session, used.id, CHRISTMAS, [])
        schedules.delete(session, used.id)
        with pytest.raises(NotFound):
            schedules.get(session, used.id)


def test_holidays_are_set_once_a_day(db: Database) -> None:
    with db.write() as session:
        assert sites.set_holiday(session, CHRISTMAS, "Christmas")
        assert not sites.set_holiday(session, CHRISTMAS, "Christmas")
        assert [(h.day, h.name) for h in sites.list_holidays(session)] == [(CHRISTMAS, "Christmas")]
        assert sites.set_holiday(session, CHRISTMAS, None)
        assert not sites.set_holiday(session, CHRISTMAS, None)


def test_the_rules_of_a_group_are_replaced_as_a_whole(db: Database) -> None:
    with db.write() as session:
        office = schedules.add(session, "Office", WEEK)
        staff = groups.add(session, "Staff")
        twice = [GroupRule("north", office.id), GroupRule("north", office.id), GroupRule()]
        access.set_rules_of_group(session, staff.id, twice)
        assert access.rules_of_group(session, staff.id) == twice[1:]
        access.set_rules_of_group(session, staff.id, [GroupRule("south")])
        assert access.rules_of_groups(session) == {staff.id: [GroupRule("south")]}
        with pytest.raises(NotFound):
            access.set_rules_of_group(session, staff.id, [GroupRule(None, office.id + 1)])


def test_only_people_with_something_of_their_own_are_told_to_the_gate(db: Database) -> None:
    with db.write() as session:
        plain, ruled, member, carded = (add_person(session) for _ in range(4))
        access.set_of_person(session, ruled.id, {"two_factors": True})
        staff = groups.add(session, "Staff")
        groups.join(session, staff.id, member.id)
        credentials.add(session, carded.id, "card", digest="d1")
        persons.set_active(session, carded.id, False)
    with db.read() as session:
        told = {c.person.id: (c.active, c.own) for c in access.people(session)}
        assert told.keys() == {ruled.id, member.id, carded.id} - {plain.id}
        assert told[ruled.id] == (True, access.of_person(session, ruled.id))
        assert told[member.id] == (True, None)
        assert told[carded.id][0] is False
        assert access.memberships(session) == {member.id: [staff.id]}


def test_what_a_person_may_do_is_changed_field_by_field(db: Database) -> None:
    until = datetime(2027, 1, 1, tzinfo=UTC)
    with db.write() as session:
        ada = add_person(session)
        assert access.of_person(session, ada.id).version == 0
        access.set_of_person(session, ada.id, {"valid_until": until, "visitor": True})
        after = access.set_of_person(session, ada.id, {"visitor": False})
    assert (after.valid_until, after.visitor, after.face, after.version) == (until, False, True, 2)


def test_a_card_belongs_to_one_person_and_a_person_has_one_pin(db: Database) -> None:
    with db.write() as session:
        ada, bob = add_person(session), add_person(session)
        card = credentials.add(session, ada.id, "card", digest="d1")
        with pytest.raises(Conflict, match="belongs to somebody"):
            credentials.add(session, bob.id, "card", digest="d1")
        credentials.add(session, ada.id, "pin", pin_hash="h1")
        credentials.add(session, bob.id, "pin", pin_hash="h2")
        with pytest.raises(Conflict, match="remove it first"):
            credentials.add(session, ada.id, "pin", pin_hash="h3")
    with db.read() as session:
        assert credentials.by_digest(session, "card", "d1") == card
        assert credentials.by_digest(session, "qr", "d1") is None
        found = credentials.of_pin(session, bob.id)
        assert found is not None
        assert found[1] == "h2"


def test_wrong_tries_are_kept_until_it_is_switched_on_again(db: Database) -> None:
    with db.write() as session:
        pin = credentials.add(session, add_person(session).id, "pin", pin_hash="h")
        credentials.count_failure(session, pin.id, 7)
        assert credentials.update(session, pin.id, label="PIN").failures == 7
        assert credentials.update(session, pin.id, is_active=True).failures == 0


def test_erasing_a_person_takes_rules_and_credentials_along(db: Database) -> None:
    with db.write() as session:
        ada = add_person(session)
        access.set_of_person(session, ada.id, {"face": False})
        card = credentials.add(session, ada.id, "card", digest="d1")
        persons.delete(session, ada.id)
        with pytest.raises(NotFound):
            credentials.get(session, card.id)
        assert access.people(session) == []


def test_every_change_of_the_rules_changes_the_stamp(db: Database) -> None:
    seen = []

    def stamp() -> None:
        with db.read() as session:
            seen.append(settings.rules_stamp(session))

    stamp()
    with db.write() as session:
        ada, office = add_person(session), schedules.add(session, "Office", WEEK)
        staff = groups.add(session, "Staff")
        card = credentials.add(session, ada.id, "card", digest="d1")
    stamp()
    for change in (
        lambda s: groups.join(s, staff.id, ada.id),
        lambda s: groups.leave(s, staff.id, ada.id),
        lambda s: groups.update(s, staff.id, name="Guests"),
        lambda s: access.set_rules_of_group(s, staff.id, [GroupRule(None, office.id)]),
        lambda s: groups.delete(s, staff.id),
        lambda s: schedules.update(s, office.id, week=[[]] * 7),
        lambda s: schedules.set_exception(s, office.id, CHRISTMAS, []),
        lambda s: schedules.delete(s, office.id),
        lambda s: sites.set_holiday(s, CHRISTMAS, "Christmas"),
        lambda s: access.set_of_person(s, ada.id, {"exempt": True}),
        lambda s: sites.set_rules(s, sites.ALL, {"occupancy": 3}),
        lambda s: credentials.update(s, card.id, is_active=False),
        lambda s: credentials.delete(s, card.id),
        lambda s: persons.set_active(s, ada.id, False),
    ):
        with db.write() as session:
            change(session)
        stamp()
    assert len(seen) == len(set(seen)) == 16
