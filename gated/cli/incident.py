"""gated incident: what happened, as a file that can be decided again."""

from __future__ import annotations

from pathlib import Path

import click

from gated.cli.common import config_option, settings_of


@click.group()
def incident() -> None:
    """The record of the gate's latest events and decisions, to be decided again.

    \b
    Example: gated incident export 2026-11-30T08:10 2026-11-30T08:20 -o door.incident
    """


@incident.command()
@click.argument("since")
@click.argument("until")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), required=True,
    help="The file to write; its name ends in .incident.",
)  # fmt: skip
@config_option
def export(since: str, until: str, output: Path, config: Path | None) -> None:
    """Write what was kept from SINCE to UNTIL (2026-11-30T08:15, on the clock of the gate).

    The file holds no name, picture or face encoding: people are P1, P2 ... in it, with the rules
    and last passages that hold for them now. `gated replay FILE.incident` decides it again.

    \b
    Example: gated incident export 2026-11-30T08:10 2026-11-30T08:20 -o door.incident
    """
    from gated.access.access_plan import load_plan
    from gated.enrollment.models import VisionKit, policy_of
    from gated.errors import SourceError
    from gated.evaluation.incident import SUFFIX, gather, moment_of
    from gated.workspace import Workspace

    if output.suffix != SUFFIX:
        raise SourceError(f"{output} has to end in {SUFFIX}, so that gated replay knows it")
    settings = settings_of(config)
    kit = VisionKit(settings, pad=True)
    with Workspace(settings, create=False) as workspace:
        zone = str(load_plan(workspace).zone)
        span = moment_of(since, zone), moment_of(until, zone)
        found = gather(workspace, policy_of(settings, kit.calibration), kit.calibration, *span)
    found.write(output)
    decisions = sum(line["kind"] == "decided" for line in found.events)
    people = len(found.gallery["people"])
    click.echo(f"{output}: {len(found.events)} events, {decisions} decisions, {people} people")
