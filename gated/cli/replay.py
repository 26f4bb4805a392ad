"""gated replay."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from gated.cli.common import config_option, json_option, settings_of


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@json_option
@config_option
def replay(source: Path, as_json: bool, config: Path | None) -> None:
    """Run SOURCE (a video file or a folder of pictures) through the gate and print its decisions.

    Every frame is analysed, at the recorded times, with the people enrolled here, without waiting
    for a trigger. The door is never touched and nothing is logged.

    \b
    Example: gated replay corridor.mp4
    Example: gated replay corridor.mp4 --json | jq .person.name
    """
    from gated.core.gate import Gate
    from gated.devices.cameras import open_camera
    from gated.devices.clock import SystemClock
    from gated.services.models import VisionKit, policy_of
    from gated.services.office import stale_warning
    from gated.services.replay import as_json as line_of
    from gated.services.replay import replay as run
    from gated.services.workspace import Workspace

    settings = settings_of(config)
    recorded = settings.camera.model_copy(
        update={"driver": "replay", "source": source, "loop": False, "realtime": False}
    )
    camera = open_camera(recorded, SystemClock())
    kit = VisionKit(settings, pad=True)
    policy = dataclasses.replace(policy_of(settings, kit.calibration), trigger=False)
    with Workspace(settings) as workspace:
        gallery = workspace.gallery(kit.model, kit.metric).load()
        warnings = kit.pad_problem, stale_warning(workspace, kit.model)
    for warning in filter(None, warnings):
        click.echo(warning, err=True)
    # the same movements are asked for each time; whoever was filmed does not hear it
    gate = Gate(policy, gallery, kit.calibration, seed=b"replay")
    decisions = 0
    for t, decision in run(camera, kit.analyzer(still_gate=False).analyse, gate):
        decisions += 1
        line = line_of(t, decision)
        if as_json:
            click.echo(json.dumps(line, ensure_ascii=False))
        else:
            person = line["person"]
            who = f"{person['name']} ({person['personnel_code']})" if person else "-"
            click.echo(
                f"{t:8.2f} s  {line['decision']:8} {line['reason']:20} {who:30} "
                f"confidence {line['confidence']:.2f}  {line['frames']} frames"
                + ("" if line["pad"] is None else f"  live {line['pad']:.2f}")
            )
    if not decisions and not as_json:
        click.echo("no decision: nobody came close enough, or nobody was seen")
