"""gated directory: people from a directory, by LDAP, and the tokens of directories, for SCIM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gated.cli.acting import ACTOR, changing, open_state
from gated.cli.common import (
    CommandResult,
    config_option,
    json_option,
    progress_bar,
    reports,
    show_json,
)

if TYPE_CHECKING:
    from gated.database.records import Account
    from gated.ldap.reading import DirectoryReport
    from gated.workspace import Workspace


@click.group()
def directory() -> None:
    """People and groups of a company's directory.

    \b
    Example: gated directory import --dry-run
    """


@directory.command("import")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@json_option
@config_option
def import_(dry_run: bool, as_json: bool, config: Path | None) -> int:
    """Read people from the directory of the configuration (directory.url), by LDAP.

    People are added and changed, and nobody is removed or switched off: the report names whom the
    directory does not have. Safe to run again. Exit code 1 when somebody was refused.

    \b
    Example: gated directory import --dry-run
    Example: gated directory import --json
    """
    from gated.enrollment.enrollment_queue import EnrollmentQueue
    from gated.ldap.reading import DirectoryReader
    from gated.people.people import People

    with open_state(config) as workspace, progress_bar("people") as bar:
        queue = EnrollmentQueue(workspace)
        settings = workspace.settings.directory
        try:
            reader = DirectoryReader(settings, People.of(workspace), queue, ACTOR)
            report = reader.read(
                dry_run=dry_run, show=lambda so_far: bar.show(so_far.entries, so_far.entries)
            )
        finally:
            queue.close()
    if as_json:
        show_json(report.record())
    else:
        _show(report)
    return 1 if report.refused else 0


def _show(report: DirectoryReport) -> None:
    for refused in report.refused:
        text = f"{refused['what']}: refused ({refused['code']}): {refused['detail']}"
        click.echo(text, err=True)
    for code in report.missing:
        click.echo(f"{code}: active here, and not in the directory", err=True)
    kinds = ("added", "changed", "same", "photos", "refused", "missing")
    counted = ", ".join(f"{report.counts.get(kind, 0)} {kind}" for kind in kinds)
    click.echo(f"{counted} (a try: nothing was done)" if report.dry_run else counted)


@directory.group("token")
def token() -> None:
    """Tokens by which directories change people and groups over SCIM (scim.enabled).

    \b
    Example: gated directory token create entra
    """


@token.command("create")
@click.argument("name")
@config_option
@reports
def create(name: str, config: Path | None) -> CommandResult:
    """Create a token for the directory NAME; it is shown once and stored nowhere.

    \b
    Example: gated directory token create entra
    """
    from gated.accounts.devices import Devices

    with changing(config) as (workspace, change):
        account, secret = Devices.of(workspace).add(change, name, "directory")
    return CommandResult({**_record(account), "token": secret}, secret)


@token.command("list")
@json_option
@config_option
def list_(as_json: bool, config: Path | None) -> None:
    """List the directories that hold a token.

    \b
    Example: gated directory token list --json
    """
    with open_state(config) as workspace:
        found = _directories(workspace)
    if as_json:
        show_json([_record(account) for account in found])
        return
    if not found:
        click.echo("no directory holds a token; create one: gated directory token create NAME")
    for account in found:
        click.echo(f"{account.username:24} since {account.created_at:%F}")


@token.command("revoke")
@click.argument("name")
@config_option
@reports
def revoke(name: str, config: Path | None) -> CommandResult:
    """Revoke the token of the directory NAME; it is void at once.

    \b
    Example: gated directory token revoke entra
    """
    from gated.accounts.devices import Devices
    from gated.core.text import code_key
    from gated.errors import NotFound

    with open_state(config) as workspace:
        wanted = code_key(name)
        found = next((a for a in _directories(workspace) if code_key(a.username) == wanted), None)
        if found is None:
            raise NotFound(f"no directory {name} holds a token")
        with workspace.change(ACTOR) as change:
            Devices.of(workspace).remove(change, found.id)
    return CommandResult(_record(found), f"the token of {found.username} is revoked")


def _directories(workspace: Workspace) -> list[Account]:
    from gated.accounts.devices import Devices
    from gated.core.roles import Role

    return [a for a in Devices.of(workspace).list_() if a.role == Role.DIRECTORY]


def _record(account: Account) -> dict[str, Any]:
    return {"username": account.username, "created_at": account.created_at}
