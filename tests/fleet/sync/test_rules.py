"""What decides about passing comes down, whole, to whom it concerns, and belongs to the hub."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from gated.access import credential_keys
from gated.access import credential_store as credentials_store
from gated.access.access_plan import load_plan
from gated.access.credentials import Credentials
from gated.access.explain import explain
from gated.access.pins import PinCheck
from gated.access.rules import Access, GroupRule
from gated.core.plan import AccessPlan
from gated.core.schedule import ALWAYS, Hours
from gated.database.records import Person, WeeklySchedule
from gated.database.tables import credentials, journal
from gated.errors import BelongsToHub, HubUnreachable, NotFound
from gated.fleet.gate import replica
from gated.fleet.gate.downlink import Downlink
from gated.fleet.hub import scope
from gated.fleet.hub.feed import Feed
from gated.people.groups import Groups
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by, rotate_keys
from tests.fleet.sync.test_down import MODEL, Cut, downlink, hire, pull_all
from tests.fleet.sync.world import ACTOR, JoinedGate, World

OFFICE = {"week": [["08:00-17:00"]] * 5 + [[], []]}
CHRISTMAS = date(2026, 12, 25)
UNTIL = datetime(2027, 1, 1, tzinfo=UTC)


def schedule(hub: Workspace, name: str = "Office") -> WeeklySchedule:
    return done_by(ACTOR, Access.of(hub).add_schedule, {"name": name, **OFFICE})


def group(hub: Workspace, name: str) -> int:
    return next(g.id for g in Groups.of(hub).list_() if g.name == name)


def rule(hub: Workspace, name: str, *rules: GroupRule) -> None:
    done_by(ACTOR, Access.of(hub).set_rules_of_group, group(hub, name), rules)


def hours_of(gate: JoinedGate, person: Person) -> list[str]:
    """The names of the schedules in which a person passes a gate."""
    plan = load_plan(gate.workspace)
    own = next(p for p in plan.people.values() if p.person.uid == person.uid)
    return [plan.name_of(id_) for id_ in plan.schedules_of(own)]


def names_at(gate: JoinedGate) -> list[str]:
    return sorted(s.name for s in load_plan(gate.workspace).schedules.values())


def here(gate: JoinedGate, person: Person) -> int:
    """The id of a person of the hub at a gate."""
    with gate.workspace.database.read() as session:
        found = replica.find(session, person.uid)
    assert found is not None
    return found.id


def test_a_gate_decides_by_the_rules_of_its_hub(world: World) -> None:
    hub = world.hub.workspace
    ada, bob = hire(hub, "staff"), hire(hub, "guests")
    office = schedule(hub)
    rules = Access.of(hub)
    done_by(ACTOR, rules.set_exception, office.id, date(2026, 12, 24), ["08:00-12:00"])
    done_by(ACTOR, rules.set_holiday, CHRISTMAS, "Christmas")
    rule(hub, "staff", GroupRule("NORTH", office.id), GroupRule("south"))
    rule(hub, "guests", GroupRule("south"))
    wanted = {"occupancy": 7, "forgive_at": 180, "first_in": office.id, "ungrouped": False}
    done_by(ACTOR, rules.set_site_rules, wanted)
    own = {"valid_until": UNTIL, "visitor": True, "needs_escort": True}
    done_by(ACTOR, rules.set_of_person, ada.id, own)
    done_by(ACTOR, People.of(hub).update, ada.id, {"extended_unlock": True})
    north, south = world.gate("north"), world.gate("south")
    for gate in (north, south):
        pull_all(gate)
    assert (hours_of(north, ada), hours_of(north, bob)) == (["Office"], [])
    assert (hours_of(south, ada), hours_of(south, bob)) == (["always"], ["always"])
    noon = datetime(2026, 12, 22, 12, tzinfo=UTC)
    told = explain(north.workspace, bob.personnel_code, noon)
    assert (told.outcome, told.reason) == ("denied", "no_access")
    waits = explain(north.workspace, ada.personnel_code, noon)
    assert (waits.outcome, waits.schedules) == ("waits", ("Office",))
    plan = load_plan(north.workspace)
    (known,) = plan.schedules.values()
    assert known.exceptions == {date(2026, 12, 24): (Hours(8 * 60, 12 * 60),)}
    assert plan.holidays == {CHRISTMAS}
    assert plan.ungrouped == ()
    assert (plan.rules.occupancy, plan.rules.forgive_at) == (7, 180)
    assert plan.rules.first_in == known.id
    pass_ = plan.people[here(north, ada)]
    assert (pass_.visitor, pass_.needs_escort, pass_.extended) == (True, True, True)
    assert pass_.valid_until == UNTIL.timestamp()


def test_what_changes_on_the_hub_changes_at_the_gate(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub, "staff")
    office, night = schedule(hub), schedule(hub, "Night")
    rules = Access.of(hub)
    gate = world.gate("north")
    pull_all(gate)
    assert hours_of(gate, ada) == ["always"]

    def after(change: Callable[[], object]) -> AccessPlan:
        change()
        pull_all(gate)
        return load_plan(gate.workspace)

    after(lambda: rule(hub, "staff", GroupRule(None, office.id)))
    assert hours_of(gate, ada) == ["Office"]
    plan = after(lambda: done_by(ACTOR, rules.update_schedule, office.id, {"week": [[]] * 7}))
    assert [s.week for s in plan.schedules.values()] == [((),) * 7]
    plan = after(lambda: done_by(ACTOR, rules.set_exception, office.id, CHRISTMAS, ["10:00-11:00"]))
    assert [list(s.exceptions) for s in plan.schedules.values()] == [[CHRISTMAS]]
    after(lambda: rule(hub, "staff", GroupRule(None, night.id)))
    assert (hours_of(gate, ada), names_at(gate)) == (["Night"], ["Night"])
    plan = after(lambda: done_by(ACTOR, rules.set_site_rules, {"two_factors": office.id}))
    assert plan.name_of(plan.rules.two_factors or 0) == "Office"
    plan = after(lambda: done_by(ACTOR, rules.set_site_rules, {"two_factors": None}))
    assert (plan.rules.two_factors, names_at(gate)) == (None, ["Night"])
    plan = after(lambda: done_by(ACTOR, rules.set_holiday, CHRISTMAS, "Christmas"))
    assert plan.holidays == {CHRISTMAS}
    assert after(lambda: done_by(ACTOR, rules.set_holiday, CHRISTMAS, None)).holidays == frozenset()
    plan = after(lambda: done_by(ACTOR, rules.set_of_person, ada.id, {"exempt": True}))
    assert plan.people[here(gate, ada)].exempt
    after(lambda: done_by(ACTOR, Groups.of(hub).delete, group(hub, "staff")))
    assert (hours_of(gate, ada), names_at(gate)) == (["always"], [])


def test_a_gate_is_given_only_the_rules_that_concern_it(world: World) -> None:
    hub = world.hub.workspace
    hire(hub, "staff"), hire(hub, "guests")
    for name, of in (("Office", "staff"), ("Party", "guests"), ("Nobody's", None)):
        made = schedule(hub, name)
        if of:
            rule(hub, of, GroupRule(None, made.id))
    gate = world.gate("north", groups=["staff"])
    pull_all(gate)
    assert names_at(gate) == ["Office"]
    fleet = world.hub.services.fleet
    row = fleet.by_name("north").gate
    fleet.update(row.id, {"groups": ["guests"]}, actor=ACTOR)
    pull_all(gate)
    assert names_at(gate) == ["Party"]


def test_rules_of_one_site_come_before_those_of_all(world: World) -> None:
    hub = world.hub.workspace
    works, yard = world.gate("north"), world.gate("south")
    fleet = world.hub.services.fleet
    fleet.update(fleet.by_name("south").gate.id, {"site": "yard"}, actor=ACTOR)
    rules = Access.of(hub)
    done_by(ACTOR, rules.set_site_rules, {"occupancy": 5}, site="yard")
    done_by(ACTOR, rules.set_site_rules, {"occupancy": 50, "two_person": True})
    done_by(ACTOR, rules.set_holiday, CHRISTMAS, "Christmas")
    done_by(ACTOR, rules.set_holiday, date(2026, 12, 31), "Stocktaking", site="yard")

    def told(gate: JoinedGate) -> tuple[int | None, bool, int]:
        pull_all(gate)
        plan = load_plan(gate.workspace)
        return plan.rules.occupancy, plan.rules.two_person, len(plan.holidays)

    assert (told(works), told(yard)) == ((50, True, 1), (5, True, 2))
    done_by(ACTOR, rules.set_site_rules, {"occupancy": 60, "two_person": False})
    assert (told(works), told(yard)) == ((60, False, 1), (5, False, 2))
    assert rules.site_rules("yard").own == ["occupancy"]
    done_by(ACTOR, rules.end_site_rules, "yard")
    assert told(yard) == (60, False, 2)
    fleet.update(fleet.by_name("south").gate.id, {"site": "works"}, actor=ACTOR)
    assert told(yard) == (60, False, 1)
    with pytest.raises(NotFound, match="moon"):
        done_by(ACTOR, rules.set_site_rules, {"occupancy": 1}, site="moon")


class Without(Cut):
    """Loses the items of some kinds."""

    kinds: frozenset[str] = frozenset({"schedule"})

    def get(self, path: str, timeout: float = 20) -> Any:
        told = self.real.get(path, timeout)
        items: list[Mapping[str, Any]] = told["items"]
        return {**told, "items": [i for i in items if i["kind"] not in self.kinds]}


def test_a_rule_whose_schedule_is_still_to_come_lets_nobody_pass(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub, "staff")
    office = schedule(hub)
    rule(hub, "staff", GroupRule(None, office.id))
    done_by(ACTOR, Access.of(hub).set_site_rules, {"two_factors": office.id})
    gate = world.gate("north")
    down = Downlink.of(gate.workspace, Without(gate.client, 0), MODEL)
    while down.pull():
        pass
    plan = load_plan(gate.workspace)
    (waiting,) = plan.schedules.values()
    assert (waiting.week, plan.rules.two_factors) == (((),) * 7, waiting.id)
    assert hours_of(gate, ada) == [office.uid]
    done_by(ACTOR, Access.of(hub).update_schedule, office.id, {"name": "Bureau"})
    pull_all(gate)
    assert hours_of(gate, ada) == ["Bureau"]
    assert [s.id for s in load_plan(gate.workspace).schedules.values()] == [waiting.id]


def test_a_group_whose_rules_are_still_to_come_opens_nothing(world: World) -> None:
    hub = world.hub.workspace
    gate = world.gate("north")
    pull_all(gate)
    ada = hire(hub, "staff")
    lossy = Without(gate.client, 0)
    lossy.kinds = frozenset({"group"})
    while Downlink.of(gate.workspace, lossy, MODEL).pull():
        pass
    assert hours_of(gate, ada) == []
    done_by(ACTOR, Groups.of(hub).update, group(hub, "staff"), {"name": "Staff"})
    pull_all(gate)
    assert hours_of(gate, ada) == ["always"]


def test_rules_that_were_set_at_the_gate_before_make_room_and_are_told(world: World) -> None:
    hub = world.hub.workspace
    hire(hub, "staff")
    theirs = schedule(hub)
    rule(hub, "staff", GroupRule(None, theirs.id))
    alone = world.standalone("north")
    own = schedule(alone)
    staff = done_by(ACTOR, Groups.of(alone).add, "Staff", None)
    cleaners = done_by(ACTOR, Groups.of(alone).add, "cleaners", None)
    for id_ in (staff.id, cleaners.id):
        done_by(ACTOR, Access.of(alone).set_rules_of_group, id_, [GroupRule(None, own.id)])
    done_by(ACTOR, Access.of(alone).set_site_rules, {"occupancy": 3})
    done_by(ACTOR, Access.of(alone).set_holiday, CHRISTMAS, "Christmas")
    gate = world.join(alone, "north")
    pull_all(gate)
    plan = load_plan(alone)
    assert (plan.rules.occupancy, plan.holidays) == (None, frozenset())
    assert plan.groups[staff.id].schedules != plan.groups[cleaners.id].schedules
    assert names_at(gate) == ["Office", f"Office~{own.id}"]
    with alone.database.read() as session:
        told = sa.select(journal.c.body).where(journal.c.kind == "own_rules_replaced")
        bodies = " ".join(session.execute(told).scalars())
    assert '"occupancy":3' in bodies
    assert "Christmas" in bodies
    assert f'"schedule_id":{own.id}' in bodies
    pull_all(gate)
    assert alone.journal.verify().ok


def test_what_came_from_the_hub_is_not_changed_at_the_gate(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub, "staff")
    office = schedule(hub)
    rule(hub, "staff", GroupRule(None, office.id))
    Credentials.of(hub).add(ada.id, "card", "4711", {}, actor=ACTOR)
    gate = world.gate("north")
    pull_all(gate)
    at = gate.workspace
    rules, groups, given = Access.of(at), Groups.of(at), Credentials.of(at)
    (known,) = rules.schedules()
    staff, person = group(at, "staff"), here(gate, ada)
    (card,) = given.list_(person)
    local = done_by(ACTOR, People.of(at).create, {"first_name": "L", "personnel_code": "own"})
    ours = done_by(ACTOR, groups.add, "ours", None)
    acts: list[Callable[[], object]] = [
        lambda: done_by(ACTOR, rules.update_schedule, known.id, {"week": [["00:00-24:00"]] * 7}),
        lambda: done_by(ACTOR, rules.delete_schedule, known.id),
        lambda: done_by(ACTOR, rules.set_exception, known.id, CHRISTMAS, ["00:00-24:00"]),
        lambda: done_by(ACTOR, rules.set_holiday, CHRISTMAS, "Christmas"),
        lambda: done_by(ACTOR, rules.set_site_rules, {"credential_alone": True}),
        lambda: done_by(ACTOR, rules.set_rules_of_group, staff, [GroupRule()]),
        lambda: done_by(ACTOR, rules.set_of_person, person, {"exempt": True}),
        lambda: done_by(ACTOR, groups.update, staff, {"name": "all"}),
        lambda: done_by(ACTOR, groups.delete, staff),
        lambda: done_by(ACTOR, groups.leave, staff, person),
        lambda: done_by(ACTOR, groups.join, staff, local.id),
        lambda: done_by(ACTOR, groups.join, ours.id, person),
        lambda: given.add(person, "card", "0815", {}, actor=ACTOR),
        lambda: given.add(person, "pin", "2580", {}, actor=ACTOR),
        lambda: done_by(ACTOR, given.update, card.id, {"is_active": False}),
        lambda: done_by(ACTOR, given.delete, card.id),
    ]
    before = load_plan(at)
    for act in acts:
        with pytest.raises(BelongsToHub):
            act()
    after = load_plan(at)
    assert (after.schedules, after.groups, after.rules) == (
        before.schedules,
        before.groups,
        before.rules,
    )
    assert given.whose("card", "4711") == person
    # what is the gate's own stays so
    done_by(ACTOR, groups.join, ours.id, local.id)
    given.add(local.id, "card", "0815", {}, actor=ACTOR)
    # and what the hub gave is the gate's own when it leaves
    gate.membership.leave(actor=ACTOR)
    done_by(ACTOR, rules.set_rules_of_group, staff, [GroupRule()])
    done_by(ACTOR, given.delete, card.id)
    assert given.whose("card", "4711") is None


# --- cards, badges, PINs ------------------------------------------------------------------------


def test_what_the_hub_gives_people_is_known_at_their_gates(world: World) -> None:
    hub = world.hub.workspace
    ada, bob = hire(hub, "staff"), hire(hub, "guests")
    given = Credentials.of(hub)
    card, _ = given.add(ada.id, "card", "004711", {"valid_until": UNTIL}, actor=ACTOR)
    _, badge = given.add(ada.id, "qr", None, {}, actor=ACTOR)
    given.add(ada.id, "pin", "2580", {}, actor=ACTOR)
    given.add(bob.id, "card", "0815", {}, actor=ACTOR)
    assert badge is not None
    gate = world.gate("north", groups=["staff"])
    pull_all(gate)
    at, person = Credentials.of(gate.workspace), here(gate, ada)
    assert (at.whose("card", "4711"), at.whose("qr", badge)) == (person, person)
    assert at.whose("card", "0815") is None
    desk = PinCheck.of(gate.workspace, lambda event: None)
    assert desk.present(ada.personnel_code, "2580") == person
    assert desk.present(ada.personnel_code, "2581") is None
    done_by(ACTOR, given.update, card.id, {"is_active": False})
    pull_all(gate)
    assert at.whose("card", "4711") is None
    # the card passes to somebody else, who is told of first
    done_by(ACTOR, given.delete, card.id)
    eve = hire(hub, "staff")
    given.add(eve.id, "card", "4711", {}, actor=ACTOR)
    done_by(ACTOR, People.of(hub).update, ada.id, {"last_name": "Lovelace"})
    pull_all(gate)
    assert at.whose("card", "4711") == here(gate, eve)
    done_by(ACTOR, given.delete, given.list_(eve.id)[0].id)
    given.add(eve.id, "card", "4714", {}, actor=ACTOR)
    pull_all(gate)
    assert (at.whose("card", "4711"), at.whose("card", "4714")) == (None, here(gate, eve))
    (pin,) = (c for c in at.list_(person) if c.kind == "pin")
    assert pin.failures == 1, "counted where it was entered, whatever the hub tells meanwhile"
    done_by(ACTOR, at.update, pin.id, {"is_active": True})
    assert at.get(pin.id).failures == 0
    done_by(ACTOR, People.of(hub).delete, ada.id)
    pull_all(gate)
    assert at.whose("qr", badge) is None
    with gate.workspace.database.read() as session:
        assert session.execute(sa.select(sa.func.count()).select_from(credentials)).scalar() == 1


def test_cards_and_pins_from_before_go_on_to_work_at_the_gate(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub)
    alone = world.standalone("north")
    people, at = People.of(alone), Credentials.of(alone)
    twin = done_by(ACTOR, people.create, {"first_name": "A", "personnel_code": ada.personnel_code})
    local = done_by(ACTOR, people.create, {"first_name": "L", "personnel_code": "own"})
    at.add(twin.id, "card", "4711", {}, actor=ACTOR)
    at.add(twin.id, "pin", "2580", {}, actor=ACTOR)
    at.add(local.id, "card", "0815", {}, actor=ACTOR)
    gate = world.join(alone, "north")
    pull_all(gate)
    assert here(gate, ada) == twin.id
    assert (at.whose("card", "4711"), at.whose("card", "0815")) == (twin.id, local.id)
    desk = PinCheck.of(alone, lambda event: None)
    assert desk.present(ada.personnel_code, "2580") == twin.id
    # the hub's PIN takes the place of the one from before, its card stands beside
    Credentials.of(hub).add(ada.id, "pin", "1470", {}, actor=ACTOR)
    Credentials.of(hub).add(ada.id, "card", "4712", {}, actor=ACTOR)
    pull_all(gate)
    assert desk.present(ada.personnel_code, "2580") is None
    assert desk.present(ada.personnel_code, "1470") == twin.id
    assert at.whose("card", "4711") == at.whose("card", "4712") == twin.id


def test_another_key_over_all_cards_leaves_nothing_to_find_for_who_has_the_old_ones(
    world: World,
) -> None:
    hub = world.hub.workspace
    ada = hire(hub)
    given = Credentials.of(hub)
    given.add(ada.id, "card", "4711", {}, actor=ACTOR)
    given.add(ada.id, "pin", "2580", {}, actor=ACTOR)
    gate = world.gate("north")
    pull_all(gate)
    at = Credentials.of(gate.workspace)
    with gate.workspace.database.read() as session:
        stolen = credential_keys.of_hub(gate.workspace, session)
    rotated = rotate_keys(ACTOR, hub)
    assert (rotated.keys, rotated.cards, rotated.pins) == (2, 1, 1)
    person = here(gate, ada)
    assert at.whose("card", "4711") == person, "the gate has not heard of it yet"
    given.add(hire(hub).id, "card", "0815", {}, actor=ACTOR)
    pull_all(gate)
    assert at.whose("card", "4711") == person
    assert at.whose("card", "0815") not in (None, person)
    assert given.whose("card", "4711") == ada.id
    assert PinCheck.of(gate.workspace, lambda e: None).present(ada.personnel_code, "2580") == person
    for workspace in (hub, gate.workspace):
        with workspace.database.read() as session:
            stored = set(session.execute(sa.select(credentials.c.digest)).scalars()) - {None}
        for number in ("card\0004711", "card\000815"):
            assert not stored & set(credential_keys.digests(stolen, number))
        assert len(stored) == 2


def test_who_is_carried_no_more_leaves_no_credential_behind(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub, "staff")
    Credentials.of(hub).add(ada.id, "card", "4711", {}, actor=ACTOR)
    gate = world.gate("north", groups=["staff"])
    pull_all(gate)
    done_by(ACTOR, Groups.of(hub).leave, group(hub, "staff"), ada.id)
    pull_all(gate)
    with gate.workspace.database.read() as session:
        assert credentials_store.by_digest(session, "card", *_all_digests(hub)) is None


def _all_digests(hub: Workspace) -> list[str]:
    with hub.database.read() as session:
        return list(session.execute(sa.select(credentials.c.digest)).scalars())


def test_what_a_gate_is_told_of_a_person_names_no_label(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub)
    Credentials.of(hub).add(ada.id, "card", "4711", {"label": "found in a pub"}, actor=ACTOR)
    with hub.database.read() as session:
        row = world.hub.services.fleet.invite("north", "works", {"everyone": True}, actor=ACTOR)[0]
        (told,) = scope.of(session, row.gate, [ada.uid]).values()
    assert "pub" not in repr(told)
    assert told.credentials[0].kind == "card"


def test_a_change_of_a_rule_reaches_a_gate_that_waits(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub, "staff")
    gate = world.gate("north")
    pull_all(gate)
    assert hours_of(gate, ada) == ["always"]
    told: list[float] = []

    def follow() -> None:
        while hours_of(gate, ada) == ["always"]:
            downlink(gate).pull(wait=30)
        told.append(time.monotonic())

    waiting = threading.Thread(target=follow)
    waiting.start()
    time.sleep(0.5)
    began = time.monotonic()
    rule(hub, "staff", GroupRule("elsewhere"))
    waiting.join(30)
    assert hours_of(gate, ada) == []
    assert told[0] - began < 25  # far from the 30 s that it would have waited
    assert ALWAYS not in load_plan(gate.workspace).groups[group(gate.workspace, "staff")].schedules


def test_a_schedule_that_the_gate_needs_when_the_hub_takes_it_away_is_closed(world: World) -> None:
    hub = world.hub.workspace
    hire(hub, "staff")
    office = schedule(hub)
    rule(hub, "staff", GroupRule(None, office.id))
    gate = world.gate("north")
    pull_all(gate)
    groups, rules = Groups.of(gate.workspace), Access.of(gate.workspace)
    ours = done_by(ACTOR, groups.add, "ours", None).id
    (known,) = rules.schedules()
    done_by(ACTOR, rules.set_rules_of_group, ours, [GroupRule(None, known.id)])
    rule(hub, "staff")
    pull_all(gate)
    plan = load_plan(gate.workspace)
    assert plan.groups[ours].schedules == (known.id,)
    assert plan.schedules[known.id].week == ((),) * 7
    done_by(ACTOR, rules.set_rules_of_group, ours, [])
    Feed.of(hub).renew(actor=ACTOR)
    pull_all(gate)
    assert rules.schedules() == []


def test_a_page_of_rules_is_taken_whole_or_not_at_all_and_twice_means_once(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub, "staff")
    rule(hub, "staff", GroupRule(None, schedule(hub).id))
    done_by(ACTOR, Access.of(hub).set_site_rules, {"occupancy": 9})
    Credentials.of(hub).add(ada.id, "card", "4711", {}, actor=ACTOR)
    gate = world.gate("north")
    database = gate.workspace.database
    with database.write() as session:
        session.execute(sa.text("CREATE TRIGGER no BEFORE INSERT ON credentials BEGIN SELECT RAISE(ABORT, 'no'); END"))  # fmt: skip # noqa: E501
    with pytest.raises(HubUnreachable):
        downlink(gate).pull()
    plan = load_plan(gate.workspace)
    assert (dict(plan.schedules), dict(plan.groups), plan.rules.occupancy) == ({}, {}, None)
    with database.write() as session:
        session.execute(sa.text("DROP TRIGGER no"))
    pull_all(gate)
    once, with_card = load_plan(gate.workspace), Credentials.of(gate.workspace)
    Feed.of(hub).renew(actor=ACTOR)
    pull_all(gate)
    twice = load_plan(gate.workspace)
    for name in ("schedules", "groups", "people", "rules", "holidays", "ungrouped"):
        assert getattr(once, name) == getattr(twice, name), name
    assert with_card.whose("card", "4711") == here(gate, ada)
