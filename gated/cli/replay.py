"""gated replay."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

    An incident (`gated incident export`) is decided again with the settings that it was exported
    with, or those of --config; what differs from then is printed, and the exit code is 1.

    \b
    Example: gated replay door.incident --config stricter.yaml
    Example: gated replay corridor.mp4
    Example: gated replay corridor.mp4 --json | jq .person.name
    """
    from gated.evaluation.incident import SUFFIX

    if source.suffix == SUFFIX:
        _replay_incident(source, config, as_json)
    else:
        _replay_recording(source, config, as_json)


def _replay_recording(source: Path, config: Path | None, as_json: bool) -> None:
    """Run a recording through the gate, and print its decisions."""
    from gated.core.gate import Gate
    from gated.devices.cameras import open_camera
    from gated.devices.clock import SystemClock
    from gated.enrollment.enrollment_context import stale_warning
    from gated.enrollment.gallery_cache import open_gallery
    from gated.enrollment.models import VisionKit, policy_of
    from gated.evaluation.replay import as_json as line_of
    from gated.evaluation.replay import replay as run
    from gated.vision.uprightness import setting_for
    from gated.workspace import Workspace

    settings = settings_of(config)
    recorded = settings.camera.model_copy(
        update={"driver": "replay", "source": source, "loop": False, "realtime": False}
    )
    camera = open_camera(recorded, SystemClock())
    kit = VisionKit(settings, pad=True)
    policy = dataclasses.replace(policy_of(settings, kit.calibration), trigger=False)
    with Workspace(settings) as workspace:
        gallery = open_gallery(workspace, kit.model, kit.metric).load()
        warnings = kit.pad_problem, stale_warning(workspace, kit.model)
    for warning in filter(None, warnings):
        click.echo(warning, err=True)
    # the same movements are asked for each time; whoever was filmed does not hear it
    gate = Gate(policy, gallery, kit.calibration, seed=b"replay")
    decisions = 0
    analyzer = kit.analyzer(still_gate=False, upright=True)
    for t, decision in run(camera, analyzer.analyse, gate):
        decisions += 1
        line = line_of(t, decision)
        if as_json:
            click.echo(json.dumps(line, ensure_ascii=False))
        else:
            click.echo(_in_words(t, line))
    if analyzer.turn is not None:
        own = settings.camera
        turn = setting_for(analyzer.turn, own.rotate, own.mirror)
        click.echo(f"faces are found only when the picture is turned: rotate: {turn}?", err=True)
    if not decisions and not as_json:
        click.echo("no decision: nobody came close enough, or nobody was seen")


def _in_words(t: float, line: Mapping[str, Any]) -> str:
    """Return a decision as a line for people. t: seconds from the beginning."""
    person = line["person"]
    who = f"{person['name']} ({person['personnel_code']})" if person else "-"
    live = "" if line["pad"] is None else f"  live {line['pad']:.2f}"
    return (
        f"{t:8.2f} s  {line['decision']:8} {line['reason']:20} {who:30} "
        f"confidence {line['confidence']:.2f}  {line['frames']} frames{live}"
    )


def _replay_incident(source: Path, config: Path | None, as_json: bool) -> None:
    """Decide an incident again, and print where the decisions differ."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from gated.enrollment.models import policy_of
    from gated.evaluation.incident import Incident, ReplayedDecision, decide_again, differences

    found = Incident.read(source)
    policy = found.policy
    if config is not None:
        policy = policy_of(settings_of(config), found.calibration)
    then, now = decide_again(found, policy)
    parts = differences(then, now)

    def decided(verdicts: tuple[ReplayedDecision, ...]) -> str:
        return ", ".join(
            f"{datetime.fromtimestamp(v.utc, ZoneInfo(found.zone)):%H:%M:%S} {v.outcome} "
            f"{v.reason} {'-' if v.person is None else f'P{v.person}'}"
            for v in verdicts
        )

    for part in parts:
        if as_json:
            sides = {"then": part.then, "now": part.now}
            line = {k: [dataclasses.asdict(v) for v in side] for k, side in sides.items()}
            click.echo(json.dumps(line))
        else:
            click.echo(
                f"then: {decided(part.then) or 'nothing'}; now: {decided(part.now) or 'nothing'}"
            )
    if not as_json:
        click.echo(f"{len(then)} decisions then, {len(now)} now, {len(parts)} differences")
    raise click.exceptions.Exit(1 if parts else 0)
