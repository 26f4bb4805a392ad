"""gated evaluate, gated calibrate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gated.cli.common import config_option, json_option, progress_bar, settings_alone
from gated.cli.evaluate_pad import pad

if TYPE_CHECKING:
    from gated.config import Settings
    from gated.evaluation.recognition import Progress


def _known_engine(context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    from gated.config.drivers import problem_of_name

    if name is not None and (problem := problem_of_name("gated.engines", name)):
        raise click.BadParameter(problem)
    return name


engine_option = click.option(
    "--engine",
    metavar="NAME",
    callback=_known_engine,
    help="sface, dlib or another one. Default: vision.engine.",
)

folder = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))


@click.group()
def evaluate() -> None:
    """Measure error rates on photos and clips of your own.

    \b
    Example: gated evaluate faces people/
    """


evaluate.add_command(pad)


@evaluate.command("faces")
@folder
@click.option(
    "--pairs", type=click.Path(path_type=Path, dir_okay=False), help="Pairs in LFW's format."
)
@click.option(
    "--fpir",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Promise to be held. Default: recognition.fpir.",
)
@click.option(
    "--galleries", type=click.IntRange(1), default=50, show_default=True, help="Random galleries."
)
@click.option(
    "--photos",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Photos that each person is enrolled from.",
)
@click.option(
    "--det", type=click.Path(path_type=Path, dir_okay=False), help="Draw the DET curve as a PNG."
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as a page."
)
@engine_option
@click.option("--fuse", is_flag=True, help="SFace and dlib together (to see what it would bring).")
@json_option
@config_option
def faces(
    folder: Path,
    pairs: Path | None,
    fpir: float | None,
    galleries: int,
    photos: int,
    det: Path | None,
    html: Path | None,
    engine: str | None,
    fuse: bool,
    as_json: bool,
    config: Path | None,
) -> None:
    """Verification and open-set identification on DIR, which holds one sub-folder a person.

    The face nearest to the middle of each photo counts, however poor it is; nothing is stored.
    Identification: people with two or more photos are enrolled from one of them (or from --photos),
    the others are strangers. The threshold comes from a calibration on one random half of the
    people and is tried on the other half, both ways; `shipped` tries the calibration of this
    installation on all.

    \b
    Example: gated evaluate faces people/ --fpir 0.01 --det det.png
    Example: gated evaluate faces lfw/ --pairs lfw/pairs.txt --json
    """
    from gated.evaluation.recognition import evaluate_faces

    with _bars() as progress:
        report = evaluate_faces(
            _settings(config, engine),
            folder,
            pairs=pairs,
            fpir=fpir,
            galleries=galleries,
            enrolled_from=photos,
            det=det,
            html=html,
            fuse=fuse,
            progress=progress,
        )
    click.echo(json.dumps(report, indent=2, ensure_ascii=False) if as_json else _in_words(report))


@evaluate.command("visits")
@click.argument("clips", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--people",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of other people, who stand for the gallery.",
)
@click.option(
    "--enrolled",
    type=click.Path(path_type=Path, file_okay=False),
    help="People in the gallery whom clips in folders of the same names show.",
)
@click.option(
    "--fpir",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Promise to be held. Default: recognition.fpir.",
)
@engine_option
@json_option
@config_option
def visits(
    clips: Path,
    people: Path,
    enrolled: Path | None,
    fpir: float | None,
    engine: str | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Measure how often a whole visit is taken for somebody, on CLIPS of people not in --people.

    Checks the assumption about visits that is in the threshold: of how many comparisons with each
    template a visit is worth.

    \b
    Example: gated evaluate visits strangers/ --people people/
    Example: gated evaluate visits clips/ --people people/ --enrolled staff/ --fpir 0.001
    """
    from gated.evaluation.visits import evaluate_visits

    with _bars() as progress:
        report = evaluate_visits(_settings(config, engine), clips, people, progress, enrolled, fpir)
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    click.echo(
        f"{report['tracks']} tracks with {report['frames']} frames against "
        f"{report['templates']} people"
    )
    for key, how in (("visits", ""), ("visits_by_scores_alone", ", by scores alone")):
        for name, whose in (("fpir", "strangers taken"), ("fnir", "enrolled people missed")):
            one = report[key][name]
            if one["total"]:
                click.echo(
                    f"{name.upper()} of visits (threshold {report['threshold']:.3f}{how}): "
                    f"{one['errors']} of {one['total']} {whose} {_percent(one['interval'])}"
                )
    click.echo("     FMR  threshold  per comparison  per visit  a visit is worth")
    for row in report["rates"]:
        worth = "-" if row["chances"] is None else f"{row['chances']:.1f}"
        click.echo(
            f"{row['fmr']:8.0e}  {row['threshold']:9.3f}  {row['per_comparison']:14.1e}  "
            f"{row['per_visit']:9.1e}  {worth:>5} (assumed {report['chances_assumed']:g})"
        )


@click.command()
@folder
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="File for recognition.calibration.",
)
@engine_option
@config_option
def calibrate(folder: Path, out: Path, engine: str | None, config: Path | None) -> None:
    """Measure the false match rates of the model on DIR, which holds one sub-folder a person.

    The more people, and the more they resemble those who pass the gate, the better: a thousand
    people give rates down to about one in a million. Name the file as recognition.calibration.

    \b
    Example: gated calibrate people/ --out calibration.json
    """
    from gated.errors import SourceError
    from gated.evaluation.recognition import calibrate as measure

    with _bars() as progress:
        calibration = measure(_settings(config, engine), folder, progress)
    try:
        out.write_text(json.dumps(calibration.as_dict(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{out}: cannot be written: {error.strerror}") from None
    click.echo(f"{out}: {calibration.source}")
    for exponent in (3, 4, 5, 6):
        similarity = calibration.similarity_at(10.0**-exponent)
        click.echo(f"  one in {10**exponent:>9,} strangers matches at {similarity:.3f}")


def _settings(config: Path | None, engine: str | None) -> Settings:
    """The settings; with another engine than theirs also without its calibration."""
    settings = settings_alone(config)
    if engine in (None, settings.vision.engine):
        return settings
    vision = settings.vision.model_copy(update={"engine": engine, "options": {}})
    recognition = settings.recognition.model_copy(update={"calibration": None})
    return settings.model_copy(update={"vision": vision, "recognition": recognition})


@contextmanager
def _bars() -> Iterator[Progress]:
    with ExitStack() as stack:
        bars = {
            what: stack.enter_context(progress_bar(what))
            for what in ("clips", "photos", "galleries")
        }

        def report(what: str, done: int, total: int) -> None:
            bars[what].show(done, total)

        yield report


def _in_words(report: dict[str, Any]) -> str:
    lines = [
        f"{report['photos']} photos of {report['people']} people, model {report['model']}",
        *(f"  unusable: {name} ({why})" for name, why in report["unusable"].items()),
    ]
    if report["accuracy"] is not None:
        low_high = _percent(report["accuracy_interval"])
        lines.append(
            f"accuracy            {report['accuracy']:8.2%}  {low_high}  "
            f"{report['accuracy_pairs']} pairs {report['pairs']}"
        )
    for rate, value in report["tmr_at_fmr"].items():
        if value is None:
            lines.append(f"TMR at FMR {rate}     too few comparisons")
        else:
            low_high = _percent(report["tmr_interval"][rate])
            similarity = report["similarity_at_fmr"][rate]
            lines.append(f"TMR at FMR {rate}     {value:8.2%}  {low_high}  similarity {similarity}")
    lines += _identified("cross-fitted calibration", report, report["fpir_promised"])
    if "shipped" in report:
        shipped = report["shipped"]
        title = f"calibration in use ({shipped['calibration']})"
        lines += _identified(title, shipped, report["fpir_promised"])
    return "\n".join(lines)


def _identified(title: str, found: dict[str, Any], promised: float) -> list[str]:
    if found["fpir_measured"] is None:
        return [f"identification, {title}: too few people with two photos, or too few strangers"]
    return [
        f"identification, {title}: {found['galleries']} galleries of "
        f"{found['people_per_gallery']:.0f} people, threshold {found['threshold']:.3f}",
        f"  FPIR (promised {promised:.2%}) {found['fpir_measured']:7.2%}  "
        f"{_percent(found['fpir_interval'])}",
        f"  FNIR                 {found['fnir']:8.2%}  {_percent(found['fnir_interval'])}",
    ]


def _percent(interval: list[float]) -> str:
    return f"({interval[0]:.2%} to {interval[1]:.2%})"
