"""gated clock: whether the clock is trusted, and confirming that it is right."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gated.cli.common import CommandResult, config_option, json_option, reports, settings_of


@click.group()
def clock() -> None:
    """The clock of this machine, and whether it is trusted.

    \b
    Example: gated clock show
    """


@clock.command("show")
@json_option
@config_option
def show(as_json: bool, config: Path | None) -> int:
    """Tell what the clock shows and whether it is known to be right; exit code 1 when it is not.

    \b
    Example: gated clock show
    """
    from gated.live.clock_trust import ADVICE, ClockKeeper, shown, status_fields
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        trust = ClockKeeper.of(workspace).look()
        at = shown(workspace.clock.now())
    if as_json:
        click.echo(json.dumps({"at": at, **status_fields(trust)}))
    else:
        click.echo(f"{at}, {trust.standing}" + (f": {trust}" if str(trust) else ""))
        if trust.doubted:
            click.echo(f"nothing is erased by its date; {ADVICE}", err=True)
    return 0 if trust.trusted else 1


@clock.command("confirm")
@config_option
@reports
def confirm(config: Path | None) -> CommandResult:
    """Say that the clock is right, after comparing it with another one; the journal tells of it.

    What waited for that, such as retention, is done within seconds.

    \b
    Example: gated clock confirm
    """
    from gated.live.clock_trust import ClockKeeper, shown
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        ClockKeeper.of(workspace).confirm(actor="command line")
        at = shown(workspace.clock.now())
    return CommandResult({"at": at, "confirmed": True}, f"{at} is taken to be right")
