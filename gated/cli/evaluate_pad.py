"""gated evaluate pad."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gated.cli.common import config_option, json_option, progress_bar, settings_alone

if TYPE_CHECKING:
    from gated.evaluation.liveness import Level


@click.command("pad")
@click.argument("manifest", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--level",
    type=click.Choice(["normal", "strict", "both"]),
    help="Default: liveness.level, or normal where that is off. Both cost no more than strict.",
)
@click.option(
    "--conditions", "all_conditions", is_flag=True, help="Also under all camera conditions below."
)
@click.option(
    "--condition", "some", multiple=True, metavar="NAME", help="Also under this one. Repeatable."
)
@click.option(
    "--paper",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Also N prints and paper masks of each species, made from the demo's portraits.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.5),
    metavar="S",
    help="Of each recording, from the first usable face on. Default: all.",
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as a page."
)
@json_option
@config_option
def pad(
    manifest: Path | None,
    level: Literal["normal", "strict", "both"] | None,
    all_conditions: bool,
    some: tuple[str, ...],
    paper: int,
    seconds: float | None,
    html: Path | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Attacks accepted (APCER) and living people refused (BPCER) on the recordings of MANIFEST.

    MANIFEST is a CSV file with the columns path (a video, a folder of frames or a still, relative
    to the file), species (bona_fide for living people; print, replay, mask, ... for attacks) and,
    optionally, person. Every face counts as if it were that of an enrolled person. Intervals are
    Clopper-Pearson, 95 %; who would be asked for movements counts as neither accepted nor refused;
    frames of one clip resemble each other, so believe those of the clips.

    \b
    Camera conditions, made from the recordings: noise_3, noise_8, noise_20, noise_40, grain_8,
    grain_20 (correlated noise), jpeg_15, low_rate, gamma_2, gamma_4, backlight, blur, small.

    \b
    Example: gated evaluate pad clips/manifest.csv
    Example: gated evaluate pad clips/manifest.csv --level strict --json
    Example: gated evaluate pad clips/manifest.csv --level both --conditions --seconds 4
    Example: gated evaluate pad clips/manifest.csv --conditions --html liveness.html
    Example: gated evaluate pad --paper 4 --level strict
    Example: gated evaluate pad clips/manifest.csv --condition noise_8 --condition gamma_2
    """
    from gated.evaluation.liveness import evaluate_levels
    from gated.evaluation.page import pad_parts, write_page

    if manifest is None and not paper:
        raise click.UsageError("Name a MANIFEST, or ask for --paper 4.")
    settings = settings_alone(config)
    conditions = None if not (all_conditions or some) else () if all_conditions else some
    configured = settings.liveness.level
    one: Level = "normal" if configured == "off" else configured
    levels: list[Level] = ["normal", "strict"] if level == "both" else [level or one]
    with progress_bar("recordings") as progress:
        reports = evaluate_levels(
            settings, manifest, levels, progress.show, conditions, paper, seconds
        )
    found = list(reports.values())
    if html is not None:
        write_page(html, "Liveness", [part for report in found for part in pad_parts(report)])
    if as_json:
        shown = reports if level == "both" else found[0]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join("\n".join(_in_words(report)) for report in found))


def _in_words(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"liveness {report['level']}, model {report['model']}"
    for row in report["presentations"]:
        score, outcome = row["score"], row["outcome"] or "no usable face"
        numbers = (
            f"score {score['mean']:.2f} ({score['lowest']:.2f} to {score['highest']:.2f})"
            if row["frames"]
            else ""
        )
        yield (
            f"  {row['species']:10} {outcome:14} {row['frames']:5} frames  {numbers:26} "
            f"{row['path']}"
        )
    for species, found in report["apcer"].items():
        yield from _rates(f"APCER {species}", found)
    yield from _rates("BPCER", report["bpcer"])
    yield from _by_condition(report.get("conditions", {}))


def _by_condition(conditions: Mapping[str, Any]) -> Iterator[str]:
    for name, found in conditions.items():
        yield f"{name}: {found['described']}"
        for species, attacks in found["apcer"].items():
            yield from _rates(f"  APCER {species}", attacks, ("clips",))
        yield from _rates("  BPCER", found["bpcer"], ("clips",))


def _rates(
    title: str, found: Mapping[str, Any], units: Sequence[str] = ("clips", "frames")
) -> Iterator[str]:
    for unit in units:
        one = found[unit]
        if one["rate"] is None:
            yield f"{title:16} {unit:6}  none"
            continue
        low, high = one["interval"]
        left_out = one.get("without_face", 0)
        yield (
            f"{title:16} {unit:6} {one['rate']:8.2%}  ({low:.2%} to {high:.2%})  "
            f"{one['errors']} of {one['total']}"
            + (f", {one['undecided']} undecided" if one.get("undecided") else "")
            + (f", {one['asked']} asked for movements" if one.get("asked") else "")
            + (f", {left_out} without a usable face left out" if left_out else "")
        )
