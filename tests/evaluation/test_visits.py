"""FPIR and FNIR of whole visits, on vectors whose similarities are known."""

from __future__ import annotations

import numpy as np
import pytest

from gated.core.evidence import Criteria
from gated.core.statistics import clopper_pearson
from gated.evaluation.visits import Track, visit_rates

CRITERIA = Criteria(threshold=0.5, floor=0.4, reject=0.2, margin=0.0, frames=3)
TEMPLATES = np.eye(12, dtype=np.float32)[:3]
"""Two people of the gallery, and Ann."""


def track(clip: str, person: int, cosine: float, folder: str = "", apart: bool = False) -> Track:
    """Four frames that are so much like one of them; apart: otherwise unlike each other."""
    frames = np.zeros((4, 12), np.float32)
    frames[:, person] = cosine
    for i in range(4):
        frames[i, 4 + (i if apart else 0)] = np.sqrt(1 - cosine**2)
    return Track(clip, frames, np.ones(4), folder)


def test_strangers_who_are_taken_and_people_who_are_missed_are_counted() -> None:
    tracks = [
        track("a", 0, 0.6),
        track("b", 1, 0.3),
        track("c", 2, 0.7, "Ann"),
        track("c", 0, 0.9, "Ann"),  # somebody beside her
        track("d", 2, 0.3, "Ann"),
    ]
    found = visit_rates(tracks, ("Ann",), TEMPLATES, CRITERIA, 30)
    assert (found["fpir"]["errors"], found["fpir"]["total"]) == (1, 2)
    assert (found["fnir"]["errors"], found["fnir"]["total"]) == (1, 2)
    assert found["fpir"]["interval"] == pytest.approx(clopper_pearson(1, 2), abs=1e-4)
    nobody = visit_rates(tracks[:2], (), TEMPLATES, CRITERIA, 30)
    assert (nobody["fnir"]["rate"], nobody["fnir"]["total"]) == (None, 0)


@pytest.mark.parametrize(("shift", "missed"), [(None, 1), (0.05, 0)])
def test_a_mean_embedding_finds_whom_no_frame_finds(shift: float | None, missed: int) -> None:
    criteria = Criteria(0.5, 0.4, 0.2, 0.0, 3, shift)
    ann = track("c", 2, 0.45, "Ann", apart=True)
    assert visit_rates([ann], ("Ann",), TEMPLATES, criteria, 30)["fnir"]["errors"] == missed
