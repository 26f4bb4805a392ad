"""Locking the door when the program is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gated.config import DoorSettings
from gated.devices.emergency import lock_door
from gated.devices.simulated import SimulatedGpio
from gated.errors import DeviceError

RELAY, FIRE = 17, 24


def door(**changes: Any) -> DoorSettings:
    return DoorSettings(driver="gpiozero", relay_pin=RELAY, accept_boot_glitch=True, **changes)


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    (tmp_path / "gpiochip0").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("lock_type", "active_high", "level"),
    [("strike", True, 0), ("strike", False, 1), ("maglock", True, 1), ("maglock", False, 0)],
)
def test_the_relay_is_left_at_its_locked_level(
    dev: Path, lock_type: str, active_high: bool, level: int
) -> None:
    gpio = SimulatedGpio(levels={RELAY: 1 - level})
    said = lock_door(door(lock_type=lock_type, relay_active_high=active_high), gpio, dev)
    assert gpio.levels[RELAY] == level
    assert gpio.driven == {RELAY}
    assert not gpio.open_chips
    assert said == f"locked: GPIO17 is driven {'high' if level else 'low'}"


def kernel(tmp_path: Path, label: str, keeps: str) -> Path:
    """A /sys whose kernel says so."""
    parameters = tmp_path / "module" / label / "parameters"
    parameters.mkdir(parents=True)
    (parameters / "persist_gpio_outputs").write_text(f"{keeps}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("label", "module"),
    [("pinctrl-bcm2711", "pinctrl_bcm2835"), ("pinctrl-rp1", "pinctrl_rp1")],
)
def test_locked_is_said_only_where_it_stays_so(dev: Path, label: str, module: str) -> None:
    gpio = SimulatedGpio({0: label})
    keeps, lets_go = kernel(dev / "a", module, "Y"), kernel(dev / "b", module, "N")
    maglock = door(lock_type="maglock")
    assert lock_door(maglock, gpio, dev, keeps) == "locked: GPIO17 is driven high"
    with pytest.raises(DeviceError, match=rf"^NOT locked: .*{module}\.persist_gpio_outputs=y"):
        lock_door(maglock, gpio, dev, lets_go)
    accepted = maglock.model_copy(update={"accept_release_at_exit": True})
    assert lock_door(accepted, gpio, dev, lets_go).startswith("NOT locked: this kernel lets GPIO17")
    said = lock_door(door(), gpio, dev, lets_go)
    assert said.startswith("locked: ")
    assert "pull resistor" in said
    with pytest.raises(DeviceError, match="NOT locked"):
        lock_door(door(relay_active_high=False), gpio, dev, lets_go)


def test_a_fire_alarm_is_obeyed(dev: Path) -> None:
    gpio = SimulatedGpio(levels={RELAY: 1, FIRE: 1})
    assert "fire" in lock_door(door(fire_pin=FIRE), gpio, dev)
    assert gpio.levels[RELAY] == 1
    assert gpio.driven == set()
    gpio.levels[FIRE] = 0
    lock_door(door(fire_pin=FIRE), gpio, dev)
    assert gpio.levels[RELAY] == 0


@pytest.mark.parametrize("driver", ["gpiozero", "gpiochip"])
def test_a_fire_input_that_cannot_be_had_does_not_leave_the_door_open(
    dev: Path, driver: Any
) -> None:
    gpio = SimulatedGpio({0: "pinctrl-bcm2711"}, levels={RELAY: 1})
    gpio.busy.add(FIRE)
    settings = door(fire_pin=FIRE).model_copy(update={"driver": driver, "chip": "pinctrl-bcm2711"})
    said = lock_door(settings, gpio, dev)
    assert said.startswith("locked: ")
    assert "fire input" in said
    assert "busy" in said
    assert gpio.levels[RELAY] == 0


def test_a_pin_that_a_running_gate_holds_is_a_device_error(dev: Path) -> None:
    gpio = SimulatedGpio()
    gpio.busy.add(RELAY)
    with pytest.raises(DeviceError, match=r"GPIO17 .*busy.*running gate"):
        lock_door(door(), gpio, dev)
    assert not gpio.open_chips


class Unplugging(SimulatedGpio):
    """GPIO chips of which one is just being unplugged: it opens, and then says nothing."""

    def gpio_get_chip_info(self, handle: int) -> list[object]:
        if handle == 0:
            raise OSError("No such device")
        return super().gpio_get_chip_info(handle)


def test_a_chip_that_is_being_unplugged_does_not_hide_the_header(dev: Path) -> None:
    (dev / "gpiochip4").touch()
    gpio = Unplugging({0: "a board on USB", 4: "pinctrl-rp1"})
    assert lock_door(door(), gpio, dev) == "locked: GPIO17 is driven low"
    with pytest.raises(DeviceError, match=r"gpiochip0: No such device"):
        lock_door(door(), Unplugging({0: "a board on USB"}), dev)


@pytest.mark.parametrize("driver", ["simulated", "none"])
def test_without_a_real_door_there_is_nothing_to_drive(driver: Any) -> None:
    assert lock_door(DoorSettings(driver=driver)).endswith("there is nothing to drive")


def test_it_needs_neither_opencv_nor_the_database() -> None:
    heavy = ("cv2", "sqlalchemy", "fastapi", "gpiozero", "lgpio")
    code = f"import sys, gated.devices.emergency; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory")
def test_it_needs_no_room_on_the_disk_and_no_disk_that_can_be_written() -> None:
    """lgpio wants a working directory where it can make a pipe."""
    code = (
        "import tempfile; tempfile.tempdir = '/proc/nothing-can-be-made-here'\n"
        "from gated.devices.header import import_lgpio; print(import_lgpio().__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "lgpio\n", done.stderr


def test_threads_that_open_pins_anew_at_once_leave_the_working_directory_where_it_is() -> None:
    """Door and lamps open the pins anew, each in its thread, as long as a chip is away."""
    code = (
        "import os, threading; from gated.devices.header import import_lgpio\n"
        "failed = []\n"
        "def often():\n"
        "    for _ in range(500):\n"
        "        try: import_lgpio()\n"
        "        except Exception as error: failed.append(error)\n"
        "threads = [threading.Thread(target=often) for _ in range(3)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print(len(failed), os.getcwd())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=Path.cwd()
    )
    assert done.stdout == f"0 {Path.cwd()}\n", done.stderr
