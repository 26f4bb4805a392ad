"""Jobs: one at a time, told about, cancelled."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from gated.core.roles import Role
from gated.enrollment.bulk import import_work
from gated.enrollment.import_source import ImportRow
from gated.enrollment.importer import ImportReport
from gated.enrollment.jobs import Job, Jobs, JobView
from gated.errors import Busy, NotFound, SourceError, StorageError


def ended(jobs: Jobs, job: JobView) -> JobView:
    """The job when it is over."""
    for _ in range(2000):
        if jobs.get(job.id).ended_at is not None:
            return jobs.get(job.id)
        threading.Event().wait(0.005)
    raise AssertionError("the job does not end")


def start(jobs: Jobs, work: object) -> JobView:
    with jobs.reserved("test", "me") as begin:
        return begin(work)  # type: ignore[arg-type]


def test_a_job_tells_how_far_it_is_and_ends() -> None:
    jobs, go_on, told = Jobs(), threading.Event(), threading.Event()

    def work(job: Job) -> None:
        job.progress(1, 2, {"some": "thing"})
        told.set()
        assert go_on.wait(20)
        job.progress(2, 2, {"every": "thing"})

    job = start(jobs, work)
    assert told.wait(20)
    half = jobs.get(job.id)
    assert (half.state, half.done, half.total, half.report) == ("running", 1, 2, {"some": "thing"})
    with pytest.raises(Busy), jobs.reserved("test", "other"):
        pass
    go_on.set()
    whole = ended(jobs, job)
    assert (whole.state, whole.done, whole.report) == ("done", 2, {"every": "thing"})
    assert ended(jobs, start(jobs, lambda _: None)).state == "done"


def test_a_job_is_cancelled() -> None:
    jobs = Jobs()

    def work(job: Job) -> None:
        assert job.cancelled.wait(20)

    job = start(jobs, work)
    jobs.cancel(job.id, Role.OPERATOR)
    assert ended(jobs, job).state == "cancelled"
    again = start(jobs, work)
    jobs.stop()
    assert ended(jobs, again).state == "cancelled"


def test_a_job_that_fails_says_what_may_be_said(caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobs()

    def refused(_: Job) -> None:
        raise SourceError("nobody is in it")

    def broken(_: Job) -> None:
        raise ZeroDivisionError("secret")

    assert ended(jobs, start(jobs, refused)).detail == "nobody is in it"
    failed = ended(jobs, start(jobs, broken))
    assert failed.state == "failed"
    assert "secret" not in failed.detail
    assert "secret" in caplog.text


def test_a_reservation_that_starts_nothing_is_given_back() -> None:
    jobs = Jobs()
    with pytest.raises(KeyError), jobs.reserved("test", "me"):
        raise KeyError
    assert ended(jobs, start(jobs, lambda _: None)).state == "done"


def test_only_the_last_jobs_are_kept() -> None:
    jobs = Jobs(kept=2)
    first, *others = [ended(jobs, start(jobs, lambda _: None)) for _ in range(3)]
    with pytest.raises(NotFound):
        jobs.get(first.id)
    assert [jobs.get(j.id).id for j in others] == [j.id for j in others]


def test_an_import_that_breaks_off_reports_all_that_it_did() -> None:
    class FullDisk:
        """Takes two people, and then there is no space."""

        def import_person(
            self, person: ImportRow, report: ImportReport, actor: str, *, may_override: bool
        ) -> None:
            if len(report.enrolled) == 2:
                raise StorageError("the disk is full")
            report.enrolled.append(person.personnel_code)

    table = b"personnel_code,photo\nE1,\nE2,\nE3,\n"
    jobs = Jobs()
    job = ended(jobs, start(jobs, import_work(cast(Any, FullDisk()), table, "me")))
    assert (job.state, job.detail, job.done, job.total) == ("failed", "the disk is full", 2, 3)
    assert job.code == "storage", "for whoever has words of their own"
    assert job.report["enrolled"] == ["E1", "E2"]


def test_a_job_that_cannot_be_started_keeps_no_other_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = Jobs()

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            start(jobs, lambda _: None)
    assert jobs.list_() == []
    assert ended(jobs, start(jobs, lambda _: None)).state == "done"
