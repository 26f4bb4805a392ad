"""What a route documents follows from its signature."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel

from gated.http.answers import Route, answers
from gated.http.callers import ChangeByAdmin, Services, Viewer
from gated.http.problems import responses


class Body(BaseModel):
    name: str


@answers(415)
async def photo() -> bytes:
    return b""


async def beneath(content: Annotated[bytes, Depends(photo)]) -> bytes:
    return content


def nothing() -> None: ...
def checked(limit: int = 1) -> None: ...
def of_one(id: int) -> None: ...
def with_body(body: Body) -> None: ...
def with_services(services: Services) -> None: ...
def by_viewer(viewer: Viewer) -> None: ...
def by_admin(change: ChangeByAdmin) -> None: ...
def uploading(content: Annotated[bytes, Depends(beneath)]) -> None: ...


def documented(endpoint: Any, path: str = "/x", **more: Any) -> set[str]:
    router = APIRouter(route_class=Route)
    router.post(path, **more)(endpoint)
    app = FastAPI()
    app.include_router(router)
    return set(app.openapi()["paths"][path]["post"]["responses"]) - {"200"}


@pytest.mark.parametrize(
    ("endpoint", "path", "expected"),
    [
        (nothing, "/x", {"422"}),
        (checked, "/x", {"422"}),
        (of_one, "/x/{id}", {"422"}),
        (with_body, "/x", {"400", "413", "422"}),
        (with_services, "/x", {"422", "503"}),
        (by_viewer, "/x", {"401", "403", "422", "503"}),
        (by_admin, "/x", {"401", "403", "422", "503"}),
        (uploading, "/x", {"415", "422"}),
    ],
)
def test_a_route_documents_what_its_signature_can_answer(
    endpoint: Any, path: str, expected: set[str]
) -> None:
    assert documented(endpoint, path) == expected


def test_what_a_route_lists_itself_comes_beside_and_first() -> None:
    own = responses(404) | {422: {"description": "Not one of ours"}}
    assert documented(checked, responses=own) == {"404", "422"}
    route = Route("/x", checked, responses=own)
    assert route.responses[422]["description"] == "Not one of ours"


def test_who_is_asked_for_the_caller_is_read_once_and_asked_first() -> None:
    """What a guard needs is evaluated once for a route: the start of the service is full of it."""
    router = APIRouter(route_class=Route)
    router.add_api_route("/x", by_admin)
    route = router.routes[0]
    assert isinstance(route, Route)
    first, *_, change = route.dependant.dependencies
    (asked,) = (d for d in change.dependencies if d.call is first.call)
    assert first.name is None
    assert asked.name == "caller"
    assert first.dependencies is asked.dependencies


def test_the_shape_of_answers_is_built_when_the_first_is_given() -> None:
    program = (
        "from gated.web import app; from gated.attendance.schemas import AttendanceOut;"
        "print(AttendanceOut.__pydantic_complete__)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout == "False\n"
