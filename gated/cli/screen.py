"""What the running gate shows: to people on a terminal, or to the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from gated import __version__
from gated.cli.common import ProgressBar
from gated.config import Settings
from gated.core.model import CameraEvent, CameraEventKind, Decision, Notice
from gated.services.gate import MISSING_MODELS, GateStatus
from gated.services.models import tolerance_in_words

if TYPE_CHECKING:
    from gated.daemon import Daemon

log = logging.getLogger("gated")


class Terminal:
    """Shows people what the gate does, one line a decision."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._console = Console(highlight=False, soft_wrap=True)
        self._renewal = ProgressBar("making templates anew for another model")

    def ready(self, daemon: Daemon) -> None:
        """What runs, where it listens, how to sign in, how to end it."""
        settings = self._settings
        lines = Text()
        for label, value, style in self._facts(daemon):
            lines.append(f"{label:10}", "bold")
            lines.append(f"{value}\n", style)
        lines.append("Ctrl-C ends the gate and leaves the door locked.", "dim")
        title = f"gated {__version__}: {settings.gate.role} {settings.gate.name}"
        self._console.print(Panel(lines, title=title, expand=False))

    def _facts(self, daemon: Daemon) -> Iterator[tuple[str, str, str]]:
        settings, state = self._settings, daemon.board.snapshot()
        if settings.gate.role == "gate":
            source = f" ({settings.camera.source})" if settings.camera.driver == "replay" else ""
            yield "camera", settings.camera.driver + source, ""
            yield "door", f"{settings.door.driver}, locked", ""
            if settings.liveness.level == "off":
                yield "liveness", "OFF: a photo of a known person opens this door", "bold red"
            elif MISSING_MODELS in state.problems:
                sets = "pad mesh" if settings.liveness.level == "challenge" else "pad"
                lack = (
                    f"ITS MODELS ARE MISSING: no face opens this door (gated assets install {sets})"
                )
                yield "liveness", f"{settings.liveness.level}, but {lack}", "bold red"
            else:
                yield "liveness", settings.liveness.level, "green"
            if tolerance := tolerance_in_words(settings):
                yield "tolerance", tolerance, ""
            yield "people", f"{state.people} known, {state.templates} templates", ""
            yield "strangers", strangers_in_words(state), ""
        if daemon.address:
            yield "API", f"{daemon.address}  (try {daemon.address}/docs)", "cyan"
            if daemon.setup_code:
                yield "sign in", "no account yet: gated user add admin --role admin", "yellow"
                yield "", f"or POST {daemon.address}/api/auth/setup within a day,", "yellow"
                yield "", f"with the code {daemon.setup_code}", "yellow"
            else:
                yield "sign in", f"POST {daemon.address}/api/auth/login", ""

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
        self._console.print(line)

    def notice(self, notice: Notice) -> None:
        """Hints to the person at the gate are for the page, not for this terminal."""

    def camera(self, event: CameraEvent) -> None:
        """Camera trouble, and its end."""
        if event.kind is not CameraEventKind.OPENED:
            self._console.print(f"camera {event.kind}: {event.detail}", style="yellow")

    def renewing(self, done: int, total: int) -> None:
        """Templates are made anew for another model."""
        self._renewal.show(done, total)
        if done == total:
            self._renewal.stop()

    def stopped(self, door_locked: bool) -> None:
        """The last line."""
        self._console.print("stopped, the door is locked" if door_locked else "stopped")


class LogOnly:
    """Where nobody watches: lines in the log, without names."""

    def ready(self, daemon: Daemon) -> None:
        log.info("ready; API at %s", daemon.address or "no address")

    def decision(self, decision: Decision, edge: float | None) -> None:
        person = f"person {decision.person.id}" if decision.person else "nobody"
        log.info("%s: %s (%s)", decision.outcome, person, decision.reason)

    def notice(self, notice: Notice) -> None:
        """Not logged: it happens many times a minute."""

    def camera(self, event: CameraEvent) -> None:
        log.log(
            logging.INFO if event.kind is CameraEventKind.OPENED else logging.WARNING,
            "camera %s %s",
            event.kind,
            event.detail,
        )

    def renewing(self, done: int, total: int) -> None:
        if done in {0, total} or done % 100 == 0:
            log.info("making templates anew: %d of %d", done, total)

    def stopped(self, door_locked: bool) -> None:
        log.info("stopped, the door is %s", "locked" if door_locked else "NOT locked")


def who(decision: Decision) -> str:
    """How a decision's person is called on the screen."""
    person = decision.person
    return f"{person.name} ({person.personnel_code})" if person else "unknown face"


def strangers_in_words(state: GateStatus) -> str:
    """What the threshold means at this gate."""
    if not state.fpir:
        return "nobody is enrolled whom they could be taken for"
    text = f"one in {1 / state.fpir:,.0f} taken for somebody"
    if state.wrong_openings_per_year is None:
        return text
    return f"{text}: {state.wrong_openings_per_year:.2g} wrong openings a year as many come by"
