"""The description of the API as generators of clients read it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import BaseModel

from gated.accounts.schemas import AccountIn
from gated.attendance.schemas import CorrectionIn, PunchIn
from gated.door.schemas import ModeIn, OpenIn
from gated.http.codes import CODES
from gated.people.schemas import GroupIn, PersonChange, PersonIn
from gated.web import docs
from gated.web.app import create_app
from tests.fixtures.server import Running

BODIES: tuple[type[BaseModel], ...] = (
    *(PersonIn, PersonChange, GroupIn),
    *(PunchIn, CorrectionIn, OpenIn, ModeIn, AccountIn),
)


@pytest.fixture(scope="module")
def described(server: Running) -> dict[str, Any]:
    return create_app(server.services).openapi()


@pytest.fixture(scope="module")
def operations(described: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in described["paths"].values() for operation in path.values()]


def test_operations_have_names_that_are_names_of_functions(
    operations: list[dict[str, Any]],
) -> None:
    names = [o["operationId"] for o in operations]
    assert len(names) == len(set(names))
    assert [n for n in names if not re.fullmatch(r"[a-z]+(_[a-z]+)+", n)] == []
    assert {"persons_list", "persons_create", "attendance_list", "gate_open"} <= set(names)


def test_operations_say_what_they_do(operations: list[dict[str, Any]]) -> None:
    dull = [o for o in operations if o["operationId"].endswith(o["summary"].lower())]
    assert [o["operationId"] for o in dull] == []
    assert max(len(o["summary"]) for o in operations) < 120


def test_every_tag_has_words_and_every_other_is_gone(
    described: dict[str, Any], operations: list[dict[str, Any]]
) -> None:
    used = {tag for o in operations for tag in o["tags"]}
    assert used == docs.TAGS.keys()
    assert [t["name"] for t in described["tags"]] == [*docs.TAGS]


def test_problems_are_described_once(described: dict[str, Any]) -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    answers = [
        answer["content"]["application/problem+json"]["schema"]
        for path in described["paths"].values()
        for operation in path.values()
        for answer in operation["responses"].values()
        if "application/problem+json" in answer.get("content", {})
    ]
    assert len(answers) > 300
    assert all(schema == problem for schema in answers)
    schemas = described["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    assert schemas["Problem"]["examples"][0]["code"] in CODES
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)))
    assert named == schemas.keys()


@pytest.mark.parametrize("body", BODIES, ids=[b.__name__ for b in BODIES])
def test_examples_are_bodies_that_are_taken(
    body: type[BaseModel], described: dict[str, Any]
) -> None:
    (example,) = described["components"]["schemas"][body.__name__]["examples"]
    assert body.model_validate(example)
