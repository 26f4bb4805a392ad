"""Schedules, rules and credentials, on both engines."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from gated.access import access_store, credential_store, schedule_store, site_store
from gated.access.credential_store import NewCredential
from gated.database import site_zones, stored_settings
from gated.database.engine import Database
from gated.database.records import GroupRule
from gated.errors import Conflict, NotFound
from gated.people import group_store, person_store
from tests.people.people import add_person

WEEK = [["08:00-17:00"]] * 5 + [[], []]
CHRISTMAS = date(2026, 12, 25)


def test_a_schedule_keeps_its_hours_and_exceptions(db: Database) -> None:
    with db.write() as session:
        made = schedule_store.add(session, "Office", WEEK)
        schedule_store.add(session, "always on holidays too", WEEK, None)
        assert schedule_store.set_exception(session, made.id, CHRISTMAS, ["10:00-12:00"])
        assert not schedule_store.set_exception(session, made.id, CHRISTMAS, ["10:00-12:00"])
    with db.read() as session:
        first, second = schedule_store.list_(session)
        assert (first.name, first.holiday) == ("always on holidays too", None)
        assert second == schedule_store.get(session, made.id)
        assert second.week == WEEK
        assert second.holiday == []
        assert second.exceptions == {CHRISTMAS: ["10:00-12:00"]}
        assert second.version == made.version + 1
    with db.write() as session:
        schedule_store.set_exception(session, made.id, CHRISTMAS, None)
        changed = schedule_store.update(session, made.id, name="OFFICE", holiday=None)
        assert (changed.name, changed.holiday, changed.exceptions) == ("OFFICE", None, {})


def test_names_of_schedules_are_taken_in_any_case(db: Database) -> None:
    with db.write() as session:
        schedule_store.add(session, "Office", WEEK)
        with pytest.raises(Conflict, match="OFFICE"):
            schedule_store.add(session, "OFFICE", WEEK)


def test_a_schedule_that_is_needed_cannot_be_removed(db: Database) -> None:
    with db.write() as session:
        used = schedule_store.add(session, "Office", WEEK)
        staff = group_store.add(session, "Staff")
        access_store.set_rules_of_group(session, staff.id, [GroupRule(None, used.id)])
        with pytest.raises(Conflict, match="Staff"):
            schedule_store.delete(session, used.id)
        site_store.set_rules(session, site_zones.ALL, {"first_in": used.id})
        group_store.delete(session, staff.id)
        with pytest.raises(Conflict, match="first_in"):
            site_store.require_unused(session, used.id)
        schedule_store.set_exception(session, used.id, CHRISTMAS, [])
        schedule_store.delete(session, used.id)
        with pytest.raises(NotFound):
            schedule_store.get(session, used.id)


def test_holidays_are_set_once_a_day(db: Database) -> None:
    with db.write() as session:
        assert site_store.set_holiday(session, CHRISTMAS, "Christmas")
        assert not site_store.set_holiday(session, CHRISTMAS, "Christmas")
        assert [(h.day, h.name) for h in site_store.list_holidays(session)] == [
            (CHRISTMAS, "Christmas")
        ]
        assert site_store.set_holiday(session, CHRISTMAS, None)
        assert not site_store.set_holiday(session, CHRISTMAS, None)


def test_the_rules_of_a_group_are_replaced_as_a_whole(db: Database) -> None:
    with db.write() as session:
        office = schedule_store.add(session, "Office", WEEK)
        staff = group_store.add(session, "Staff")
        twice = [GroupRule("north", office.id), GroupRule("north", office.id), GroupRule()]
        access_store.set_rules_of_group(session, staff.id, twice)
        assert access_store.rules_of_group(session, staff.id) == twice[1:]
        access_store.set_rules_of_group(session, staff.id, [GroupRule("south")])
        assert access_store.rules_of_groups(session) == {staff.id: [GroupRule("south")]}
        with pytest.raises(NotFound):
            access_store.set_rules_of_group(session, staff.id, [GroupRule(None, office.id + 1)])


def test_only_people_with_something_of_their_own_are_told_to_the_gate(db: Database) -> None:
    with db.write() as session:
        plain, ruled, member, carded = (add_person(session) for _ in range(4))
        access_store.set_of_person(session, ruled.id, {"two_factors": True})
        staff = group_store.add(session, "Staff")
        group_store.join(session, staff.id, member.id)
        credential_store.add(session, carded.id, NewCredential("card", digest="d1"))
        person_store.set_active(session, carded.id, False)
    with db.read() as session:
        told = {c.person.id: (c.active, c.own) for c in access_store.people(session)}
        assert told.keys() == {ruled.id, member.id, carded.id} - {plain.id}
        assert told[ruled.id] == (True, access_store.of_person(session, ruled.id))
        assert told[member.id] == (True, None)
        assert told[carded.id][0] is False
        assert access_store.memberships(session) == {member.id: [staff.id]}


def test_what_a_person_may_do_is_changed_field_by_field(db: Database) -> None:
    until = datetime(2027, 1, 1, tzinfo=UTC)
    with db.write() as session:
        ada = add_person(session)
        assert access_store.of_person(session, ada.id).version == 0
        access_store.set_of_person(session, ada.id, {"valid_until": until, "visitor": True})
        after = access_store.set_of_person(session, ada.id, {"visitor": False})
    assert (after.valid_until, after.visitor, after.face, after.version) == (until, False, True, 2)


def test_a_card_belongs_to_one_person_and_a_person_has_one_pin(db: Database) -> None:
    with db.write() as session:
        ada, bob = add_person(session), add_person(session)
        card = credential_store.add(session, ada.id, NewCredential("card", digest="d1"))
        with pytest.raises(Conflict, match="belongs to somebody"):
            credential_store.add(session, bob.id, NewCredential("card", digest="d1"))
        credential_store.add(session, ada.id, NewCredential("pin", pin_hash="h1"))
        credential_store.add(session, bob.id, NewCredential("pin", pin_hash="h2"))
        with pytest.raises(Conflict, match="remove it first"):
            credential_store.add(session, ada.id, NewCredential("pin", pin_hash="h3"))
    with db.read() as session:
        assert credential_store.by_digest(session, "card", "d1") == card
        assert credential_store.by_digest(session, "qr", "d1") is None
        found = credential_store.of_pin(session, bob.id)
        assert found is not None
        assert found[1] == "h2"


def test_wrong_tries_are_kept_until_it_is_switched_on_again(db: Database) -> None:
    with db.write() as session:
        pin = credential_store.add(
            session, add_person(session).id, NewCredential("pin", pin_hash="h")
        )
        credential_store.count_failure(session, pin.id, 7)
        assert credential_store.update(session, pin.id, label="PIN").failures == 7
        assert credential_store.update(session, pin.id, is_active=True).failures == 0


def test_erasing_a_person_takes_rules_and_credentials_along(db: Database) -> None:
    with db.write() as session:
        ada = add_person(session)
        access_store.set_of_person(session, ada.id, {"face": False})
        card = credential_store.add(session, ada.id, NewCredential("card", digest="d1"))
        person_store.delete(session, ada.id)
        with pytest.raises(NotFound):
            credential_store.get(session, card.id)
        assert access_store.people(session) == []


def test_every_change_of_the_rules_changes_the_stamp(db: Database) -> None:
    seen = []

    def stamp() -> None:
        with db.read() as session:
            seen.append(stored_settings.rules_stamp(session))

    stamp()
    with db.write() as session:
        ada, office = add_person(session), schedule_store.add(session, "Office", WEEK)
        staff = group_store.add(session, "Staff")
        card = credential_store.add(session, ada.id, NewCredential("card", digest="d1"))
    stamp()
    for change in (
        lambda s: group_store.join(s, staff.id, ada.id),
        lambda s: group_store.leave(s, staff.id, ada.id),
        lambda s: group_store.update(s, staff.id, name="Guests"),
        lambda s: access_store.set_rules_of_group(s, staff.id, [GroupRule(None, office.id)]),
        lambda s: group_store.delete(s, staff.id),
        lambda s: schedule_store.update(s, office.id, week=[[]] * 7),
        lambda s: schedule_store.set_exception(s, office.id, CHRISTMAS, []),
        lambda s: schedule_store.delete(s, office.id),
        lambda s: site_store.set_holiday(s, CHRISTMAS, "Christmas"),
        lambda s: access_store.set_of_person(s, ada.id, {"exempt": True}),
        lambda s: site_store.set_rules(s, site_zones.ALL, {"occupancy": 3}),
        lambda s: credential_store.update(s, card.id, is_active=False),
        lambda s: credential_store.delete(s, card.id),
        lambda s: person_store.set_active(s, ada.id, False),
    ):
        with db.write() as session:
            change(session)
        stamp()
    assert len(seen) == len(set(seen)) == 16
