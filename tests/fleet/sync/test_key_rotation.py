"""A hub goes along with a gate's new key when the old one agrees, and with no other by itself."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from gated.attendance import attendance_store
from gated.database.tables import attendance_logs, journal_seal
from gated.errors import HubError
from gated.fleet.hub.collect import Collector
from gated.journal import alarm_store
from gated.journal.chain_tip import Head
from gated.journal.journal import GateLabel, Journal
from gated.live.journal_review import JournalReview
from gated.vault.sealing import make_next_journal_key, take_next_journal_key
from tests.fleet.sync.test_up import assert_same_journal, rows_of, send_all, write
from tests.fleet.sync.world import ACTOR, JoinedGate, World
from tests.people.people import entry
from tests.storage import forger


def rotate(gate: JoinedGate) -> str:
    return JournalReview.of(gate.workspace).rotate_key(actor="Grace", reason="a rule")


def known_key(world: World) -> str | None:
    (found,), _ = world.hub.services.fleet.list_()
    return found.gate.journal_key


def alarms(world: World) -> list[str]:
    with world.hub.workspace.database.read() as session:
        return [alarm.kind for alarm in alarm_store.list_(session, standing=True)]


def passages(world: World) -> int:
    with world.hub.workspace.database.read() as session:
        return len(attendance_store.list_(session))


@pytest.mark.parametrize("between", [True, False], ids=["sent between", "sent at the end"])
def test_a_rotated_key_needs_nobodys_word(world: World, between: bool) -> None:
    gate = world.gate("north")
    for _ in range(2):
        write(gate.workspace, 4)
        if between:
            send_all(gate)
        key = rotate(gate)
    write(gate.workspace, 4)
    send_all(gate)
    assert_same_journal(world.hub.workspace, gate.workspace)
    assert (known_key(world), alarms(world), passages(world)) == (key, [], 12)
    assert world.hub.workspace.journal.verify().ok
    assert gate.workspace.journal.verify().ok


def test_a_gate_that_rotated_before_it_joined_sends_all_it_has(world: World) -> None:
    workspace = world.standalone("north")
    write(workspace, 4)
    key = JournalReview.of(workspace).rotate_key(actor="Grace", reason="a rule")
    write(workspace, 4)
    gate = world.join(workspace, "north")
    send_all(gate)
    assert_same_journal(world.hub.workspace, workspace)
    assert (known_key(world), alarms(world), passages(world)) == (key, [], 8)


def test_another_key_waits_for_an_admin(world: World) -> None:
    """Its rows are not projected before; each is there once afterwards."""
    gate = world.gate("north")
    write(gate.workspace, 4)
    send_all(gate)
    state = gate.workspace.settings.storage.state_dir
    signer = make_next_journal_key(state)
    take_next_journal_key(state)
    own = gate.workspace.journal
    label = GateLabel("north", "works")
    gate.workspace.journal = Journal(own.db, signer, own.head_file, label)
    write(gate.workspace, 4)
    key = gate.workspace.journal.public_key
    for _ in range(2):
        with pytest.raises(HubError, match=key) as refused:
            send_all(gate)
        assert refused.value.status == 409
        assert (passages(world), alarms(world)) == (4, ["sync_alarm"])
    Collector.of(world.hub.workspace).accept_key("North", key, actor=ACTOR, reason="a new card")
    send_all(gate)
    assert (passages(world), known_key(world)) == (8, key)
    assert len(rows_of(world.hub.workspace, attendance_logs)) == 8


def test_who_has_the_old_key_adds_nothing_to_its_chains(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 4)
    stolen, chain = gate.workspace.keys.signer, f"{gate.workspace.journal.gate_uid()}/1"
    rotate(gate)
    send_all(gate)
    with gate.workspace.database.write() as session:
        body = dict(entry().body)
        seq = forger.forge(session, chain, "decision", body)
        end = Head(chain, seq, forger.newest(session, chain).hash)
        signed = {**end.as_dict(), "signature": stolen.sign(end.message()).hex()}
        session.execute(sa.insert(journal_seal).values(signed))
    assert not gate.workspace.journal.verify().ok
    send_all(gate)
    assert (passages(world), alarms(world)) == (4, ["sync_alarm"])
