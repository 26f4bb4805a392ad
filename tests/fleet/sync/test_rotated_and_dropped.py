"""A gate that is away rotates its key and drops rows that its hub never had: nothing is wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gated.database.tables import journal, sync_quarantine
from gated.journal import alarm_store
from gated.journal.pruned_ranges import own_chains
from gated.journal.pruning import OldRow, prune
from gated.workspace import Workspace
from tests.fleet.sync.test_adversary import FleetOfOne
from tests.people.people import NOW, entry


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetOfOne]:
    fleet = FleetOfOne(tmp_path, random.Random(1))
    fleet.sync()
    yield fleet
    fleet.close()


def write(fleet: FleetOfOne, rows: int) -> None:
    for _ in range(rows):
        fleet.gate.journal.append([entry(fleet.people[0].ref)])


def drop(fleet: FleetOfOne, epoch: int, seq: int) -> None:
    """Let the gate drop its rows up to one, whether the hub has them or not."""

    def goes(row: OldRow) -> bool:
        at = int(row.chain.rpartition("/")[2])
        return (at, row.seq) <= (epoch, seq)

    with fleet.gate.database.write() as session:
        while prune(session, fleet.gate.journal, fleet.uid, NOW, goes, "disk"):
            pass


def rotate(fleet: FleetOfOne) -> None:
    fleet.rotate()
    fleet.restart()  # with the key that it has now


def set_apart(fleet: FleetOfOne) -> list[tuple[str, int]]:
    told = sa.select(sync_quarantine.c.reason, sync_quarantine.c.seq)
    with fleet.hub.database.read() as session:
        return [(reason, seq) for reason, seq in session.execute(told)]


def alarms_of(side: Workspace) -> set[str]:
    with side.database.read() as session:
        return {alarm.kind for alarm in alarm_store.list_(session, standing=True)}


def nothing_is_wrong(fleet: FleetOfOne) -> None:
    fleet.sync()
    assert set_apart(fleet) == []
    for side in (fleet.gate, fleet.hub):
        found = side.journal.verify()
        assert found.ok, found
        assert alarms_of(side) <= {"rows_dropped"}
    with fleet.hub.database.read() as session:
        newest = own_chains(session, fleet.uid)[-1]
        end = session.execute(
            sa.select(sa.func.max(journal.c.seq)).where(journal.c.chain == newest)
        ).scalar()
    with fleet.gate.database.read() as session:
        there = sa.select(sa.func.max(journal.c.seq)).where(journal.c.chain == newest)
        assert session.execute(there).scalar() == end, "the hub has it all"


@pytest.mark.parametrize("rotations", [1, 2])
@pytest.mark.parametrize(
    "gone",
    [(1, 15), (1, 100), (2, 8), (2, 100)],
    ids=["part of the old chain", "the old chain", "part of the new one", "two chains"],
)
def test_what_was_dropped_under_a_new_key_is_no_gap(
    fleet: FleetOfOne, gone: tuple[int, int], rotations: int
) -> None:
    write(fleet, 20)
    for _ in range(rotations):
        rotate(fleet)
        write(fleet, 14)
    drop(fleet, *gone)
    write(fleet, 3)
    nothing_is_wrong(fleet)
    rotate(fleet)
    write(fleet, 2)
    nothing_is_wrong(fleet)


def test_without_the_word_of_the_old_key_it_is_a_gap(fleet: FleetOfOne) -> None:
    write(fleet, 20)
    rotate(fleet)
    fleet.gate.journal.rotations.unlink()
    write(fleet, 14)
    drop(fleet, 1, 15)
    fleet.sync()
    assert set_apart(fleet) == [("gap", 16)]
