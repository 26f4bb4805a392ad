"""What grows is told, what is level is not; and a real gate is level for two minutes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.assets import require_assets
from tests.bench.soak import Sample, Soak, as_svg, growing, slope, soak


def seen(minutes: int, door_mb_an_hour: float = 0.0, descriptors_an_hour: float = 0.0) -> Soak:
    """A gate that was watched, with the noise that memory has."""
    chance, found = random.Random(5), Soak()
    for second in range(minutes * 60):
        hours = second / 3600
        door = 250 + door_mb_an_hour * hours + chance.gauss(0, 3)
        descriptors = 45 + int(descriptors_an_hour * hours) + chance.randint(0, 3)
        found.samples.append(Sample(second, door, 160, descriptors, 28, 300, 20.0))
    return found


def test_what_is_level_does_not_grow() -> None:
    assert growing(seen(60)) == []
    rate, half = slope(seen(60).steady(), "door_mb")
    assert abs(rate) < half


def test_a_leak_is_told_with_its_interval() -> None:
    (said,) = growing(seen(60, door_mb_an_hour=30))
    assert said.startswith("door_mb grows by ")
    rate, half = slope(seen(60, door_mb_an_hour=30).steady(), "door_mb")
    assert abs(rate - 30) < half < 5


def test_descriptors_that_are_not_closed_are_told() -> None:
    (said,) = growing(seen(60, descriptors_an_hour=60))
    assert said.startswith("descriptors: ")


def test_a_short_time_tells_nothing_of_memory() -> None:
    assert growing(seen(1, door_mb_an_hour=1000)) == []


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_gate_at_work_is_level_for_two_minutes(tmp_path: Path) -> None:
    """What grows in so short a time grows a lot; `make check-long` goes on for an hour."""
    require_assets("default", "demo")
    found = soak(tmp_path, 120)
    assert found.errors == []
    assert found.passages > 0
    steady = found.steady()
    assert max(s.descriptors for s in steady) < 128
    assert max(s.threads for s in steady) < 80
    assert max(s.log_kb for s in steady) < 8192
    assert as_svg(found).startswith("<svg")
