"""Long work: the import of many photos, the gallery's self-test, and how far it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from gated.core.roles import Role
from gated.enrollment.archive import TableFile
from gated.enrollment.bulk import check_work, import_work
from gated.enrollment.dependencies import Services
from gated.enrollment.failures import failures_csv
from gated.enrollment.headings import columns_given
from gated.enrollment.schemas import ImportForm, JobOut
from gated.enrollment.uploads import IMPORT, ImportUploaded, described
from gated.errors import NotFound
from gated.http.answers import Route
from gated.http.callers import Operator
from gated.http.problems import responses

router = APIRouter(prefix="/api/jobs", tags=["jobs"], route_class=Route)
checking = APIRouter(prefix="/api/gallery", tags=["enrollment"], route_class=Route)
importing = APIRouter(prefix="/api/enrollment", tags=["enrollment"], route_class=Route)

JobId = Annotated[str, Path(max_length=64)]


@importing.post(
    "/import",
    status_code=202,
    openapi_extra=described(
        ImportForm, photo_required=True, what="ZIP, CSV or .xlsx", beside="what a table names"
    ),
    responses=responses(408, 415),
)
def import_(
    operator: Operator, archive: ImportUploaded, response: Response, services: Services
) -> JobOut:
    """Enroll many: `file` is a ZIP with a folder or photo per personnel code, or with a table.

    Or it is the table itself (CSV or .xlsx), and the photos that it names come beside it as
    `photos`. `columns` says which column is which, `field=heading` with commas between, for
    headings that are not known. A column `override` says why a face may be enrolled that is
    somebody else's, too (admins only). Answers with a job; its report says who was enrolled and
    who was refused, why, and in which lines.
    """
    upload = archive.upload
    form = upload.into(ImportForm)
    photos = [TableFile(name, content) for name, content in upload.photos]
    columns = columns_given([form.columns] if form.columns else [])
    work = import_work(
        services.enrollment_queue,
        upload.required_photo(),
        operator.username,
        photos,
        columns,
        may_override=operator.role.includes(Role.ADMIN),
    )
    job = archive.start(work)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return JobOut.model_validate(job)


@checking.post("/check", status_code=202)
def check(operator: Operator, response: Response, services: Services) -> JobOut:
    """Look for photos that would make the gate fail, and people that it could mix up; journaled.

    Answers with a job; its report has expected and measured error rates, the people who are most
    alike, and odd photos.
    """
    with services.jobs.reserved("gallery check", operator.username) as start:
        job = start(check_work(services.enrollment_queue, operator.username))
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return JobOut.model_validate(job)


@router.get("")
def list_(_operator: Operator, services: Services) -> list[JobOut]:
    """List the last jobs since the program began, newest first, without their reports."""
    return [
        JobOut.model_validate(job).model_copy(update={"report": {}})
        for job in services.jobs.list_()
    ]


@router.get("/{id}", responses=responses(404))
def one(id: JobId, _operator: Operator, services: Services) -> JobOut:
    """Return one job: how far it is, and what came of it."""
    return JobOut.model_validate(services.jobs.get(id))


@router.get(
    "/{id}/failures",
    response_class=Response,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        **responses(404),
    },
)
def failures(id: JobId, _operator: Operator, services: Services) -> Response:
    """Return the rows that an import has refused, as a CSV to be mended and imported again."""
    job = services.jobs.get(id)
    if job.kind != IMPORT:
        raise NotFound("this job is no import: it has refused no rows that could be mended")
    table = b"".join(failures_csv(job.report))
    headers = {"Content-Disposition": 'attachment; filename="failures.csv"'}
    headers["Cache-Control"] = "no-store"
    return Response(table, media_type="text/csv", headers=headers)


@router.delete("/{id}", status_code=202, responses=responses(404))
def cancel(id: JobId, operator: Operator, services: Services) -> JobOut:
    """Ask a job to end soon; what it has done so far stays. What only an admin may begin, such as
    a backup, is ended by an admin."""
    return JobOut.model_validate(services.jobs.cancel(id, operator.role))
