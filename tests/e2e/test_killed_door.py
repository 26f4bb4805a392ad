"""A gate that is killed while the door is released leaves it released, and what locks it then."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gated.devices.emergency import lock_door
from tests.devices.kernel_pins import RELAY, SETTINGS, KernelPins, door, levels

pytest.importorskip("gpiozero.pins.mock", reason="gpiozero (extra pi) is missing")

STOP_STEP = """
import sys
from pathlib import Path
from gated.devices.emergency import lock_door
from tests.devices.kernel_pins import SETTINGS, KernelPins
print(lock_door(SETTINGS, KernelPins(Path(sys.argv[1])), Path(sys.argv[2])))
"""


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    """The pins after a gate was killed with the door released."""
    file = tmp_path / "pins.json"
    (tmp_path / "gpiochip0").touch()
    gate = subprocess.Popen(
        [sys.executable, "-m", "tests.devices.kernel_pins", str(file)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert gate.stdout is not None
    with gate.stdout:
        assert gate.stdout.readline() == "released\n"
        gate.send_signal(signal.SIGKILL)
        gate.wait(10)
    assert levels(file) == {RELAY: 1}, "the kernel goes on driving the pin"
    return file


def test_the_stop_step_locks(pins: Path) -> None:
    step = subprocess.run(
        [sys.executable, "-c", STOP_STEP, str(pins), str(pins.parent)],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    assert step.stdout == "locked: GPIO17 is driven low\n"
    assert levels(pins) == {RELAY: 0}


def test_the_next_start_locks_even_when_the_stop_step_did_not_run(pins: Path) -> None:
    opened = door(pins)
    assert levels(pins) == {RELAY: 0}
    assert not opened.unlocked
    opened.close()
    assert levels(pins) == {RELAY: 0}


def test_both_after_each_other_never_release(pins: Path) -> None:
    lock_door(SETTINGS, KernelPins(pins), pins.parent)
    opened = door(pins)
    opened.close()
    assert levels(pins) == {RELAY: 0}
