"""Routes that verify the journal, and acknowledge its problems."""

from __future__ import annotations

from fastapi import APIRouter, Response

from gated.core.roles import Role
from gated.enrollment.schemas import JobOut
from gated.http.answers import Route
from gated.http.callers import Admin
from gated.http.problems import responses
from gated.live.dependencies import Services
from gated.live.schemas import JournalProblemOut, JournalReviewIn

router = APIRouter(prefix="/api/journal", tags=["audit"], route_class=Route)


@router.post("/acknowledge", responses=responses(409))
def acknowledge(body: JournalReviewIn, admin: Admin, services: Services) -> list[JournalProblemOut]:
    """Record that the problems of the journal were investigated, and return them."""
    found = services.journal_review.acknowledge(actor=admin.username, reason=body.reason)
    return [
        JournalProblemOut(chain=p.chain, seq=p.seq, last=p.end, what=p.what) for p in found.problems
    ]


@router.post("/verify", status_code=202)
def verify(admin: Admin, response: Response, services: Services) -> JobOut:
    """Verify the journal as `gated journal verify` does, as a job whose report has the problems."""
    with services.jobs.reserved("journal verify", admin.username, Role.ADMIN) as start:
        job = start(services.journal_review.check)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return JobOut.model_validate(job)
