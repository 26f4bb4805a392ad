"""The table that a run in a whole machine writes."""

from __future__ import annotations

from tests.machine import faults
from tests.machine.__main__ import Result, table
from tests.machine.scenarios import SCENARIOS


def test_the_table_says_what_was_seen_what_went_wrong_and_what_the_pins_did() -> None:
    pins: list[tuple[float, str, int | None]] = [(0.0, "exit button", 0), (0.25, "RELAY", 1)]
    good = Result("exit button", "GPIO 22", True, "released after 0.25 s", pins, 3.0)
    bad = Result("fire", "GPIO 23", False, "the relay\nstays locked", [(1.0, "RELAY", None)], 9.0)
    lines = table([good, bad], "a virtual machine").splitlines()
    assert "| exit button | GPIO 22 | released after 0.25 s |" in lines
    assert "| fire | GPIO 23 | WRONG: the relay stays locked |" in lines
    assert "| exit button | 0.00 exit button 0 · 0.25 RELAY 1 |" in lines
    assert "| fire | 1.00 RELAY gone |" in lines


def test_every_scenario_has_a_name_of_its_own_and_says_how_it_is_done() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
    assert all(scenario.how for scenario in SCENARIOS)
    assert any(scenario.act is faults.reboot for scenario in SCENARIOS)
    assert not [name for name in names if "|" in name], "it stands in a table"
