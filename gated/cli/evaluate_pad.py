"""gated evaluate pad."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gated.cli.common import config_option, json_option, progress_bar, settings_of


@click.command("pad")
@click.argument("manifest", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--level",
    type=click.Choice(["normal", "strict"]),
    help="Default: liveness.level, or normal where that is off.",
)
@json_option
@config_option
def pad(manifest: Path, level: str | None, as_json: bool, config: Path | None) -> None:
    """Attacks accepted (APCER) and living people refused (BPCER) on the recordings of MANIFEST.

    MANIFEST is a CSV file with the columns path (a video, a folder of frames or a still, relative
    to the file), species (bona_fide for living people; print, replay, mask, ... for attacks) and,
    optionally, person. Every face counts as if it were that of an enrolled person. Intervals are
    Clopper-Pearson, 95 %; frames of one clip resemble each other, so believe those of the clips.

    \b
    Example: gated evaluate pad clips/manifest.csv
    Example: gated evaluate pad clips/manifest.csv --level strict --json
    """
    from gated.services.pad_evaluation import evaluate_pad

    settings = settings_of(config)
    with progress_bar("recordings") as progress:
        report = evaluate_pad(settings, manifest, level, progress.show)
    if as_json:
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_in_words(report)))


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


def _rates(title: str, found: Mapping[str, Any]) -> Iterator[str]:
    for unit in ("clips", "frames"):
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
            + (f", {left_out} without a usable face left out" if left_out else "")
        )
