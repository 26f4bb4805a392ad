"""The installer's test of the door, on the simulated one and on mock pins."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.config import DoorSettings, IndicatorSettings, Settings, StorageSettings
from gated.database.state_lock import StateLock
from gated.devices.indicators import Output
from gated.devices.timed_door import Input
from gated.door.door_report import acceptance_sheet
from gated.door.door_test import Step, check_door
from gated.errors import DeviceError, StateLocked


def settings(tmp_path: Path, **door: object) -> Settings:
    return Settings(
        door=DoorSettings(debounce_s=0.0, **door),  # type: ignore[arg-type]
        storage=StorageSettings(state_dir=tmp_path),
    )


class Idle:
    """Somebody who touches nothing and has seen nothing."""

    def operate(self, what: str, name: Input, active: bool) -> None:
        """Not now."""

    def confirms(self, question: str) -> bool:
        return False


def test_a_door_that_works_passes_everything(tmp_path: Path) -> None:
    steps = list(check_door(settings(tmp_path), None, pulse_s=0.2))
    assert {s.name for s in steps} == {"relay", *Input, *Output}
    assert [s for s in steps if not s.ok] == []


def test_what_nobody_sees_or_moves_fails(tmp_path: Path) -> None:
    steps = {s.name: s for s in check_door(settings(tmp_path), Idle(), wait_s=0.05, pulse_s=0.1)}
    assert [name for name, step in steps.items() if step.ok] == []
    assert "lock_type" in steps["relay"].detail
    assert steps[Input.REX] == Step(Input.REX, False, "nothing changed: press the exit button")


def test_it_refuses_while_a_gate_runs(tmp_path: Path) -> None:
    with StateLock(tmp_path), pytest.raises(StateLocked):
        next(check_door(settings(tmp_path), None))


def test_there_is_no_door_without_a_driver(tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        next(check_door(settings(tmp_path, driver="none"), None))


def test_the_sheet_tells_pins_levels_times_and_rates(tmp_path: Path) -> None:
    sheet = acceptance_sheet(
        Settings(
            camera={"driver": "v4l2"},  # type: ignore[arg-type]
            door=DoorSettings(
                driver="gpiozero",
                relay_pin=17,
                rex_pin=23,
                contact_pin=22,
                relay_active_high=True,
                unlock_s=4,
            ),
            indicators=IndicatorSettings(buzzer_pin=5, active_high=False),
        )
    )
    for line in (
        "| relay | 17 | low (locked) | high (released) | |",
        "| contact | 22 | low | high | |",
        "| rex | 23 | high | low | |",
        "| buzzer | 5 | high (off) | low (on) | |",
        "| release | 4 | |",
    ):
        assert line in sheet.splitlines()
    assert "one in 1,000 |" in sheet
