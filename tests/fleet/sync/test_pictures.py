"""Snapshots on their way to the hub: sealed, once, few, and gone with the person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gated.database.records import Person, Snapshot
from gated.devices.clock import SystemClock
from gated.errors import HubError, HubUnreachable
from gated.fleet.gate import replica
from gated.fleet.gate.client import HubClient
from gated.fleet.gate.pictures import PictureSender, sealed_for
from gated.fleet.wire.signing import Envelopes
from gated.live import snapshot_store
from gated.live.snapshots import Snapshots
from gated.people.people import People
from gated.privacy.privacy import Privacy
from gated.workspace import Workspace
from tests.changes import done_by
from tests.fleet.sync.test_down import hire, pull_all
from tests.fleet.sync.world import ACTOR, JoinedGate, World

JPEG = b"\xff\xd8\xff a picture"
NOW = datetime.now(UTC)


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture(autouse=True)
def hub_keeps_pictures(world: World) -> None:
    """For three days."""
    keep_for(world.hub.workspace, 3)


def keep_for(hub: Workspace, days: int) -> None:
    privacy = hub.settings.privacy.model_copy(update={"unknown_faces_days": days})
    hub.settings = hub.settings.model_copy(update={"privacy": privacy})


def take(
    gate: JoinedGate, person: Person | None = None, jpeg: bytes = JPEG, at: datetime = NOW
) -> None:
    """A picture at the gate."""
    workspace = gate.workspace
    path = workspace.files.save_image(jpeg)
    with workspace.database.write() as session:
        here = replica.find(session, person.uid) if person else None
        assert snapshot_store.add(
            session, person_id=here.id if here else None, taken_at=at, path=path,
            reason="spoof" if person else "no_match", gate_name="at home", visit=7, pad=0.25,
        )  # fmt: skip


def sender(gate: JoinedGate, client: HubClient | None = None) -> PictureSender:
    return PictureSender(gate.workspace, client or gate.client, gate.member.hub_seal)


def send_all(gate: JoinedGate) -> int:
    count = 0
    while sender(gate).send():
        count += 1
    return count


def kept(world: World) -> list[Snapshot]:
    return Snapshots.of(world.hub.workspace).list_(100)


def files(workspace: Workspace) -> int:
    return len(list((workspace.files.uploads / "images").glob("*.sealed")))


def test_pictures_reach_the_hub_under_the_name_of_the_gate(world: World) -> None:
    person = hire(world.hub.workspace)
    gate = world.gate("north")
    pull_all(gate)
    take(gate)
    take(gate, person)
    assert send_all(gate) == 2
    assert send_all(gate) == 0
    attack, stranger = kept(world)
    assert (attack.gate_name, attack.reason, attack.person_id) == ("north", "spoof", person.id)
    assert (stranger.reason, stranger.visit, stranger.pad) == ("no_match", 7, 0.25)
    assert Snapshots.of(world.hub.workspace).image(attack.id, actor=ACTOR) == JPEG
    # it goes with the person in whose name the attack was, and the others with time
    done_by(ACTOR, People.of(world.hub.workspace).delete, person.id)
    assert kept(world) == [stranger]
    take(gate, at=NOW - timedelta(days=2))
    send_all(gate)
    keep_for(world.hub.workspace, 1)
    assert Privacy(world.hub.workspace, SystemClock()).apply().snapshots == 1
    assert files(world.hub.workspace) == 1


class Deaf(HubClient):
    """Does what it is asked, and never hears the answer."""

    def __init__(self, real: HubClient) -> None:
        self._real = real

    def post(self, path: str, body: Any, timeout: float = 20) -> Any:
        self._real.post(path, body, timeout)
        raise HubUnreachable("cut")


def test_a_lost_answer_keeps_a_picture_once(world: World) -> None:
    gate = world.gate("north")
    take(gate)
    for _ in range(2):
        with pytest.raises(HubUnreachable):
            sender(gate, Deaf(gate.client)).send()
    assert send_all(gate) == 1
    assert len(kept(world)) == files(world.hub.workspace) == 1


def test_what_cannot_be_sent_keeps_no_other_back(world: World) -> None:
    gate = world.gate("north")
    for jpeg in (b"\xff\xd8\xff" + bytes(600_000), b"no picture", JPEG):
        take(gate, jpeg=jpeg)
    assert send_all(gate) == 3
    assert len(kept(world)) == 1


def test_the_hub_keeps_few_and_none_that_it_could_not_erase(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gated.fleet.gate.pictures.PER_DAY", 2)
    person = hire(world.hub.workspace)
    gate = world.gate("north")
    pull_all(gate)
    take(gate, person)
    done_by(ACTOR, People.of(world.hub.workspace).delete, person.id)
    for _ in range(3):
        take(gate)
    assert send_all(gate) == 4
    assert [s.reason for s in kept(world)] == ["no_match"] * 2
    assert files(world.hub.workspace) == 2


def test_whatever_time_a_gate_says_few_pictures_are_kept_and_of_its_people_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gated.fleet.gate.pictures.PER_DAY", 2)
    person = hire(world.hub.workspace, "staff")
    gate = world.gate("north", groups=["staff"])
    pull_all(gate)
    fleet = world.hub.services.fleet
    fleet.update(fleet.by_name("north").gate.id, {"groups": []}, actor=ACTOR)
    take(gate, person)
    for days in (-9, -9, -9, 2, 2, 2, 4):
        take(gate, at=NOW - timedelta(days=days))
    assert send_all(gate) == 8
    assert [(s.reason, s.person_id) for s in kept(world)] == [("no_match", None)] * 4
    assert files(world.hub.workspace) == 4


def test_a_picture_is_for_the_hub_alone_and_for_its_place(world: World) -> None:
    gate = world.gate("north")
    take(gate)
    told: dict[str, Any] = {}

    class Listening(Deaf):
        def post(self, path: str, body: Any, timeout: float = 20) -> Any:
            told.update(body)
            raise HubUnreachable("cut")

    with pytest.raises(HubUnreachable):
        sender(gate, Listening(gate.client)).send()
    assert JPEG not in repr(told).encode()
    for wrong in ({"uid": "0" * 36}, {"sealed": "AAAA"}):
        with pytest.raises(HubError) as refused:
            gate.client.post("/api/sync/pictures", {**told, **wrong})
        assert refused.value.status == 422
    junk = Envelopes.to(gate.member.hub_seal)
    sealed = junk.seal(b"{}", sealed_for("0" * 36))
    body = {"uid": "0" * 36, "ephemeral": junk.ephemeral, "sealed": sealed}
    with pytest.raises(HubError):
        gate.client.post("/api/sync/pictures", body)
    assert kept(world) == []


def test_a_hub_that_keeps_none_takes_none(world: World) -> None:
    hub = world.hub.workspace
    keep_for(hub, 0)
    gate = world.gate("north")
    take(gate)
    assert send_all(gate) == 1
    assert (kept(world), files(hub)) == ([], 0)
