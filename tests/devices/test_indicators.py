"""Lamps, buzzer and siren: patterns by the pure function, playing on simulated and mock pins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from gated.config import AlarmSettings, DoorSettings, IndicatorSettings, Settings
from gated.core.messages import Condition
from gated.core.values import Light, Severity
from gated.devices.doors import open_indicators
from gated.devices.indicators import NoIndicators, Output, PlayedIndicators, Shown, lit
from gated.devices.simulated import SimulatedIndicators
from tests.devices.waiting import eventually

PINS = {f"{output}_pin": 5 + n for n, output in enumerate(Output)}
ALARM = frozenset({Light.ALARM})


def on_pins(active_high: bool) -> tuple[PlayedIndicators, Any]:
    mock = pytest.importorskip("gpiozero.pins.mock", reason="gpiozero (extra pi) is missing")
    factory = mock.MockFactory()
    settings = Settings(
        door=DoorSettings(driver="gpiozero", relay_pin=17),
        camera={"driver": "v4l2"},  # type: ignore[arg-type]
        indicators=IndicatorSettings(active_high=active_high, **PINS),
        alarms=AlarmSettings(sound_s=1),
    )
    made = open_indicators(settings, factory)
    assert isinstance(made, PlayedIndicators)
    return made, factory


@pytest.fixture(params=["simulated", "high", "low"])
def indicators(request: pytest.FixtureRequest) -> Iterator[PlayedIndicators]:
    simulated = request.param == "simulated"
    made = SimulatedIndicators(1.0) if simulated else on_pins(request.param == "high")[0]
    yield made
    made.close()


def beeps(shown: Shown, seconds: float) -> list[float]:
    """The tenths of a second in which the buzzer is on."""
    times = [n / 20 for n in range(round(seconds * 20))]
    return [t for t in times if Output.BUZZER in lit(shown, t, 180.0)]


def test_a_grant_beeps_once_and_a_denial_three_times() -> None:
    assert beeps(Shown({}, granted=True, flashed_at=0.0), 3.0) == [0.0, 0.05, 0.1]
    denied = beeps(Shown({}, granted=False, flashed_at=0.0), 3.0)
    assert [round(t, 2) for t in denied] == [0.0, 0.05, 0.1, 0.3, 0.35, 0.4, 0.6, 0.65, 0.7]


def test_the_lamp_of_a_decision_is_on_for_two_seconds() -> None:
    shown = Shown({}, granted=True, flashed_at=10.0)
    assert Output.GRANTED in lit(shown, 11.9, 180.0)
    assert lit(shown, 12.0, 180.0) == set()


def test_no_sound_outlasts_its_bound() -> None:
    shown = Shown({Light.ALARM: 0.0, Light.HELD_WARNING: 0.0})
    assert lit(shown, 59.2, 180.0) == {Output.ALARM, Output.BUZZER}
    assert lit(shown, 60.2, 180.0) == {Output.ALARM}
    assert lit(shown, 180.0, 180.0) == set()


def test_lamps_show_what_holds(indicators: PlayedIndicators) -> None:
    assert indicators.on == set()
    indicators.show(frozenset({Light.IDLE, Light.FAULT}))
    assert eventually(lambda: indicators.on == {Output.IDLE, Output.FAULT})
    indicators.show(frozenset({Light.LOOK_HERE}))
    assert eventually(lambda: indicators.on == {Output.LOOK_HERE})


def test_a_siren_ends_by_itself_when_nobody_ends_it(indicators: PlayedIndicators) -> None:
    began = time.monotonic()
    indicators.show(ALARM)
    assert eventually(lambda: indicators.on == {Output.ALARM})
    indicators.show(ALARM)
    assert eventually(lambda: indicators.on == set())
    assert time.monotonic() - began >= 1.0


def test_closing_switches_everything_off(indicators: PlayedIndicators) -> None:
    indicators.show(frozenset({Light.IDLE}) | ALARM)
    assert eventually(lambda: indicators.on == {Output.IDLE, Output.ALARM})
    indicators.close()
    indicators.close()
    assert indicators.on == set()


@pytest.mark.parametrize("active_high", [True, False])
def test_levels_at_the_pins(active_high: bool) -> None:
    indicators, factory = on_pins(active_high)
    pins = {output: factory.pin(PINS[f"{output}_pin"]) for output in Output}
    off = 0 if active_high else 1
    assert {pin.state for pin in pins.values()} == {off}, "nothing moves at the start"
    indicators.show(ALARM)
    assert eventually(lambda: pins[Output.ALARM].state == 1 - off)
    assert all(pin.state == off for output, pin in pins.items() if output is not Output.ALARM)
    indicators.close()


def test_a_broken_lamp_darkens_no_other() -> None:
    indicators = SimulatedIndicators(1.0)
    indicators.broken = {Output.IDLE}
    indicators.show(frozenset({Light.IDLE, Light.FAULT}))
    assert eventually(lambda: indicators.on == {Output.FAULT})
    indicators.broken = set()
    indicators.flash(granted=True)
    assert eventually(lambda: Output.IDLE in indicators.on), "it is tried again"
    indicators.close()


@pytest.mark.parametrize(("output", "severity"), [("alarm", "alarm"), ("idle", "warning")])
def test_a_siren_that_fails_is_told_of_and_that_it_works_again(
    output: Output, severity: Severity
) -> None:
    indicators, told = SimulatedIndicators(0.2), list[Condition]()
    indicators.note = told.append
    indicators.broken = {Output(output)}
    indicators.show(ALARM | {Light.IDLE})
    said, values = f"cannot be switched: {output}", {"outputs": output}
    lost = Condition("indicator_lost", True, said, severity, values)
    assert eventually(lambda: told == [lost])
    # nobody wants it any more, and it is seen all the same that it could be switched
    indicators.show(frozenset())
    indicators.broken = set()
    assert eventually(lambda: told[1:] == [Condition("indicator_lost", False, "", "warning")])
    indicators.close()


def test_a_door_of_no_driver_shows_nothing() -> None:
    nothing = open_indicators(Settings(door=DoorSettings(driver="none")))
    assert isinstance(nothing, NoIndicators)
