"""Imports people with their photos, one after the other, and reports what came of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gated.core.photo_advice import PhotoAdvice
from gated.core.text import clean_code, clean_text
from gated.database.records import Person
from gated.enrollment import enrollment_store
from gated.enrollment.csv_table import Row
from gated.enrollment.enrollment import Enrolled, EnrollmentDraft, Reference
from gated.enrollment.enrollment_context import EnrollmentContext
from gated.enrollment.headings import OVERRIDE
from gated.enrollment.import_source import (
    ImportRow,
    Photo,
    Roster,
    RowProblem,
    is_like_a_code,
    shown,
)
from gated.errors import (
    DuplicateFace,
    EnrollmentRefused,
    GatedError,
    NotAllowed,
    NotFound,
    Refused,
    SourceError,
)
from gated.vision.decoding import MAX_BYTES
from gated.vision.dlibnet import read_encodings

CODE = re.compile(r"[^@\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,64}")
TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,200}")
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")

TOGETHER = 20
"""Photos of a new person that are compared with each other before one is stored; each of them is
held in memory meanwhile."""

NOT_SAME = "not_same_person"
_SEVERAL = (
    "the photos show several people, so that none of them was taken: take out those that are "
    "wrong, or name each file, or its folder, by the code of the person"
)
_ODD = "This face does not resemble the person's other photos. Check that it is the right person."
_IF_BOTH_ARE_RIGHT = (
    "Is one of them wrong? If both are right, as with twins, write why into the column override of "
    "this row, and import the table again."
)


@dataclass
class ImportReport:
    """The outcome of each photo. without_photo: people who were added with nothing biometric.

    one_photo: people of the source of whom one photo is in use, or several of nearly the same
    picture. refused: photos and rows, with the lines of a table and what stands there. differing:
    fields of people who are known that a table has otherwise; they are left alone. skipped: files
    that were left out. notes: what else is to be known. separator: of the cells of the table.
    """

    enrolled: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    without_photo: list[str] = field(default_factory=list)
    one_photo: list[str] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    differing: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    separator: str = ","

    def refuse(self, what: str, error: GatedError, rows: Sequence[Row] = ()) -> None:
        """Note why a photo or a person was refused, with the stable code."""
        code = error.reason if isinstance(error, EnrollmentRefused) else error.code
        self.refused.append(problem_row(what, code, str(error), rows, error.rule, error.limit))

    def ask(self, what: str, error: DuplicateFace, rows: Sequence[Row]) -> None:
        """Note that a photo waits for an answer: whether two persons may have this face."""
        detail = f"{error} {_IF_BOTH_ARE_RIGHT}"
        self.refused.append(problem_row(what, error.code, detail, rows, rule="both_right"))

    @property
    def is_whole(self) -> bool:
        """True when everything that the source had is in the gate now."""
        return not (self.refused or self.differing or self.skipped)


def problem_row(
    what: str,
    code: str,
    detail: str,
    rows: Sequence[Row] = (),
    rule: str | None = None,
    limit: str | None = None,
) -> dict[str, Any]:
    """Return an entry of a report: its subject, why, and the rows of the table that name it."""
    return {
        "photo": what,
        "code": code,
        "detail": detail,
        "rule": rule,
        "limit": limit,
        "lines": [row.line for row in rows if row.line],
        "rows": [dict(row.cells) for row in rows],
    }


def begun(roster: Roster) -> ImportReport:
    """Return the report of an import that has stored nothing yet: the problems of the source."""
    report = ImportReport(
        skipped=list(roster.skipped), notes=list(roster.notes), separator=roster.separator
    )
    for problem in roster.problems:
        report.refused.append(_refusal_of(problem))
    return report


def _refusal_of(problem: RowProblem) -> dict[str, Any]:
    named = problem.rule, problem.limit
    return problem_row(problem.what, Refused.code, problem.detail, problem.rows, *named)


def import_person(
    context: EnrollmentContext,
    person: ImportRow,
    report: ImportReport,
    actor: str,
    *,
    may_override: bool = False,
) -> None:
    """Enroll the photos and encodings of one person; a row of a table adds the person at any rate,
    a folder or file with its first good photo.

    What cannot be read or used is refused in the report. Safe to run again. may_override: rows may
    say why a face is enrolled that is somebody else's, too.
    """
    try:
        _check_overrides(person, may_override)
        check_fields(person.personnel_code, person.fields)
        before = _known(context, person.personnel_code)
        if before is not None:
            _note_differences(before, person, report)
        elif person.rows or not person.has_files:
            _add(context, person, actor)
    except Refused as error:
        report.refuse(shown(person.personnel_code), error, [row for row, _ in person.rows])
        return
    enrolled = len(report.enrolled)
    if before is not None and _has_photo(context, before):
        _import_more(context, person, report, actor)
    else:
        _import_new(context, person, report, actor)
    is_added = before is None and bool(person.rows or not person.has_files)
    if is_added and len(report.enrolled) == enrolled:
        report.without_photo.append(person.personnel_code)
    advice = photo_advice(context, person.personnel_code)
    if advice is not None and advice.usable and advice.another_advised:
        report.one_photo.append(person.personnel_code)


def photo_advice(context: EnrollmentContext, code: str) -> PhotoAdvice | None:
    """Return whether another photo of this person is advised; None for an unknown code."""
    known = _known(context, code)
    if known is None:
        return None
    with context.workspace.database.read() as session:
        return PhotoAdvice.of_photos(enrollment_store.list_(session, person_id=known.id))


def _check_overrides(person: ImportRow, may_override: bool) -> None:
    reasons = [row.cells[OVERRIDE] for row, _ in person.rows if OVERRIDE in row.cells]
    if reasons and not may_override:
        raise NotAllowed("only an admin may override the check for duplicates")
    for reason in reasons:
        if not TEXT.fullmatch(reason):
            text = f"override cannot be used: {reason[:40]!r}"
            raise Refused(text).named("unusable", OVERRIDE)


def check_fields(code: str, fields: Mapping[str, str]) -> None:
    """Check that the fields of a person can be stored and typed. Raises: Refused."""
    if not CODE.fullmatch(code):
        raise Refused(
            "a personnel code has 1 to 64 characters, and no @, white space or control characters"
        ).named("code_form", "64")
    clean_code(code, "personnel_code")
    for name, value in fields.items():
        if not TEXT.fullmatch(value) or (name == "email" and not EMAIL.fullmatch(value)):
            raise Refused(f"{name} cannot be used: {value[:40]!r}").named("unusable", name)
        clean_text(value, name)


def read_photo(path: Photo) -> bytes:
    """Read a photo or an encoding, one byte too many at most. Raises: SourceError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        text = f"{shown(str(path))}: {what}"
        raise SourceError(text).named("no_file", shown(path.name)) from None


# --- photos ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Piece:
    """A photo or an encoding. what: it is called; rows: those that name it."""

    what: str
    reference: Reference
    rows: Sequence[Row]

    @property
    def override(self) -> str | None:
        """The reason why it may show somebody else's face, too; None: it may not."""
        return next((r.cells[OVERRIDE] for r in self.rows if r.cells.get(OVERRIDE)), None)


def _import_more(
    context: EnrollmentContext, person: ImportRow, report: ImportReport, actor: str
) -> None:
    """Enroll what is compared with the photos that are stored, one at a time."""
    for piece in _pieces(person, report):
        _enroll(context, person, piece, None, report, actor)


def _import_new(
    context: EnrollmentContext, person: ImportRow, report: ImportReport, actor: str
) -> None:
    """Enroll the first photos of a person, after they were compared with each other.

    Who has photos of several people gets none of them; of files that bear codes themselves each
    becomes one's own.
    """
    looked_at = ImportReport()
    pieces = _pieces(person, looked_at)
    drafts: list[tuple[_Piece, EnrollmentDraft]] = []
    for piece in pieces:
        try:
            drafts.append((piece, context.enrollment.draft(piece.reference)))
        except Refused as error:
            looked_at.refuse(piece.what, error, piece.rows)
        if len(drafts) == TOGETHER:
            break
    groups = context.enrollment.groups([draft for _, draft in drafts])
    if len(set(groups)) > 1 and person.apart:
        for other in person.apart:
            import_person(context, other, report, actor)
        return
    report.refused += looked_at.refused
    kept = drafts if len(set(groups)) <= 1 else _most(person, drafts, groups, report)
    for piece, draft in kept:
        _enroll(context, person, piece, draft, report, actor)
    for piece in _pieces_after(pieces, looked_at, report):
        if kept:
            _enroll(context, person, piece, None, report, actor)
        else:
            report.refused.append(problem_row(piece.what, NOT_SAME, _SEVERAL, piece.rows))


def _pieces_after(
    pieces: Iterator[_Piece], looked_at: ImportReport, report: ImportReport
) -> Iterator[_Piece]:
    """Yield the rest of the pieces; what is refused in reading them goes into the report."""
    reported = len(looked_at.refused)
    yield from pieces
    report.refused += looked_at.refused[reported:]


def _most(
    person: ImportRow,
    drafts: Sequence[tuple[_Piece, EnrollmentDraft]],
    groups: Sequence[int],
    report: ImportReport,
) -> list[tuple[_Piece, EnrollmentDraft]]:
    """Return the photos of the person whom most show, where it is certain who that is; else none.

    The others are refused.
    """
    ((group, count),) = Counter(groups).most_common(1)
    is_sure = bool(person.rows) or is_like_a_code(person.personnel_code)
    if not is_sure or 2 * count <= len(drafts):
        group = -1
    kept = [pair for pair, of in zip(drafts, groups, strict=True) if of == group]
    for (piece, _), of in zip(drafts, groups, strict=True):
        if of != group:
            report.refused.append(
                problem_row(piece.what, NOT_SAME, _ODD if kept else _SEVERAL, piece.rows)
            )
    return kept


def _enroll(
    context: EnrollmentContext,
    person: ImportRow,
    piece: _Piece,
    draft: EnrollmentDraft | None,
    report: ImportReport,
    actor: str,
) -> None:
    try:
        enrolled = context.enrollment.enroll_as(
            person.personnel_code,
            person.fields,
            piece.reference,
            actor,
            draft,
            override=piece.override,
        )
    except DuplicateFace as error:
        report.ask(piece.what, error, piece.rows)
    except Refused as error:
        report.refuse(piece.what, error, piece.rows)
    else:
        _note(report, piece.what, enrolled)


def _pieces(person: ImportRow, report: ImportReport) -> Iterator[_Piece]:
    """Yield the content of each file that can be read; one file is read at a time."""
    for path in (*person.photos, *person.encodings):
        what = f"{person.personnel_code} {shown(path.name)}"
        is_encoding = path in person.encodings
        rows = [row for row, files in person.rows if path in files]
        if not person.rows:
            named = {"personnel_code": person.personnel_code}
            where = path.absolute() if isinstance(path, Path) else path
            rows = [Row(0, {**named, "encoding" if is_encoding else "photo": shown(str(where))})]
        try:
            content = _content(path, is_encoding)
        except SourceError as error:
            report.refuse(what, error, rows)
        else:
            yield from (_Piece(what, reference, rows) for reference in content)


def _content(file: Photo, is_encoding: bool) -> list[Reference]:
    data = read_photo(file)
    return list(read_encodings(data, shown(file.name))) if is_encoding else [data]


def _note(report: ImportReport, what: str, enrolled: Enrolled) -> None:
    (report.known if enrolled.known else report.enrolled).append(what)
    report.advice += [f"{what}: {line}" for line in enrolled.advice]


# --- the person -----------------------------------------------------------------------------------


def _known(context: EnrollmentContext, code: str) -> Person | None:
    try:
        return context.people.by_code(code)
    except NotFound:
        return None


def _add(context: EnrollmentContext, person: ImportRow, actor: str) -> None:
    names = {"first_name": person.personnel_code, **person.fields}
    with context.people.change(actor) as change:
        context.people.create(change, {**names, "personnel_code": person.personnel_code})


def _has_photo(context: EnrollmentContext, person: Person) -> bool:
    with context.workspace.database.read() as session:
        return bool(enrollment_store.list_(session, person_id=person.id, limit=1))


def _note_differences(before: Person, person: ImportRow, report: ImportReport) -> None:
    """Name the fields that a table has otherwise than the gate; nothing is changed."""
    if not person.rows:
        return
    stored = {name: str(getattr(before, name) or "") for name in person.fields}
    differing = {
        name: f"{name} is {stored[name]!r}, and {value!r} in the table"
        for name, value in person.fields.items()
        if clean_text(value, name) != stored[name]
    }
    if differing:
        said = "; ".join(differing.values())
        detail = f"{said}: left as it is; change the person where that is wrong"
        rows, names = [row for row, _ in person.rows], ", ".join(differing)
        report.differing.append(
            problem_row(person.personnel_code, "differs", detail, rows, rule="differs", limit=names)
        )
