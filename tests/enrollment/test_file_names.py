"""Names of files as other systems write them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from gated.enrollment.file_names import Missing, Names, is_litter, on_disk

FILES = ("staff/photos/M\u00fcller.jpg", "staff/photos/b.jpg", "staff/photos/IMG_3.jpg", "top.jpg")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("photos/b.jpg", FILES[1]),
        ("photos\\b.jpg", FILES[1]),
        (".\\photos\\b.jpg", FILES[1]),
        ("PHOTOS\\B.JPG", FILES[1]),
        ("photos/Mu\u0308ller.jpg", FILES[0]),
        ("photos\\MU\u0308LLER.JPG", FILES[0]),
        ("photos/IMG_3.JPG", FILES[2]),
        ("staff/photos/b.jpg", FILES[1]),
        ("top.jpg", FILES[3]),
        ("../top.jpg", FILES[3]),
    ],
)
def test_a_name_means_the_file_however_it_is_written(
    tmp_path: Path, written: str, meant: str
) -> None:
    assert Names(FILES).find(written, "staff") == meant
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    if not written.startswith(("staff", "top")):
        found = on_disk(tmp_path / "staff")(written)
        assert isinstance(found, Path)
        assert found.resolve() == (tmp_path / meant).resolve()


def test_decomposed_files_are_found_by_composed_names(tmp_path: Path) -> None:
    stored = unicodedata.normalize("NFD", FILES[0])
    assert Names([stored]).find("photos/M\u00fcller.jpg", "staff") == stored
    (tmp_path / stored).parent.mkdir(parents=True)
    (tmp_path / stored).touch()
    assert on_disk(tmp_path)("staff/photos/M\u00fcller.JPG") == tmp_path / stored


def test_a_name_that_could_mean_two_files_means_neither(tmp_path: Path) -> None:
    (tmp_path / "a.JPG").touch()
    (tmp_path / "A.jpg").touch()
    for found in (Names(["a.JPG", "A.jpg"]).find("a.jpg"), on_disk(tmp_path)("a.jpg")):
        assert isinstance(found, Missing)
        with pytest.raises(FileNotFoundError, match=r"several files: A\.jpg, a\.JPG"):
            found.open()
    assert Names(["a.JPG", "A.jpg"]).find("a.JPG") == "a.JPG"
    assert on_disk(tmp_path)("a.JPG") == tmp_path / "a.JPG"


def test_a_file_that_is_not_there_stays_what_it_was_called(tmp_path: Path) -> None:
    assert on_disk(tmp_path)("no/such.jpg") == tmp_path / "no/such.jpg"
    assert on_disk(tmp_path)("/no/such.jpg") == Path("/no/such.jpg")
    assert isinstance(Names([]).find("a.jpg"), Missing)


@pytest.mark.parametrize(
    "name", [".DS_Store", "._E1.jpg", "Thumbs.db", "desktop.ini", "__MACOSX", "~$staff.csv"]
)
def test_litter_is_nobody_s(name: str) -> None:
    assert is_litter(name)
    assert not is_litter("E1.jpg")
