"""gated user: accounts of those who administer the gate."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from gated.cli.common import CommandResult, config_option, json_option, reports, settings_of

ROLES = ("self", "viewer", "operator", "admin", "auditor")


@click.group()
def user() -> None:
    """Accounts that may sign in to the API and the web page.

    \b
    Example: gated user add anna --role admin
    """


@user.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the account may do.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@config_option
@reports
def add(name: str, role: str, password_stdin: bool, config: Path | None) -> CommandResult:
    """Create an account.

    \b
    Example: gated user add anna --role admin
    Example: printf '%s' "$PASSWORD" | gated user add anna --role viewer --password-stdin
    """
    from gated.accounts.accounts import Accounts
    from gated.workspace import Workspace

    settings = settings_of(config)
    password = _password(password_stdin)
    with Workspace(settings) as workspace:
        account = Accounts.of(workspace).create(name, role, password, actor="command line")
    record = {"username": account.username, "role": account.role, "is_active": account.is_active}
    return CommandResult(record, f"account {account.username} created, role {account.role}")


@user.command("setup-code")
@config_option
def setup_code(config: Path | None) -> int:
    """Print a new code that makes the first administrator; codes from before are void.

    It is asked for by the page and by POST /api/auth/setup, and is over after a day, or when the
    gate starts again. Ends with 1 when there is an account already.

    \b
    Example: gated user setup-code
    """
    from gated.accounts.setup import FirstAdmin
    from gated.devices.clock import SystemClock
    from gated.workspace import Workspace

    with Workspace(settings_of(config)) as workspace:
        code = FirstAdmin(workspace, SystemClock()).new_code()
    if code is None:
        click.echo("there is an account already: sign in, or `gated user add`", err=True)
        return 1
    click.echo(code)
    return 0


@user.command("list")
@json_option
@config_option
def list_(as_json: bool, config: Path | None) -> None:
    """List the accounts.

    \b
    Example: gated user list --json
    """
    from gated.accounts.accounts import Accounts
    from gated.workspace import Workspace

    with Workspace(settings_of(config)) as workspace:
        rows = Accounts.of(workspace).list_()
    if as_json:
        fields = ("username", "role", "is_active")
        click.echo(json.dumps([{f: getattr(r, f) for f in fields} for r in rows]))
        return
    if not rows:
        click.echo("no accounts yet; create one: gated user add NAME --role admin")
    for row in rows:
        click.echo(f"{row.username:24} {row.role:10} {'active' if row.is_active else 'disabled'}")


@user.command("passwd")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@config_option
@reports
def passwd(name: str, password_stdin: bool, config: Path | None) -> CommandResult:
    """Set a new password; ends the sessions of the account.

    \b
    Example: gated user passwd anna
    """
    from gated.accounts.accounts import Accounts
    from gated.workspace import Workspace

    settings = settings_of(config)
    password = _password(password_stdin)
    with Workspace(settings) as workspace:
        Accounts.of(workspace).set_password(name, password, actor="command line")
    return CommandResult({"username": name}, f"password of {name} changed")


@user.command("disable")
@click.argument("name")
@config_option
@reports
def disable(name: str, config: Path | None) -> CommandResult:
    """Disable an account at once; the last admin cannot be disabled.

    \b
    Example: gated user disable anna
    """
    from gated.accounts.accounts import Accounts
    from gated.workspace import Workspace

    with Workspace(settings_of(config)) as workspace, workspace.change("command line") as change:
        Accounts.of(workspace).disable(change, name)
    return CommandResult({"username": name, "is_active": False}, f"account {name} disabled")


@user.command("passkeys")
@click.argument("name")
@json_option
@config_option
def passkeys(name: str, as_json: bool, config: Path | None) -> None:
    """List the passkeys of an account.

    \b
    Example: gated user passkeys anna
    """
    from gated.accounts.accounts import Accounts
    from gated.passkeys.passkeys import Passkeys
    from gated.workspace import Workspace

    with Workspace(settings_of(config)) as workspace:
        accounts = Accounts.of(workspace)
        rows = Passkeys(workspace, accounts).list_(accounts.named(name).id)
    if as_json:
        fields = ("id", "name", "created_at", "last_used_at")
        click.echo(json.dumps([{f: getattr(r, f) for f in fields} for r in rows], default=str))
        return
    if not rows:
        click.echo(f"the account {name} has no passkeys")
    for row in rows:
        used = (
            "never used" if row.last_used_at is None else f"last used {row.last_used_at:%F %R} UTC"
        )
        click.echo(f"{row.id:<6} {row.created_at:%F} {used:<31} {row.name}")


@user.command("remove-passkey")
@click.argument("name")
@click.argument("number", type=int, required=False)
@click.option("--all", "all_", is_flag=True, help="Remove all passkeys of the account.")
@config_option
@reports
def remove_passkey(name: str, number: int | None, all_: bool, config: Path | None) -> CommandResult:
    """Remove a passkey by its number, or all, and end the sessions; the password stays.

    \b
    Example: gated user remove-passkey anna 3
    Example: gated user remove-passkey anna --all
    """
    from gated.accounts.accounts import Accounts
    from gated.passkeys.passkeys import Passkeys
    from gated.workspace import Workspace

    if (number is None) != all_:
        raise click.UsageError("give the number of one passkey (gated user passkeys), or --all")
    with Workspace(settings_of(config)) as workspace:
        accounts = Accounts.of(workspace)
        account = accounts.named(name)
        with workspace.change("command line") as change:
            gone = Passkeys(workspace, accounts).remove(change, account.id, number)
    return CommandResult({"username": name, "removed": gone}, f"passkeys of {name} removed: {gone}")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        try:
            return sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise click.UsageError("the password on standard input is not UTF-8 text") from None
    if not sys.stdin.isatty():
        raise click.UsageError("no terminal to ask for a password: use --password-stdin")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
