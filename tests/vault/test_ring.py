"""The sealed ring: bounded, private, and without those who are gone."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from gated.vault.ring import Piece, SealedRing
from gated.vault.sealing import Sealer

MANY = 1 << 20


@pytest.fixture
def ring(tmp_path: Path) -> SealedRing:
    return SealedRing(tmp_path / "incidents", Sealer(b"k" * 32))


def piece(*about: str, line: str = "what happened") -> Piece:
    return Piece(frozenset(about), (line,))


def test_pieces_come_back_in_the_order_of_their_names(ring: SealedRing) -> None:
    for name in ("b", "a", "c"):
        ring.add(name, piece(line=name), MANY)
    assert [found.lines for found in ring.pieces()] == [("a",), ("b",), ("c",)]


def test_the_oldest_make_room(ring: SealedRing, tmp_path: Path) -> None:
    for number in range(40):
        ring.add(f"{number:03}", piece(line="x" * 100), 1000)
        files = list((tmp_path / "incidents").iterdir())
        assert sum(file.stat().st_size for file in files) <= 1000
    names = ring.names()
    assert names == sorted(names)
    assert names[-1] == "039"
    assert 1 < len(names) < 40


def test_nobody_reads_it_without_the_key_and_no_other_user_at_all(
    ring: SealedRing, tmp_path: Path
) -> None:
    ring.add("a", piece("uid-of-ann", line="secret"), MANY)
    (file,) = (tmp_path / "incidents").iterdir()
    assert b"uid-of-ann" not in file.read_bytes()
    assert b"secret" not in zlib.compress(file.read_bytes())
    assert file.stat().st_mode & 0o077 == 0
    assert SealedRing(tmp_path / "incidents", Sealer(b"o" * 32)).read("a") is None


def test_what_is_about_somebody_who_is_erased_goes_and_so_does_what_nobody_can_read(
    ring: SealedRing, tmp_path: Path
) -> None:
    ring.add("a", piece("ann", "bob"), MANY)
    ring.add("b", piece("bob"), MANY)
    ring.add("c", piece(), MANY)
    ring.add("d", piece(), MANY)
    (tmp_path / "incidents" / "d.piece").write_bytes(b"cut off")
    assert ring.forget(["ann"]) == 2
    assert ring.names() == ["b", "c"]


def test_a_piece_that_took_another_name_is_not_believed(ring: SealedRing, tmp_path: Path) -> None:
    ring.add("a", piece(), MANY)
    folder = tmp_path / "incidents"
    (folder / "a.piece").rename(folder / "z.piece")
    assert ring.read("z") is None
