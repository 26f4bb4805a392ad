"""The problems that a route can answer with, as far as its parameters and dependencies say.

A route lists only what its services add, such as 404 and 409. That it asks for a role (401, 403),
reads a body (400, 413), checks what it is given (422) or needs the database (503) is known from its
signature, and so is documented wherever it is true and nowhere else.

Every route refuses parameters in the query that it does not have: a filter that is written wrong
would otherwise answer with everybody.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from gated.errors import UnknownParameter
from gated.http.problems import MOST_PROBLEMS, responses

F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE = "answers"
"""Of a dependency: the statuses with which it can end a request."""

BODY = (400, 413, 422)
CHECKED = (422,)
UNKNOWN_CALLER = 401

PATH_IDENTITY = "id"
"""The part of an address that names a thing."""

MOST_CHARACTERS = 64
"""Of the name of an unknown parameter, compared and repeated."""


def answers(*statuses: int) -> Callable[[F], F]:
    """Mark a dependency with the statuses with which it can end a request."""

    def mark(dependency: F) -> F:
        setattr(dependency, ATTRIBUTE, statuses)
        return dependency

    return mark


def operation_id(route: APIRoute) -> str:
    """Return the name of an operation, from which generators make names of functions."""
    return "_".join((*map(str, route.tags[:1]), route.name.strip("_")))


class NamedRoute(APIRoute):
    """A route whose summary is its docstring, and whose operation id is made of tag and name."""

    def __init__(
        self, path: str, endpoint: Callable[..., Any], *, summary: str | None = None, **more: Any
    ) -> None:
        more["generate_unique_id_function"] = operation_id
        super().__init__(path, endpoint, summary=summary or first_sentence(endpoint), **more)


class Route(NamedRoute):
    """A route that documents what follows from its signature, beside what it lists itself.

    UnknownParameter for a query that it does not have, once the caller is known.
    """

    knows_its_query = True
    """False: parameters that it does not have are passed over."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        super().__init__(path, endpoint, **more)
        dependencies, given = self.dependant.dependencies, len(self.dependencies)
        # a caller is authenticated before the query is checked; the guard is there already, and
        # FastAPI would read its signature again for each route
        guards = _guards_in(dependencies[given:])
        first = [dataclasses.replace(guard, name=None) for guard in guards]
        dependencies[given:given] = [*first, *self._checks()]
        derived = set(_answers_in(self.dependant)) | set(BODY if self.body_field else ())
        self.responses = {**responses(*sorted(derived)), **self.responses}

    def _checks(self) -> Iterator[Dependant]:
        """Give what looks at a request as a whole, as far as this route needs it."""
        if self.knows_its_query:
            yield self._check(KnownQuery(_query_of(self.dependant)))
        if (name := _identity_in(self.dependant)) is not None:
            yield self._check(SameIdentity(name))

    def _check(self, check: Callable[[Request], Any]) -> Dependant:
        return Dependant(call=check, request_param_name="request", path=self.path_format)


def first_sentence(endpoint: Callable[..., Any]) -> str | None:
    """Return what an endpoint does, for lists of operations; its name says less."""
    text = inspect.getdoc(endpoint) or ""
    first = text.partition("\n\n")[0].replace("\n", " ")
    return re.split(r"[.;:] |\.$", first)[0] or None


class KnownQuery:
    """Lets pass a request whose query has these parameters only; UnknownParameter."""

    answers = CHECKED

    def __init__(self, names: Iterator[str]) -> None:
        self.names = tuple(dict.fromkeys(names))

    async def __call__(self, request: Request) -> None:
        asked = request.query_params
        if not asked:
            return
        unknown = [name for name in dict.fromkeys(asked) if name not in self.names]
        if unknown:
            meant = {name[:MOST_CHARACTERS]: self._meant(name) for name in unknown[:MOST_PROBLEMS]}
            raise UnknownParameter(meant, self.names)

    def _meant(self, name: str) -> str:
        near = difflib.get_close_matches(name[:MOST_CHARACTERS].lower(), self.names, n=1)
        return near[0] if near else ""


class SameIdentity:
    """Lets pass a body that names what the address names, or nothing; RequestValidationError.

    A client that has mixed up two persons would write the one over the other.
    """

    answers = CHECKED

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, request: Request) -> None:
        try:
            given = await request.json()
        except ValueError:
            return  # what is no JSON is refused as such
        meant = request.path_params[PATH_IDENTITY]
        if isinstance(given, dict) and str(given.get(self.name, meant)) != str(meant):
            message = f"the address names {meant}: send this back to the one it came from"
            wrong = {"loc": ("body", self.name), "msg": message, "type": "other_identity"}
            raise RequestValidationError([wrong])


def _identity_in(dependant: Dependant) -> str | None:
    """Give the field of a body that GET gave and PUT may bring back, and that names the thing."""
    if not any(p.alias == PATH_IDENTITY for p in dependant.path_params):
        return None
    for field in dependant.body_params:
        read_only: frozenset[str] = getattr(field.field_info.annotation, "READ_ONLY", frozenset())
        for name in ("id", "person_id"):
            if name in read_only:
                return name
    return None


def _query_of(dependant: Dependant) -> Iterator[str]:
    for found in dependant.query_params:
        yield found.alias
    for inner in dependant.dependencies:
        yield from _query_of(inner)


def _guards_in(dependencies: Iterable[Dependant]) -> Iterator[Dependant]:
    """Give what asks who the caller is, of all that a route depends on."""
    for inner in dependencies:
        if UNKNOWN_CALLER in getattr(inner.call, ATTRIBUTE, ()):
            yield inner
        else:
            yield from _guards_in(inner.dependencies)


def _answers_in(dependant: Dependant) -> Iterator[int]:
    if any((dependant.path_params, dependant.query_params, dependant.header_params)):
        yield from CHECKED
    yield from getattr(dependant.call, ATTRIBUTE, ())
    for inner in dependant.dependencies:
        yield from _answers_in(inner)
