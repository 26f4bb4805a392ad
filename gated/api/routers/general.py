"""Is it alive, what is it, and how does it describe itself."""

from __future__ import annotations

from fastapi import APIRouter

from gated import __version__
from gated.api.deps import Services
from gated.api.schemas import HealthOut, RootOut

router = APIRouter(tags=["general"])


@router.get("/health")
def health(services: Services) -> HealthOut:
    """Whether the program is alive, and what keeps the gate from its work."""
    problems = services.board.snapshot().problems
    return HealthOut(status="degraded" if problems else "ok", problems=problems)


@router.get("/")
def root(services: Services) -> RootOut:
    """Name, version and where to go on."""
    links = {"health": "/health", "login": "/api/auth/login"}
    if services.settings.api.docs:
        links |= {"docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json"}
    return RootOut(name="gated", version=__version__, links=links)
