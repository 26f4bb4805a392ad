"""gated door lock, open, mode, reset-fire, test, report."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gated.cli.common import (
    CommandResult,
    config_option,
    json_option,
    one_line,
    reports,
    settings_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from gated.config import DoorSettings, Settings
    from gated.core.messages import Event
    from gated.devices.timed_door import Input

ACTOR = "command line"


@click.group()
def door() -> None:
    """The door's relay, inputs and indicators.

    \b
    Example: gated door test
    """


@door.command("lock")
@config_option
@reports
def lock(config: Path | None) -> CommandResult:
    """Drive the relay to its locked level, also when the gate has crashed.

    With a configuration that cannot be used it takes the wiring of the gate's last start.

    \b
    Example: gated door lock --config /etc/gated/gate.yaml
    """
    from gated.config import load
    from gated.devices.emergency import lock_door
    from gated.errors import ConfigError

    try:
        # wiring is the file's alone; the database may be what has failed
        done = lock_door(load(config).door)
    except ConfigError as error:
        wiring = _last_wiring(config)
        if wiring is None:
            raise
        done = f"{lock_door(wiring)}, by the wiring of the gate's last start"
        problems = "\n".join(("mend the configuration, it cannot be used:", *error.problems))
        click.echo(problems, err=True)
    return CommandResult({"done": done}, done)


def _last_wiring(config: Path | None) -> DoorSettings | None:
    """Return the wiring of the gate's last start in this boot; None without one."""
    from gated.config import find_config
    from gated.devices.last_wiring import last_wiring

    folder, file = os.environ.get("GATED_STATE_DIR"), find_config(config)
    if folder:
        return last_wiring(Path(folder))
    return last_wiring(file.absolute().parent) if file is not None else None


_reason = click.option(
    "--reason", callback=one_line, required=True, help="Why; stands in the journal."
)


@door.command("open")
@click.option("--for", "for_s", type=click.FloatRange(0.1, 600), metavar="S", help="So long.")
@_reason
@config_option
@reports
def open_(for_s: float | None, reason: str, config: Path | None) -> CommandResult:
    """Open the running gate's door once; who and why goes into the journal first.

    \b
    Example: gated door open --reason "delivery"
    """
    from gated.core.messages import OperatorUnlock

    settings = settings_of(config)
    seconds = for_s or settings.door.unlock_s
    _ask(settings, OperatorUnlock(ACTOR, reason, seconds))
    return CommandResult({"asked": "open", "for_s": seconds}, "the door was asked to open")


@door.command("mode")
@click.argument("mode", type=click.Choice(["normal", "lockdown", "free_access", "out_of_service"]))
@click.option(
    "--until",
    metavar="TIME",
    help="When the gate sets it back to normal by itself, such as 18:00 (today).",
)
@_reason
@config_option
@reports
def set_mode(mode: str, until: str | None, reason: str, config: Path | None) -> CommandResult:
    """Set the running gate's door to a mode.

    A lockdown gets no end while the gate's clock may be wrong.

    \b
    Example: gated door mode free_access --until 18:00 --reason "open day"
    """
    from gated.core.messages import SetDoorMode
    from gated.core.values import DoorMode

    # the database is opened for the site's clock only: a lockdown does not need it
    end, shown = (None, "") if until is None else _end(until, config)
    at = None if end is None else end.timestamp()
    _ask(settings_of(config), SetDoorMode(DoorMode(mode), ACTOR, reason, at))
    done = {"asked": "mode", "mode": mode, **({} if end is None else {"until": end.isoformat()})}
    return CommandResult(done, f"the gate was asked for the mode {mode}{shown}")


def _end(until: str, config: Path | None) -> tuple[datetime | None, str]:
    """Read when a mode ends, by the site's clock; return it in UTC, and in words."""
    from gated.cli.acting import local, open_state, site_time

    with open_state(config) as workspace:
        end = site_time(workspace, until, is_end=True)
        return end, f" until {local(workspace, end)}"


@door.command("reset-fire")
@_reason
@config_option
@reports
def reset_fire(reason: str, config: Path | None) -> CommandResult:
    """End the fire release of the running gate; the door refuses while the alarm sounds.

    \b
    Example: gated door reset-fire --reason "false alarm, building checked"
    """
    from gated.core.messages import ResetFire

    _ask(settings_of(config), ResetFire(ACTOR, reason))
    return CommandResult({"asked": "reset-fire"}, "the gate was asked to end the fire release")


def _ask(settings: Settings, event: Event) -> None:
    """Have the gate that runs here do something, or say why it does not."""
    from gated.link.command import running_door

    with running_door(settings.storage.state_dir) as gate:
        gate.ask(event)


class _Installer:
    """Says what to do, and asks what was seen."""

    def operate(self, what: str, name: Input, active: bool) -> None:
        click.echo(f"      {what}", err=True)

    def confirms(self, question: str) -> bool:
        return click.confirm(f"      {question}", default=True, err=True)


@door.command("test")
@click.option("--yes", is_flag=True, help="Ask nobody: with the simulated door only.")
@json_option
@config_option
def test(yes: bool, as_json: bool, config: Path | None) -> int:
    """Move the relay, read every input and light every lamp, with somebody at the door.

    Refuses while the gate runs: stop it first. Exit code 1 when something does not work.

    \b
    Example: gated door test
    """
    from gated.door.door_test import check_door
    from gated.runtime.signals import exit_on_signals

    steps = []
    walk = check_door(settings_of(config), None if yes else _Installer())
    with exit_on_signals(), closing(walk):  # whatever ends it, the door is locked
        for step in walk:
            steps.append(step)
            if not as_json:
                mark = click.style("ok  ", fg="green") if step.ok else click.style("fail", fg="red")
                click.echo(f"{mark}  {step.name:11} {step.detail}")
    if as_json:
        click.echo(json.dumps([asdict(step) for step in steps], indent=2))
    return int(not all(step.ok for step in steps))


@door.command("report")
@config_option
def report(config: Path | None) -> None:
    """Print the acceptance sheet of this door as Markdown, to be filled in.

    \b
    Example: gated door report > acceptance.md
    """
    from gated.door.door_report import acceptance_sheet

    click.echo(acceptance_sheet(settings_of(config)), nl=False)
