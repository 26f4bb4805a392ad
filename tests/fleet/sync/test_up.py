"""The journal on its way up: each row once, in order, whatever happens on the way."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gated.attendance import attendance_store, correction_store
from gated.config import PrivacySettings
from gated.database.records import AttendanceRow, Person
from gated.database.tables import (
    attendance_logs,
    journal,
    journal_private,
    journal_seal,
    sync_chains,
    sync_quarantine,
)
from gated.devices.clock import ManualClock, SystemClock
from gated.errors import Busy, HubError, NotAllowed, SourceError, StorageError
from gated.fleet.gate.uplink import Uplink, status_of, wire_of
from gated.fleet.hub.collect import AT_A_TIME, OF_ONE_GATE, WAITING, Collector
from gated.fleet.hub.fleet import FleetGate
from gated.fleet.hub.sync_schemas import JournalIn
from gated.fleet.wire.heartbeat import reported
from gated.journal import outbox, quarantine
from gated.journal.journal import Entry
from gated.journal.outbox import Batch
from gated.journal.pruned_ranges import own_chains
from gated.journal.quarantine import SetApart
from gated.link.status_board import StatusBoard
from gated.people.people import People
from gated.privacy.privacy import Privacy
from gated.workspace import Workspace
from tests.bench.light_gates import LightGate
from tests.changes import done_by
from tests.fleet.sync.world import ACTOR, JoinedGate, World
from tests.people.people import NOW, add_person, entry
from tests.storage import forger


def write(workspace: Workspace, rows: int, person: Person | None = None) -> None:
    """Decisions, several to a seal."""
    for _ in range(0, rows, 4):
        workspace.journal.append([entry(person.ref if person else None) for _ in range(4)])


def send_all(gate: JoinedGate) -> int:
    uplink = Uplink.of(gate.workspace, gate.client)
    batches = 0
    while uplink.send():
        batches += 1
        assert batches < 100
    return batches


def rows_of(workspace: Workspace, table: sa.Table, chain: str = "") -> list[Any]:
    order = [c for c in table.c if c.name in ("chain", "seq", "role")]
    with workspace.database.read() as session:
        return [
            row
            for row in session.execute(sa.select(table).order_by(*order))
            if row.chain.startswith(chain)
        ]


def assert_same_journal(hub: Workspace, gate: Workspace) -> None:
    own = gate.journal.gate_uid()
    for table in (journal, journal_private):
        assert rows_of(hub, table, own) == rows_of(gate, table, own)
    assert hub.journal.verify().ok, hub.journal.verify()


def batches_of(gate: JoinedGate, limit: int = 8) -> list[Batch]:
    with gate.workspace.database.read() as session:
        found = []
        for chain in own_chains(session, gate.workspace.journal.gate_uid()):
            after = 0
            while (batch := outbox.batch(session, chain, after, limit)) is not None:
                found.append(batch)
                after = batch.rows[-1]["seq"]
    return found


def registered(world: World, name: str) -> FleetGate:
    return world.hub.services.fleet.by_name(name)


def alarms(world: World) -> list[dict[str, int]]:
    rows = rows_of(world.hub.workspace, journal)
    return [json.loads(r.body)["flaws"] for r in rows if r.kind == "sync_alarm"]


def person_on_both(world: World, gate: JoinedGate) -> tuple[Person, Person]:
    """The same person under another number on hub and gate."""
    with world.hub.workspace.database.write() as session:
        add_person(session)
        here = add_person(session)
    with gate.workspace.database.write() as session:
        there = add_person(session, personnel_code=here.personnel_code)
        session.execute(sa.text("UPDATE persons SET uid = :uid"), {"uid": here.uid})
    return here, dataclasses.replace(there, uid=here.uid)


def test_rows_arrive_once_and_are_projected_for_the_persons_of_the_hub(world: World) -> None:
    gate = world.gate("north")
    here, there = person_on_both(world, gate)
    write(gate.workspace, 12, there)
    write(gate.workspace, 4)
    assert send_all(gate) > 0
    assert Uplink.of(gate.workspace, gate.client).backlog() == 0
    assert_same_journal(world.hub.workspace, gate.workspace)
    with world.hub.workspace.database.read() as session:
        rows = attendance_store.list_(session, limit=100)
    assert [r.person_id for r in rows] == [None] * 4 + [here.id] * 12
    with gate.workspace.database.read() as session:
        own = attendance_store.list_(session, limit=100)
    assert [facts(r) for r in rows] == [facts(r) for r in own]
    assert not send_all(gate)


def facts(row: AttendanceRow) -> dict[str, Any]:
    local = {"id", "person_id", "recorded_at"}
    return {k: v for k, v in dataclasses.asdict(row).items() if k not in local}


def test_doubles_and_disorder_change_nothing(world: World) -> None:
    """Batches of all sizes, twice and in any order, from several threads at a time."""
    gate = world.gate("north")
    write(gate.workspace, 40)
    deliveries = [b for limit in (4, 8, 20) for b in batches_of(gate, limit)] * 2
    random.Random(5).shuffle(deliveries)
    found, errors = registered(world, "north").gate, []

    def deliver(some: list[Batch]) -> None:
        try:
            for batch in some:
                world.hub.services.collector.take(found, batch)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=deliver, args=(deliveries[i::3],)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    send_all(gate)
    assert_same_journal(world.hub.workspace, gate.workspace)
    assert len(rows_of(world.hub.workspace, attendance_logs)) == 40
    assert alarms(world) == []


def test_a_lost_answer_costs_a_batch_sent_twice(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 8)
    send_all(gate)
    with gate.workspace.database.write() as session:
        (chain,) = outbox.acknowledged(session)
        outbox.acknowledge(session, chain, 2)
    assert send_all(gate) > 0
    assert_same_journal(world.hub.workspace, gate.workspace)
    assert alarms(world) == []


def test_the_hub_says_where_to_go_on(world: World) -> None:
    """A gate that believes too much rewinds, and one that believes too little skips."""
    gate = world.gate("north")
    write(gate.workspace, 16)
    (chain,) = {b.chain for b in batches_of(gate)}
    uplink = Uplink.of(gate.workspace, gate.client)
    with gate.workspace.database.write() as session:
        outbox.acknowledge(session, chain, 9)
    for _ in range(3):
        uplink.send()
    send_all(gate)
    assert_same_journal(world.hub.workspace, gate.workspace)
    with gate.workspace.database.write() as session:
        outbox.acknowledge(session, chain, 0)
    uplink.greet({}, None)
    assert uplink.backlog() == 0


def test_an_altered_row_is_set_apart_and_the_others_arrive(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 12)
    (batch,) = batches_of(gate, 100)
    rows = [dict(r) for r in batch.rows]
    rows[4]["body"] = rows[4]["body"].replace('"denied"', '"granted"')
    forged = dataclasses.replace(batch, rows=rows)
    found = registered(world, "north").gate
    for _ in range(2):
        taken = world.hub.services.collector.take(found, forged)
        assert taken.seq == batch.rows[-1]["seq"]
    assert alarms(world) == [{"altered": 1}]
    assert len(rows_of(world.hub.workspace, journal, batch.chain)) == len(rows) - 1
    problem = world.hub.workspace.journal.verify().first_problem
    assert problem is not None
    assert problem.seq == rows[4]["seq"]


def test_a_row_that_the_log_cannot_hold_keeps_no_other_away(world: World) -> None:
    gate = LightGate(world.hub.services.fleet, "north", 0)
    fine = entry()
    nowhere = dataclasses.replace(fine, body={**fine.body, "site": None})
    batch = JournalIn(**gate.journal.batch([fine, fine, nowhere, fine])).batch()
    world.hub.services.collector.take(registered(world, "north").gate, batch)
    hub = world.hub.workspace
    assert [r.seq for r in rows_of(hub, journal, batch.chain)] == [1, 2, 3, 4]
    assert [r.seq for r in rows_of(hub, attendance_logs, batch.chain)] == [2, 4]
    assert alarms(world) == [{"projection": 1}]


def test_nothing_of_a_gate_gets_into_the_log_that_nobody_can_read(world: World) -> None:
    gate = LightGate(world.hub.services.fleet, "north", 0)
    fine = entry()
    junk: list[dict[str, Any]] = [
        {"direction": "sideways"},
        {"confidence": "high"},
        {"frames": True},
        {"visit": 10**30},
        {"flags": [1]},
        {"gate": ["north"]},
    ]
    odd = [dataclasses.replace(fine, body={**fine.body, **wrong}) for wrong in junk]
    batch = JournalIn(**gate.journal.batch([fine, fine, *odd, fine])).batch()
    world.hub.services.collector.take(registered(world, "north").gate, batch)
    assert [r.seq for r in rows_of(world.hub.workspace, attendance_logs, batch.chain)] == [2, 9]
    assert alarms(world) == [{"projection": len(junk)}]


def test_texts_that_no_database_holds_keep_no_row_away(world: World) -> None:
    gate = LightGate(world.hub.services.fleet, "north", 0)
    uids: list[Any] = [{"a": 1}, "\0", "\ud800"]
    odd = [dataclasses.replace(entry(), private={"subject": {"uid": uid}}) for uid in uids]
    odd += [
        Entry(NOW, "not_used", {"visit_uid": "\0"}),
        Entry(NOW, "redacted", {"chain": "\ud800/1", "role": "subject", "seqs": []}),
        dataclasses.replace(entry(), private={"subject": {"uid": "x"}}),
    ]
    batch = JournalIn(**gate.journal.batch([entry(), *odd, entry()])).batch()
    twice = dataclasses.replace(batch, private=[*batch.private, batch.private[-1]])
    world.hub.services.collector.take(registered(world, "north").gate, twice)
    logs = rows_of(world.hub.workspace, attendance_logs, batch.chain)
    assert [r.seq for r in logs] == [2, 3, 4, 7, 8]
    assert alarms(world) == [{"altered": 4, "projection": 2}]


def test_an_altered_name_is_not_taken_in(world: World) -> None:
    gate = world.gate("north")
    with gate.workspace.database.write() as session:
        ada, bob = add_person(session), add_person(session)
    write(gate.workspace, 4, ada)
    (batch,) = batches_of(gate, 100)
    private = [dict(p) for p in batch.private]
    forged = next(p for p in private if p["role"] == "subject")
    forged["payload"] = forged["payload"].replace(ada.uid, bob.uid)
    found = registered(world, "north").gate
    world.hub.services.collector.take(found, dataclasses.replace(batch, private=private))
    assert alarms(world) == [{"altered": 1}]
    told = rows_of(world.hub.workspace, journal_private, batch.chain)
    assert bob.uid not in {p.uid for p in told}


def test_a_seal_of_another_key_is_an_alarm(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 4)
    (batch,) = batches_of(gate, 100)
    seals = [{**s, "signature": "0" * 128} for s in batch.seals]
    found = registered(world, "north").gate
    world.hub.services.collector.take(found, dataclasses.replace(batch, seals=seals))
    assert alarms(world) == [{"seal": len(batch.rows)}]
    assert rows_of(world.hub.workspace, journal, batch.chain) == []


def test_rows_without_a_seal_of_their_gate_are_not_projected(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 8)
    (batch,) = batches_of(gate, 100)
    *covering, last = batch.seals
    found = registered(world, "north").gate
    forged = {**last, "signature": "0" * 128}
    for seals in (covering, [*covering, forged]):
        told = dataclasses.replace(batch, seals=seals)
        taken = world.hub.services.collector.take(found, told)
        assert taken.seq == batch.rows[-1]["seq"], "they hold up no others"
    hub = world.hub.workspace
    end = covering[-1]["seq"]
    assert [r.seq for r in rows_of(hub, journal, batch.chain)] == list(range(1, end + 1))
    assert max(r.seq for r in rows_of(hub, attendance_logs, batch.chain)) == end
    assert alarms(world) == [{"seal": len(batch.rows) - end}]


def test_a_gate_sends_only_what_it_has_sealed_itself(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 4)
    send_all(gate)
    chain = f"{gate.workspace.journal.gate_uid()}/1"
    with gate.workspace.database.write() as session:
        seq = forger.forge(session, chain, "decision", dict(entry().body), sealed=True)
    write(gate.workspace, 4)
    send_all(gate)
    hub = world.hub.workspace
    own = gate.workspace.journal.gate_uid()
    assert Uplink.of(gate.workspace, gate.client).backlog() == 0
    assert (chain, seq) not in {(r.chain, r.seq) for r in rows_of(hub, journal, own)}
    kinds = {r.kind for r in rows_of(hub, journal, own)}
    assert "journal_broken" in kinds, "the hub hears of it"
    assert hub.journal.verify().ok, hub.journal.verify()
    assert alarms(world) == []


def test_rows_lost_on_the_gate_are_an_alarm_and_the_rest_arrives(world: World) -> None:
    """Rows before the gap that no seal covers any more are set apart: nothing proves whose."""
    gate = world.gate("north")
    write(gate.workspace, 16)
    with gate.workspace.database.write() as session:
        seals = sorted(session.execute(sa.select(journal_seal.c.seq)).scalars())
        session.execute(sa.delete(journal).where(journal.c.seq.between(5, 7)))
    unproven = list(range(max(seq for seq in seals if seq < 5) + 1, 5))
    assert unproven, "the batch that was cut has its seal behind the gap"
    send_all(gate)
    own = gate.workspace.journal.gate_uid()
    there = rows_of(gate.workspace, journal, own)
    sealed = [r for r in there if r.seq not in unproven]
    assert [r.seq for r in there if r.seq in unproven] == unproven
    assert rows_of(world.hub.workspace, journal, own) == sealed
    assert alarms(world) == [{"seal": len(unproven)}, {"gap": 1}]
    apart = rows_of(world.hub.workspace, sync_quarantine, own)
    assert [r.seq for r in apart if r.reason == "seal"] == unproven, "nothing is thrown away"
    problem = world.hub.workspace.journal.verify().first_problem
    assert problem is not None
    assert problem.seq == unproven[0]


def test_a_gate_restored_from_a_backup_goes_on_in_a_new_chain(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 8)
    backup = gate.workspace.settings.storage.state_dir.with_name("backup")
    gate.workspace.close()
    shutil.copytree(gate.workspace.settings.storage.state_dir, backup)
    with Workspace(gate.workspace.settings) as before:
        write(before, 8)
        send_all(dataclasses.replace(gate, workspace=before))
    shutil.rmtree(gate.workspace.settings.storage.state_dir)
    shutil.move(backup, gate.workspace.settings.storage.state_dir)
    with Workspace(gate.workspace.settings) as restored:
        again = dataclasses.replace(gate, workspace=restored)
        Uplink.of(restored, gate.client).greet({}, None)
        write(restored, 4)
        send_all(again)
        chains = {r.chain for r in rows_of(restored, journal)}
        assert len(chains) == 2
        hub = world.hub.workspace
        sent = rows_of(hub, journal, restored.journal.gate_uid())
        own = rows_of(restored, journal)
        assert set(own) < set(sent)
        assert hub.journal.verify().ok, hub.journal.verify()
        assert alarms(world) == []


def test_two_units_that_write_as_one_gate_are_an_alarm(world: World, tmp_path: Path) -> None:
    gate = world.gate("north")
    write(gate.workspace, 8)
    send_all(gate)
    folder = gate.workspace.settings.storage.state_dir
    gate.workspace.close()
    clone = gate.workspace.settings.model_copy(
        update={
            "storage": gate.workspace.settings.storage.model_copy(
                update={"state_dir": tmp_path / "clone"}
            )
        }
    )
    shutil.copytree(folder, tmp_path / "clone")
    with Workspace(gate.workspace.settings) as one, Workspace(clone) as other:
        write(one, 4)
        send_all(dataclasses.replace(gate, workspace=one))
        other.journal.append([entry(at=dataclasses.replace(NOW, mono=99.0))] * 4)
        send_all(dataclasses.replace(gate, workspace=other))
        assert alarms(world) == [{"fork": 4}]
        # the clone goes on in a chain of its own, and what it writes there arrives
        write(other, 4)
        send_all(dataclasses.replace(gate, workspace=other))
        newest = f"{other.journal.gate_uid()}/2"
        own = rows_of(other, journal, newest)
        assert own
        assert rows_of(world.hub.workspace, journal, newest) == own


def test_names_of_a_forked_branch_are_kept_where_an_erasure_finds_them(world: World) -> None:
    gate = world.gate("north")
    here, there = person_on_both(world, gate)
    write(gate.workspace, 4)
    send_all(gate)
    write(gate.workspace, 2, there)
    uid = gate.workspace.journal.gate_uid()
    with gate.workspace.database.read() as session:
        known = outbox.acknowledged(session)[f"{uid}/1"]
        batch = outbox.batch(session, f"{uid}/1", known, 100)
    assert batch is not None
    other = dataclasses.replace(batch, after=dataclasses.replace(batch.after, hash="f" * 64))
    gate_, hub = registered(world, "north").gate, world.hub.workspace
    for _ in range(2):
        assert world.hub.services.collector.take(gate_, other).restart

    def kept() -> list[SetApart]:
        with hub.database.read() as session:
            return quarantine.list_(session, gate_.id, 100)

    subjects = [s.private["subject"]["name"] for s in kept() if s.private]
    assert subjects == [there.name] * 4
    with hub.database.read() as session:
        assert len(quarantine.about(session, here.uid)) == 4
    done_by(ACTOR, People.of(hub).delete, here.id)
    assert (len(kept()), [s.private for s in kept() if s.private]) == (4, [])
    # who is erased is not taken in with a later one
    again = dataclasses.replace(other, after=dataclasses.replace(other.after, hash="e" * 64))
    with hub.database.write() as session:
        session.execute(sa.delete(sync_quarantine))
    world.hub.services.collector.take(gate_, again)
    assert (len(kept()), [s.private for s in kept() if s.private]) == (4, [])


def test_a_gate_that_sends_nonsense_fills_no_disk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "PER_GATE", 6)
    gate = world.gate("north")
    write(gate.workspace, 12)
    (batch,) = batches_of(gate, 100)
    rows = [{**r, "body": '{"what":1}'} for r in batch.rows]
    found = registered(world, "north").gate
    world.hub.services.collector.take(found, dataclasses.replace(batch, rows=rows))
    with world.hub.workspace.database.read() as session:
        kept = quarantine.list_(session, found.id, 100)
    assert [s.seq for s in kept if s.reason == "altered"] == [r["seq"] for r in rows[:-7:-1]]


def test_who_was_erased_meanwhile_is_not_taken_in_again(world: World) -> None:
    gate = world.gate("north")
    here, there = person_on_both(world, gate)
    write(gate.workspace, 4, there)
    done_by(ACTOR, People.of(world.hub.workspace).delete, here.id)
    send_all(gate)
    hub = world.hub.workspace
    assert here.uid not in repr(rows_of(hub, journal_private))
    assert {r.person_id for r in rows_of(hub, attendance_logs)} == {None}
    assert hub.journal.verify().ok, hub.journal.verify()


def test_what_a_gate_redacts_is_forgotten_on_the_hub(world: World) -> None:
    gate = world.gate("north")
    here, there = person_on_both(world, gate)
    write(gate.workspace, 4, there)
    send_all(gate)
    with gate.workspace.database.write() as session:
        gate.workspace.journal.erase_person(session, NOW, there.uid, "erasure")
    send_all(gate)
    hub = world.hub.workspace
    assert here.uid not in repr(rows_of(hub, journal_private))
    assert {r.person_id for r in rows_of(hub, attendance_logs)} == {None}
    assert_same_journal(hub, gate.workspace)


def test_people_whom_the_hub_does_not_know_are_forgotten_in_time(world: World) -> None:
    """Also where a row of theirs fits into no log, and their gate is gone or keeps them longer."""
    gate, hub = world.gate("north"), world.hub.workspace
    with gate.workspace.database.write() as session:
        eve = add_person(session)
    now = SystemClock().now()
    fits = entry(eve.ref, now)
    misfit = dataclasses.replace(fits, body={**fits.body, "site": 7})
    gate.workspace.journal.append([fits, fits, misfit])
    send_all(gate)
    assert eve.uid in repr(rows_of(hub, journal_private))
    hub.settings = hub.settings.model_copy(update={"privacy": PrivacySettings(attendance_days=10)})
    clock = ManualClock(now.mono, now.utc)
    clock.advance(9 * 86_400)
    assert Privacy(hub, clock).apply().attendance == 0
    clock.advance(2 * 86_400)
    assert Privacy(hub, clock).apply().attendance == 3
    assert eve.uid not in repr(rows_of(hub, journal_private))
    assert hub.journal.verify().ok, hub.journal.verify()
    assert Privacy(hub, clock).apply().attendance == 0


def test_no_gate_makes_the_hub_forget_rows_of_another(world: World) -> None:
    gate, thief = world.gate("north"), world.gate("thief")
    _, there = person_on_both(world, gate)
    write(gate.workspace, 4, there)
    send_all(gate)
    chain = f"{gate.workspace.journal.gate_uid()}/1"
    with thief.workspace.database.write() as session:
        thief.workspace.journal.redact(session, NOW, chain, range(1, 20), "spite")
    send_all(thief)
    assert there.uid in repr(rows_of(world.hub.workspace, journal_private))
    assert alarms(world) == [{"projection": 1}]


def test_a_gate_writes_in_its_own_name_only(world: World) -> None:
    gate, thief = world.gate("north"), world.gate("thief")
    write(gate.workspace, 4)
    (batch,) = batches_of(gate, 100)
    with pytest.raises(NotAllowed):
        world.hub.services.collector.take(registered(world, "thief").gate, batch)
    with pytest.raises(HubError) as refused:
        thief.client.post("/api/sync/journal", wire_of(batch))
    assert refused.value.status == 403
    assert rows_of(world.hub.workspace, sync_chains) == []


def test_rows_out_of_order_are_refused(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 8)
    (batch,) = batches_of(gate, 100)
    turned = dataclasses.replace(batch, rows=batch.rows[::-1])
    with pytest.raises(SourceError):
        world.hub.services.collector.take(registered(world, "north").gate, turned)


def test_a_correction_supersedes_on_the_hub_as_on_the_gate(world: World) -> None:
    gate = world.gate("north")
    _, there = person_on_both(world, gate)
    write(gate.workspace, 4, there)
    with gate.workspace.database.write() as session:
        old = attendance_store.list_(session, limit=1)[0]
        new = correction_store.NewValues(
            person=there, passed_at=old.created_at, direction=old.direction, status="void"
        )
        made = correction_store.correction_entry(NOW, old, new, actor=ACTOR, cause="not there")
        gate.workspace.journal.append([made], session)
    send_all(gate)
    logs = rows_of(world.hub.workspace, attendance_logs)
    assert [r.seq for r in logs if r.superseded_by is not None] == [old.seq]
    assert_same_journal(world.hub.workspace, gate.workspace)


def test_no_gate_corrects_rows_of_another(world: World) -> None:
    gate = world.gate("north")
    _, there = person_on_both(world, gate)
    write(gate.workspace, 4, there)
    send_all(gate)
    with gate.workspace.database.read() as session:
        old = attendance_store.list_(session, limit=1)[0]
    new = correction_store.NewValues(
        person=None, passed_at=old.created_at, direction=old.direction, status="void"
    )
    made = correction_store.correction_entry(NOW, old, new, actor=ACTOR, cause="spite")
    forged = LightGate(world.hub.services.fleet, "light", 0)
    batch = JournalIn(**forged.journal.batch([made, made])).batch()
    world.hub.services.collector.take(registered(world, "light").gate, batch)
    logs = rows_of(world.hub.workspace, attendance_logs)
    assert [r.superseded_by for r in logs] == [None] * 4
    assert alarms(world) == [{"projection": 1}]
    found = world.hub.workspace.journal.verify().first_problem
    assert found is None or found.chain == batch.chain, "nothing is wrong with the rows of north"


def test_a_busy_hub_sends_gates_away_for_a_while(world: World) -> None:
    gate = world.gate("north")
    write(gate.workspace, 4)
    (batch,) = batches_of(gate, 100)
    collector = Collector(world.hub.workspace, SystemClock(), wait_s=0.05)
    for _ in range(AT_A_TIME):
        collector._places.acquire()
    with pytest.raises(Busy):
        collector.take(registered(world, "north").gate, batch)
    collector._places.release()
    assert collector.take(registered(world, "north").gate, batch).seq == batch.rows[-1]["seq"]
    for _ in range(AT_A_TIME + WAITING):
        collector._queue.acquire()
    with pytest.raises(Busy):  # at once, whatever is free
        collector.take(registered(world, "north").gate, batch)


def test_a_gate_that_sends_much_at_once_takes_nobody_elses_place(world: World) -> None:
    north, south = world.gate("north"), world.gate("south")
    for gate in (north, south):
        write(gate.workspace, 4)
    collector = Collector(world.hub.workspace, SystemClock())
    row = registered(world, "north").gate
    with ExitStack() as held:
        for _ in range(OF_ONE_GATE):
            held.enter_context(collector._share(row.id))
        (batch,) = batches_of(north, 100)
        with pytest.raises(Busy):
            collector.take(row, batch)
        (others,) = batches_of(south, 100)
        assert collector.take(registered(world, "south").gate, others).seq
    assert collector.take(row, batch).seq == batch.rows[-1]["seq"]


def test_what_a_gate_tells_of_itself_is_in_the_fleet_page(world: World) -> None:
    gate = world.gate("north")
    Uplink.of(gate.workspace, gate.client).greet({"backlog": 7}, "sface")
    found = registered(world, "north").gate
    assert (found.status["backlog"], found.model) == (7, "sface")
    assert found.seen_at is not None


def test_a_gate_tells_of_its_alarms_its_disk_and_what_the_hub_lacks(world: World) -> None:
    gate = world.gate("north")
    raised = dataclasses.replace(entry(), kind="forced", body={"severity": "alarm"})
    gate.workspace.journal.append([raised])
    board = StatusBoard()
    board.publish(hub_settings={"revision": 3})
    status = status_of(gate.workspace, board.snapshot, SystemClock(), backlog=3)
    assert status["settings"] == {"revision": 3}
    assert (status["alarms"], status["backlog"], status["problems"]) == (["forced"], 3, [])
    assert status["disk_free"] > 0
    Uplink.of(gate.workspace, gate.client).greet(status, None)
    known = registered(world, "north")
    assert status.items() <= known.gate.status.items()
    assert (known.reported.settings.revision, known.gate.troubled) == (3, True)


@pytest.mark.parametrize("status", [{"long": "x" * 20_000}, {"clock": float("nan")}])
def test_what_a_gate_tells_of_itself_is_bounded(world: World, status: dict[str, Any]) -> None:
    gate = world.gate("north")
    with pytest.raises(HubError) as refused:
        Uplink.of(gate.workspace, gate.client).greet(status, None)
    assert refused.value.status == 422


def test_what_a_gate_tells_of_itself_can_be_shown() -> None:
    told = reported(
        {
            "version": "1\x1b[2J",
            "alarms": ["a\x9b", 5],
            "disk_free": 10**400,
            "people": "many",
            "settings": {"reason": "two\nlines", "revision": 3},
        }
    )
    assert (told.version, told.alarms) == ("1?[2J", ("a?",))
    assert (told.disk_free, told.people) == (None, None)
    assert (told.settings.reason, told.settings.revision) == ("two\nlines", 3)


def test_quarantine_holds_no_names(world: World) -> None:
    gate = world.gate("north")
    with gate.workspace.database.write() as session:
        ada = add_person(session)
    write(gate.workspace, 4, ada)
    (batch,) = batches_of(gate, 100)
    private = [{**p, "salt": "0" * 64} for p in batch.private if p["role"] == "subject"]
    found = registered(world, "north").gate
    world.hub.services.collector.take(found, dataclasses.replace(batch, private=private))
    assert ada.uid not in repr(rows_of(world.hub.workspace, sync_quarantine))
    assert alarms(world) == [{"altered": 4}]


def test_a_trouble_of_the_database_keeps_no_row_out_of_the_log(world: World) -> None:
    """The disk is full, a lock is not had: the gate sends it again, and all of it is there."""
    gate = LightGate(world.hub.services.fleet, "north", 0)
    batch = JournalIn(**gate.journal.batch([entry(), entry()])).batch()
    hub = world.hub.workspace
    if not hub.database.sqlite:
        pytest.skip("its trigger is SQLite's")
    with hub.database.write() as session:
        session.execute(
            sa.text(
                "CREATE TRIGGER no_room BEFORE INSERT ON attendance_logs "
                "BEGIN INSERT INTO nowhere VALUES (1); END"
            )
        )
    with pytest.raises(StorageError):
        world.hub.services.collector.take(registered(world, "north").gate, batch)
    assert rows_of(hub, journal, batch.chain) == []
    assert alarms(world) == []
    with hub.database.write() as session:
        session.execute(sa.text("DROP TRIGGER no_room"))
    world.hub.services.collector.take(registered(world, "north").gate, batch)
    assert [r.seq for r in rows_of(hub, attendance_logs, batch.chain)] == [2]
