"""Error rates of liveness: the manifest, the counting, and the clips where they are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gated.config import LivenessSettings
from gated.core.pad import PAD_LEVELS, Liveness, PadScore
from gated.core.statistics import clopper_pearson
from gated.core.values import Image
from gated.enrollment.models import VisionKit
from gated.errors import SourceError
from gated.evaluation.liveness import (
    BONA_FIDE,
    Presentation,
    Seen,
    evaluate_levels,
    evaluate_pad,
    examine,
    made_of_paper,
    rates,
    read_manifest,
)
from gated.vision.decoding import decode
from gated.vision.paper import SPECIES
from tests.assets import require_assets, require_data
from tests.enrollment.offices import portrait, settings_in

NORMAL = PAD_LEVELS["normal"]


def manifest(folder: Path, *lines: str) -> Path:
    file = folder / "manifest.csv"
    file.write_text("\n".join(("path,species,person", *lines)) + "\n", encoding="utf-8-sig")
    return file


def shown(species: str) -> Presentation:
    return Presentation(Path("x.mp4"), "x.mp4", species)


def seen(outcome: Liveness | None, *live: float) -> Seen:
    return Seen([PadScore(x) for x in live], outcome)


# --- the manifest ---------------------------------------------------------------------------------


def test_paths_are_relative_to_the_manifest_and_the_person_is_optional(tmp_path: Path) -> None:
    file = manifest(tmp_path, "a/real.mp4, bona_fide, Ann", "b.jpg,print,")
    assert read_manifest(file) == [
        Presentation(tmp_path / "a/real.mp4", "a/real.mp4", "bona_fide", "Ann"),
        Presentation(tmp_path / "b.jpg", "b.jpg", "print", ""),
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"path,species\n", "names no recording"),
        (b"path,species\na.mp4,replay\nb.mp4,\n", ":3: columns path and species"),
        (b"file,kind\na.mp4,replay\n", ":2: columns path and species"),
        (b"path,species\n\xff\xfe,replay\n", "not a CSV file in UTF-8"),
    ],
)
def test_a_manifest_that_is_wrong_says_where(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    file = tmp_path / "manifest.csv"
    file.write_bytes(content)
    with pytest.raises(SourceError, match=complaint):
        read_manifest(file)


def test_a_manifest_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_manifest(tmp_path / "none.csv")


# --- the counting ---------------------------------------------------------------------------------


def test_only_who_is_taken_for_living_passes() -> None:
    presentations = [shown("replay")] * 4 + [shown("print")] + [shown(BONA_FIDE)] * 4
    found = [
        seen(Liveness.ATTACK, 0.1, 0.9),
        seen(Liveness.LIVE, 0.9),
        seen(Liveness.UNDECIDED, 0.4),
        seen(None),
        seen(Liveness.ATTACK, 0.0),
        seen(Liveness.LIVE, 0.9, 0.2),
        seen(Liveness.UNDECIDED, 0.4),
        seen(Liveness.ATTACK, 0.1),
        seen(None),
    ]
    report = rates(presentations, found, NORMAL)
    replay, bpcer = report["apcer"]["replay"], report["bpcer"]
    assert list(report["apcer"]) == ["print", "replay"]
    assert (replay["clips"]["errors"], replay["clips"]["total"]) == (1, 3)
    assert (replay["clips"]["undecided"], replay["clips"]["without_face"]) == (1, 1)
    assert replay["clips"]["interval"] == pytest.approx(clopper_pearson(1, 3), abs=1e-4)
    assert (replay["frames"]["errors"], replay["frames"]["total"]) == (2, 4)
    assert report["apcer"]["print"]["clips"]["rate"] == 0.0
    assert report["apcer_worst_species"] == pytest.approx(1 / 3)
    assert (bpcer["clips"]["errors"], bpcer["clips"]["total"]) == (2, 3)
    assert (bpcer["frames"]["errors"], bpcer["frames"]["total"]) == (3, 4)


def test_who_is_asked_for_movements_is_neither_accepted_nor_refused() -> None:
    asked = Seen([PadScore(1.0)], Liveness.LIVE, asked=True)
    report = rates([shown("mask"), shown(BONA_FIDE)], [asked, asked], NORMAL)
    for found in (report["apcer"]["mask"]["clips"], report["bpcer"]["clips"]):
        assert (found["errors"], found["total"], found["asked"]) == (0, 1, 1)


def test_prints_are_made_from_the_portraits_of_the_demo(tmp_path: Path) -> None:
    require_assets("default", "demo", "pad")
    kit = VisionKit(settings_in(tmp_path))
    made = made_of_paper(kit, trials=2)
    assert len(made) == 2 * len(SPECIES)
    assert [m.name for m in made[:2]] == [f"{SPECIES[0].name}/1", f"{SPECIES[0].name}/2"]
    assert all(m.made is not None and next(m.made()).ndim == 3 for m in made[:3])


def test_of_nothing_no_rate_is_claimed() -> None:
    report = rates([shown("replay")], [seen(None)], NORMAL)
    clips = report["apcer"]["replay"]["clips"]
    assert (clips["rate"], clips["interval"], clips["total"]) == (None, [0.0, 1.0], 0)
    assert report["apcer_worst_species"] is None
    assert report["bpcer"]["clips"]["rate"] is None


# --- the whole ------------------------------------------------------------------------------------


def test_stills_are_judged_one_by_one(tmp_path: Path) -> None:
    require_assets("default", "demo", "pad")
    (tmp_path / "real.jpg").write_bytes(portrait("obama"))
    file = manifest(tmp_path, "real.jpg,bona_fide,Ann", "real.jpg,print,Ann")
    steps: list[tuple[int, int]] = []
    report = evaluate_pad(
        settings_in(tmp_path), file, progress=lambda done, total: steps.append((done, total))
    )
    assert report["level"] == "normal"
    assert report["people"] == 1
    assert [p["outcome"] for p in report["presentations"]] == ["live", "live"]
    assert report["bpcer"]["clips"]["rate"] == 0.0
    assert report["apcer"]["print"]["clips"]["rate"] == 1.0
    assert steps == [(0, 2), (1, 2), (2, 2)]


def test_a_recording_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    require_assets("default", "pad")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    for name in ("none.mp4", "none.jpg", "broken.jpg"):
        with pytest.raises(SourceError, match=name):
            evaluate_pad(settings_in(tmp_path), manifest(tmp_path, f"{name},print"))


def test_at_strict_a_still_picture_is_asked_for_movements(tmp_path: Path) -> None:
    require_assets("default", "demo", "pad", "mesh")
    (tmp_path / "print.jpg").write_bytes(portrait("obama"))
    file = manifest(tmp_path, "print.jpg,print,Ann")
    report = evaluate_pad(settings_in(tmp_path), file, "strict")
    assert [p["outcome"] for p in report["presentations"]] == ["asked"]
    assert report["apcer"]["print"]["clips"]["errors"] == 0
    both = evaluate_levels(settings_in(tmp_path), file, ["normal", "strict"])
    assert both["strict"] == report
    assert [p["outcome"] for p in both["normal"]["presentations"]] == ["live"]


def test_of_a_long_recording_the_first_seconds_with_a_face_can_be_enough(tmp_path: Path) -> None:
    require_assets("default", "demo", "pad")
    face = decode(portrait("obama"))
    empty = np.full_like(face, 90)

    def frames() -> Iterator[Image]:
        yield from [empty] * 3
        yield from [face] * 100

    liveness = LivenessSettings(level="normal")
    settings = settings_in(tmp_path).model_copy(update={"liveness": liveness})
    film = Presentation(Path(), "made", BONA_FIDE, made=frames)
    found = examine(VisionKit(settings, pad=True), film, ["normal"], seconds=0.2)
    assert len(found["normal"].frames) == 4


@pytest.mark.long
def test_no_print_gets_in_at_strict(tmp_path: Path) -> None:
    require_assets("default", "demo", "pad", "mesh")
    report = evaluate_pad(settings_in(tmp_path), None, "strict", paper=1)
    assert report["apcer_worst_species"] == 0.0
    assert set(report["apcer"]) == {s.name for s in SPECIES}


@pytest.mark.long
def test_people_are_told_from_their_replays(tmp_path: Path) -> None:
    require_assets("default", "pad")
    clips = sorted(require_data("video", "spoof_pairs").iterdir())
    rows = [f"{c},{'replay' if 'replay' in c.name else BONA_FIDE},{c.name[:4]}" for c in clips]
    report = evaluate_pad(settings_in(tmp_path), manifest(tmp_path, *rows))
    assert report["apcer"]["replay"]["clips"]["errors"] == 0
    assert report["apcer"]["replay"]["frames"]["errors"] == 0
    assert report["bpcer"]["clips"]["errors"] == 0
    assert report["bpcer"]["clips"]["total"] == report["apcer"]["replay"]["clips"]["total"] == 3


@pytest.mark.long
def test_noise_that_neighbours_share_makes_nobody_a_picture(tmp_path: Path) -> None:
    require_assets("default", "pad", "mesh")
    clips = sorted(require_data("video", "spoof_pairs").iterdir())
    rows = [f"{c},{'replay' if 'replay' in c.name else BONA_FIDE},{c.name[:4]}" for c in clips]
    file, names = manifest(tmp_path, *rows), ["grain_8", "noise_40"]
    found = evaluate_levels(
        settings_in(tmp_path), file, ["normal", "strict"], conditions=names, seconds=1
    )
    for report in found.values():
        for name in names:
            under = report["conditions"][name]
            assert under["bpcer"]["clips"]["errors"] == 0
            assert under["apcer"]["replay"]["clips"]["errors"] == 0
