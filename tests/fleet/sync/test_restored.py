"""An older database is put in place of a hub's: its gates learn everything anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from gated.config import Settings
from gated.database import account_store, change_feed
from gated.database import stored_settings as settings_store
from gated.database.account_store import NO_PASSWORD
from gated.database.change_feed import HEAD
from gated.database.tables import changes as changes_table
from gated.database.tables import erasures, journal
from gated.devices.clock import SystemClock
from gated.errors import HubError
from gated.fleet.hub import gate_store
from gated.fleet.hub.restored import recover
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by
from tests.fleet.sync.test_down import downlink, hire, pull_all, uids
from tests.fleet.sync.world import ACTOR, World
from tests.privacy.test_erasures import back_up_state, restore_state
from tests.workspaces import open_workspace


@pytest.fixture
def engine() -> str:
    return "sqlite"


def renewals(workspace: Workspace) -> list[dict[str, str]]:
    with workspace.database.read() as session:
        told = sa.select(journal.c.body).where(journal.c.kind == "feed_renewed")
        return [json.loads(body) for body in session.execute(told).scalars()]


def feed_name(workspace: Workspace) -> str:
    with workspace.database.read() as session:
        return change_feed.head(session).feed


def turn_back(workspace: Workspace, seq: int) -> None:
    """Let the feed be as it was after so many changes."""
    with workspace.database.write() as session:
        told = settings_store.get(session, HEAD)
        settings_store.set_(session, HEAD, {**told, "seq": seq})
        session.execute(sa.delete(changes_table).where(changes_table.c.seq > seq))


def test_a_gate_that_knows_more_than_its_hub_makes_all_gates_begin_anew(world: World) -> None:
    hub = world.hub.workspace
    person = hire(hub)
    north, south = world.gate("north"), world.gate("south")
    for gate in (north, south):
        pull_all(gate)
    turn_back(hub, 1)
    before = feed_name(hub)
    for gate in (north, north, south):
        pull_all(gate)
        assert uids(gate.workspace) == {person.uid}
    assert feed_name(hub) != before
    assert renewals(hub) == [{"cause": "restored", "severity": "alarm"}]


def test_nobody_makes_a_hub_begin_anew_with_a_cursor_of_their_own(world: World) -> None:
    hub = world.hub.workspace
    hire(hub)
    north, south = world.gate("north"), world.gate("south")
    for gate in (north, south):
        pull_all(gate)
    cursor = downlink(north).place().cursor or ""
    feed, given, _, proof = cursor.split(".")
    for wrong in (f"{feed}.{given}.999.{proof}", f"{feed}.9.1.{proof}", "..999."):
        with pytest.raises(HubError) as refused:
            north.client.get(f"/api/sync/changes?since={wrong}")
        assert refused.value.hub_code == "snapshot_needed"
    turn_back(hub, 1)
    with pytest.raises(HubError):
        south.client.get(f"/api/sync/changes?since={cursor}")
    assert renewals(hub) == []


SIGNS = {
    "rows that the head file knows": (),
    "somebody who was erased is back": ("known",),
    "somebody was erased of whom it knows nothing": ("later",),
}


@pytest.mark.parametrize("sign", SIGNS)
def test_a_hub_that_was_restored_lets_its_gates_begin_anew(tmp_path: Path, sign: str) -> None:
    state, clock = tmp_path / "state", SystemClock()
    settings = Settings.model_validate({"storage": {"state_dir": state}})
    with open_workspace(settings) as hub:
        with hub.database.write() as session:
            account = account_store.add(session, "gate", "device", NO_PASSWORD)
            gate_store.add(session, "n", "s", status={}, feed=1, cursor=0, account_id=account.id)
        recover(hub, clock)
        people = {"known": hire(hub)}
        back_up_state(state, tmp_path / "backup")
        people |= {"later": hire(hub)}
        for name in SIGNS[sign]:
            done_by(ACTOR, People.of(hub).delete, people[name].id)
        recover(hub, clock)
        before = feed_name(hub)
        assert renewals(hub) == [], "nothing was restored"
    restore_state(state, tmp_path / "backup")
    if SIGNS[sign]:
        (state / "journal.head").unlink()  # as on a new disk
    with open_workspace(settings) as hub:
        for _ in range(2):
            recover(hub, clock)
            assert renewals(hub) == [{"cause": "restored", "severity": "alarm"}]
        assert feed_name(hub) != before
        erased = {people[name].uid for name in SIGNS[sign]}
        assert uids(hub) == {people["known"].uid} - erased
        with hub.database.read() as session:
            assert set(session.execute(sa.select(erasures.c.uid)).scalars()) == erased
