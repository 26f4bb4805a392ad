"""Random requests over the OpenAPI description, alone and in sequences, as each role.

Hypothesis draws from a fixed seed: the same budget is the same run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyStrategyDefinition, Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from gated.core.roles import PROGRAMS
from gated.web.app import PUBLIC, create_app
from tests.fixtures.server import ROLES, Running, running

LONG = os.environ.get("GATED_HYPOTHESIS") == "long"
EXAMPLES = {"admin": 12 if LONG else 3, "operator": 2}
FEW = 1
"""Examples of each operation and kind, for roles that get in almost nowhere."""

SEQUENCES = {"admin": 16 if LONG else 4}
"""At least; up to five times as many until one of them has made something."""
STEPS = 8

LEFT_OUT = {
    "/api/gate/events",
    "/api/gate/preview",
    "/api/enrollment/capture",
}
"""Streams: their answers do not end."""

OFF: list[CheckFunction] = [
    # pydantic takes 1.0 for an integer and "1" for a number in a query, as the contract's clients
    # send them; the generator counts both as wrong
    negative_data_rejection,
    # a person of that id need not exist, a code may be taken, a password may be too weak
    positive_data_acceptance,
]
"""Checks that do not apply, each with the reason."""


def off(response: Any) -> list[CheckFunction]:
    """The checks that do not apply to an answer.

    One job runs at a time: who asks for another is told when to come back, which is no defect.
    """
    busy = response.status_code == 503 and response.json()["code"] == "busy"
    if busy:
        (wait,) = response.headers["retry-after"]
        assert int(wait) > 0
    return [*OFF, not_a_server_error] if busy else OFF


class Tally(Counter[int]):
    """Counts answers by status."""

    def note(self, response: Any) -> None:
        """Count one."""
        self[response.status_code] += 1


@pytest.fixture
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(role: str, tmp_path: Path) -> Iterator[Running]:
    """One for each role: an administrator's random requests hit the others' accounts, too."""
    with running(tmp_path, roles=[role]) as server:
        yield server


def described(server: Running) -> Any:
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(server.services))
    # signing out would leave nothing but 401 for the rest: test_sessions has it
    without = schema.exclude(path="/api/auth/session", method="DELETE")
    return without.exclude(path=sorted(LEFT_OUT))


def headers_of(server: Running, role: str) -> dict[str, str]:
    with server.client(role) as client:
        return {"Authorization": client.headers["Authorization"]}


def profile(examples: int, **more: Any) -> settings:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        **{"derandomize": True, **more},
    )


@pytest.mark.parametrize(
    "role",
    [r if r in ("admin", "self") else pytest.param(r, marks=pytest.mark.long) for r in ROLES],
    indirect=True,
)
def test_no_request_is_answered_as_it_is_not_described(server: Running, role: str) -> None:
    schema, headers = described(server), headers_of(server, role)
    answers = Tally()
    for found in schema.get_all_operations():
        operation = found.ok()
        if role != "admin" and operation.path in PUBLIC:
            continue  # the role makes no difference
        for mode in GenerationMode:

            @profile(FEW if operation.path in PUBLIC else EXAMPLES.get(role, FEW))
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Case[Any]) -> None:
                response = case.call(headers=headers)
                answers.note(response)
                case.validate_response(response, excluded_checks=off(response))

            with suppress(Unsatisfiable):  # nothing can be wrong where nothing is sent
                ask()
    assert answers.total() > 50
    assert answers[200] > 0 or role in PROGRAMS
    assert answers[403] > 0 or role == "admin"


@pytest.mark.parametrize("role", SEQUENCES, indirect=True)
def test_no_sequence_of_requests_breaks_the_description(server: Running, role: str) -> None:
    headers, answers = headers_of(server, role), Tally()
    failures: list[BaseException] = []

    class Session(described(server).as_state_machine()):  # type: ignore[misc]
        """Requests that use what those before them gave."""

        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            return {"headers": headers}

        def validate_response(self, response: Any, case: Case[Any], **_: Any) -> None:
            answers.note(response)
            try:
                case.validate_response(response, excluded_checks=off(response))
            except BaseExceptionGroup as found:
                failures.append(found)
                raise

    for number in range(5 * SEQUENCES[role]):
        if number >= SEQUENCES[role] and answers[201] > 0:
            break
        # the server remembers: to Hypothesis, that compares its runs, that looks like chance
        with suppress(FlakyStrategyDefinition):
            seed(number)(Session).run(
                settings=profile(2, derandomize=False, stateful_step_count=STEPS)
            )
        if failures:
            raise failures[0]
    assert answers[201] > 0
    assert answers.total() > SEQUENCES[role] * 2
