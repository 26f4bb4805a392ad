"""What a route documents follows from its signature."""

from __future__ import annotations

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
