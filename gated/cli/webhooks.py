"""gated webhooks: the programs that receive events."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gated.cli.common import config_option, json_option, settings_of, show_table

ACTOR = "command line"


@click.group()
def webhooks() -> None:
    """Other programs that receive events (webhooks.targets in gate.yaml).

    \b
    Example: gated webhooks list
    """


@webhooks.command("list")
@json_option
@config_option
def list_(as_json: bool, config: Path | None) -> None:
    """Show each target: what it took, what it lacks, and how the last try ended.

    \b
    Example: gated webhooks list --json
    """
    from gated.webhooks.webhooks import Webhooks
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        found = Webhooks.of(workspace).list_()
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found:
        click.echo("no targets: see webhooks.targets in config/gate.reference.yaml")
        return
    rows = []
    for target in found:
        last = target["log"][0] if target["log"] else {}
        ended = f"{last['result']} {last['says']}".strip() if last else "nothing sent yet"
        counts = (str(target[key]) for key in ("delivered", "passed_over", "rows_behind"))
        rows.append((target["name"], target["url"], *counts, ended))
    show_table(("target", "address", "delivered", "passed over", "rows behind", "last"), rows)


@webhooks.command("test")
@click.argument("name")
@json_option
@config_option
def test(name: str, as_json: bool, config: Path | None) -> None:
    """Send a target an event of the type `test`, once. Exits 1 when it was not delivered.

    \b
    Example: gated webhooks test payroll
    """
    from gated.webhooks.webhooks import Webhooks
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        outcome = Webhooks.of(workspace).test(name, actor=ACTOR)
    if as_json:
        record = {"result": outcome.result, "status": outcome.status, "says": outcome.says}
        click.echo(json.dumps(record))
    else:
        click.echo(f"{name}: {outcome.result} {outcome.says}".rstrip())
    if outcome.result != "delivered":
        raise SystemExit(1)
