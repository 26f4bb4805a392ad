"""The problems that a route can answer with, as far as its parameters and dependencies say.

A route lists only what its services add, such as 404 and 409. That it asks for a role (401, 403),
reads a body (400, 413), checks what it is given (422) or needs the database (503) is known from its
signature, and so is documented wherever it is true and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from gated.http.problems import responses

F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE = "answers"
"""Of a dependency: the statuses with which it can end a request."""

BODY = (400, 413, 422)
CHECKED = (422,)


def answers(*statuses: int) -> Callable[[F], F]:
    """Say with which statuses a dependency can end a request."""

    def mark(dependency: F) -> F:
        setattr(dependency, ATTRIBUTE, statuses)
        return dependency

    return mark


class Route(APIRoute):
    """A route that documents what follows from its signature, beside what it lists itself."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        derived = set(_answers_in(self.dependant)) | set(BODY if self.body_field else ())
        self.responses = {**responses(*sorted(derived)), **self.responses}


def _answers_in(dependant: Dependant) -> Iterator[int]:
    if any((dependant.path_params, dependant.query_params, dependant.header_params)):
        yield from CHECKED
    yield from getattr(dependant.call, ATTRIBUTE, ())
    for inner in dependant.dependencies:
        yield from _answers_in(inner)
