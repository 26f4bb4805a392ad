"""A hub that signs nonsense: what cannot be stored is a failure to report, and ends no program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gated.database.tables import new_uid
from gated.errors import HubError
from gated.fleet.gate.client import HubClient
from gated.fleet.gate.downlink import Downlink
from gated.fleet.gate.remote_presence import FromHub
from gated.fleet.gate.uplink import Uplink
from gated.fleet.hub.feed import context
from gated.fleet.wire.signing import Envelopes
from gated.fleet.wire.states import CredentialState, SentPerson
from gated.people import person_store
from tests.fleet.sync.world import JoinedGate, World

PERSON = SentPerson.of(
    uid="",
    version=1,
    first_name="Ada",
    last_name="Byron",
    personnel_code="E1",
    department=None,
    position=None,
    is_active=True,
    leaves_on=None,
    extended_unlock=False,
    groups={},
    enrollments=(),
    access=None,
    credentials=(),
)


class Saying(HubClient):
    """Gives one answer to everything."""

    def __init__(self, real: HubClient, answer: Any) -> None:
        self.credentials = real.credentials
        self._answer = answer

    def get(self, path: str, timeout: float = 20) -> Any:
        return self._answer

    def post(self, path: str, body: Mapping[str, Any], timeout: float = 20) -> Any:
        return self._answer


def a_person(code: str, **fields: Any) -> SentPerson:
    given = {**PERSON.fields(), "uid": new_uid(), "personnel_code": code, **fields}
    return SentPerson.of(**given)


def told(gate: JoinedGate, people: Sequence[SentPerson], uid: str | None = None) -> Downlink:
    """A downlink that is given these people, and nobody else, in one page."""
    envelopes = Envelopes.to(gate.member.credentials.keys.seal_key)
    items = [
        {
            "op": "put",
            "kind": "person",
            "uid": uid or person.uid,
            "sealed": envelopes.seal(person.to_wire(), context("person", uid or person.uid)),
        }
        for person in people
    ]
    page = {"cursor": "c", "after": None, "ephemeral": envelopes.ephemeral, "items": items}
    return Downlink.of(gate.workspace, Saying(gate.client, page), "m")


def known(gate: JoinedGate) -> set[str]:
    with gate.workspace.database.read() as session:
        return {p.personnel_code for p in person_store.list_(session)[0]}


def test_a_number_that_no_database_holds_keeps_nobody_else_away(world: World) -> None:
    gate = world.gate("north")
    told(gate, [a_person("E1", version=2**70), a_person("E2")]).pull()
    assert known(gate) == {"E2"}


@pytest.mark.parametrize("uid", ["\ud800", "x" * 10_000, "a b", "\0"])
def test_a_name_that_is_none_is_nobodys(world: World, uid: str) -> None:
    gate = world.gate("north")
    told(gate, [a_person("E1")], uid).pull()
    assert known(gate) == set()


def test_a_page_that_contradicts_itself_is_not_applied(world: World) -> None:
    gate = world.gate("north")
    card = CredentialState.of(
        uid=new_uid(),
        kind="card",
        key_count=1,
        digest="ab" * 32,
        pin_hash=None,
        is_active=True,
        valid_from=None,
        valid_until=None,
    )
    same = card.model_copy(update={"uid": new_uid()})
    both = [a_person("E1", credentials=(card,)), a_person("E2", credentials=(same,))]
    with pytest.raises(HubError):
        told(gate, both).pull()
    assert known(gate) == set()


@pytest.mark.parametrize("seq", [10**30, -(10**30), "5", None, 1.5])
def test_a_journal_is_acknowledged_by_a_number(world: World, seq: Any) -> None:
    gate = world.gate("north")
    uplink = Uplink.of(gate.workspace, Saying(gate.client, {"acknowledged": seq, "restart": False}))
    with pytest.raises(HubError):
        uplink.send()


@pytest.mark.parametrize("positions", [{"a/1": 10**30}, {"\ud800/1": 5}, {"a/1": "x"}, [1]])
def test_a_heartbeat_is_answered_with_numbers(world: World, positions: Any) -> None:
    gate = world.gate("north")
    answer = {"acknowledged": positions, "now": "2026-11-01T00:00:00+00:00", "hurry": False}
    with pytest.raises(HubError):
        Uplink.of(gate.workspace, Saying(gate.client, answer)).greet({}, None)


PASSAGE = {
    "seq": 1,
    "uid": "a",
    "direction": "entry",
    "utc": 1e9,
    "gate": "g",
    "forgiven_utc": None,
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq": 10**30},
        {"utc": float("nan")},
        {"utc": 1e300},
        {"utc": 10**400},
        {"uid": "\ud800"},
        {"uid": 5},
        {"gate": "\0"},
        {"forgiven_utc": float("inf")},
    ],
)
def test_who_passed_elsewhere_is_told_in_values_that_can_be(
    world: World, wrong: Mapping[str, Any]
) -> None:
    gate = world.gate("north")
    answer = {"cursor": "c", "complete": True, "others": None, "words": [{**PASSAGE, **wrong}]}
    with pytest.raises(HubError):
        FromHub(gate.workspace, Saying(gate.client, answer), gate.workspace.clock).next(0)


@pytest.mark.parametrize("others", ["many", 10**30, 1.5])
def test_the_number_of_others_is_one(world: World, others: Any) -> None:
    gate = world.gate("north")
    answer = {"cursor": "c", "complete": True, "others": others, "words": [PASSAGE]}
    with pytest.raises(HubError):
        FromHub(gate.workspace, Saying(gate.client, answer), gate.workspace.clock).next(0)
