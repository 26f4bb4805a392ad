"""Long work: the import of many photos, the gallery's self-test, and how far it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from gated.api.deps import Operator, Services
from gated.api.errors import responses
from gated.api.schemas import ImportForm, JobOut
from gated.api.uploads import ImportUploaded, described
from gated.services.archive import Part
from gated.services.bulk import check_work, import_work

router = APIRouter(prefix="/api/jobs", tags=["jobs"])
checking = APIRouter(prefix="/api/gallery", tags=["enrollment"])
importing = APIRouter(prefix="/api/enrollment", tags=["enrollment"])

JobId = Annotated[str, Path(max_length=64)]


@importing.post(
    "/import",
    status_code=202,
    openapi_extra=described(
        ImportForm, photo_required=True, what="ZIP or CSV", beside="what a CSV names"
    ),
    responses=responses(400, 401, 403, 408, 413, 415, 422, 503),
)
def import_(
    operator: Operator, archive: ImportUploaded, response: Response, services: Services
) -> JobOut:
    """Enroll many: `file` is a ZIP with a folder or photo per personnel code, or with a CSV.

    Or it is the CSV itself, and the photos that it names come beside it as `photos`. Answers with
    a job; its report says who was enrolled and who was refused, and why.
    """
    upload = archive.upload
    upload.into(ImportForm)
    photos = [Part(name, content) for name, content in upload.photos]
    work = import_work(services.desk, upload.required_photo(), operator.username, photos)
    job = archive.start(work)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return JobOut.model_validate(job)


@checking.post("/check", status_code=202, responses=responses(401, 403, 503))
def check(operator: Operator, response: Response, services: Services) -> JobOut:
    """Look for photos that would make the gate fail, and people that it could mix up; journaled.

    Answers with a job; its report has expected and measured error rates, the people who are most
    alike, and odd photos.
    """
    with services.jobs.reserved("gallery check", operator.username) as start:
        job = start(check_work(services.desk, operator.username))
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
