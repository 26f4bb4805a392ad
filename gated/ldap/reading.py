"""People of a directory: what becomes of each, tried without writing or done.

Nobody is switched off and nobody is removed: who is missing in the directory is named in the
report. A field that the directory does not tell stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
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

TOLD_EVERY_S = 0.5
"""How often the report is made anew: it grows with each person."""

MOST_NAMED = 1000
"""Entries of each kind in a report; their number is told besides."""


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

    def note(self, kind: str, what: Any) -> None:
        """Note one of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        named: list[Any] = getattr(self, kind, [])
        if len(named) < MOST_NAMED:
            named.append(what)

    def refuse(self, what: str, code: str, detail: str) -> None:
        """Note that something was refused, and why."""
        self.note("refused", {"what": what, "code": code, "detail": detail})


@dataclass(frozen=True, slots=True)
class DirectoryReader:
    """Reads people. actor: who asked for it."""

    settings: DirectorySettings
    people: People
    desk: EnrollmentQueue
    actor: str

    def work(self, *, dry_run: bool) -> Work:
        """Work that reads everybody; cut off at any moment, it is safe to run again."""

        def work(job: Job) -> None:
            report, seen, told_at = DirectoryReport(dry_run), set[str](), time.monotonic()
            with LdapClient(self.settings) as client:
                for entry in client.entries(self._attributes()):
                    if job.cancelled.is_set():
                        break
                    self._take(entry, report, seen)
                    if time.monotonic() - told_at > TOLD_EVERY_S:
                        done = sum(report.counts.values())
                        job.progress(done, done, asdict(report))
                        told_at = time.monotonic()
                else:
                    self._name_missing(report, seen)
            done = sum(n for kind, n in report.counts.items() if kind not in ("missing", "photos"))
            job.progress(done, done, asdict(report))

        return work

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
                raise Refused(f"it has no {name}")
            check_fields(code, fields)
            if code_key(code) in seen:
                raise Refused(f"personnel code {code} stands there twice")
            seen.add(code_key(code))
            self._enter(code, fields, report)
        except Refused as error:
            report.refuse(what, error.code, str(error))
        else:
            self._photo(entry, code, report)

    def _fields(self, entry: DirectoryEntry) -> dict[str, str]:
        """Read the fields that the directory tells of somebody. Raises: Refused."""
        found: dict[str, str] = {}
        for name, attribute in self.settings.attributes.items():
            value = entry.first(attribute)
            if value is None:
                continue
            try:
                text = value.decode().strip()
            except UnicodeDecodeError:
                raise Refused(f"{attribute} is no text") from None
            if text:
                found[name] = text
        return found

    def _enter(self, code: str, fields: Mapping[str, str], report: DirectoryReport) -> None:
        """Add somebody, or change the fields that are told otherwise. Raises: Refused."""
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
        told = ImportReport()
        row = ImportRow(code, photos=(LoadedPhoto(f"{name}.jpg", content),))
        self.desk.import_person(row, told, self.actor)
        for _ in told.enrolled:
            report.note("photos", code)
        for refused in told.refused:
            report.refuse(f"{code} {name}", refused["code"], refused["detail"])

    def _name_missing(self, report: DirectoryReport, seen: set[str]) -> None:
        active, _ = self.people.list_(is_active=True)
        for person in active:
            if code_key(person.personnel_code) not in seen:
                report.note("missing", person.personnel_code)


def _shown(name: str) -> str:
    """The name of an entry as it can be shown."""
    return name[:200].encode("unicode_escape").decode() if not name.isprintable() else name[:200]
