"""Show what the running gate does: to people on a terminal, or in the log."""

from __future__ import annotations

import io
import logging
import os
import sys
import time
from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.text import Text

from gated import __version__
from gated.cli.common import ProgressBar
from gated.config import Settings
from gated.core.messages import CAMERA_NEWS, CameraEvent, Decision, Notice, RecordEvent
from gated.core.values import CameraEventKind
from gated.daemon.screen import Started
from gated.enrollment.models import tolerance_in_words
from gated.link.status_board import MISSING_MODELS, GateStatus

log = logging.getLogger("gated")

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "alarm": logging.ERROR}
DOOR_WORDS = {
    "door_rex": "the exit button was pressed",
    "door_contact_open": "the leaf was opened",
    "door_contact_closed": "the leaf was closed",
    "door_found_open": "the leaf stood open at the start",
    "door_forced": "the leaf was opened without a release: FORCED",
    "door_held_warning": "the leaf has been open for long",
    "door_held_open": "the leaf is held open",
    "door_fire": "the fire loop is open: the door is released",
    "door_fire_held": "the fire release stays, as the fire loop is still open",
    "door_fire_cleared": "the fire release has ended",
    "door_tamper": "the box was opened (tamper)",
    "door_tamper_cleared": "the box was closed (tamper)",
    "door_power_fail": "the mains have failed",
    "door_power_restored": "the mains are back",
    "door_other_open": "the other door was opened",
    "door_other_closed": "the other door was closed",
    "door_relocked": "locked again",
    "door_fault": "FAULT",
    "door_fault_over": "the fault is over",
}
"""Descriptions of the door's events, which the wiring causes."""

WELL = CAMERA_NEWS | {CameraEventKind.OPENED}


class Terminal:
    """Shows people what the gate does, one line a decision."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._console = Console(highlight=False, soft_wrap=True)
        self._renewal = ProgressBar("making templates anew for another model")

    def ready(self, started: Started) -> None:
        """Show what runs, where it listens, how to sign in, how to end it."""
        settings = self._settings
        lines = Text()
        for label, value, style in self._facts(started):
            lines.append(f"{label:10}", "bold")
            lines.append(f"{value}\n", style)
        lines.append("Ctrl-C ends the gate and leaves the door locked.", "dim")
        title = f"gated {__version__}: {settings.gate.role} {settings.gate.name}"
        self._print(Panel(lines, title=title, expand=False))

    def _print(self, shown: RenderableType, style: str | None = None) -> None:
        """Print, as long as anybody sees it: a terminal that was closed must not end the gate."""
        try:
            self._console.print(shown, style=style)
        except OSError:
            self._console = Console(file=io.StringIO())
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())

    def _facts(self, started: Started) -> Iterator[tuple[str, str, str]]:
        settings, state = self._settings, started.status
        if settings.gate.role == "gate":
            source = f" ({settings.camera.source})" if settings.camera.driver == "replay" else ""
            yield "camera", settings.camera.driver + source, ""
            yield "door", f"{settings.door.driver}, locked", ""
            if settings.liveness.level == "off":
                yield "liveness", "OFF: a photo of a known person opens this door", "bold red"
            elif MISSING_MODELS in state.problems:
                sets = "pad mesh" if settings.liveness.needs_mesh else "pad"
                lack = (
                    f"ITS MODELS ARE MISSING: no face opens this door (gated assets install {sets})"
                )
                yield "liveness", f"{settings.liveness.level}, but {lack}", "bold red"
            else:
                yield "liveness", settings.liveness.level, "green"
                if settings.camera.source == "demo":
                    walkers = "who walks up in the demo is drawn into the picture, and passes;"
                    yield "", walkers, "yellow"
                    yield "", "the phone that is held up is drawn as well: an attack", "yellow"
            if tolerance := tolerance_in_words(settings):
                yield "tolerance", tolerance, ""
            yield "people", f"{state.people} known, {state.templates} templates", ""
            yield "strangers", strangers_in_words(state), ""
        if started.address:
            yield "API", f"{started.address}  (try {started.address}/docs)", "cyan"
            if started.setup_code:
                yield "sign in", "no account yet: gated user add admin --role admin", "yellow"
                yield "", f"or open {started.address}/ui/ within a day,", "yellow"
                yield "", f"with the code {started.setup_code}", "yellow"
            else:
                yield "sign in", f"POST {started.address}/api/auth/login", ""

    def decision(self, decision: Decision, edge: float | None) -> None:
        """One line: who, decision, reason, confidence, time from first sight to the relay."""
        line = Text(time.strftime("%H:%M:%S  ", time.localtime(decision.at.utc)), "dim")
        line.append(
            f"{decision.outcome.upper():8}", "bold green" if decision.granted else "bold red"
        )
        line.append(f"  {who(decision):28}")
        line.append(f"  {decision.reason:14}")
        line.append(f"  confidence {decision.confidence:4.2f}")
        if edge is not None and decision.first_seen is not None:
            line.append(f"  relay {edge - decision.first_seen:5.2f} s after first sight", "dim")
        elif decision.first_seen is not None:
            line.append(
                f"  {decision.at.mono - decision.first_seen:5.2f} s after first sight", "dim"
            )
        self._print(line)

    def event(self, event: RecordEvent) -> None:
        """Show what somebody did to the door: the installer who presses a button sees it."""
        words = DOOR_WORDS.get(event.kind)
        if words is not None and event.kind != "door_relocked":
            style = {"alarm": "bold red", "warning": "yellow"}.get(event.severity)
            self._print(f"door: {words}{_more(event)}", style=style)

    def notice(self, notice: Notice) -> None:
        """Hints to the person at the gate are for the page, not for this terminal."""

    def camera(self, event: CameraEvent) -> None:
        """Camera trouble, and its end."""
        if event.kind is not CameraEventKind.OPENED:
            self._print(f"camera {event.kind}: {event.detail}", style="yellow")

    def renewing(self, done: int, total: int) -> None:
        """Templates are made anew for another model."""
        self._renewal.show(done, total)
        if done == total:
            self._renewal.stop()

    def stopped(self, door_locked: bool) -> None:
        """The last line."""
        self._print("stopped, the door is locked" if door_locked else "stopped")


class LogOnly:
    """A screen where nobody watches: lines in the log, without names."""

    def ready(self, started: Started) -> None:
        """Log the address, and how the first administrator gets in; the code stands in no log."""
        log.info("ready; API at %s", started.address or "no address")
        if started.address and started.setup_code:
            how = "`gated user setup-code` here shows the code"
            log.warning("no account yet: open %s/ui/ within a day; %s", started.address, how)
            if sys.stderr.isatty():  # somebody reads along, and nobody keeps it
                print(
                    f"the code for the first administrator: {started.setup_code}", file=sys.stderr
                )

    def decision(self, decision: Decision, edge: float | None) -> None:
        person = f"person {decision.person.id}" if decision.person else "nobody"
        log.info("%s: %s (%s)", decision.outcome, person, decision.reason)

    def event(self, event: RecordEvent) -> None:
        words = DOOR_WORDS.get(event.kind)
        if words is not None:
            log.log(LEVELS[event.severity], "door: %s%s", words, _more(event))

    def notice(self, notice: Notice) -> None:
        """Not logged: it happens many times a minute."""

    def camera(self, event: CameraEvent) -> None:
        log.log(
            logging.INFO if event.kind in WELL else logging.WARNING,
            "camera %s %s",
            event.kind,
            event.detail,
        )

    def renewing(self, done: int, total: int) -> None:
        if done in {0, total} or done % 100 == 0:
            log.info("making templates anew: %d of %d", done, total)

    def stopped(self, door_locked: bool) -> None:
        log.info("stopped, the door is %s", "locked" if door_locked else "NOT locked")


class Silent:
    """For a service whose gate shows what happens."""

    def ready(self, started: Started) -> None: ...

    def decision(self, decision: Decision, edge: float | None) -> None: ...

    def event(self, event: RecordEvent) -> None: ...

    def notice(self, notice: Notice) -> None: ...

    def camera(self, event: CameraEvent) -> None: ...

    def renewing(self, done: int, total: int) -> None: ...

    def stopped(self, door_locked: bool) -> None: ...


def _more(event: RecordEvent) -> str:
    detail = str(event.body.get("detail") or "")
    return f" ({detail})" if detail else ""


def who(decision: Decision) -> str:
    """Return what a decision's person is called on the screen."""
    person = decision.person
    return f"{person.name} ({person.personnel_code})" if person else "unknown face"


def strangers_in_words(state: GateStatus) -> str:
    """Explain what the threshold means at this gate."""
    if not state.fpir:
        return "nobody is enrolled whom they could be taken for"
    text = f"one in {1 / state.fpir:,.0f} taken for somebody"
    if state.wrong_openings_per_year is None:
        return text
    return f"{text}: {state.wrong_openings_per_year:.2g} wrong openings a year as many come by"
