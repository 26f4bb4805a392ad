"""Evaluation on tiny folders made of the demo portraits; on LFW where the data is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gated.errors import SourceError
from gated.evaluation.recognition import (
    PhotoFolder,
    calibrate,
    draw_pairs,
    evaluate_faces,
    list_photos,
    read_pairs,
)
from tests.assets import require_assets, require_data
from tests.enrollment.offices import kit_of, portrait, settings_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two people, one file that is no photo and one without a face."""
    require_assets("default", "demo")
    people = tmp_path / "people"
    for person, photos in {"Obama": ("obama", "obama2", "obama3"), "Biden": ("biden",)}.items():
        (people / person).mkdir(parents=True)
        for number, name in enumerate(photos, start=1):
            (people / person / f"{person}_{number:04}.jpg").write_bytes(portrait(name))
    (people / "Biden" / "notes.txt").write_text("nothing")
    (people / ".hidden").mkdir()
    (people / ".hidden" / "x.jpg").write_bytes(b"")
    (people / "pairs.txt").write_text("not a person")
    return people


def test_the_report_of_a_tiny_folder(folder: Path, tmp_path: Path) -> None:
    kit_of("sface")
    (folder / "pairs.txt").write_text(
        "2\t2\n"
        "Obama 1 2\nObama\t2\t3\nObama 1 Biden 1\nObama 2 Biden 1\n"
        "Obama 1 3\nObama 2 1\nObama 3 Biden 1\nBiden 1 Obama 1\n"
    )
    told: list[tuple[str, int, int]] = []
    report = evaluate_faces(
        settings_in(tmp_path),
        folder,
        pairs=folder / "pairs.txt",
        fpir=0.01,
        det=tmp_path / "det.png",
        progress=lambda what, done, total: told.append((what, done, total)),
    )
    json.dumps(report)
    assert (report["people"], report["photos"]) == (2, 4)
    assert report["unusable"] == {"Biden/notes.txt": "unreadable_image"}
    assert (report["accuracy"], report["accuracy_pairs"]) == (1.0, 8)
    assert (report["genuine_comparisons"], report["impostor_comparisons"]) == (3, 3)
    assert report["tmr_at_fmr"] == dict.fromkeys(("1e-2", "1e-3", "1e-4", "1e-5"))
    assert report["fpir_promised"] == 0.01
    # two people are too few for a calibration of their own, not for the installed one
    assert (report["fpir_measured"], report["fnir"]) == (None, None)
    assert (report["shipped"]["fpir_measured"], report["shipped"]["fnir"]) == (0.0, 0.0)
    assert (tmp_path / "det.png").read_bytes().startswith(b"\x89PNG")
    assert told[0] == ("photos", 0, 5)
    assert ("photos", 5, 5) in told
    assert not (tmp_path / "gated.db").exists()


def test_wrong_labels_are_seen_as_errors(folder: Path, tmp_path: Path) -> None:
    (folder / "Biden" / "Biden_0002.jpg").write_bytes(portrait("obama2"))  # mislabelled
    (folder / "Obama" / "Obama_0003.jpg").write_bytes(portrait("biden"))
    report = evaluate_faces(settings_in(tmp_path), folder, fpir=0.01)
    assert report["shipped"]["fnir"] > 0.3
    assert report["shipped"]["fpir_measured"] > 0.3


@pytest.mark.parametrize(
    "line", ["Obama 1", "Obama 1 2 3 4", "Obama x y", "Nobody 1 2", "Obama 1 9", "Obama 0 1"]
)
def test_a_pair_that_names_no_photos_is_shown_with_its_line(
    folder: Path, tmp_path: Path, line: str
) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(f"2 1\nObama 1 2\n{line}\n")
    with pytest.raises(SourceError, match=r"pairs\.txt:3"):
        read_pairs(pairs, people_of(folder), folder)


def people_of(folder: Path) -> PhotoFolder:
    """The photos of a folder as if all were usable but those that are none."""
    photos = [(p, f) for p, f in list_photos(folder) if f.suffix == ".jpg"]
    names = sorted({p for p, _ in photos})
    owners = np.array([names.index(p) for p, _ in photos])
    return PhotoFolder(tuple(names), owners, tuple(f for _, f in photos), (), (), {})


def test_pairs_name_photos_by_number_or_by_place(tmp_path: Path) -> None:
    for person, files in {
        "A": ("A_0002.jpg", "A_0007.jpg"),
        "B": ("left.jpg", "right.jpg"),
    }.items():
        (tmp_path / person).mkdir()
        for name in files:
            (tmp_path / person / name).touch()
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("2\t1\nA\t2\t7\nA\t7\tB\t2\nB 1 2\n\nA 2 B 1\n")
    people = people_of(tmp_path)
    folds = read_pairs(pairs, people, tmp_path)
    told = [
        [(people.files[p.first or 0].name, people.files[p.second or 0].name, p.same) for p in fold]
        for fold in folds
    ]
    assert told == [
        [("A_0002.jpg", "A_0007.jpg", True), ("A_0007.jpg", "right.jpg", False)],
        [("left.jpg", "right.jpg", True), ("A_0002.jpg", "left.jpg", False)],
    ]


@pytest.mark.parametrize("head", ["2", "1 2", "1\t4"])
def test_a_pairs_file_of_one_fold_is_dealt_into_several(tmp_path: Path, head: str) -> None:
    """As LFW's pairsDevTest.txt has them: first all pairs of one person, then all of two."""
    for person in "AB":
        (tmp_path / person).mkdir()
        for number in (1, 2, 3):
            (tmp_path / person / f"{number}.jpg").touch()
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(f"{head}\nA 1 2\nB 2 3\nA 1 B 1\nA 2 B 3\n")
    folds = read_pairs(pairs, people_of(tmp_path), tmp_path)
    assert [[p.same for p in fold] for fold in folds] == [[True, False], [True, False]]
    for lines in ("A 1 2\nB 2 3\n", "A 1 B 1\nA 2 B 3\n", "A 1 2\nB 2 3\nA 1 B 1\n"):
        pairs.write_text(f"{head}\n{lines}")
        with pytest.raises(SourceError, match=r"pairs of one person and \d of two"):
            read_pairs(pairs, people_of(tmp_path), tmp_path)


def test_drawn_pairs_are_even_and_keep_people_in_one_fold() -> None:
    owners = np.repeat(np.arange(40), 3)
    folds = draw_pairs(owners, np.random.default_rng(1))
    assert len(folds) == 10
    where: dict[int, int] = {}
    for number, fold in enumerate(folds):
        assert sum(p.same for p in fold) * 2 == len(fold)
        for pair in fold:
            assert pair.first is not None
            assert pair.second is not None
            assert pair.same == (owners[pair.first] == owners[pair.second])
            for photo in (pair.first, pair.second):
                assert where.setdefault(int(owners[photo]), number) == number


def test_an_empty_or_absent_folder_is_said_so(tmp_path: Path) -> None:
    kit_of("sface")
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SourceError, match=str(path)):
            list_photos(path)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.jpg").write_bytes(b"\xff\xd8\xffnothing")
    with pytest.raises(SourceError, match="at least two people"):
        evaluate_faces(settings_in(tmp_path / "state"), tmp_path)


def test_too_few_photos_make_no_calibration(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="100 impostor comparisons"):
        calibrate(settings_in(tmp_path), folder, lambda what, done, total: None)


@pytest.fixture(scope="module")
def lfw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    data = require_data("lfw")
    kit_of("sface")
    state = tmp_path_factory.mktemp("state")
    return evaluate_faces(settings_in(state), data, pairs=data / "pairs.txt", fpir=0.01)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_verification_on_lfw(lfw: dict[str, Any]) -> None:
    assert lfw["unusable"] == {}
    assert lfw["accuracy"] >= 0.993
    assert lfw["tmr_at_fmr"]["1e-4"] >= 0.975


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_promise_is_kept_on_lfw(lfw: dict[str, Any]) -> None:
    assert lfw["galleries"] >= 50
    assert 0.005 <= lfw["fpir_measured"] <= 0.02
    assert lfw["fnir"] < 0.045
