"""Long work in the background: one at a time, with progress, cancelled on demand."""

from __future__ import annotations

import contextvars
import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from gated.core.roles import Role
from gated.errors import Busy, EnrollmentRefused, GatedError, NotAllowed, NotFound, SourceError

log = logging.getLogger(__name__)

KEPT = 20
RETRY_AFTER_S = 30.0

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class JobView:
    """A job at one moment. state: `running`, `done`, `cancelled` or `failed`, then `detail`.

    code, rule, limit: why it failed, as errors of the API have them; empty and None else.
    role: who may begin such a job, and end it before its time.
    """

    id: str
    kind: str
    actor: str
    state: str
    started_at: datetime
    ended_at: datetime | None = None
    done: int = 0
    total: int = 0
    report: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    detail: str = ""
    code: str = ""
    rule: str | None = None
    limit: str | None = None
    role: Role = Role.OPERATOR


class Job:
    """A job as its work sees it: it shows its progress here, and learns that it is cancelled."""

    def __init__(self, view: JobView) -> None:
        self.view = view
        self.cancelled = threading.Event()

    def progress(self, done: int, total: int, report: Mapping[str, Any]) -> None:
        """Set how far the work is; `report` must not change any more."""
        self.view = replace(self.view, done=done, total=total, report=report)


Work = Callable[[Job], None]
Start = Callable[[Work], JobView]


class Jobs:
    """The job that runs, and the last ones that did."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._one = threading.Lock()

    @contextmanager
    def reserved(self, kind: str, actor: str, role: Role = Role.OPERATOR) -> Iterator[Start]:
        """Hold the right to start one job while the block runs. Raises: Busy while one runs.

        role: who may begin such a job, and end it before its time.
        """
        if not self._one.acquire(blocking=False):
            raise Busy("another job is running: try again when it is done", RETRY_AFTER_S)
        started = False

        def start(work: Work) -> JobView:
            nonlocal started
            begun = self._start(kind, actor, role, work)
            started = True
            return begun

        try:
            yield start
        finally:
            if not started:
                self._one.release()

    def list_(self) -> list[JobView]:
        """Return the last jobs since the program began, newest first."""
        with self._lock:
            return [job.view for job in reversed(self._jobs.values())]

    def get(self, id_: str) -> JobView:
        """Return a job as it is now. Raises: NotFound."""
        return self._find(id_).view

    def cancel(self, id_: str, role: Role) -> JobView:
        """Ask a job to end soon, with what it has done so far.

        role: of who asks. Raises: NotFound, NotAllowed.
        """
        job = self._find(id_)
        if not role.includes(job.view.role):
            raise NotAllowed(f"a job of this kind is ended by the role {job.view.role.value}")
        job.cancelled.set()
        return job.view

    def stop(self) -> None:
        """Ask every job to end soon."""
        with self._lock:
            for job in self._jobs.values():
                job.cancelled.set()

    def _find(self, id_: str) -> Job:
        with self._lock:
            job = self._jobs.get(id_)
        if job is None:
            raise NotFound(f"there is no job {id_[:40]}")
        return job

    def _start(self, kind: str, actor: str, role: Role, work: Work) -> JobView:
        now = datetime.now(UTC)
        job = Job(JobView(uuid.uuid4().hex, kind, actor, "running", now, role=role))
        # who asked for it, and from where, is found in the context when its acts are journaled
        context = contextvars.copy_context()
        begun = job.view
        threading.Thread(
            target=context.run, args=(self._run, job, work), name=f"job {kind}", daemon=True
        ).start()
        with self._lock:
            self._jobs[begun.id] = job
            while len(self._jobs) > self._kept:
                self._jobs.popitem(last=False)
        return begun

    def _run(self, job: Job, work: Work) -> None:
        failed = {"detail": "something went wrong here; the log says what", "code": "internal"}
        state, told = "failed", dict[str, Any](failed)
        try:
            work(job)
            state, told = ("cancelled" if job.cancelled.is_set() else "done"), {}
        except GatedError as error:
            log.error("job %s failed: %s", job.view.kind, error)
            told = {**told_of(error), "detail": str(error)}
        except Exception:
            log.exception("job %s failed", job.view.kind)
        finally:
            job.view = replace(job.view, state=state, ended_at=datetime.now(UTC), **told)
            self._one.release()


def told_of(error: GatedError) -> dict[str, Any]:
    """Return the code, rule and limit of an error, as an answer of the API has them."""
    code = error.code
    if isinstance(error, EnrollmentRefused):
        code = error.reason
    elif isinstance(error, SourceError):
        code = "invalid"
    return {"code": code, "rule": error.rule, "limit": error.limit}
