"""gated join and gated sync: this gate and its hub."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import click

from gated.cli.common import CommandResult, config_option, json_option, reports, settings_of
from gated.errors import HubError, HubUnreachable

ACTOR = "command line"


@click.command()
@click.argument("url", metavar="HUB_URL")
@click.argument("code")
@click.option("--again", is_flag=True, help="Although this gate belongs to a hub already.")
@click.option("--fingerprint", help="SHA-256 of the hub's certificate, where it signs itself.")
@config_option
@reports
def join(
    url: str, code: str, again: bool, fingerprint: str | None, config: Path | None
) -> CommandResult:
    """Make this gate one of a hub's, with the code that `gated hub invite` showed there.

    A hub whose certificate nobody else has signed is shown with its fingerprint, and believed by
    its key once you say that it is the same as there.

    A gate that was revoked joins again with a code of `gated hub replace-gate`. Start the gate
    again afterwards.

    \b
    Example: gated join https://hub.example.org ABCD-EFGH-JKLM-NPQR-STUV-WXYZ-2345-6789
    """
    from gated.fleet.gate.membership import Membership
    from gated.workspace import Workspace

    with Workspace(settings_of(config)) as workspace:
        membership = Membership.of(workspace)
        pin = None if fingerprint is None else _accepted(url, fingerprint)
        try:
            member = membership.join(url, code, actor=ACTOR, again=again, pin=pin)
        except HubError as error:
            if error.reason != "certificate_untrusted" or pin is not None:
                raise
            pin = _accepted(url, None)
            member = membership.join(url, code, actor=ACTOR, again=again, pin=pin)
    record = {"name": member.name, "site": member.site, "hub": member.url}
    return CommandResult(
        record, f"this is {member.name} at {member.site} now; start the gate again"
    )


def _accepted(url: str, fingerprint: str | None) -> str:
    """The digest of the key of a certificate that is the wanted one, or that somebody accepts."""
    from gated.fleet.gate.pinned import fingerprint_of, key_digest, loaded, shown_by

    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise click.UsageError("a certificate is shown at addresses with https:// only")
    der = shown_by(parts.hostname, parts.port or 443)
    found = fingerprint_of(der)
    if fingerprint is None:
        click.echo("nobody whom this machine trusts has signed the hub's certificate", err=True)
        click.echo(f"its SHA-256 fingerprint is {found}", err=True)
        click.echo("compare it with what `gated tls show` prints at the hub", err=True)
        click.confirm("is it the same?", abort=True, err=True)
    elif found.replace(":", "") != fingerprint.replace(":", "").replace(" ", "").upper():
        raise HubUnreachable(f"the hub shows another certificate: {found}")
    return key_digest(loaded(der))


@click.group()
def sync() -> None:
    """This gate and the hub that it belongs to.

    \b
    Example: gated sync status
    """


@sync.command("status")
@json_option
@config_option
def status(as_json: bool, config: Path | None) -> int:
    """Show the hub of this gate, when it was last heard, what fails, and how much waits.

    Exit code 1 when something fails, or the hub has revoked this gate.

    \b
    Example: gated sync status
    """
    from gated.config.addresses import shown
    from gated.fleet.gate.membership import Membership
    from gated.fleet.wire.join_codes import fingerprint
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        standing = Membership.of(workspace).standing()
    bad = standing is not None and standing.state in ("failing", "revoked")
    if as_json:
        click.echo(json.dumps(standing and standing.as_dict()))
        return int(bad)
    if standing is None:
        click.echo("this gate belongs to no hub; see `gated join --help`")
        return 0
    member, contact = standing.member, standing.contact
    click.echo(f"{member.name} at {member.site}, gate of {shown(member.url)}")
    click.echo(f"key of the hub {fingerprint(member.hub)}, own keys of {member.renewed_at}")
    last = contact and contact.last_contact
    heard = f"{last:%Y-%m-%d %H:%M:%S} UTC" if last else "never, since this is noted"
    click.echo(f"last heard {heard}; {standing.backlog} rows wait to be sent")
    if standing.revoked is not None:
        click.echo(standing.revoked.sentence())
    if not standing.running:
        click.echo("no gate runs here, so nothing is known of the connection now")
        return int(bad)
    for channel, failure in sorted((contact.failures if contact else {}).items()):
        since = f"{failure.since:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(f"{channel}: {failure.reason} since {since}: {failure.says}")
    if standing.state == "connected":
        click.echo("connected")
    return int(bad)


@sync.command("leave")
@config_option
@reports
def leave(config: Path | None) -> CommandResult:
    """Forget the hub; the people that came from it stay. Revoke the gate there as well.

    \b
    Example: gated sync leave
    """
    from gated.fleet.gate.membership import Membership
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        Membership.of(workspace).leave(actor=ACTOR)
    return CommandResult({"hub": None}, "this gate stands on its own now; start it again")
