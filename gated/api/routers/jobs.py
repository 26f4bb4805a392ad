"""Long work: the import of many photos, and how far it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from gated.api.deps import Operator, Services
from gated.api.errors import responses
from gated.api.schemas import ImportForm, JobOut
from gated.api.uploads import ImportUploaded, described
from gated.services.bulk import import_work

router = APIRouter(prefix="/api/jobs", tags=["jobs"])
importing = APIRouter(prefix="/api/enrollment", tags=["enrollment"])

JobId = Annotated[str, Path(max_length=64)]


@importing.post(
    "/import",
    status_code=202,
    openapi_extra=described(ImportForm, photo_required=True, what="ZIP"),
    responses=responses(400, 401, 403, 408, 413, 415, 422, 503),
)
def import_(
    operator: Operator, archive: ImportUploaded, response: Response, services: Services
) -> JobOut:
    """Enroll many: `file` is a ZIP with a folder or photo per personnel code, or with a CSV.

    Answers with a job; its report says who was enrolled and who was refused, and why.
    """
    archive.upload.into(ImportForm)
    work = import_work(services.desk, archive.upload.required_photo(), operator.username)
    job = archive.start(work)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return JobOut.model_validate(job)


@router.get("/{id}", responses=responses(401, 403, 404, 422, 503))
def one(id: JobId, _operator: Operator, services: Services) -> JobOut:
    """How far a job is, and what came of it."""
    return JobOut.model_validate(services.jobs.get(id))


@router.delete("/{id}", status_code=202, responses=responses(401, 403, 404, 422, 503))
def cancel(id: JobId, _operator: Operator, services: Services) -> JobOut:
    """Ask a job to end soon; what it has done so far stays."""
    return JobOut.model_validate(services.jobs.cancel(id))
