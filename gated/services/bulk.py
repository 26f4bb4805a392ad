"""Work that takes long, as jobs: the import of many people, the gallery's self-test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from gated.services.archive import Part, read_upload
from gated.services.desk import EnrollmentDesk
from gated.services.importer import Report
from gated.services.jobs import Job, Work


def import_work(
    desk: EnrollmentDesk, archive: bytes, actor: str, beside: Sequence[Part] = ()
) -> Work:
    """Work that imports an upload, person by person; SourceError when there is nobody in it.

    Cut off at any moment it leaves whole persons behind, and is safe to run again.
    """
    roster = read_upload(archive, beside)

    def work(job: Job) -> None:
        report = Report(skipped=list(roster.skipped))
        for line in roster.nameless:
            report.skipped.append(f"line {line}: no personnel code")
        total = len(roster.people)
        job.progress(0, total, asdict(report))
        for done, person in enumerate(roster.people, 1):
            if job.cancelled.is_set():
                return
            desk.import_person(person, report, actor)
            job.progress(done, total, asdict(report))

    return work


def check_work(desk: EnrollmentDesk, actor: str) -> Work:
    """Work that examines the gallery; its report is that of `check_gallery`."""

    def work(job: Job) -> None:
        job.progress(1, 1, desk.check_gallery(actor=actor))

    return work
