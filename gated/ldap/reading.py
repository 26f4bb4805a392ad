"""Reads people from a directory: adds and changes them, or only reports what would be done.

Nobody is switched off and nobody is removed: the report names people whom the directory does not
have. A field without a value in the directory stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gated.config import DirectorySettings
from gated.core.text import clean_text, code_key
from gated.database.records import Person
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.enrollment.import_source import ImportRow, LoadedPhoto
from gated.enrollment.importer import ImportReport, check_fields
from gated.enrollment.jobs import Job, Work
from gated.errors import NotFound, Refused
from gated.ldap.client import DirectoryEntry, LdapClient
from gated.people.people import People, differing

REPORT_EVERY_S = 0.5
"""Between two copies of the report for the job: copying takes longer with each person."""

MOST_NAMED = 1000
"""Entries of each kind in a report; `counts` has all of them."""


@dataclass
class DirectoryReport:
    """The outcome for each person.

    changed: which fields. refused: of people and of photos, why. missing: personnel codes of active
    people whom the directory does not have. counts: how many of each kind.
    """

    dry_run: bool
    added: list[str] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    photos: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """The number of entries that were read."""
        return sum(n for kind, n in self.counts.items() if kind not in ("missing", "photos"))

    def record(self) -> dict[str, Any]:
        """Return the report as a job shows it."""
        return asdict(self)

    def note(self, kind: str, what: Any) -> None:
        """Note one of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        named: list[Any] = getattr(self, kind, [])
        if len(named) < MOST_NAMED:
            named.append(what)

    def refuse(
        self, what: str, code: str, detail: str, rule: str | None, limit: str | None
    ) -> None:
        """Note that something was refused, and why. rule, limit: the name of the reason."""
        named = {"rule": rule, "limit": limit}
        self.note("refused", {"what": what, "code": code, "detail": detail, **named})


@dataclass(frozen=True, slots=True)
class DirectoryReader:
    """Reads people. actor: who asked for it."""

    settings: DirectorySettings
    people: People
    queue: EnrollmentQueue
    actor: str

    def work(self, *, dry_run: bool) -> Work:
        """Return the work of a job that reads everybody."""

        def work(job: Job) -> None:
            def show(report: DirectoryReport) -> None:
                job.progress(report.entries, report.entries, report.record())

            show(self.read(dry_run=dry_run, is_cancelled=job.cancelled.is_set, show=show))

        return work

    def read(
        self,
        *,
        dry_run: bool,
        is_cancelled: Callable[[], bool] = lambda: False,
        show: Callable[[DirectoryReport], None] = lambda report: None,
    ) -> DirectoryReport:
        """Read everybody; cut off at any moment, it is safe to run again.

        show: gets the unfinished report twice a second. Raises: NotFound without a directory,
        SourceError.
        """
        require_directory(self.settings)
        report, seen, shown_at = DirectoryReport(dry_run), set[str](), time.monotonic()
        with LdapClient(self.settings) as client:
            for entry in client.entries(self._attributes()):
                if is_cancelled():
                    return report
                self._take(entry, report, seen)
                if time.monotonic() - shown_at > REPORT_EVERY_S:
                    show(report)
                    shown_at = time.monotonic()
        self._name_missing(report, seen)
        return report

    def _attributes(self) -> list[str]:
        photo = self.settings.photo_attribute
        return [*dict.fromkeys(self.settings.attributes.values()), *([photo] if photo else [])]

    def _take(self, entry: DirectoryEntry, report: DirectoryReport, seen: set[str]) -> None:
        what = _shown(entry.name)
        try:
            fields = self._fields(entry)
            code = fields.pop("personnel_code", "")
            if not code:
                name = self.settings.attributes["personnel_code"]
                raise Refused(f"it has no {name}").named("has_no", name)
            check_fields(code, fields)
            if code_key(code) in seen:
                text = f"personnel code {code} stands there twice"
                raise Refused(text).named("code_twice", code)
            seen.add(code_key(code))
            self._enter(code, fields, report)
        except Refused as error:
            report.refuse(what, error.code, str(error), error.rule, error.limit)
        else:
            self._photo(entry, code, report)

    def _fields(self, entry: DirectoryEntry) -> dict[str, str]:
        """Read the fields of a person from an entry. Raises: Refused."""
        found: dict[str, str] = {}
        for name, attribute in self.settings.attributes.items():
            value = entry.first(attribute)
            if value is None:
                continue
            try:
                text = value.decode().strip()
            except UnicodeDecodeError:
                text = f"{attribute} is no text"
                raise Refused(text).named("no_text", attribute) from None
            if text:
                found[name] = text
        return found

    def _enter(self, code: str, fields: Mapping[str, str], report: DirectoryReport) -> None:
        """Add a person, or change the fields that differ. Raises: Refused."""
        known = self._known(code)
        if known is None:
            if not report.dry_run:
                names = {"first_name": "", "last_name": code, **fields}
                with self.people.change(self.actor) as change:
                    self.people.create(change, {**names, "personnel_code": code})
            report.note("added", code)
            return
        # as they would be stored: what is only spelt otherwise is no change
        changed = differing(known, {name: clean_text(v, name) for name, v in fields.items()})
        if not changed:
            report.note("same", code)
            return
        if not report.dry_run:
            with self.people.change(self.actor) as change:
                self.people.update(change, known.id, changed)
        report.note("changed", {"personnel_code": code, "fields": sorted(changed)})

    def _known(self, code: str) -> Person | None:
        try:
            return self.people.by_code(code)
        except NotFound:
            return None

    def _photo(self, entry: DirectoryEntry, code: str, report: DirectoryReport) -> None:
        """Enroll the photo of somebody who is here, by the examination that all photos have."""
        name = self.settings.photo_attribute
        content = entry.first(name) if name else None
        if content is None or report.dry_run:
            return
        imported = ImportReport()
        row = ImportRow(code, photos=(LoadedPhoto(f"{name}.jpg", content),))
        self.queue.import_person(row, imported, self.actor)
        for _ in imported.enrolled:
            report.note("photos", code)
        for refused in imported.refused:
            why = (refused[key] for key in ("code", "detail", "rule", "limit"))
            report.refuse(f"{code} {name}", *why)

    def _name_missing(self, report: DirectoryReport, seen: set[str]) -> None:
        active, _ = self.people.list_(is_active=True)
        for person in active:
            if code_key(person.personnel_code) not in seen:
                report.note("missing", person.personnel_code)


def require_directory(settings: DirectorySettings) -> None:
    """Raises: NotFound where no directory is configured."""
    if settings.url is None:
        raise NotFound("no directory is set up here (directory.url)")


def _shown(name: str) -> str:
    """The name of an entry as it can be shown."""
    return name[:200].encode("unicode_escape").decode() if not name.isprintable() else name[:200]
