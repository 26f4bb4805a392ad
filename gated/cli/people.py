"""gated enroll, gated import."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gated.cli.common import config_option, json_option, progress_bar, settings_of

if TYPE_CHECKING:
    from gated.config import Settings
    from gated.services.importer import Report
    from gated.services.office import Office
    from gated.services.roster import Candidate

ACTOR = "command line"


@click.command()
@click.argument("code", metavar="CODE")
@click.argument(
    "photos", metavar="PHOTO...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--first-name", help="For a new person; default: the code.")
@click.option("--last-name", default="", help="For a new person.")
@json_option
@config_option
def enroll(
    code: str,
    photos: tuple[Path, ...],
    first_name: str | None,
    last_name: str,
    as_json: bool,
    config: Path | None,
) -> int:
    """Enroll photos for the person with personnel code CODE; creates the person when new.

    A running gate recognises the person within a second. Exit code 1 when a photo was refused.

    \b
    Example: gated enroll E17 anna.jpg --first-name Anna --last-name Berg
    """
    from gated.services.importer import Report, read_photo
    from gated.services.roster import Candidate

    settings = settings_of(config)
    for photo in photos:
        read_photo(photo)
    names = {"first_name": first_name or code, "last_name": last_name}
    report = Report()
    with ready_office(settings) as office:
        import_all(office, [Candidate(code, names, photos)], report)
    return show(report, as_json)


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@json_option
@config_option
def import_people(source: Path, as_json: bool, config: Path | None) -> int:
    """Import many people from SOURCE: a folder named by personnel code, or a CSV.

    A folder holds a sub-folder or a photo per person, named by the personnel code. A CSV (UTF-8)
    has the columns personnel_code and photo, and may have first_name, last_name, department,
    position, email and phone; one row a photo; a row without one adds the person alone.

    With vision.engine: dlib, encodings that face_recognition made (.npy files) may stand in place
    of photos, in the folder or in a column encoding.

    Safe to run again: what is known already is left alone. Exit code 1 when something was refused.

    \b
    Example: gated import staff/
    Example: gated import staff.csv --json
    """
    from gated.services.importer import Report
    from gated.services.roster import read_roster

    settings = settings_of(config)
    roster = read_roster(source)
    report = Report(skipped=list(roster.skipped))
    for line in roster.nameless:
        report.refused.append(
            {"photo": f"line {line}", "code": "refused", "detail": "it has no personnel_code"}
        )
    with ready_office(settings) as office, progress_bar("people") as progress:
        import_all(office, progress(roster.people), report)
    return show(report, as_json)


@contextmanager
def ready_office(settings: Settings) -> Iterator[Office]:
    """The office with every template made by the present model, as far as that can be had."""
    from gated.services.office import ensure_templates_when_idle, open_office

    with open_office(settings) as office:
        with progress_bar("templates") as progress:
            problems = ensure_templates_when_idle(office, progress.show)
        for problem in problems:
            click.echo(problem, err=True)
        yield office


def import_all(office: Office, people: Iterable[Candidate], report: Report) -> None:
    """Import one person after the other into the report."""
    from gated.services.importer import import_person

    for person in people:
        import_person(office, person, report, ACTOR)


def show(report: Report, as_json: bool) -> int:
    """Print what came of each photo; returns the exit code."""
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        for line in report.advice:
            click.echo(line)
        for name in report.skipped:
            click.echo(f"{name}: left out, neither photo nor encoding", err=True)
        for row in report.refused:
            click.echo(f"{row['photo']}: refused ({row['code']}): {row['detail']}", err=True)
        click.echo(", ".join(_counts(report)))
    return 1 if report.refused else 0


def _counts(report: Report) -> Iterator[str]:
    yield f"{len(report.enrolled)} enrolled"
    if report.known:
        yield f"{len(report.known)} known already"
    if report.without_photo:
        yield f"{len(report.without_photo)} people added without photo"
    yield f"{len(report.refused)} refused"
