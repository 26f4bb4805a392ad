"""Pages of groups are bounded by their members, whatever number of groups is asked for."""

from __future__ import annotations

from datetime import UTC, datetime

from gated.database.records import Group
from gated.scim.groups import MOST_MEMBERS, _within

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def group(id_: int) -> Group:
    return Group(id_, str(id_), f"g{id_}", None, None, None, 1, NOW, NOW)


def test_a_page_ends_before_its_members_are_too_many_and_never_empty() -> None:
    groups = [group(n) for n in (1, 2, 3)]
    half = MOST_MEMBERS // 2
    assert _within(groups, {1: half, 2: half, 3: 1}) == groups[:2]
    assert _within(groups, {1: 5 * MOST_MEMBERS}) == groups[:1]
    assert _within(groups, {}) == groups
    assert _within([], {}) == []
