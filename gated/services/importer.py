"""People with their photos into the gate, one after the other, with a report of what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from gated.errors import EnrollmentRefused, GatedError, NotFound, Refused, SourceError
from gated.services.enrollment import Enrolled, Reference
from gated.services.office import Office
from gated.services.roster import Candidate, Photo, shown
from gated.vision.decoding import MAX_BYTES
from gated.vision.dlibnet import read_encodings

CODE = re.compile(r"[^@\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,64}")
TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,200}")
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")


@dataclass
class Report:
    """What came of each photo. without_photo: people who were added with nothing biometric."""

    enrolled: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    without_photo: list[str] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def refuse(self, what: str, error: GatedError) -> None:
        """Note why a photo or a person was refused, with the stable code."""
        code = error.reason if isinstance(error, EnrollmentRefused) else error.code
        self.refused.append({"photo": what, "code": code, "detail": str(error)})


def import_person(office: Office, person: Candidate, report: Report, actor: str) -> None:
    """Enroll the photos and encodings of one person, who is added with the first good one.

    What cannot be read or used is refused in the report. Safe to run again.
    """
    code = person.personnel_code
    try:
        check_fields(code, person.fields)
        if not person.photos and not person.encodings:
            _add_without_photo(office, person, report, actor)
    except Refused as error:
        report.refuse(shown(code), error)
        return
    for what, references in _references(person, report):
        for reference in references:
            try:
                enrolled = office.enrollment.enroll_as(code, person.fields, reference, actor)
            except Refused as error:
                report.refuse(what, error)
            else:
                _note(report, what, enrolled)


def check_fields(code: str, fields: dict[str, str]) -> None:
    """Refused when a personnel code or another field of a person could not be stored or typed."""
    if not CODE.fullmatch(code):
        raise Refused(
            "a personnel code has 1 to 64 characters, and no @, white space or control characters"
        )
    for name, value in fields.items():
        if not TEXT.fullmatch(value) or (name == "email" and not EMAIL.fullmatch(value)):
            raise Refused(f"{name} cannot be used: {value[:40]!r}")


def read_photo(path: Photo) -> bytes:
    """The bytes of a photo or an encoding, no more than one byte too many; SourceError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise SourceError(f"{shown(str(path))}: {what}") from None


def _references(person: Candidate, report: Report) -> Iterator[tuple[str, list[Reference]]]:
    """(what it is called, what is in it) of each file that can be read; read one at a time."""
    for path in (*person.photos, *person.encodings):
        what = f"{person.personnel_code} {shown(path.name)}"
        try:
            yield what, _content(path, path in person.encodings)
        except SourceError as error:
            report.refuse(what, error)


def _content(file: Photo, is_encoding: bool) -> list[Reference]:
    data = read_photo(file)
    return list(read_encodings(data, shown(file.name))) if is_encoding else [data]


def _note(report: Report, what: str, enrolled: Enrolled) -> None:
    (report.known if enrolled.known else report.enrolled).append(what)
    report.advice += [f"{what}: {line}" for line in enrolled.advice]


def _add_without_photo(office: Office, person: Candidate, report: Report, actor: str) -> None:
    try:
        office.people.by_code(person.personnel_code)
    except NotFound:
        names = {"first_name": person.personnel_code, **person.fields}
        office.people.create({**names, "personnel_code": person.personnel_code}, actor=actor)
        report.without_photo.append(person.personnel_code)
