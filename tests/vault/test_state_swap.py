"""Another state takes the place of the present one, wherever the power is cut meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gated.errors import StorageError
from gated.vault import state_swap
from gated.vault.state_swap import PENDING, STAGING, finish, swap

RENAME = Path.rename
NAMES = ("db", "db-wal", "keys", "ledger")


class PowerCut(BaseException):
    """The machine has no power."""


class Cut:
    """Takes the place of `Path.rename`: renames so many times, and then the power is cut."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __get__(self, path: Path, _owner: object) -> Callable[[Path], Path]:
        return lambda target: self._rename(path, target)

    def _rename(self, path: Path, target: Path) -> Path:
        out = target.parent.name.startswith("before-")
        taken = path.parent.name == STAGING != target.parent.name
        if out or taken or target.name == PENDING:
            if self.left == 0:
                raise PowerCut
            self.left -= 1
        return RENAME(path, target)


def make(folder: Path) -> dict[Path, tuple[str, ...]]:
    """A state with an old and a staged form; the old one has a log that the new one has not."""
    state, photos = folder / "state", folder / "photos"
    for place in (state, photos):
        (place / STAGING).mkdir(parents=True)
    for name in NAMES[:3]:
        (state / name).write_text("old")
    for name in ("db", "keys", "ledger"):
        (state / STAGING / name).write_text("new")
    (photos / "images").mkdir()
    (photos / "images" / "a").write_text("old")
    (photos / STAGING / "images").mkdir()
    (photos / STAGING / "images" / "a").write_text("new")
    return {state: NAMES, photos: ("images",)}


def read(folder: Path, *names: str) -> list[str | None]:
    return [(folder / n).read_text() if (folder / n).exists() else None for n in names]


@pytest.mark.parametrize("after", range(9))
def test_wherever_it_is_cut_the_next_start_ends_it(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = make(tmp_path)
    state, photos = places
    cut = Cut(after)
    monkeypatch.setattr(Path, "rename", cut)
    with contextlib.suppress(PowerCut):
        swap(state, places, "1")
    monkeypatch.undo()
    assert cut.left == 0, "there are as many steps"
    finish(state)
    if after == 0:
        assert read(state, *NAMES) == ["old", "old", "old", None], "it had not begun"
        return
    assert read(state, *NAMES) == ["new", None, "new", "new"]
    assert read(state / "before-1", *NAMES) == ["old", "old", "old", None]
    assert read(photos, "images/a", "before-1/images/a") == ["new", "old"]
    assert not (state / PENDING).exists()
    finish(state)
    assert read(state, *NAMES) == ["new", None, "new", "new"], "once is enough"


def test_a_mark_that_cannot_be_read_says_where_the_parts_are(tmp_path: Path) -> None:
    (tmp_path / state_swap.PENDING).write_text("{")
    with pytest.raises(StorageError, match="before-"):
        finish(tmp_path)
