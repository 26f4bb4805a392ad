"""gated hub: the gates of the fleet, on the machine that is their hub."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from gated.cli.common import config_option, json_option, settings_of

ACTOR = "command line"


@click.group()
def hub() -> None:
    """The gates that belong to this hub.

    \b
    Example: gated hub invite north-gate --site works --everyone
    """


@hub.command("gates")
@json_option
@config_option
def gates(as_json: bool, config: Path | None) -> None:
    """List the gates and when each was last heard of.

    \b
    Example: gated hub gates --json
    """
    from gated.services.sync.fleet import Fleet
    from gated.services.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        found = Fleet.of(workspace).list_()
    if as_json:
        rows = [
            {
                "name": f.gate.name,
                "site": f.gate.site,
                "state": f.gate.state,
                "groups": list(f.groups),
                "everyone": f.gate.everyone,
                "seen_at": f.gate.seen_at and f.gate.seen_at.isoformat(),
                "status": f.gate.status,
            }
            for f in found
        ]
        click.echo(json.dumps(rows))
        return
    if not found:
        click.echo("no gates yet; let one join: gated hub invite NAME --site SITE --everyone")
    for f in found:
        seen = f"{f.gate.seen_at:%Y-%m-%d %H:%M:%S}" if f.gate.seen_at else "never seen"
        carries = "everyone" if f.gate.everyone else ", ".join(f.groups) or "nobody"
        click.echo(f"{f.gate.name:24} {f.gate.site:16} {f.gate.state:8} {seen:20} {carries}")


@hub.command("invite")
@click.argument("name")
@click.option("--site", required=True, help="Where the gate stands.")
@click.option("--group", "groups", multiple=True, help="A group whose members it is given.")
@click.option("--everyone", is_flag=True, help="It is given everybody.")
@click.option("--photos", is_flag=True, help="It is given reference photos, too.")
@click.option(
    "--edits",
    type=click.Choice(["none", "pending", "at_once"]),
    default="none",
    show_default=True,
    help="What operators may change there, before the hub accepts it or not.",
)
@config_option
def invite(
    name: str,
    site: str,
    groups: tuple[str, ...],
    everyone: bool,
    photos: bool,
    edits: str,
    config: Path | None,
) -> None:
    """Add a gate and show the code by which it joins, once and within a day.

    \b
    Example: gated hub invite north-gate --site works --group staff --group visitors
    """
    from gated.services.sync.fleet import Fleet
    from gated.services.workspace import Workspace

    wanted = {"groups": groups, "everyone": everyone, "photos": photos, "edits": edits}
    with Workspace(settings_of(config)) as workspace:
        _, code = Fleet.of(workspace).invite(name, site, wanted, actor=ACTOR)
    _show(name, code)


@hub.command("replace-gate")
@click.argument("name")
@config_option
def replace_gate(name: str, config: Path | None) -> None:
    """Void a gate's credentials and show a code for the hardware that takes its place.

    The new unit keeps name, site and groups of the old one, and is given the same people.

    \b
    Example: gated hub replace-gate north-gate
    """
    from gated.services.sync.fleet import Fleet
    from gated.services.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        fleet = Fleet.of(workspace)
        _, code = fleet.replace(fleet.by_name(name).gate.id, actor=ACTOR)
    _show(name, code)


@hub.command("revoke")
@click.argument("name")
@config_option
def revoke(name: str, config: Path | None) -> None:
    """Void a gate's credentials at once, as of one that was stolen.

    \b
    Example: gated hub revoke north-gate
    """
    from gated.services.sync.fleet import Fleet
    from gated.services.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        fleet = Fleet.of(workspace)
        fleet.revoke(fleet.by_name(name).gate.id, actor=ACTOR)
    click.echo(f"{name} is no gate of this hub any more")
    click.echo("if it was stolen with its key: gated hub rotate-credential-keys")


@hub.command("rotate-credential-keys")
@json_option
@config_option
def rotate_credential_keys(as_json: bool, config: Path | None) -> None:
    """Put another key over all cards and badges, so that a stolen gate's keys find none of them.

    The gates are given it, and what it makes of each card. PINs keep the keys they were made with
    until they are set again. Cards and PINs of people whom the stolen gate carried are known to who
    has it: give those people others.

    \b
    Example: gated hub rotate-credential-keys
    """
    from gated.services.credential_keys import rotate
    from gated.services.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        rotated = rotate(workspace, actor=ACTOR)
    if as_json:
        click.echo(json.dumps(asdict(rotated)))
        return
    click.echo(f"{rotated.cards} cards and badges have key {rotated.keys} as well")
    if rotated.pins:
        click.echo(f"{rotated.pins} PINs keep the keys before it until they are set again")


@hub.command("resync")
@config_option
def resync(config: Path | None) -> None:
    """Let every gate take everything anew, as after a restore of the hub's database.

    \b
    Example: gated hub resync
    """
    from gated.services.sync.feed import Feed
    from gated.services.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        Feed.of(workspace).renew(actor=ACTOR)
    click.echo("every gate takes a snapshot when it asks next")


@hub.command("operator")
@click.argument("name")
@click.option("--group", "groups", multiple=True, help="A group whose members they may edit.")
@click.option("--everyone", is_flag=True, help="They may edit everybody whom a gate carries.")
@click.option("--forbid", is_flag=True, help="They may edit at gates no more.")
@config_option
def operator(
    name: str, groups: tuple[str, ...], everyone: bool, forbid: bool, config: Path | None
) -> None:
    """Let the account NAME edit people at gates, from its next sign-in at the hub on.

    
    Example: gated hub operator olga --group staff
    Example: gated hub operator olga --forbid
    """
    from gated.services.sync.operators import Operators
    from gated.services.workspace import Workspace

    if (bool(groups) or everyone) == forbid:
        raise click.UsageError("give --group or --everyone, or else --forbid")
    with Workspace(settings_of(config), create=False) as workspace:
        operators = Operators.of(workspace)
        if forbid:
            operators.forbid(name, actor=ACTOR)
            click.echo(f"{name} may edit at gates no more")
            return
        found = operators.allow(name, groups, everyone=everyone, actor=ACTOR)
    known = "gates know them already" if found.public_key else "they have to sign in here once"
    click.echo(f"{name} may edit {'everybody' if everyone else ', '.join(groups)}; {known}")


def _show(name: str, code: str) -> None:
    click.echo(f"on {name}, within a day: gated join HUB_URL {code}")
