"""gated gallery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gated.cli.common import config_option, json_option, settings_of

ACTOR = "command line"


@click.group()
def gallery() -> None:
    """The templates of the enrolled people.

    \b
    Example: gated gallery check
    """


@gallery.command()
@click.option(
    "--set-aside", is_flag=True, help="Switch the odd photos off (never deleted; can be undone)."
)
@json_option
@config_option
def check(set_aside: bool, as_json: bool, config: Path | None) -> int:
    """Try every template against all the others: does recognition work with these people?

    Tells who would be missed, which two people are the most alike, whose photos do not resemble
    each other, and the error rates to be expected at the present setting. Exit code 1 when there is
    something to look at.

    \b
    Example: gated gallery check
    Example: gated gallery check --set-aside --json
    """
    from gated.enrollment.gallery_check import check_gallery, set_outliers_aside
    from gated.enrollment.models import VisionKit
    from gated.workspace import Workspace

    settings = settings_of(config)
    kit = VisionKit(settings)
    with Workspace(settings, create=False) as workspace:
        report = check_gallery(workspace, settings, kit, workspace.clock.now())
        if set_aside:
            report["set_aside"] = set_outliers_aside(workspace, report, ACTOR)
    click.echo(json.dumps(report, indent=2, ensure_ascii=False) if as_json else _in_words(report))
    return int(any(report[k] for k in ("too_alike", "scattered", "outliers")))


def _in_words(report: dict[str, Any]) -> str:
    lines = [
        f"{report['people']} people, {report['templates']} templates "
        f"({report['people_with_one_template']} people have one only)",
        f"threshold {report['threshold']:.3f}: one comparison in {1 / report['fmr']:,.0f} matches",
        f"FPIR {report['fpir_expected']:.3%} expected a visit, {report['fpir_wanted']:.3%} wanted",
        _share("FNIR, leave-one-out", report["fnir"]),
        _share("FPIR, each as a stranger", report["fpir"]),
        _wrong_openings(report),
    ]
    if report["closest"]:
        lines.append(f"closest two people: {_pair(report['closest'])}")
    for pair in report["too_alike"]:
        lines.append(f"TOO ALIKE  {_pair(pair)}: the gate may find them ambiguous")
    for person in report["scattered"]:
        lines.append(f"SCATTERED  {_who(person)}: the photos do not resemble each other")
    for odd in report["outliers"]:
        lines.append(
            f"ODD PHOTO  enrollment {odd['enrollment_id']} of {_who(odd['person'])}: similarity "
            f"{odd['similarity']:.2f}, the others have {odd['others']:.2f}"
        )
    if "set_aside" in report:
        lines.append(f"{len(report['set_aside'])} photos were set aside")
    return "\n".join(lines)


def _share(title: str, rate: dict[str, Any] | None) -> str:
    if rate is None:
        return f"{title}: nothing to compare"
    low, high = rate["interval"]
    return f"{title}: {rate['value']:.2%} ({low:.2%} to {high:.2%}) of {rate['trials']}"


def _wrong_openings(report: dict[str, Any]) -> str:
    visits, openings = report["stranger_visits_per_year"], report["wrong_openings_per_year"]
    if visits is None:
        return "wrong openings a year: unknown, the log is younger than a day"
    return f"wrong openings a year: {openings:.2g}, at {visits:,.0f} visits of strangers"


def _who(person: dict[str, Any]) -> str:
    return f"{person['name']} ({person['personnel_code']})"


def _pair(pair: dict[str, Any]) -> str:
    first, second = pair["people"]
    return (
        f"{_who(first)} and {_who(second)}, similarity {pair['similarity']:.2f}, "
        f"one in {1 / pair['fmr']:,.0f}"
    )
