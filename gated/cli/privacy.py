"""gated privacy: retention and copies of what is stored of a person."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from gated.cli.common import config_option, json_option, settings_of
from gated.cli.output import output_file


@click.group()
def privacy() -> None:
    """Retention periods and copies for persons.

    \b
    Example: gated privacy apply
    """


@privacy.command("apply")
@json_option
@config_option
def apply(as_json: bool, config: Path | None) -> None:
    """Enforce the retention periods now; a running gate does so every day by itself.

    \b
    Example: gated privacy apply --json
    """
    from gated.privacy.privacy import Privacy
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        done = asdict(Privacy.of(workspace).apply())
    if as_json:
        click.echo(json.dumps(done))
        return
    for what, count in done.items():
        click.echo(f"{what.replace('_', ' '):16} {count}")


@privacy.command("export")
@click.argument("code")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@config_option
def export(code: str, file: Path, config: Path | None) -> None:
    """Write everything that is stored of the person with a personnel code into a ZIP file.

    \b
    Example: gated privacy export E17 anna.zip
    """
    from gated.people.people import People
    from gated.privacy.export import archive_of, record_export
    from gated.workspace import Workspace

    with output_file(file) as out, Workspace(settings_of(config), create=False) as workspace:
        person = People.of(workspace).by_code(code)
        with workspace.change("command line") as change:
            record_export(change, person.id)
        archive = archive_of(workspace, person)
        out.write([archive])
    click.echo(f"{file}: {len(archive)} bytes")
