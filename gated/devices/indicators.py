"""Drives lamps, buzzer and the alarm relay, each for a limited time.

`lit` computes which outputs are on at a moment, and is the only place with patterns. One thread
plays it, on the machine's own clock, so that no sound exceeds its limit whatever other threads do.
An indicator that fails is the condition LOST, an alarm where it is the siren, and never keeps the
gate from working.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from gated.config import Settings
from gated.core.messages import Condition
from gated.core.values import Light, Severity
from gated.devices.thread_names import name_this_thread

log = logging.getLogger(__name__)

LOST = "indicator_lost"
FLASH_S = 2.0
BEEP_S = 0.15
DENIED_BEEPS = 3
WARNING_S = 60.0
"""Longest warning of the buzzer about a held door."""
STEP_S = 0.05
RETRY_S = 3.0
"""Interval of attempts to open outputs that fail anew."""


class Output(StrEnum):
    """An output that may be wired; its pin is `indicators.<name>_pin`."""

    BUZZER = "buzzer"
    ALARM = "alarm"
    IDLE = "idle"
    LOOK_HERE = "look_here"
    GRANTED = "granted"
    DENIED = "denied"
    FAULT = "fault"


LAMPS = {
    Light.IDLE: Output.IDLE,
    Light.LOOK_HERE: Output.LOOK_HERE,
    Light.FAULT: Output.FAULT,
}


@dataclass(frozen=True, slots=True)
class Shown:
    """The lights to show, each with its begin (monotonic seconds), and the last decision."""

    since: dict[Light, float]
    granted: bool = False
    flashed_at: float = float("-inf")


def lit(shown: Shown, now: float, alarm_s: float) -> set[Output]:
    """Return the outputs that are on now. alarm_s: longest sound of an alarm, in seconds."""
    on = {LAMPS[light] for light in shown.since if light in LAMPS}
    ago = now - shown.flashed_at
    if 0 <= ago < FLASH_S:
        on.add(Output.GRANTED if shown.granted else Output.DENIED)
        beep, rest = divmod(ago, 2 * BEEP_S)
        if beep < (1 if shown.granted else DENIED_BEEPS) and rest < BEEP_S:
            on.add(Output.BUZZER)
    warned = now - shown.since.get(Light.HELD_WARNING, float("inf"))
    if 0 <= warned < WARNING_S and warned % 1.0 < 0.5:
        on.add(Output.BUZZER)
    if 0 <= now - shown.since.get(Light.ALARM, float("inf")) < alarm_s:
        on.add(Output.ALARM)
    return on


class PlayedIndicators(ABC):
    """Plays lights and decisions on the wired outputs (ports.Indicators)."""

    def __init__(self, outputs: Iterable[Output], alarm_s: float) -> None:
        self._alarm_s = alarm_s
        self._shown = Shown({})
        self._on = dict.fromkeys(outputs, False)
        self._failed: set[Output] = set()
        self._reported: frozenset[Output] = frozenset()
        self.note: Callable[[Condition], None] = lambda condition: None
        """Takes the condition LOST, from any thread, without blocking."""
        self._retry_at = 0.0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="indicators", daemon=True)

    @abstractmethod
    def _drive(self, output: Output, on: bool) -> None:
        """Switch one output."""

    @abstractmethod
    def _let_go(self) -> None:
        """Release the hardware."""

    def _renew(self) -> bool:
        """Open hardware that fails anew, off, if this kind can; return whether that was done."""
        return False

    @property
    def wired(self) -> tuple[Output, ...]:
        """The wired outputs."""
        return tuple(self._on)

    @property
    def on(self) -> set[Output]:
        """The outputs that are switched on now."""
        return {output for output, on in self._on.items() if on}

    def show(self, lights: frozenset[Light]) -> None:
        """Show these lights from now on; a light shown before goes on without a restart."""
        now = time.monotonic()
        with self._changed:
            before = self._shown
            since = {light: before.since.get(light, now) for light in lights}
            self._shown = Shown(since, before.granted, before.flashed_at)
            self._changed.notify()

    def flash(self, granted: bool) -> None:
        """Show a decision for a moment."""
        with self._changed:
            self._shown = Shown(self._shown.since, granted, time.monotonic())
            self._changed.notify()

    def close(self) -> None:
        """Switch everything off, and release the hardware; safe to call twice."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
            self._switch(set())
            try:
                self._let_go()
            except Exception:
                log.exception("indicators: the hardware cannot be let go of")
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        name_this_thread()
        with self._changed:
            while not self._closed:
                wanted = lit(self._shown, time.monotonic(), self._alarm_s)
                self._begin_anew(time.monotonic(), wanted)
                self._switch(wanted)
                sounding = self._shown.since.keys() & {Light.HELD_WARNING, Light.ALARM}
                flashing = time.monotonic() - self._shown.flashed_at < FLASH_S + STEP_S
                rest = RETRY_S if self._failed else None
                self._changed.wait(STEP_S if sounding or flashing else rest)

    def _begin_anew(self, now: float, wanted: set[Output]) -> None:
        """Open outputs that failed anew, every RETRY_S, and see whether they can be switched."""
        if not self._failed or now < self._retry_at:
            return
        self._retry_at = now + RETRY_S
        try:
            if self._renew():
                log.warning("indicators: the hardware was opened anew")
                self._on = dict.fromkeys(self._on, False)
        except Exception as error:
            log.debug("indicators: %s", error)
        # what is not wanted now is tried as well: it may be the siren
        idle = {output for output in self._failed - wanted if not self._on[output]}
        self._failed -= {output for output in idle if self._is_driven(output)}

    def _is_driven(self, output: Output) -> bool:
        """Return whether an output can be switched off."""
        try:
            self._drive(output, False)
        except Exception:
            return False
        return True

    def _report(self) -> None:
        """Note that outputs fail, or that all of them can be switched again."""
        failed = frozenset(self._failed)
        if failed == self._reported:
            return
        self._reported = failed
        outputs = ", ".join(sorted(failed))
        detail = f"cannot be switched: {outputs}" if failed else ""
        values = {"outputs": outputs} if failed else {}
        severity: Severity = "alarm" if Output.ALARM in failed else "warning"
        try:
            self.note(Condition(LOST, bool(failed), detail, severity, values))
        except Exception:
            log.exception("indicators: the fault cannot be posted")

    def _switch(self, wanted: set[Output]) -> None:
        for output, on in self._on.items():
            if on == (output in wanted):
                continue
            try:
                self._drive(output, not on)
                self._on[output] = not on
                self._failed.discard(output)
            except Exception as error:
                if output not in self._failed:
                    self._failed.add(output)
                    log.error("indicator %s: %s", output, error)
        self._report()


class NoIndicators:
    """The indicators of a gate without any."""

    def show(self, lights: frozenset[Light]) -> None:
        """Do nothing."""

    def flash(self, granted: bool) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def outputs_of(settings: Settings) -> dict[Output, int]:
    """Return the pins of the wired outputs."""
    pins = settings.indicators.pins()
    return {output: pins[key] for output in Output if (key := f"{output}_pin") in pins}
