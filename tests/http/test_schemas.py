"""What all bodies have in common, seen at each of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

import gated
from gated.http.schemas import In


def bodies() -> Iterator[type[In]]:
    """All bodies of the program, by the names of their modules."""
    for module in pkgutil.walk_packages(gated.__path__, "gated."):
        if module.name.rpartition(".")[2].endswith("schemas"):
            importlib.import_module(module.name)
    found = list(In.__subclasses__())
    while found:
        body = found.pop()
        found.extend(body.__subclasses__())
        if body.__module__.startswith("gated."):
            yield body


def places() -> Iterator[tuple[type[In], str, Any]]:
    """Fields for a number, or for a list of numbers."""
    for body in bodies():
        for name, field in body.model_fields.items():
            wanted: Any = field.annotation
            for two in (2, [2]):
                try:
                    taken = TypeAdapter(wanted).validate_python(two)
                except ValidationError:
                    continue
                if taken in (2, [2], (2,)):
                    yield body, name, type(two)


NUMBERS = sorted(places(), key=lambda place: (place[0].__name__, place[1], place[2].__name__))


def wrong(body: type[In], name: str, value: Any) -> list[str]:
    """What is said of the value of a field."""
    with pytest.raises(ValidationError) as error:
        body.model_validate({name: value, "of nobody": 1})
    return [e["msg"] for e in error.value.errors() if e["loc"][0] == name]


def test_there_are_numbers_in_many_bodies() -> None:
    found = {(body.__name__, name) for body, name, _ in NUMBERS}
    assert {("PunchIn", "person_id"), ("BulkIn", "ids"), ("OpenIn", "for_s")} <= found
    assert len(found) > 30


@pytest.mark.parametrize(
    ("body", "name", "kind"), NUMBERS, ids=[f"{b.__name__}.{n}" for b, n, _ in NUMBERS]
)
def test_true_is_no_number(body: type[In], name: str, kind: type) -> None:
    for flag in (True, False):
        given = [2, flag] if kind is list else flag
        assert any("not true or false" in said for said in wrong(body, name, given)), given
