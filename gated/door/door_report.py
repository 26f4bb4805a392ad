"""Writes the acceptance sheet: wiring and settings of this door, and the walk test to be signed."""

from __future__ import annotations

from collections.abc import Iterator

from gated.config import Settings
from gated.core.calibration import fpir_of
from gated.core.policy import CHANCES
from gated.devices.emergency import locked_level
from gated.devices.timed_door import PRESSED_TO_GROUND, Input
from gated.enrollment.models import read_calibration, tolerated_similarity
from gated.vision.engines import calibration_for, engine

LIGHTS = ("daylight", "sun behind the person", "lamps only", "night, door light")
HEIGHTS = ("1.50 m", "1.70 m", "1.90 m", "wheelchair")
SIZES = (10, 100, 1000)
"""Numbers of templates for which the sheet gives the expected error rates."""


def acceptance_sheet(settings: Settings) -> str:
    """Write the sheet in Markdown, to be printed and filled in. Raises: ConfigError."""
    parts = (_head, _wiring, _times, _errors, _walk, _checks)
    return "\n".join(line for part in parts for line in part(settings)) + "\n"


def _head(settings: Settings) -> Iterator[str]:
    gate = settings.gate
    yield f"# Acceptance of the gate {gate.name}, {gate.site}"
    yield ""
    yield "Date: ____________  Installer: ____________________  Customer: ____________________"
    yield ""


def _wiring(settings: Settings) -> Iterator[str]:
    door = settings.door
    yield "## Wiring"
    yield ""
    yield f"Driver `{door.driver}`, lock `{door.lock_type}`, computer mounted `{door.mounting}`."
    yield ""
    yield "| what | GPIO | at rest | active | seen |"
    yield "|---|---|---|---|---|"
    locked = locked_level(door)
    relay = "-" if door.relay_pin is None else door.relay_pin
    yield f"| relay | {relay} | {_level(locked)} (locked) | {_level(1 - locked)} (released) | |"
    for wired in Input:
        pin = getattr(door, f"{wired}_pin")
        if pin is not None:
            at_rest = int(wired in PRESSED_TO_GROUND)
            yield f"| {wired} | {pin} | {_level(at_rest)} | {_level(1 - at_rest)} | |"
    on = int(settings.indicators.active_high)
    for key, pin in settings.indicators.pins().items():
        name = key.removesuffix("_pin")
        yield f"| {name} | {pin} | {_level(1 - on)} (off) | {_level(on)} (on) | |"
    yield ""


def _level(level: int) -> str:
    return "high" if level else "low"


def _times(settings: Settings) -> Iterator[str]:
    door = settings.door
    yield "## Times, in seconds"
    yield ""
    yield "| what | set | measured |"
    yield "|---|---|---|"
    yield f"| release | {door.unlock_s:g} | |"
    yield f"| release for people who need more | {max(door.extended_unlock_s, door.unlock_s):g} | |"
    yield f"| longest release | {door.max_unlock_s:g} | |"
    yield f"| held open until the alarm | {door.held_open_s:g} | |"
    yield f"| warning before that | {door.held_warning_s:g} | |"
    yield ""


def _errors(settings: Settings) -> Iterator[str]:
    name = settings.vision.engine
    file, model = settings.recognition.calibration, engine(name).model
    calibration = read_calibration(file, model, name) if file else calibration_for(model, name)
    fixed, fpir = tolerated_similarity(settings, calibration), settings.recognition.fpir
    yield "## Expected wrong openings and refusals"
    yield ""
    yield f"Model `{model}`, calibration: {calibration.source}. Liveness: "
    yield f"`{settings.liveness.level}`. By face alone, without what liveness and rules refuse:"
    yield ""
    yield "| templates | threshold | strangers taken for somebody |"
    yield "|---|---|---|"
    for n in SIZES:
        threshold = calibration.threshold(fpir, n, CHANCES) if fixed is None else fixed
        rate = fpir_of(calibration.fmr(threshold), n, CHANCES)
        yield f"| {n} | {threshold:.3f} | one in {1 / rate:,.0f} |"
    yield ""
    yield "Expected refusals of enrolled people depend on their photos and on the light:"
    yield "`gated gallery check` counts the enrolled photos that would be refused, the walk test"
    yield "below tries the light, and docs/accuracy.md has figures that were measured elsewhere."
    yield ""


def _walk(_settings: Settings) -> Iterator[str]:
    yield "## Walk test: let in / tried, ten times each"
    yield ""
    yield f"| light | {' | '.join(HEIGHTS)} |"
    yield "|---|" + "---|" * len(HEIGHTS)
    for light in LIGHTS:
        yield f"| {light} |" + " |" * len(HEIGHTS)
    yield ""


def _checks(settings: Settings) -> Iterator[str]:
    yield "## Seen with your own eyes"
    yield ""
    for line in (
        "the exit button opens with the gate's power switched off (hard-wired)",
        "the fire release opens with the gate's power switched off (hard-wired)",
        "the door is locked while the computer boots, restarts and after its plug was pulled"
        if settings.door.lock_type == "strike"
        else "the door is free without power, and locked again when the gate has started",
        "a stranger, a printed photo and a photo on a screen are refused",
        "a door that is held open warns, then raises the alarm; a forced door raises it at once",
        "`gated doctor` and `gated door test` find nothing",
    ):
        yield f"- [ ] {line}"
