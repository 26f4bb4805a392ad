"""Who is inside is one question for all gates of a site, with the hub and without it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from gated.access.explain import explain
from gated.access.other_gates import known_presence
from gated.config import Settings, SyncSettings
from gated.core.messages import RemotePresence
from gated.core.plan import AntiPassback, SiteRules, WithoutHub
from gated.core.policy import GatePolicy
from gated.core.values import Direction, Instant
from gated.database.tables import attendance_logs, utcnow
from gated.database.tables import site_presence as table
from gated.devices.clock import ManualClock, SystemClock
from gated.fleet.gate.remote_presence import FromHub
from gated.fleet.gate.uplink import Uplink
from gated.fleet.hub import gate_presence, gate_store
from gated.fleet.hub.sync_schemas import JournalIn
from gated.journal import forgiven_store, site_presence_store
from gated.journal.journal import Entry
from gated.people import person_store
from gated.people.people import People
from gated.workspace import Workspace
from tests.bench.light_gates import LightGate
from tests.changes import done_by
from tests.core.policies import policy_with
from tests.fleet.relay import Relay
from tests.fleet.sync.lane import Lane, within
from tests.fleet.sync.test_down import hire, pull_all
from tests.fleet.sync.world import ACTOR, JoinedGate, World
from tests.people.people import entry
from tests.workspaces import open_workspace

IN = policy_with(direction=Direction.ENTRY, cooldown_s=0.0, denial_interval_s=0.0)
OUT = replace(IN, direction=Direction.EXIT)
HARD = SiteRules(anti_passback=AntiPassback.HARD)


class Site:
    """Gates of one site, each behind a wire that can be cut."""

    def __init__(self, world: World, stack: ExitStack) -> None:
        self.world = world
        self.relays: dict[str, Relay] = {}
        self.stack = stack

    @property
    def hub(self) -> Workspace:
        return self.world.hub.workspace

    def joined(self, name: str, **wanted: Any) -> JoinedGate:
        """A gate that has joined and has its people."""
        gate = self.world.gate(name, **wanted)
        pull_all(gate)
        return gate

    def lane(self, gate: JoinedGate, policy: GatePolicy = IN, rules: SiteRules = HARD) -> Lane:
        """The same at work."""
        name = gate.member.name
        port = urlsplit(self.world.hub.url).port
        assert port is not None
        self.relays[name] = Relay(lambda: port)
        self.stack.callback(self.relays[name].close)
        workspace = self._reopened(gate, f"http://127.0.0.1:{self.relays[name].port}")
        return self.stack.enter_context(Lane(workspace, policy, rules).running())

    def _reopened(self, gate: JoinedGate, url: str) -> Workspace:
        """The workspace of a gate, impatient, and behind the wire."""
        own = gate.workspace.settings
        sync = SyncSettings(hub_url=url, presence_stale_s=3)
        settings = Settings(gate=own.gate, storage=own.storage, sync=sync)
        return self.stack.enter_context(open_workspace(settings))


@pytest.fixture
def site(world: World) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(world, stack)


def test_who_entered_by_one_gate_is_inside_for_the_others(site: Site) -> None:
    ann, bob = hire(site.hub), hire(site.hub)
    north, south, out = (site.joined(name) for name in ("north", "south", "out"))
    a, b, c = site.lane(north), site.lane(south), site.lane(out, OUT, SiteRules())
    assert a.shows_card(ann.uid) == "granted"
    assert b.knows({ann.uid})
    assert b.shows_card(ann.uid) == "anti_passback"
    assert b.rule() == "anti_passback hard at north"
    told = explain(b.workspace, ann.personnel_code)
    assert "by north" in told.text
    # the exit gate asks for nothing, and tells all the same
    assert c.shows_card(ann.uid) == "granted"
    assert a.knows(set())
    assert b.knows(set())
    assert b.shows_card(ann.uid) == "granted"
    assert b.shows_card(bob.uid) == "granted"
    assert a.knows({ann.uid, bob.uid})
    assert not c.heard, "nobody asks there"
    done_by(ACTOR, People.of(site.hub).delete, ann.id)
    for gate in (north, south):
        pull_all(gate)
    for workspace in (site.hub, north.workspace, south.workspace):
        with workspace.database.read() as session:
            assert ann.uid not in session.execute(sa.select(table.c.uid)).scalars().all()


def test_a_place_that_is_taken_is_taken_at_every_gate(site: Site) -> None:
    """Also by people whom a gate is not given: of them it hears how many."""
    staff, guest, other = hire(site.hub, "staff"), hire(site.hub, "guests"), hire(site.hub, "staff")
    limited = SiteRules(occupancy=2)
    north, south = site.joined("north", groups=["guests"]), site.joined("south", groups=["staff"])
    a, b = site.lane(north, rules=limited), site.lane(south, rules=limited)
    assert a.shows_card(guest.uid) == "granted"
    assert b.knows(set(), others=1)
    assert b.shows_card(staff.uid) == "granted"
    assert b.shows_card(other.uid) == "occupancy"
    assert a.knows({guest.uid}, others=1)
    named = {word["uid"] for word in south.client.get("/api/sync/presence")["words"]}
    assert named == {staff.uid}


def test_without_the_hub_the_site_decides_as_it_says(site: Site) -> None:
    ann, bob = hire(site.hub), hire(site.hub)
    rules = {way: replace(HARD, without_hub=way) for way in WithoutHub}
    names = dict(zip(WithoutHub, ("north", "south", "west"), strict=True))
    joined = {way: site.joined(name) for way, name in names.items()}
    lanes = {way: site.lane(joined[way], rules=rules[way]) for way in WithoutHub}
    assert lanes[WithoutHub.LOCAL].shows_card(ann.uid) == "granted"
    for lane in lanes.values():
        assert lane.knows({ann.uid})
        assert lane.problems == ()
    for relay in site.relays.values():
        relay.cut()
    for lane in lanes.values():
        assert within(lambda lane=lane: lane.problems == ("presence_unheard",))  # type: ignore[misc]
    said = {way: lane.shows_card(ann.uid) for way, lane in lanes.items()}
    assert said == {"local": "anti_passback", "soft": "granted", "deny": "presence_unknown"}
    assert lanes[WithoutHub.SOFT].decisions[-1].flags == ("anti_passback",)
    assert lanes[WithoutHub.LOCAL].shows_card(bob.uid) == "granted"
    assert explain(lanes[WithoutHub.DENY].workspace, bob.personnel_code).rule == "presence"
    for relay in site.relays.values():
        relay.heal()
    for lane in lanes.values():
        assert within(lambda lane=lane: lane.problems == ())  # type: ignore[misc]
        assert lane.knows({ann.uid, bob.uid})


def test_what_is_forgiven_or_taken_back_at_one_gate_counts_at_all(site: Site) -> None:
    ann, bob = hire(site.hub), hire(site.hub)
    quick = replace(IN.door, grace_s=0.1)
    contact = replace(IN, contact=True, unlock_s=0.5, door=quick)
    a, b = site.lane(site.joined("north"), contact), site.lane(site.joined("south"))
    assert a.shows_card(ann.uid) == "granted"
    assert b.knows({ann.uid})
    # nobody opens the door
    assert b.knows(set())
    assert b.shows_card(ann.uid) == "granted"
    assert a.knows({ann.uid})
    b.forgives(ann.uid)
    assert a.knows(set())
    assert b.shows_card(bob.uid) == "granted"
    assert a.knows({bob.uid})
    b.forgives(None)
    assert a.knows(set())


def test_a_gate_that_starts_knows_who_is_inside(site: Site) -> None:
    """From its hub, and from what it was told before when there is none."""
    ann = hire(site.hub)
    a, south = site.lane(site.joined("north")), site.joined("south")
    asks = FromHub(south.workspace, south.client, SystemClock())
    assert asks.next(0) == RemotePresence(complete=True)
    assert a.shows_card(ann.uid) == "granted"
    told = asks.next(20)
    assert told is not None
    assert [p.gate for p in told.passages.values()] == ["north"]
    assert known_presence(south.workspace)[0] == replace(told, complete=True)
    # somebody comes to this gate who may be inside already
    hire(site.hub)
    pull_all(south)
    assert asks.next(20) == replace(told, complete=True)
    site.world.hub.services.fleet.update(
        site.world.hub.services.fleet.by_name("south").gate.id, {"photos": True}, actor=ACTOR
    )
    assert asks.next(20) == replace(told, complete=True), "given anew to this gate"
    site.world.hub.services.feed.renew(actor=ACTOR)
    assert asks.next(20) == replace(told, complete=True), "the hub was restored"
    with site.hub.database.write() as session:
        site_presence_store.forget(session, utcnow() + timedelta(days=1))
    site.world.hub.services.feed.renew(actor=ACTOR)
    assert asks.next(20) == RemotePresence(complete=True), "long ago"


def test_passages_at_once_end_as_the_log_says(site: Site) -> None:
    """Gates send rows of the same people at the same time, while some are erased."""
    people = [hire(site.hub) for _ in range(6)]
    joined = [site.joined(name) for name in ("north", "south", "west")]
    now, chance, errors = SystemClock().now(), random.Random(3), list[BaseException]()
    services = site.world.hub.services
    services.site_presence.keep("works")

    def send(gate: JoinedGate) -> None:
        with gate.workspace.database.read() as session:
            known_ = [person_store.by_code(session, p.personnel_code) for p in people]
        refs = [p.ref for p in known_ if p is not None]
        try:
            for n in range(12):
                at = replace(now, utc=now.utc - 100 + n + chance.random())
                ways = [(ref, chance.choice(list(Direction))) for ref in chance.sample(refs, 3)]
                gate.workspace.journal.append([entry(ref, at, direction=way) for ref, way in ways])
                Uplink.of(gate.workspace, gate.client).send()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=(gate,)) for gate in joined]
    for thread in threads:
        thread.start()
    for gone in people[:2]:
        done_by(ACTOR, People.of(site.hub).delete, gone.id)
    for thread in threads:
        thread.join()
    assert not errors
    with site.hub.database.read() as session:
        kept = {s.uid: (s.direction, s.utc) for s in site_presence_store.since(session, "works", 0)}
        # the last by time: the gates' rows come in any order
        log, uids = attendance_logs.c, {p.id: p.uid for p in people}
        found = sa.select(log.person_id, log.direction, log.created_at).order_by(log.created_at)
        rows = session.execute(found.where(log.person_id.is_not(None)))
        logged = {uids[id_]: (way, at.timestamp()) for id_, way, at in rows}
    assert {p.uid for p in people[2:]} == set(logged)
    assert kept == logged


def test_a_gate_that_is_the_hub_of_the_others(site: Site) -> None:
    ann, bob = hire(site.hub), hire(site.hub)
    fleet, north = site.world.hub.services.fleet, site.joined("north")
    fleet.update(fleet.by_name("north").gate.id, {"site": "office"}, actor=ACTOR)
    a = site.lane(north)
    b = site.stack.enter_context(Lane(site.hub, IN, HARD).running())
    assert a.shows_card(ann.uid) == "granted"
    assert b.knows({ann.uid})
    assert b.shows_card(ann.uid) == "anti_passback"
    assert b.rule() == "anti_passback hard at north"
    assert b.shows_card(bob.uid) == "granted"
    assert a.knows({ann.uid, bob.uid})
    assert a.shows_card(bob.uid) == "anti_passback"
    assert b.problems == ()


def test_clocks_that_differ_do_not_turn_the_order_round(site: Site) -> None:
    """Somebody enters by a gate whose clock is ahead, and leaves by another ten seconds later."""
    ann, now = hire(site.hub), SystemClock().now()
    north, south, third = (site.joined(name) for name in ("north", "south", "third"))
    fast = site.world.hub.services.fleet.by_name("north").gate.id
    with site.hub.database.write() as session:
        at = datetime.fromtimestamp(now.utc, UTC)
        gate_store.heard(session, fast, seen_at=at, status={"clock": now.utc + 100})
    for gate, utc, way in ((north, now.utc + 80, "entry"), (south, now.utc - 10, "exit")):
        with gate.workspace.database.read() as session:
            person = person_store.by_code(session, ann.personnel_code)
        assert person is not None
        passed = entry(person.ref, replace(now, utc=utc), direction=Direction(way))
        gate.workspace.journal.append([passed])
        while Uplink.of(gate.workspace, gate.client).send():
            pass
    told = FromHub(third.workspace, third.client, SystemClock()).next(0)
    assert told is not None
    (word,) = told.passages.values()
    assert word.direction is Direction.EXIT
    assert word.utc == pytest.approx(now.utc - 10, abs=0.01)
    assert FromHub(north.workspace, north.client, SystemClock()).next(0) is not None
    (word,) = known_presence(north.workspace)[0].passages.values()
    assert word.utc == pytest.approx(now.utc + 90, abs=0.01), "by the clock of the gate that asks"
    assert FromHub(south.workspace, south.client, SystemClock()).next(0) is not None
    (word,) = known_presence(south.workspace)[0].passages.values()
    assert word.direction is None, "its own passage is no news to a gate"


class SlowWay(ManualClock):
    """The clock of a gate whose questions are on their way for eight seconds."""

    def now(self) -> Instant:
        at = super().now()
        self.advance(8.0)
        return at


@pytest.mark.parametrize("ahead", [0.0, 100.0])
def test_a_slow_way_to_the_hub_is_not_taken_for_a_wrong_clock(site: Site, ahead: float) -> None:
    gate = site.world.gate("north")
    clock = SlowWay(utc=time.time() - 7 + ahead)
    uplink = Uplink(gate.workspace, gate.client, clock)
    for _ in range(2):
        uplink.greet({"clock": clock.utc}, None)
        clock.utc = time.time() - 7 + ahead
    row = site.world.hub.services.fleet.by_name("north").gate
    assert site_presence_store.clock_ahead_s(row) == pytest.approx(ahead, abs=8.0 if ahead else 0.0)
    assert row.status["clock_within_s"] == 4.0


def test_what_a_gate_says_of_other_times_and_people_counts_for_nobody(site: Site) -> None:
    """A clock that is none, forgiveness in advance, and of people whom it does not carry."""
    ann, guest = hire(site.hub), hire(site.hub, "guests")
    services = site.world.hub.services
    services.site_presence.keep("works")
    liar = LightGate(services.fleet, "liar", 0)
    row = services.fleet.by_name("liar").gate
    services.fleet.update(row.id, {"everyone": False, "groups": ["guests"]}, actor=ACTOR)
    clock = SystemClock().now()
    later = replace(clock, utc=clock.utc + 10**7)

    def forgiven(body: dict[str, Any], **whom: Any) -> Entry:
        return Entry(later, forgiven_store.KIND, body, {"subject": whom} if whom else {})

    told = [
        forgiven({"everybody": True}),
        forgiven({}),
        forgiven({"everybody": False}, name="nobody"),
        forgiven({"everybody": False}, uid="no-such-person"),
        forgiven({"everybody": False}, uid=ann.uid),
        forgiven({"everybody": False}, uid=guest.uid),
        entry(guest.ref, later),
    ]
    batch = JournalIn(**liar.journal.batch([entry(), *told])).batch()
    services.collector.heard(row, None, {"clock": 10**400})
    services.collector.take(services.fleet.by_name("liar").gate, batch)
    for again in (False, True):
        with site.hub.database.write() as session:
            if again:
                site_presence_store.stop_tracking(session, "works")
                site_presence_store.start_tracking(session, "works", gate_presence.may_forgive)
            found = {s.uid: s for s in site_presence_store.since(session, "works", 0)}
            assert forgiven_store.forgiven(session, utcnow() - timedelta(days=1)).keys() >= {None}
        assert found.keys() == {"", guest.uid}
        for stand in found.values():
            assert stand.direction is None
            assert stand.forgiven_utc is not None
            assert stand.forgiven_utc <= SystemClock().now().utc
