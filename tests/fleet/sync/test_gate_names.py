"""Rows of the log say which gate made them, whatever it and others are called since."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from gated.attendance import attendance_store, gate_names
from gated.attendance.attendance import Attendance, Correction
from gated.attendance.reports import LOG_HEADER, Reports
from gated.core.values import Direction
from gated.database.records import AttendanceRow, Person
from gated.fleet.hub import gate_store
from gated.fleet.hub.fleet import Fleet
from gated.http.spreadsheet import csv_bytes
from gated.workspace import Workspace
from tests.changes import done_by
from tests.fleet.sync.test_down import hire, pull_all
from tests.fleet.sync.test_up import send_all
from tests.fleet.sync.test_zones import passes
from tests.fleet.sync.world import ACTOR, JoinedGate, World
from tests.workspaces import open_workspace


@dataclass
class Renamed:
    """Two gates of a hub, `first` called north and then east, `second` called south and then
    north; Ada has passed by the first at 8 and by the second at 9."""

    hub: Workspace
    first: JoinedGate
    second: JoinedGate
    ada: Person

    def hours(self, gate: str, **more: Any) -> list[int]:
        """Of the rows that a filter finds, newest first."""
        return [r.created_at.hour for r in Attendance(self.hub).page(gate=gate, **more).rows]

    def at(self, hour: int) -> AttendanceRow:
        """The row of this hour."""
        rows = Attendance(self.hub).page().rows
        (found,) = (row for row in rows if row.created_at.hour == hour)
        return found


def rename(hub: Workspace, gate: JoinedGate, name: str) -> None:
    with hub.database.read() as session:
        (id_,) = (g.id for g in gate_store.list_(session) if g.uid == gate.member.gate)
    Fleet.of(hub).update(id_, {"name": name}, actor=ACTOR)


@pytest.fixture
def renamed(world: World) -> Renamed:
    hub = world.hub.workspace
    ada = hire(hub)
    first, second = world.gate("north"), world.gate("south")
    for gate, hour in ((first, 8), (second, 9)):
        pull_all(gate)
        passes(gate, ada, datetime(2026, 3, 2, hour, tzinfo=UTC), Direction.ENTRY)
        send_all(gate)
    rename(hub, first, "east")
    rename(hub, second, "north")
    return Renamed(hub, first, second, ada)


def told(row: AttendanceRow) -> tuple[str, str | None, str | None]:
    return row.gate_name, row.gate_uid, row.gate_name_now


def test_a_row_names_its_gate_then_and_now(renamed: Renamed) -> None:
    first, second = renamed.first.member.gate, renamed.second.member.gate
    assert told(renamed.at(8)) == ("north", first, "east")
    assert told(renamed.at(9)) == ("south", second, "north")
    # the gate itself has the same uid for itself
    (own,) = Attendance(renamed.first.workspace).page().rows
    assert told(own) == ("north", first, None)
    pieces = csv_bytes(LOG_HEADER, Reports(renamed.hub).log_table(), False)
    lines = list(csv.DictReader(io.StringIO(b"".join(pieces).decode())))
    assert [(x["gate_name"], x["gate_uid"], x["gate_name_now"]) for x in lines] == [
        ("south", second, "north"),
        ("north", first, "east"),
    ]


def test_rows_are_found_by_the_gate_or_by_either_name(renamed: Renamed) -> None:
    assert renamed.hours(renamed.first.member.gate) == [8]
    assert renamed.hours("EAST") == [8]
    assert renamed.hours("south") == [9]
    # one gate is called north, and the other was
    assert renamed.hours("north") == [9, 8]
    assert renamed.hours("north", gate_name="south") == [9]
    assert renamed.hours("north", limit=1) == [9]
    assert renamed.hours("nowhere") == []


def test_a_correction_is_of_the_gate_of_the_row_that_it_corrects(renamed: Renamed) -> None:
    log = Attendance(renamed.hub)
    for way in (Direction.EXIT, Direction.ENTRY):  # a correction of a correction, too
        row = done_by(
            ACTOR, log.correct, renamed.at(8).id, Correction(direction=way), cause="wrong way"
        )
    assert told(row) == ("north", renamed.first.member.gate, "east")
    assert renamed.hours("east") == [8]
    assert renamed.hours("east", raw=True) == [8, 8, 8]
    assert renamed.hours(renamed.second.member.gate) == [9]
    here = renamed.hub.settings.gate.name
    by_hand = done_by(
        ACTOR,
        log.punch,
        renamed.ada.id,
        Direction.EXIT,
        datetime(2026, 3, 2, 10, tzinfo=UTC),
        cause="x",
    )
    assert told(by_hand) == (here, renamed.hub.journal.gate_uid(), None)
    assert renamed.hours(here) == [10]


@pytest.mark.parametrize("few", [0, 1, 100])
def test_a_gate_of_many_rows_is_found_as_one_of_few(renamed: Renamed, few: int) -> None:
    done_by(
        ACTOR,
        Attendance(renamed.hub).correct,
        renamed.at(8).id,
        Correction(direction=Direction.EXIT),
        cause="wrong way",
    )
    with renamed.hub.database.read() as session:
        here = gate_names.own_gate(renamed.hub, session)
        for name, hours in (("east", [8, 8]), ("north", [9, 8, 8]), ("south", [9])):
            made_by = gate_names.made_by(session, name, here, few)
            rows = attendance_store.list_(session, made_by=made_by, raw=True)
            assert [row.created_at.hour for row in rows] == hours


def test_a_gate_that_was_renamed_by_its_file_says_so(world: World) -> None:
    alone = world.standalone("north")
    ada = hire(alone)
    gate = JoinedGate(alone, None, None, None)  # type: ignore[arg-type]
    passes(gate, ada, datetime(2026, 3, 2, 8, tzinfo=UTC), Direction.ENTRY)
    settings = alone.settings.model_copy(
        update={"gate": alone.settings.gate.model_copy(update={"name": "east"})}
    )
    with open_workspace(settings) as workspace:
        (row,) = Attendance(workspace).page(gate="east").rows
        assert told(row) == ("north", alone.journal.gate_uid(), "east")
        assert Attendance(workspace).page(gate="north").rows == [row]
