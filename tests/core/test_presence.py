from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.model import Direction
from gated.core.plan import AccessPlan, SiteRules
from gated.core.presence import Presence, forgiven_before

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT


def test_who_entered_is_inside_until_the_exit() -> None:
    presence = Presence()
    assert presence.passed(1, ENTRY, 10.0) is None
    assert presence.since(1) == 10.0
    assert presence.passed(1, ENTRY, 20.0) == 10.0
    assert presence.passed(1, EXIT, 30.0) == 20.0
    assert presence.since(1) is None
    assert len(presence) == 0


def test_a_passage_that_was_not_made() -> None:
    presence = Presence(OrderedDict({1: 10.0, 2: 20.0}))
    presence.put_back(1, presence.passed(1, EXIT, 30.0))
    presence.put_back(3, presence.passed(3, ENTRY, 30.0))
    assert presence.inside == {1: 10.0, 2: 20.0}
    assert presence.forgive_before(15.0) == 1, "who came first is still the first"


def test_what_the_log_knows() -> None:
    presence = Presence(OrderedDict({1: 10.0, 2: 20.0}))
    presence.learn({1: (EXIT, 15.0), 2: (EXIT, 5.0), 3: (ENTRY, 12.0), 4: (EXIT, 1.0)})
    assert presence.inside == {3: 12.0, 2: 20.0}, "what is older than the entry is no news"


def test_a_corrected_log_takes_entries_back() -> None:
    presence = Presence(OrderedDict({1: 10.0, 2: 20.0, 3: 30.0}))
    presence.learn({1: None, 2: (EXIT, 5.0), 3: None, 4: (ENTRY, 8.0)}, complete_to=25.0)
    assert presence.inside == {4: 8.0, 3: 30.0}, "the log may not yet know of the newest entry"


def test_forgiving_one_and_all() -> None:
    presence = Presence(OrderedDict({1: 10.0, 2: 20.0, 3: 30.0}))
    assert [presence.forgive(1, 99.0), presence.forgive(1, 99.0)] == [1, 0]
    assert [presence.forgive(None, 99.0), presence.forgive(None, 99.0)] == [2, 0]


@pytest.mark.parametrize(
    ("now", "cutoff"),
    [
        ("2026-11-23 02:59", "2026-11-22 03:00"),
        ("2026-11-23 03:00", "2026-11-23 03:00"),
        ("2026-11-23 23:00", "2026-11-23 03:00"),
        # the clock is put forward from 02:00 to 03:00, and back from 03:00 to 02:00
        ("2026-03-29 04:00", "2026-03-29 03:00"),
        ("2026-10-25 04:00", "2026-10-25 03:00"),
    ],
)
def test_every_night(now: str, cutoff: str) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    rules = SiteRules(forgive_at=3 * 60, forgive_after_s=48 * 3600)
    at, wanted = (datetime.fromisoformat(t).replace(tzinfo=berlin) for t in (now, cutoff))
    assert forgiven_before(AccessPlan(berlin, rules=rules), at.timestamp()) == wanted.timestamp()


def test_a_set_time_after_the_entry() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
    assert forgiven_before(AccessPlan(rules=SiteRules(forgive_after_s=60)), now) == now - 60


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from([*Direction, None]), st.floats(0, 100)),
        max_size=30,
    )
)
def test_nobody_is_lost(passages: list[tuple[int, Direction | None, float]]) -> None:
    """Inside is who entered last and did not leave, whatever is undone in between."""
    presence, last = Presence(), dict[int, Direction]()
    for person_id, direction, utc in passages:
        if direction is None:
            presence.put_back(person_id, presence.passed(person_id, ENTRY, utc))
        else:
            presence.passed(person_id, direction, utc)
            last[person_id] = direction
    assert set(presence.inside) == {p for p, direction in last.items() if direction is ENTRY}
