"""What one gate says of another's journal counts for nothing, on its hub and at home."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from gated.core.chain import GENESIS
from gated.database.tables import attendance_logs, journal, journal_private, sync_quarantine
from gated.journal.journal import Entry
from gated.workspace import Workspace
from tests.fleet.sync.test_up import send_all, write
from tests.fleet.sync.world import World
from tests.people.people import NOW, add_person, entry


def words(chain: str, hash_: str) -> dict[str, dict[str, Any]]:
    """What would excuse that rows 2 and 3 of a chain are gone, or their names."""
    redacted = {"chain": chain, "role": "subject", "seqs": [[2, 3]], "reason": "retention"}
    cut = {"chain": chain, "seq": 3, "hash": hash_, "key": "", "rows": 3, "unacknowledged": 0}
    hole = {"chain": chain, "first": 1, "seq": 3, "hash": hash_, "key": ""}
    return {
        "redacted": redacted,
        "pruned": {**cut, "state": {}, "cause": "age"},
        "rows_dropped": hole,
    }


def take_names(workspace: Workspace, chain: str) -> None:
    with workspace.database.write() as session:
        part, log = journal_private.c, attendance_logs.c
        gone = part.chain == chain, part.seq.in_([2, 3])
        session.execute(sa.delete(journal_private).where(*gone))
        rows = log.chain == chain, log.seq.in_([2, 3])
        session.execute(sa.update(attendance_logs).where(*rows).values(person_id=None))


def take_rows(workspace: Workspace, chain: str) -> None:
    with workspace.database.write() as session:
        for table in (attendance_logs, journal_private, journal):
            session.execute(sa.delete(table).where(table.c.chain == chain, table.c.seq < 4))


def hash_of(workspace: Workspace, chain: str) -> str:
    with workspace.database.read() as session:
        row = sa.select(journal.c.hash).where(journal.c.chain == chain, journal.c.seq == 3)
        return session.execute(row).scalar() or GENESIS


@pytest.mark.parametrize("kind", ["redacted", "pruned", "rows_dropped"])
def test_a_gates_word_excuses_nothing_in_anothers_journal(world: World, kind: str) -> None:
    north, south = world.gate("north"), world.gate("south")
    with north.workspace.database.write() as session:
        ada = add_person(session)
    write(north.workspace, 4, ada)
    send_all(north)
    hub, chain = world.hub.workspace, f"{north.workspace.journal.gate_uid()}/1"
    word = words(chain, hash_of(hub, chain))[kind]
    south.workspace.journal.append([Entry(NOW, kind, word)])
    send_all(south)
    assert hub.journal.verify().ok
    (take_names if kind == "redacted" else take_rows)(hub, chain)
    for _ in range(2):
        found = hub.journal.verify().first_problem
        assert found is not None
        assert found.chain == chain
        write(south.workspace, 4)
        send_all(south)


def correction(chain: str, seq: int, *, clock: bool) -> Entry:
    """What a gate writes in the place of a row: by hand, or as its clock was set."""
    body = {
        **entry().body,
        "reason": "corrected",
        "passed_at_utc": 1_790_000_000_000_000,
        "corrects": {"chain": chain, "seq": seq},
        **({"flags": ["clock_fixed"], "clock": {"boot": "b", "mono_ns": 1}} if clock else {}),
    }
    return Entry(NOW, "corrected", body, {"actor": {"name": "clock" if clock else "eve"}})


@pytest.mark.parametrize("clock", [False, True], ids=["by hand", "as the clock was set"])
def test_a_gate_corrects_no_row_of_another(world: World, clock: bool) -> None:
    north, south = world.gate("north"), world.gate("south")
    write(north.workspace, 4)
    send_all(north)
    hub, chain = world.hub.workspace, f"{north.workspace.journal.gate_uid()}/1"
    copy_passages(north.workspace, south.workspace)  # or its own journal would refuse
    boot = journal_row(hub, chain, 3).boot_id
    told = [Entry(NOW, "clock_fixed", {"boot": boot, "offset_us": 86_400_000_000})] if clock else []
    before = passages(hub, chain)
    south.workspace.journal.append([*told, correction(chain, 3, clock=clock)])
    send_all(south)
    assert passages(hub, chain) == before
    assert quarantined(hub) == ["projection"]
    assert hub.journal.verify().ok
    alter(hub, chain)  # as if the word had counted
    found = hub.journal.verify().first_problem
    assert found is not None
    assert (found.chain, found.seq) == (chain, 3)


def journal_row(workspace: Workspace, chain: str, seq: int) -> Any:
    with workspace.database.read() as session:
        row = sa.select(journal).where(journal.c.chain == chain, journal.c.seq == seq)
        return session.execute(row).one()


def passages(workspace: Workspace, chain: str) -> list[Any]:
    with workspace.database.read() as session:
        log = attendance_logs.c
        rows = sa.select(attendance_logs).where(log.chain == chain).order_by(log.seq)
        return list(session.execute(rows).all())


def quarantined(workspace: Workspace) -> list[str]:
    with workspace.database.read() as session:
        return list(session.execute(sa.select(sync_quarantine.c.reason)).scalars())


def copy_passages(source: Workspace, to: Workspace) -> None:
    with source.database.read() as here, to.database.write() as there:
        rows = here.execute(sa.select(attendance_logs)).mappings().all()
        without = [{**row, "person_id": None} for row in rows]
        there.execute(sa.insert(attendance_logs), without)


def alter(workspace: Workspace, chain: str) -> None:
    with workspace.database.write() as session:
        log = attendance_logs.c
        newest = session.execute(sa.select(sa.func.max(log.id))).scalar()
        row = sa.update(attendance_logs).where(log.chain == chain, log.seq == 3)
        session.execute(row.values(superseded_by=newest))


def test_a_hubs_word_in_a_gates_database_excuses_nothing_there(world: World) -> None:
    """Rows of the hub's chain, sealed by the hub, put into the database of a gate."""
    gate = world.gate("north")
    with gate.workspace.database.write() as session:
        ada = add_person(session)
    write(gate.workspace, 4, ada)
    chain = f"{gate.workspace.journal.gate_uid()}/1"
    world.hub.workspace.journal.append([Entry(NOW, "redacted", words(chain, "")["redacted"])])
    copy_chains(world.hub.workspace, gate.workspace)
    take_names(gate.workspace, chain)
    found = gate.workspace.journal.verify()
    assert (chain, 2) in {(p.chain, p.seq) for p in found.problems}


def copy_chains(source: Workspace, to: Workspace) -> None:
    own = source.journal.gate_uid()
    tables = ("journal", "journal_private", "journal_seal")
    with source.database.read() as here, to.database.write() as there:
        for table in (journal.metadata.tables[name] for name in tables):
            rows = here.execute(sa.select(table).where(table.c.chain.startswith(own)))
            if found := [dict(row) for row in rows.mappings()]:
                there.execute(sa.insert(table), found)
