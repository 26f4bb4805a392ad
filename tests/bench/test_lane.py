"""A lane at shift change is counted by the order in which people are let in."""

from __future__ import annotations

from gated.bench.lane import LANES, count_passages
from gated.bench.site import FPS


def test_who_is_passed_over_and_let_in_twice_is_counted() -> None:
    assert count_passages([5, 6, 0, 1], 7) == {"let_in": 4, "missed": 0, "twice": 0}
    assert count_passages([5, 0, 0, 3], 7) == {"let_in": 4, "missed": 3, "twice": 1}
    assert count_passages([], 7) == {"let_in": 0, "missed": 0, "twice": 0}


def test_the_films_have_their_pace() -> None:
    for lane in LANES:
        pace = lane.pace
        frames = round((pace.walk_s + pace.stand_s) * FPS) + round(pace.pause_s * FPS)
        assert frames == 60 * FPS / lane.per_minute
