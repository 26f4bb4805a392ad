"""gated join and gated sync: this gate and its hub."""

from __future__ import annotations

from pathlib import Path

import click

from gated.cli.common import config_option, settings_of

ACTOR = "command line"


@click.command()
@click.argument("url", metavar="HUB_URL")
@click.argument("code")
@config_option
def join(url: str, code: str, config: Path | None) -> None:
    """Make this gate one of a hub's, with the code that `gated hub invite` showed there.

    Start the gate again afterwards.

    \b
    Example: gated join https://hub.example.org ABCD-EFGH-JKLM-NPQR-STUV-WXYZ-2345-6789
    """
    from gated.services.sync.membership import Membership
    from gated.services.workspace import Workspace

    with Workspace(settings_of(config)) as workspace:
        member = Membership.of(workspace).join(url, code, actor=ACTOR)
    click.echo(f"this is {member.name} at {member.site} now; start the gate again")


@click.group()
def sync() -> None:
    """This gate and the hub that it belongs to.

    \b
    Example: gated sync status
    """


@sync.command("status")
@config_option
def status(config: Path | None) -> None:
    """Which hub this gate belongs to, and by which key it knows it.

    \b
    Example: gated sync status
    """
    from gated.services.sync.codes import fingerprint
    from gated.services.sync.membership import Membership
    from gated.services.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        member = Membership.of(workspace).find()
    if member is None:
        click.echo("this gate belongs to no hub; see `gated join --help`")
        return
    click.echo(f"{member.name} at {member.site}, gate of {member.url}")
    click.echo(f"key of the hub {fingerprint(member.hub)}, own keys of {member.renewed_at}")


@sync.command("leave")
@config_option
def leave(config: Path | None) -> None:
    """Forget the hub; the people that came from it stay. Revoke the gate there as well.

    \b
    Example: gated sync leave
    """
    from gated.services.sync.membership import Membership
    from gated.services.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        Membership.of(workspace).leave(actor=ACTOR)
    click.echo("this gate stands on its own now; start it again")
