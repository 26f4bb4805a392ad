"""The table that a run in a whole machine writes."""

from __future__ import annotations

from tests.machine import faults
from tests.machine.__main__ import Result, merged, table
from tests.machine.scenarios import SCENARIOS


def test_the_table_says_what_was_seen_what_went_wrong_and_what_the_pins_did() -> None:
    pins: list[tuple[float, str, int | None]] = [(0.0, "exit button", 0), (0.25, "RELAY", 1)]
    run = ("emulated", "2026-11-30")
    good = Result("exit button", "GPIO 22", True, "released after 0.25 s", pins, 3.0, *run)
    gone: list[tuple[float, str, int | None]] = [(1.0, "RELAY", None)]
    bad = Result("fire", "GPIO 23", False, "the relay\nstays | locked", gone, 9.0, *run)
    lines = table([good, bad]).splitlines()
    assert "| exit button | GPIO 22 | released after 0.25 s | 2026-11-30, emulated |" in lines
    assert "| fire | GPIO 23 | WRONG: the relay stays / locked | 2026-11-30, emulated |" in lines
    assert "| exit button | 0.00 exit button 0 · 0.25 RELAY 1 |" in lines
    assert "| fire | 1.00 RELAY gone |" in lines


def test_a_later_run_replaces_its_rows_and_leaves_the_others_wrong_ones_first() -> None:
    earlier = [
        Result("fire", "GPIO 23", True, "released", [], 1.0, "emulated", "2026-11-29"),
        Result("forced open", "GPIO 27", True, "siren", [], 1.0, "emulated", "2026-11-29"),
        Result("no scenario any more", "x", True, "y", [], 1.0, "emulated", "2026-11-29"),
    ]
    later = Result("fire", "GPIO 23", False, "locked", [], 1.0, "KVM", "2026-11-30")
    rows = merged(earlier, [later])
    assert [(row.name, row.day) for row in rows] == [
        ("fire", "2026-11-30"),
        ("forced open", "2026-11-29"),
    ]
    mended = Result("fire", "GPIO 23", True, "released", [], 1.0, "KVM", "2026-12-01")
    assert [row.name for row in merged(rows, [mended])] == ["forced open", "fire"]


def test_every_scenario_has_a_name_of_its_own_and_says_how_it_is_done() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
    assert all(scenario.how for scenario in SCENARIOS)
    assert any(scenario.act is faults.reboot for scenario in SCENARIOS)
    assert not [name for name in names if "|" in name], "it stands in a table"
