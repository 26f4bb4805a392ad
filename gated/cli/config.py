"""gated config show and forget."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gated.cli.common import config_option, json_option


@click.group("config")
def config() -> None:
    """The settings of this gate, and where each comes from.

    \b
    Example: gated config show
    """


@config.command("show")
@json_option
@config_option
@click.option("--all", "everything", is_flag=True, help="Defaults, too.")
def show(as_json: bool, config: Path | None, everything: bool) -> None:
    """Show the settings in force and where each comes from: environment, file, hub or default.

    \b
    Example: gated config show --json
    """
    from gated.config import REACH, effective
    from gated.services.takeover import in_force

    found = in_force(config)
    loaded, values = found.loaded, effective(found.settings)
    rows = []
    for (section, key), reach in REACH.items():
        origin = loaded.origin((section, key))
        name = f"{section}.{key}"
        told = {"key": name, "value": values[section][key], "source": origin.source}
        rows.append({**told, "place": origin.place, "set_by": reach})
    if as_json:
        revision = found.given.revision if found.given else 0
        told = {"revision": revision, "overruled": loaded.overruled, "settings": rows}
        click.echo(json.dumps(told, indent=2))
        return
    for row in rows:
        if everything or row["source"] != "default":
            value = json.dumps(row["value"])
            click.echo(f"{row['key']:34} {value:24} {row['place'] or row['source']}")
    for name in loaded.overruled:
        click.echo(f"{name}: the hub's value does not hold here", err=True)


@config.command("forget")
@config_option
def forget(config: Path | None) -> None:
    """Drop the settings that a hub has given, on a gate that has left it. Start it again then.

    \b
    Example: gated config forget
    """
    from gated.config import load
    from gated.devices.clock import SystemClock
    from gated.errors import Conflict
    from gated.services.sync.membership import Membership
    from gated.services.takeover import forget
    from gated.services.workspace import Workspace

    with Workspace(load(config), create=False) as workspace:
        if Membership.of(workspace).find() is not None:
            raise Conflict("the hub would give them again: use a roll-out, or leave the hub first")
        forget(workspace, SystemClock(), actor="command line")
    click.echo("the file and the environment hold alone; start the gate again")
