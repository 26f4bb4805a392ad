"""What the rules cost does not grow with the number of persons."""

from __future__ import annotations

import gc
import math

from tests.bench.access_rules import crowd, measure


def test_two_hundred_times_the_people_take_no_longer() -> None:
    few, many = crowd(500), crowd(100_000)
    gc.collect()
    shares = [math.fsum(measure(many, 2000)) / math.fsum(measure(few, 2000)) for _ in range(3)]
    assert min(shares) < 2.5
