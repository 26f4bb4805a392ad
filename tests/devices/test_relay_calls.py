"""What reaches lgpio when outputs are claimed, driven and let go of: its C calls are recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gated.config import DoorSettings
from gated.devices.emergency import locked_level
from gated.devices.gpio import GpioDoor, GpioIndicators
from gated.devices.indicators import Output
from gated.errors import DeviceError
from tests.devices.waiting import eventually

lgpio: Any = pytest.importorskip("lgpio", reason="lgpio (extra pi) is missing")
pins: Any = pytest.importorskip("gpiozero.pins.lgpio", reason="gpiozero (extra pi) is missing")

IS_OUT = 2
RELAY, REX, LAMP, BUZZER = 17, 23, 5, 6
KINDS = [(t, p, h) for t in ("strike", "maglock") for p in (RELAY, LAMP) for h in (True, False)]

Call = tuple[str, int, int | None]


class Chip:
    """The C functions of lgpio over one chip in memory; `calls`: (name, pin, level)."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.modes: dict[int, int] = {}
        self.levels: dict[int, int] = {}
        self.failing = self.gone = False

    def of(self, pin: int) -> list[Call]:
        return [call for call in self.calls if call[1] == pin]

    def reach(self) -> int:
        if self.gone:
            raise lgpio.error("No such device")
        return 1

    def claim_input(self, handle: int, pin: int, flags: int = 0) -> int:
        self.reach()
        self.calls.append(("input", pin, None))
        self.modes[pin] = flags & pins.LGPIOPin.GPIO_LINE_FLAGS_MASK
        self.levels.setdefault(pin, 1)
        return 0

    def claim_output(self, handle: int, pin: int, level: int = 0, flags: int = 0) -> int:
        self.reach()
        self.calls.append(("output", pin, level))
        self.modes[pin], self.levels[pin] = IS_OUT, level
        return 0

    def write(self, handle: int, pin: int, level: int) -> int:
        self.reach()
        if self.failing:
            raise lgpio.error("bad handle")
        self.calls.append(("write", pin, int(level)))
        self.levels[pin] = int(level)
        return 0

    def read(self, handle: int, pin: int) -> int:
        self.reach()
        return self.levels.get(pin, 0)

    def free(self, handle: int, pin: int) -> int:
        self.reach()
        self.calls.append(("free", pin, None))
        return 0

    def put_in_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: dict[str, Callable[..., Any]] = {
            "gpiochip_open": lambda chip: self.reach(),
            "gpiochip_close": lambda handle: 0,
            "gpio_get_chip_info": lambda handle: [0, 54, "gpiochip0", "pinctrl-bcm2711"],
            "gpio_claim_input": self.claim_input,
            "gpio_claim_output": self.claim_output,
            "gpio_claim_alert": lambda handle, pin, *flags: 0,
            "gpio_write": self.write,
            "gpio_free": self.free,
            "gpio_set_debounce_micros": lambda handle, pin, micros: 0,
            "gpio_read": self.read,
            "gpio_get_mode": lambda handle, pin: self.modes.get(pin, 0),
        }
        for name, call in calls.items():
            monkeypatch.setattr(lgpio, name, call)
        monkeypatch.setattr(lgpio, "callback", lambda *args: Callback())
        # a Pi 4, whatever this computer is
        monkeypatch.setattr(pins.LGPIOFactory, "_get_revision", lambda self: 0xC03111)


class Callback:
    """As what lgpio.callback returns."""

    def cancel(self) -> None:
        """There is nothing to end."""


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    made = Chip()
    made.put_in_place(monkeypatch)
    return made


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    (tmp_path / "gpiochip0").touch()
    return tmp_path


def kernel(tmp_path: Path, keeps: str | None) -> Path:
    """A /sys whose kernel says so."""
    if keeps is not None:
        parameters = tmp_path / "sys" / "module" / "pinctrl_bcm2835" / "parameters"
        parameters.mkdir(parents=True)
        (parameters / "persist_gpio_outputs").write_text(f"{keeps}\n")
    return tmp_path / "sys"


def settings(lock_type: Any = "strike", pin: int = RELAY, high: bool = True) -> DoorSettings:
    return DoorSettings(
        driver="gpiozero",
        relay_pin=pin,
        relay_active_high=high,
        lock_type=lock_type,
        rex_pin=REX,
        accept_boot_glitch=True,
    )


def nobody(event: Any) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(("lock_type", "pin", "high"), KINDS)
def test_the_relay_is_claimed_at_its_locked_level_and_never_moves_at_start_and_stop(
    chip: Chip, dev: Path, lock_type: str, pin: int, high: bool
) -> None:
    door = settings(lock_type, pin, high)
    locked = locked_level(door)
    opened = GpioDoor(door, nobody, dev=dev, sys=kernel(dev, "Y"))
    assert chip.of(pin)[0] == ("output", pin, locked), "no other call comes before"
    opened.close()
    assert {level for _, _, level in chip.of(pin)} <= {locked, None}
    assert [name for name, _, _ in chip.of(pin)].count("output") == 1
    assert "input" not in [name for name, _, _ in chip.of(pin)]
    assert chip.of(pin)[-2:] == [("write", pin, locked), ("free", pin, None)]


@pytest.mark.parametrize(("lock_type", "pin", "high"), KINDS)
def test_a_factory_that_is_given_claims_in_the_same_way(
    chip: Chip, lock_type: str, pin: int, high: bool
) -> None:
    door = settings(lock_type, pin, high)
    factory = pins.LGPIOFactory(chip=0)
    for _ in range(2):
        chip.calls.clear()
        opened = GpioDoor(door, nobody, pin_factory=factory)
        opened.close()
        assert chip.of(pin)[0] == ("output", pin, locked_level(door))
        assert {level for _, _, level in chip.of(pin)} <= {locked_level(door), None}
    factory.close()


def test_a_release_ends_at_the_locked_level_before_the_pin_is_let_go(chip: Chip, dev: Path) -> None:
    opened = GpioDoor(settings("maglock"), nobody, dev=dev, sys=kernel(dev, "Y"))
    opened.unlock(30.0)
    assert chip.levels[RELAY] == 0
    opened.close()
    assert chip.of(RELAY)[-2:] == [("write", RELAY, 1), ("free", RELAY, None)]


def test_a_call_that_fails_is_made_good_without_claiming_anew(chip: Chip, dev: Path) -> None:
    opened = GpioDoor(settings("maglock"), nobody, dev=dev, sys=kernel(dev, "Y"))
    chip.failing = True
    with pytest.raises(DeviceError):
        opened.unlock(30.0)
    chip.failing = False
    opened.lock()
    opened.close()
    assert [c for c in chip.of(RELAY) if c[0] != "write"] == [
        ("output", RELAY, 1),
        ("free", RELAY, None),
    ]
    assert 0 not in [level for _, _, level in chip.of(RELAY)]


@pytest.mark.parametrize("lock_type", ["strike", "maglock"])
def test_pins_of_a_chip_that_was_gone_are_claimed_anew_at_the_locked_level(
    chip: Chip, dev: Path, lock_type: str
) -> None:
    opened = GpioDoor(settings(lock_type), nobody, dev=dev, sys=kernel(dev, "Y"))
    locked = locked_level(settings(lock_type))
    opened.unlock(30.0)
    chip.gone = True
    with pytest.raises(DeviceError):
        opened.lock()
    time.sleep(4.2)
    with pytest.raises(DeviceError):
        opened.unlock(30.0)
    chip.calls.clear()
    chip.gone = False
    assert eventually(lambda: bool(chip.of(RELAY)))
    assert chip.of(RELAY)[0] == ("output", RELAY, locked)
    assert not opened.unlocked
    opened.unlock(30.0)
    assert chip.levels[RELAY] != locked
    opened.close()
    assert chip.of(RELAY)[-2:] == [("write", RELAY, locked), ("free", RELAY, None)]


@pytest.mark.parametrize("high", [True, False])
def test_lamps_and_sounders_are_claimed_switched_off(
    chip: Chip, dev: Path, monkeypatch: pytest.MonkeyPatch, high: bool
) -> None:
    factory = pins.LGPIOFactory(chip=0)
    lamps = GpioIndicators({Output.FAULT: LAMP, Output.BUZZER: BUZZER}, high, 1.0, factory)
    lamps.close()
    for pin in (LAMP, BUZZER):
        assert chip.of(pin) == [("output", pin, int(not high)), ("free", pin, None)]
    factory.close()


def test_who_closes_the_lamps_leaves_the_relay_alone(chip: Chip, dev: Path) -> None:
    from gated.devices.gpio import header_factory

    opened = GpioDoor(settings("maglock"), nobody, dev=dev, sys=kernel(dev, "Y"))
    factory = header_factory(dev)
    lamps = GpioIndicators({Output.FAULT: LAMP}, True, 1.0, factory)
    before = len(chip.of(RELAY))
    lamps.close()
    factory.close()
    assert chip.of(RELAY)[before:] == []
    opened.unlock(1.0)
    opened.close()
    assert chip.levels[RELAY] == 1


def test_the_exit_button_is_still_an_input_with_a_pull(chip: Chip, dev: Path) -> None:
    opened = GpioDoor(settings(), nobody, dev=dev, sys=kernel(dev, "Y"))
    assert chip.modes[REX] & pins.LGPIOPin.GPIO_IS_BIAS_PULL_UP
    assert {name for name, _, _ in chip.of(REX)} <= {"input", "free"}
    opened.close()


def test_a_maglock_on_a_kernel_that_lets_go_is_refused_unless_accepted(
    chip: Chip, dev: Path
) -> None:
    sys = kernel(dev, "N")
    with pytest.raises(DeviceError, match=r"persist_gpio_outputs=y.*accept_release_at_exit: true"):
        GpioDoor(settings("maglock"), nobody, dev=dev, sys=sys)
    assert chip.of(RELAY) == [], "nothing was driven"
    accepted = settings("maglock").model_copy(update={"accept_release_at_exit": True})
    GpioDoor(accepted, nobody, dev=dev, sys=sys).close()
    GpioDoor(settings("strike"), nobody, dev=dev, sys=sys).close()


@pytest.mark.parametrize("keeps", ["Y", None])
def test_a_maglock_is_driven_where_the_kernel_keeps_or_does_not_say(
    chip: Chip, dev: Path, keeps: str | None
) -> None:
    GpioDoor(settings("maglock"), nobody, dev=dev, sys=kernel(dev, keeps)).close()
    assert chip.levels[RELAY] == 1
