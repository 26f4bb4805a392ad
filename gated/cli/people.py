"""gated enroll, gated import."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gated.cli.common import config_option, json_option, progress_bar, settings_of
from gated.errors import EnrollmentRefused, GatedError, NotFound, Refused, SourceError

if TYPE_CHECKING:
    from gated.services.importer import Candidate
    from gated.services.office import Office

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

    A running gate recognises the person within a second.

    \b
    Example: gated enroll E17 anna.jpg --first-name Anna --last-name Berg
    """
    from gated.services.office import open_office

    pictures = [(photo, read_photo(photo)) for photo in photos]
    with open_office(settings_of(config)) as office:
        names = {"first_name": first_name or code, "last_name": last_name}
        report = Tally()
        office_enroll(office, code, names, pictures, report)
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        report.show()
    return 1 if report.refused else 0


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@json_option
@config_option
def import_people(source: Path, as_json: bool, config: Path | None) -> int:
    """Import many people from SOURCE: a folder named by personnel code, or a CSV.

    A folder holds a sub-folder or a photo per person, named by the personnel code. A CSV has the
    columns personnel_code and photo, and may have first_name, last_name, department, position and
    email. Safe to run again: what is known already is left alone.

    \b
    Example: gated import staff/
    Example: gated import staff.csv --json
    """
    from gated.services.importer import read_source
    from gated.services.office import open_office

    settings = settings_of(config)
    people = read_source(source)
    report = Tally()
    with open_office(settings) as office, progress_bar("people") as progress:
        for done, person in enumerate(people):
            progress(done, len(people))
            import_one(office, person, report)
        progress(len(people), len(people))
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        report.show()
    return 1 if report.refused else 0


@dataclass
class Tally:
    """What came of each photo."""

    enrolled: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def refuse(self, what: str, error: GatedError) -> None:
        code = error.reason if isinstance(error, EnrollmentRefused) else error.code
        self.refused.append({"photo": what, "code": code, "detail": str(error)})

    def show(self) -> None:
        for line in self.advice:
            click.echo(line)
        for row in self.refused:
            click.echo(f"{row['photo']}: refused ({row['code']}): {row['detail']}", err=True)
        known = f", {len(self.known)} known already" if self.known else ""
        click.echo(f"{len(self.enrolled)} enrolled{known}, {len(self.refused)} refused")


def office_enroll(
    office: Office,
    code: str,
    fields: dict[str, str],
    pictures: list[tuple[Path, bytes]],
    report: Tally,
) -> None:
    """Enroll photos of one person; a new person is kept only when one photo was accepted."""
    try:
        person_id, new = office.people.by_code(code).id, False
    except NotFound:
        person = office.people.create({"personnel_code": code, **fields}, actor=ACTOR)
        person_id, new = person.id, True
    accepted = False
    for path, data in pictures:
        what = f"{code} {path.name}"
        try:
            enrolled = office.enrollment.enroll(person_id, data, ACTOR)
        except Refused as error:
            report.refuse(what, error)
            continue
        accepted = True
        (report.known if enrolled.known else report.enrolled).append(what)
        report.advice += [f"{what}: {line}" for line in enrolled.advice]
    if new and not accepted:
        office.people.delete(person_id, actor=ACTOR)


def import_one(office: Office, person: Candidate, report: Tally) -> None:
    """Import one person; what cannot be read is refused, the others go on."""
    pictures = []
    for photo in person.photos:
        try:
            pictures.append((photo, read_photo(photo)))
        except SourceError as error:
            report.refuse(f"{person.personnel_code} {photo.name}", error)
    if pictures:
        fields = {"first_name": person.personnel_code, "last_name": "", **person.fields}
        try:
            office_enroll(office, person.personnel_code, fields, pictures, report)
        except Refused as error:
            report.refuse(person.personnel_code, error)


def read_photo(path: Path) -> bytes:
    """The bytes of a photo; SourceError when the file cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
