"""gated hub configure and gated hub rollout: what gates are set to, and how that goes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gated.cli.common import config_option, json_option, one_line, settings_of, show_table

if TYPE_CHECKING:
    from gated.fleet.hub.rollouts import Progress, Rollouts, Stage

ACTOR = "command line"

_stages = click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="WHOM",
    help="GATE, site:SITE or everyone, several with commas; again for each further stage.",
)
_soak = click.option(
    "--soak",
    "soak_s",
    type=click.FloatRange(0, 604_800),
    default=300.0,
    show_default=True,
    metavar="S",
    help="Seconds for which all gates of a stage have to be well.",
)
_by_hand = click.option("--by-hand", is_flag=True, help="Wait for `advance` after each stage.")


@click.command("configure")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_stages
@_soak
@_by_hand
@click.option("--note", callback=one_line, help="What it is about.")
@json_option
@config_option
def configure(
    file: Path,
    stages: tuple[str, ...],
    soak_s: float,
    by_hand: bool,
    note: str | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Keep the settings of a file as the next revision, and begin to roll it out.

    The file is written as gate.yaml, with those keys only that a hub may set (`#*` in
    config/gate.reference.yaml). Without --stage the revision is kept and goes to nobody.

    \b
    Example: gated hub configure strict.yaml --stage north-gate --stage site:works --stage everyone
    """
    from gated.config import read_given

    values = read_given(file)
    reached = [_stage(text) for text in stages]
    with _opened(config) as service:
        made = service.create(values, note, actor=ACTOR)
        begun = None
        if reached:
            begun = service.start(made.id, reached, soak_s, automatic=not by_hand, actor=ACTOR)
    if as_json:
        started = None if begun is None else _as_json(begun)
        click.echo(json.dumps({"revision": made.id, "rollout": started}))
        return
    click.echo(f"revision {made.id}")
    if begun is not None:
        _show(begun)


@click.group("rollout")
def rollout() -> None:
    """Roll a revision of settings out to the gates.

    \b
    Example: gated hub rollout status
    """


@rollout.command("start")
@click.argument("revision", type=click.IntRange(1))
@_stages
@_soak
@_by_hand
@json_option
@config_option
def start(
    revision: int,
    stages: tuple[str, ...],
    soak_s: float,
    by_hand: bool,
    as_json: bool,
    config: Path | None,
) -> None:
    """Roll out a revision that there is already.

    \b
    Example: gated hub rollout start 3 --stage everyone
    """
    reached = [_stage(text) for text in stages]
    if not reached:
        raise click.UsageError("name whom it is for: --stage everyone")
    with _opened(config) as service:
        begun = service.start(revision, reached, soak_s, automatic=not by_hand, actor=ACTOR)
    _answer(begun, as_json)


_which = click.option("--id", "id_", type=int, help="Which roll-out. Default: the newest.")


@rollout.command("status")
@_which
@json_option
@config_option
def status(id_: int | None, as_json: bool, config: Path | None) -> None:
    """Show how far a roll-out is, and each of its gates.

    \b
    Example: gated hub rollout status --json
    """
    _act(config, id_, as_json, lambda service, id_: service.find(id_))


@rollout.command("advance")
@_which
@json_option
@config_option
def advance(id_: int | None, as_json: bool, config: Path | None) -> None:
    """Go on to the next stage at once, also of a roll-out that was halted.

    \b
    Example: gated hub rollout advance
    """
    _act(config, id_, as_json, lambda service, id_: service.advance(id_, actor=ACTOR))


@rollout.command("halt")
@_which
@json_option
@config_option
def halt(id_: int | None, as_json: bool, config: Path | None) -> None:
    """Reach no further gates.

    \b
    Example: gated hub rollout halt
    """
    _act(config, id_, as_json, lambda service, id_: service.halt(id_, actor=ACTOR))


@rollout.command("rollback")
@_which
@json_option
@config_option
def rollback(id_: int | None, as_json: bool, config: Path | None) -> None:
    """Give every gate that was reached what it had before.

    \b
    Example: gated hub rollout rollback
    """
    _act(config, id_, as_json, lambda service, id_: service.roll_back(id_, actor=ACTOR))


@contextmanager
def _opened(config: Path | None) -> Iterator[Rollouts]:
    from gated.fleet.hub.rollouts import Rollouts
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        yield Rollouts.of(workspace)


def _act(
    config: Path | None,
    id_: int | None,
    as_json: bool,
    act: Callable[[Rollouts, int], Progress],
) -> None:
    from gated.errors import NotFound

    with _opened(config) as service:
        if id_ is None:
            newest, _ = service.list_(limit=1)
            if not newest:
                raise NotFound("there was no roll-out yet: see `gated hub configure --help`")
            id_ = newest[0].rollout.id
        found = act(service, id_)
    _answer(found, as_json)


def _stage(text: str) -> Stage:
    """`north-gate,site:works` -> a stage; UsageError for one that names nobody."""
    from gated.fleet.hub.rollouts import Stage

    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise click.UsageError("a stage names gates, site:SITE, or everyone")
    sites = tuple(w.removeprefix("site:") for w in words if w.startswith("site:"))
    gates = tuple(w for w in words if w != "everyone" and not w.startswith("site:"))
    return Stage(gates, sites, "everyone" in words)


def _answer(found: Progress, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_as_json(found)))
    else:
        _show(found)


def _as_json(found: Progress) -> dict[str, Any]:
    rollout = found.rollout
    return {
        "id": rollout.id,
        "configuration": rollout.configuration_id,
        "state": rollout.state,
        "reason": rollout.reason,
        "stage": rollout.stage + 1,
        "stages": [asdict(stage) for stage in found.stages],
        "waiting_for": list(found.waiting_for),
        "unreachable": list(found.unreachable),
        "gates": [{**asdict(g), "since": g.since and g.since.isoformat()} for g in found.gates],
    }


def _show(found: Progress) -> None:
    rollout = found.rollout
    click.echo(
        f"roll-out {rollout.id} of revision {rollout.configuration_id}: {rollout.state}, "
        f"stage {rollout.stage + 1} of {len(rollout.stages)}"
    )
    if rollout.reason:
        click.echo(rollout.reason)
    if found.unreachable:
        click.echo(f"does not wait for {', '.join(found.unreachable)}: nothing is heard of them")
    if found.gates:
        rows = [(g.name, g.site, str(g.stage), g.state, g.detail or "") for g in found.gates]
        show_table(("GATE", "SITE", "STAGE", "STATE", ""), rows)
