"""What all tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.databases import Server, postgresql_server

# No deadline: the machine that runs the tests may be slow, busy or both.
settings.register_profile(
    "check",
    deadline=None,
    max_examples=60,
    stateful_step_count=40,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    settings.get_profile("check"),
    derandomize=False,
    max_examples=200,
    stateful_step_count=80,
)
settings.load_profile(os.environ.get("GATED_HYPOTHESIS", "check"))


def pytest_collection_finish() -> None:
    """What thousands of tests need stays: the garbage collector need not look through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server of our own, started once."""
    with postgresql_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)
