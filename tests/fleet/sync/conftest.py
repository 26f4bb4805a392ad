from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.databases import Server
from tests.fleet.sync.world import World, hub_in


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest) -> str | None:
    """Where the hub keeps everything; None: an SQLite file of its own."""
    if engine == "sqlite":
        return None
    server: Server = request.getfixturevalue("postgresql")
    return server.migrated()


@pytest.fixture
def world(database_url: str | None, tmp_path: Path) -> Iterator[World]:
    """A hub on each engine."""
    with hub_in(tmp_path, database_url) as hub, ExitStack() as stack:
        yield World(tmp_path, hub, stack)


ON_BOTH = frozenset(
    {
        "test_rows_arrive_once_and_are_projected_for_the_persons_of_the_hub",
        "test_doubles_and_disorder_change_nothing",
        "test_a_row_that_the_log_cannot_hold_keeps_no_other_away",
        "test_an_altered_row_is_set_apart_and_the_others_arrive",
        "test_who_was_erased_meanwhile_is_not_taken_in_again",
        "test_a_correction_supersedes_on_the_hub_as_on_the_gate",
        "test_a_new_gate_is_given_everybody_and_then_what_changes",
        "test_a_gate_is_given_only_the_people_of_its_groups",
        "test_old_cursors_and_those_of_others_lead_to_a_snapshot",
        "test_who_waits_is_told_at_once",
        "test_who_passed_before_the_hub_knew_them_is_named_in_its_log",
        "test_a_refused_edit_is_undone_where_it_was_made",
        "test_a_gate_decides_by_the_rules_of_its_hub",
        "test_many_hubs_take_a_step_once",
        "test_rolled_back_gates_have_what_they_had_before",
        "test_who_entered_by_one_gate_is_inside_for_the_others",
        "test_a_place_that_is_taken_is_taken_at_every_gate",
        "test_passages_at_once_end_as_the_log_says",
        "test_an_evening_in_new_york_is_one_day_for_a_hub_in_berlin",
    }
)
"""Where the engines differ; the other tests run on PostgreSQL among the long ones only."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name, _, engine = item.name.partition("[")
        here = item.path.parent == Path(__file__).parent
        if here and engine.startswith("postgresql") and name not in ON_BOTH:
            item.add_marker(pytest.mark.long)
