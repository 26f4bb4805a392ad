"""Reads people from a directory that speaks LDAP, as a job."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query, Response

from gated.config import Settings
from gated.core.roles import Role
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.enrollment.jobs import Jobs
from gated.enrollment.schemas import JobOut
from gated.http.answers import Route
from gated.http.callers import Admin, app_services
from gated.http.problems import responses
from gated.ldap.reading import DirectoryReader, require_directory
from gated.people.people import People

router = APIRouter(prefix="/api/directory", tags=["jobs"], route_class=Route)


class LdapServices(Protocol):
    """The services that routes of this room call."""

    @property
    def settings(self) -> Settings: ...

    @property
    def people(self) -> People: ...

    @property
    def enrollment_queue(self) -> EnrollmentQueue: ...

    @property
    def jobs(self) -> Jobs: ...


Services = Annotated[LdapServices, Depends(app_services)]

DryRun = Annotated[bool, Query(description="report what would be done, and do nothing")]


@router.post("/import", status_code=202, responses=responses(404))
def import_(admin: Admin, response: Response, services: Services, dry_run: DryRun = True) -> JobOut:
    """Read people from the directory of the settings; add and change them, and remove nobody.

    Answers with a job; its report says who was added and changed, who was refused and why, and
    whom the directory does not have. Only with `dry_run=false` anything is done.
    """
    settings = services.settings.directory
    require_directory(settings)
    reader = DirectoryReader(settings, services.people, services.enrollment_queue, admin.username)
    with services.jobs.reserved("directory", admin.username, Role.ADMIN) as start:
        job = start(reader.work(dry_run=dry_run))
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return JobOut.model_validate(job)
