"""Routes of backups that are made, kept and downloaded; admins only, each act journaled."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse

from gated.backup.dependencies import Services
from gated.backup.schemas import BackupIn, BackupOut
from gated.backup.sealed_stream import Passphrase
from gated.backup.stored_backups import StoredBackup
from gated.core.roles import Role
from gated.enrollment.schemas import JobOut
from gated.http.answers import Route
from gated.http.callers import Admin, ChangeByAdmin, Token, client_address
from gated.http.problems import responses

router = APIRouter(prefix="/api/backups", tags=["backups"], route_class=Route)

Name = Annotated[str, Path(max_length=100)]
BYTES = "application/octet-stream"


@router.post("", status_code=202, responses=responses(409, 429))
def make(
    body: BackupIn,
    admin: Admin,
    token: Token,
    request: Request,
    response: Response,
    services: Services,
) -> JobOut:
    """Make a backup as `gated backup` does, sealed with the passphrase; journaled.

    Answers with a job; its report names the file, which is kept on the gate until three newer
    ones are there.
    """
    services.accounts.confirm(admin, token, body.password, client_address(request))
    services.backups.require_space()
    with services.jobs.reserved("backup", admin.username, Role.ADMIN) as start:
        job = start(services.backups.work(Passphrase(body.passphrase), admin.username))
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return JobOut.model_validate(job)


@router.get("")
def list_(_admin: Admin, services: Services) -> list[BackupOut]:
    """List the backups that the gate keeps, newest first."""
    return [_out(found) for found in services.backups.list_()]


@router.get(
    "/{name}",
    response_class=FileResponse,
    responses={
        200: {"content": {BYTES: {"schema": {"type": "string", "format": "binary"}}}},
        **responses(404),
    },
)
def download(name: Name, change: ChangeByAdmin, services: Services) -> FileResponse:
    """Download a backup, sealed as it is; journaled."""
    with change:
        found = services.backups.record_download(change, name)
    headers = {"Cache-Control": "no-store"}
    return FileResponse(found.path, media_type=BYTES, filename=found.name, headers=headers)


@router.delete("/{name}", status_code=204, responses=responses(404))
def delete(name: Name, change: ChangeByAdmin, services: Services) -> None:
    """Remove a backup from the gate; journaled."""
    with change:
        services.backups.delete(change, name)


def _out(found: StoredBackup) -> BackupOut:
    return BackupOut(
        name=found.name, path=str(found.path), bytes=found.bytes, created_at=found.created_at
    )
