"""What all tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.databases import Server, postgresql_server
from tests.dialects import share_compiled

pytest_plugins = [
    "tests.fixtures.server",
    "tests.fixtures.storage",
    "tests.fixtures.workspace",
    "tests.second_try",
]

# What is imported and collected stays, and is not looked through until all is there: see below.
gc.disable()
share_compiled()

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


SLOW_ROOMS = ("ui", "e2e", "fleet", "live", "webhooks", "enrollment", "web", "devices", "door")
"""Where tests are few to a file and long: whole programs, servers, browsers, models."""


PAGES = "tests/ui/"
"""What one process runs: each that ran a part of it would start a gate and a browser."""


AGAINST_THE_CLOCK = (
    "backup", "devices", "door", "e2e", "fleet", "ldap", "link", "live", "mqtt", "oidc", "osdp",
    "passkeys", "relays", "runtime", "scim", "storage", "syslog", "ui", "update", "web", "webhooks",
    "wiegand",
)  # fmt: skip
"""Where whole programs, threads and partners run in real time, on machines that are shared."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with long files where processes share the work: none waits at the end for another's.

    What fails where real time counts is tried once more (`second_try`), and the summary says why:
    look into it, as more than a busy machine may be behind it. Everything else has one try.
    """
    tests = Path(__file__).parent
    timed = {tests / room for room in AGAINST_THE_CLOCK}
    for item in items:
        if timed.intersection(item.path.parents):
            item.add_marker(pytest.mark.flaky(reruns=1))
    if hasattr(config, "workerinput"):
        ranks = {tests / room: rank for rank, room in enumerate(SLOW_ROOMS)}
        items.sort(
            key=lambda item: min(ranks.get(p, len(ranks)) for p in (item.path, *item.path.parents))
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the files of the pages in one process, where gate and browser are started once."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFileOrRoom(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return PAGES if nodeid.startswith(PAGES) else str(super()._split_scope(nodeid))

    return ByFileOrRoom(config, log)


def pytest_collection_finish() -> None:
    """What thousands of tests need stays: the garbage collector never looks through it."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server of our own, started once."""
    with postgresql_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)
