"""gated enroll, gated import."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gated.cli.common import (
    config_option,
    json_option,
    progress_bar,
    settings_of,
    show_json,
)
from gated.cli.output import OutputFile, output_file

if TYPE_CHECKING:
    from gated.config import Settings
    from gated.core.photo_advice import PhotoAdvice
    from gated.enrollment.enrollment_context import EnrollmentContext
    from gated.enrollment.import_source import ImportRow
    from gated.enrollment.importer import ImportReport

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

    A running gate recognises the person within a second. Says when another photo is advised. Exit
    code 1 when a photo was refused.

    \b
    Example: gated enroll E17 anna.jpg --first-name Anna --last-name Berg
    """
    from gated.enrollment.import_source import ImportRow, LoadedPhoto
    from gated.enrollment.importer import ImportReport, photo_advice, read_photo

    # before the rights to read them are given away
    opened = tuple(LoadedPhoto(photo.name, read_photo(photo)) for photo in photos)
    settings = settings_of(config)
    names = {"first_name": first_name or code, "last_name": last_name}
    report = ImportReport()
    with ready_context(settings) as context:
        import_all(context, [ImportRow(code, names, opened)], report)
        advice = photo_advice(context, code) if report.enrolled or report.known else None
    if advice is not None and report.known and not report.enrolled:
        advice = advice.after_same()
    return show(report, as_json, advice)


@click.group()
def people() -> None:
    """Many people at once, from a list or from another gate.

    One by one: `gated persons`.

    \b
    Example: gated people export staff.zip --photos
    """


@people.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, writable=False))
@click.option("--photos", is_flag=True, help="With the photos in use: biometric data, unsealed.")
@json_option
@config_option
def export_people(file: Path, photos: bool, as_json: bool, config: Path | None) -> None:
    """Write people into FILE, a ZIP that `gated people import` takes at another gate.

    Who is switched off, has a last day or is held back by a rule is left out, and counted: an
    import lets everybody pass. Groups, rules, cards, PINs and consents stay here; `gated backup`
    takes everything. The export is journaled.

    \b
    Example: gated people export staff.zip --photos
    """
    from gated.attendance.reports import Reports
    from gated.cli.acting import open_state
    from gated.enrollment.people_archive import archive_bytes, choose_people

    with output_file(file) as out, open_state(config) as workspace:
        with workspace.database.read() as session:
            moved = choose_people(session, photos=photos)
        Reports(workspace).note_export("people", {"photos": photos}, actor=ACTOR)
        with progress_bar("photos") as progress:
            out.write(archive_bytes(moved, workspace.files, progress.show))
    if as_json:
        left_out = dict(moved.left_out)
        show_json({"people": len(moved.people), "photos": moved.photos, "left_out": left_out})
        return
    click.echo(f"{file}: {len(moved.people)} people, {moved.photos} photos")
    for reason, count in moved.left_out:
        click.echo(f"left out: {count} {reason}")


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--columns",
    multiple=True,
    metavar="FIELD=HEADING",
    help="Which column is which, for headings that are not known; several with commas.",
)
@click.option(
    "--failures",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what failed into this CSV, to be mended and imported again.",
)
@json_option
@config_option
def import_people(
    source: Path,
    columns: tuple[str, ...],
    failures: Path | None,
    as_json: bool,
    config: Path | None,
) -> int:
    """Import many people from SOURCE: a folder or ZIP named by personnel code, or a table.

    A folder holds a sub-folder or a photo per person, named by the personnel code, or a table and
    its photos. A single folder on top is looked through. A table (CSV, or the first sheet of an
    Excel workbook, .xlsx) has the columns personnel_code and photo, and may have first_name,
    last_name, department, position, email and phone; one row a photo; a row without one adds the
    person alone, and so does one whose photo is refused. German and French headings are understood;
    for others: --columns personnel_code=ID. Rows of one code that disagree are refused.

    A face that is enrolled for somebody else is asked about, not enrolled: if both are right, as
    with twins, write why into the column override of that row of the failures, and import them.

    With vision.engine: dlib, encodings that face_recognition made (.npy files) may stand in place
    of photos, in the folder or in a column encoding.

    Safe to run again: what is known already is left alone, and named where the table has it
    otherwise. Exit code 1 when something was refused, left out or left alone so.

    \b
    Example: gated import staff/
    Example: gated import staff.csv --failures mend.csv
    Example: gated import staff.csv --columns personnel_code=ID,photo=Picture --json
    """
    from gated.enrollment.headings import columns_given
    from gated.enrollment.import_source import TABLE_SUFFIXES
    from gated.enrollment.importer import begun
    from gated.enrollment.reading import read_roster

    if failures is not None and os.path.abspath(failures) == os.path.abspath(source):
        raise click.UsageError("--failures must be another file than the source")
    with output_file(failures) if failures is not None else nullcontext() as target:
        settings = settings_of(config)
        roster = read_roster(source, columns_given(columns))
        report = begun(roster)
        with ready_context(settings) as context, progress_bar("people") as progress:
            import_all(context, progress(roster.people), report)
        if target is not None:
            is_table = source.suffix.lower() in TABLE_SUFFIXES
            _write_failures(report, source.parent if is_table else source / roster.base, target)
    return show(report, as_json)


_second_name = copy(import_people)
_second_name.help = (import_people.help or "").replace("gated import", "gated people import")
people.add_command(_second_name, "import")


def _write_failures(report: ImportReport, folder: Path, target: OutputFile) -> None:
    """Write a table of what failed; names of files, seen from `folder`, become such as are seen
    from its own. SourceError."""
    from gated.enrollment.failures import failures_csv

    def moved(name: str) -> str:
        return os.path.relpath(folder / name, target.path.parent)

    # names in an archive stay as they are: the table goes back into it
    target.write(failures_csv(asdict(report), None if folder.is_file() else moved))


@contextmanager
def ready_context(settings: Settings) -> Iterator[EnrollmentContext]:
    """The context with every template made by the present model, as far as that can be had."""
    from gated.cli.opening import open_enrollment_context
    from gated.enrollment.enrollment_context import ensure_templates_when_idle

    with open_enrollment_context(settings) as context:
        with progress_bar("templates") as progress:
            problems = ensure_templates_when_idle(context, progress.show)
        for problem in problems:
            click.echo(problem, err=True)
        yield context


def import_all(
    context: EnrollmentContext, people: Iterable[ImportRow], report: ImportReport
) -> None:
    """Import one person after the other into the report."""
    from gated.enrollment.importer import import_person

    for person in people:
        import_person(context, person, report, ACTOR, may_override=True)


def show(report: ImportReport, as_json: bool, advice: PhotoAdvice | None = None) -> int:
    """Print what came of each photo; returns the exit code. advice: about one person's photos."""
    if as_json:
        more = {} if advice is None else {"photo_advice": asdict(advice)}
        record = {k: v for k, v in asdict(report).items() if k != "separator"}
        click.echo(json.dumps({**record, **more}))
    else:
        for line in report.advice:
            click.echo(line)
        for line in report.notes:
            click.echo(line, err=True)
        for name in report.skipped:
            click.echo(f"{name}: left out, not named by any row, or no photo", err=True)
        for row in report.refused:
            text = f"{row['photo']}: refused ({row['code']}): {row['detail']}"
            click.echo(f"{_where(row)}{text}", err=True)
        for row in report.differing:
            click.echo(f"{_where(row)}{row['photo']}: {row['detail']}", err=True)
        click.echo(", ".join(_counts(report)))
        if advice is not None and advice.text:
            click.echo(advice.text, err=True)
        elif advice is None and report.one_photo:
            click.echo(
                f"people with one photo only: {len(report.one_photo)}. A second one more than "
                "halves wrong refusals: gated persons list --one-photo",
                err=True,
            )
    return 0 if report.is_whole else 1


def _where(row: Mapping[str, Any]) -> str:
    lines = [str(n) for n in row["lines"]]
    if not lines or row["photo"] == f"line {lines[0]}":
        return ""
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(lines)}: "


def _counts(report: ImportReport) -> Iterator[str]:
    yield f"{len(report.enrolled)} enrolled"
    if report.known:
        yield f"{len(report.known)} known already"
    if report.without_photo:
        yield f"{len(report.without_photo)} people added without photo"
    yield f"{len(report.refused)} refused"
    if report.differing:
        yield f"{len(report.differing)} different in the table, left alone"
    if report.skipped:
        yield f"{len(report.skipped)} left out"
