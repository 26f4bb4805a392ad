"""Work that takes long, as jobs: the import of many people, the gallery's self-test."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gated.enrollment.archive import TableFile, read_upload
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.enrollment.importer import begun
from gated.enrollment.jobs import Job, Work

REPORT_EVERY_S = 0.5
"""The interval of reports during an import: making one takes longer the more people it has."""


def import_work(
    queue: EnrollmentQueue,
    archive: bytes,
    actor: str,
    beside: Sequence[TableFile] = (),
    columns: Mapping[str, str] | None = None,
    *,
    may_override: bool = False,
) -> Work:
    """Work that imports an upload, person by person; SourceError when there is nobody in it.

    columns: field -> heading, where a table has others than those that are known. may_override: its
    rows may say why a face is enrolled that is somebody else's, too.

    Cut off at any moment it leaves whole persons behind, and is safe to run again.
    """
    roster = read_upload(archive, beside, columns)

    def work(job: Job) -> None:
        report, total = begun(roster), len(roster.people)
        job.progress(0, total, asdict(report))
        done, reported_at = 0, time.monotonic()
        try:
            for person in roster.people:
                if job.cancelled.is_set():
                    break
                queue.import_person(person, report, actor, may_override=may_override)
                done += 1
                if time.monotonic() - reported_at > REPORT_EVERY_S:
                    job.progress(done, total, asdict(report))
                    reported_at = time.monotonic()
        finally:  # also where the disk is full: who was enrolled, and who not yet
            job.progress(done, total, asdict(report))

    return work


def check_work(queue: EnrollmentQueue, actor: str) -> Work:
    """Work that examines the gallery; its report is that of `check_gallery`."""

    def work(job: Job) -> None:
        job.progress(1, 1, queue.check_gallery(actor=actor))

    return work
