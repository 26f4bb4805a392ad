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
    """Show the settings in force and where each comes from.

    That is the environment, the pages of the gate, the file, the hub, or the default.

    \b
    Example: gated config show --json
    """
    from gated.cli.owner import become_owner
    from gated.config import SCOPES, effective, load
    from gated.fleet.gate.config_trial import in_force

    become_owner(load(config).storage.state_dir)
    found = in_force(config)
    loaded, values = found.loaded, effective(found.settings)
    rows = []
    for (section, key), scope in SCOPES.items():
        origin = loaded.origin((section, key))
        name = f"{section}.{key}"
        record = {"key": name, "value": values[section][key], "source": origin.source}
        rows.append({**record, "place": origin.place, "set_by": scope})
    if as_json:
        revision = found.given.revision if found.given else 0
        record = {"revision": revision, "overruled": loaded.overruled, "settings": rows}
        click.echo(json.dumps(record, indent=2))
        return
    for row in rows:
        if everything or row["source"] != "default":
            value = json.dumps(row["value"])
            click.echo(f"{row['key']:34} {value:24} {row['place'] or row['source']}")
    for name in loaded.overruled:
        click.echo(f"{name}: the hub's value does not hold here", err=True)


@config.command("forget")
@config_option
@click.option("--pages", is_flag=True, help="What was set on the pages of this gate.")
def forget(config: Path | None, pages: bool) -> None:
    """Drop the settings that a hub has given, on a gate that has left it. Start it again then.

    --pages drops what was set on the pages instead, as far as it is not in the file.

    \b
    Example: gated config forget
    Example: gated config forget --pages
    """
    from gated.cli.owner import become_owner
    from gated.config import load
    from gated.errors import Conflict
    from gated.fleet.gate.config_trial import forget
    from gated.fleet.gate.membership import Membership
    from gated.workspace import Workspace

    settings = load(config)
    become_owner(settings.storage.state_dir)
    with Workspace(settings, create=False) as workspace:
        if not pages and Membership.of(workspace).find() is not None:
            raise Conflict("the hub would give them again: use a roll-out, or leave the hub first")
        forget(workspace, workspace.clock, "pages" if pages else "hub", actor="command line")
    left = "the file and the environment hold" if not pages else "what was set on the pages is gone"
    click.echo(f"{left}{' alone' if not pages else ''}; start the gate again")
