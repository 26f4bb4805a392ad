"""Routes for Prometheus, and the probes of a container supervisor: live and ready."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from gated.http.answers import NamedRoute
from gated.http.callers import Viewer
from gated.http.problems import responses
from gated.live.dependencies import Services
from gated.live.metrics import CONTENT_TYPE
from gated.live.schemas import LiveOut, ReadyOut

router = APIRouter(tags=["general"], route_class=NamedRoute)

NOT_READY = frozenset(
    {
        *("camera_lost", "camera_changed", "door_fault", "relay_lost", "gate_unavailable"),
        *("log_unavailable", "disk_full", "liveness_models_missing"),
    }
)
"""Problems with which nobody passes by face."""


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **responses(401, 403, 503)},
)
def metrics(viewer: Viewer, services: Services) -> Response:
    """Return metrics in Prometheus' text format, without names and codes of persons."""
    return Response(services.metrics.text(), media_type=CONTENT_TYPE)


@router.get("/health/live")
async def live() -> LiveOut:
    """Answer while the program runs; a supervisor restarts one that does not."""
    return LiveOut(status="ok")


@router.get(
    "/health/ready",
    response_model=ReadyOut,
    responses={503: {"model": ReadyOut, "description": "It cannot do its work, and why"}},
)
async def ready(services: Services) -> Response:
    """Return whether people can pass and the log is written; 503 with the reasons when not."""
    status = services.board.snapshot()
    trouble = await services.database_health.trouble()
    reasons = [name for name in status.problems if name in NOT_READY]
    if trouble is not None:
        reasons.insert(0, trouble.code)
    body = ReadyOut(status="unavailable" if reasons else "ok", reasons=reasons)
    code = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return JSONResponse(body.model_dump(), code)
