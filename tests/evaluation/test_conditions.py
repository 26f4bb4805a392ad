"""Camera conditions made from clean frames, and liveness reported under them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gated.core.values import Image
from gated.errors import SourceError
from gated.evaluation.conditions import CONDITIONS, named
from gated.evaluation.liveness import evaluate_pad
from tests.assets import require_assets
from tests.enrollment.offices import portrait, settings_in


def frames(count: int = 3) -> Iterator[Image]:
    """A colourful slope with a square that moves."""
    rows, columns = np.mgrid[0:240, 0:320]
    for i in range(count):
        image = np.stack([columns // 2 + 40, rows // 2 + 60, 0 * rows + 120], axis=2)
        image[50:100, 60 + 20 * i : 120 + 20 * i] = (30, 200, 220)
        yield image.astype(np.uint8)


def changed(name: str, count: int = 3) -> list[Image]:
    return list(CONDITIONS[name].change(frames(count)))


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_changes_each_frame_the_same_way_each_time(name: str) -> None:
    before, once, again = list(frames()), changed(name), changed(name)
    assert len(once) == len(before)
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert all(image.dtype == np.uint8 and image.ndim == 3 for image in once)
    small_already = name in ("clean", "small")
    same = [np.array_equal(a, b) for a, b in zip(before, once, strict=True)]
    assert all(same) if small_already else not any(same)


@pytest.mark.parametrize(
    ("name", "level"), [("noise_3", 3), ("noise_8", 8), ("noise_20", 20), ("grain_8", 8)]
)
def test_noise_has_the_level_of_its_name(name: str, level: float) -> None:
    (before,), (after,) = list(frames(1)), changed(name, 1)
    added = (after.astype(float) - before)[120:220, 60:260]
    assert added.std() == pytest.approx(level, rel=0.1)
    neighbours = np.corrcoef(added[:, :-1].ravel(), added[:, 1:].ravel())[0, 1]
    assert bool(neighbours > 0.6) is name.startswith("grain")


def test_a_low_rate_loses_detail_and_follows_what_moves() -> None:
    before, after = list(frames(6)), changed("low_rate", 6)
    errors = [np.abs(a.astype(float) - b).mean() for a, b in zip(before, after, strict=True)]
    assert 0.5 < max(errors) < 12


def test_large_pictures_become_small_in_proportion() -> None:
    (image,) = CONDITIONS["small"].change([np.zeros((1080, 1920, 3), np.uint8)])
    assert image.shape == (180, 320, 3)


def test_conditions_are_asked_for_by_name() -> None:
    assert [c.name for c in named(["blur", "clean"])] == ["blur", "clean"]
    assert [c.name for c in named([])] == list(CONDITIONS)
    with pytest.raises(SourceError, match="fog: no such condition; there are backlight, blur"):
        named(["blur", "fog"])


def test_rates_are_told_for_each_condition(tmp_path: Path) -> None:
    require_assets("default", "demo", "pad")
    (tmp_path / "real.jpg").write_bytes(portrait("obama"))
    file = tmp_path / "manifest.csv"
    file.write_text("path,species\nreal.jpg,bona_fide\n", encoding="utf-8")
    settings = settings_in(tmp_path)
    assert "conditions" not in evaluate_pad(settings, file)
    steps: list[int] = []
    report = evaluate_pad(
        settings,
        file,
        progress=lambda done, total: steps.append(total),
        conditions=["noise_8", "gamma_4"],
    )
    found = report["conditions"]
    assert list(found) == ["clean", "noise_8", "gamma_4"]
    assert set(steps) == {3}
    assert found["noise_8"]["bpcer"]["clips"]["errors"] == 0, "noise 8 makes nobody an attack"
    assert found["gamma_4"]["bpcer"]["clips"]["interval"] is not None
