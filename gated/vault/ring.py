"""A bounded ring of sealed pieces on the disk, the oldest of which make room for new ones.

Each piece names whom it is about, so that it can go when one of them is erased. Pieces are for
finding out what happened; none of them is synced: a power cut may take the last ones.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gated.errors import SealError, StorageError
from gated.vault.sealing import Sealer

log = logging.getLogger(__name__)

SUFFIX = ".piece"
LARGEST = 16 << 20
"""A piece that unpacks to more than this was not written here."""


@dataclass(frozen=True, slots=True)
class Piece:
    """about: uids of people. lines: JSON, in the order of time."""

    about: frozenset[str]
    lines: tuple[str, ...]


class SealedRing:
    """The ring in one directory. Any process may read and forget; one writes."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self._folder = folder
        self._sealer = sealer

    def add(self, name: str, piece: Piece, most_bytes: int) -> None:
        """Write a piece; names are in the order of time. The oldest go beyond so many bytes.

        Raises: StorageError.
        """
        plain = "\n".join((json.dumps(sorted(piece.about)), *piece.lines)).encode()
        blob = self._sealer.seal(zlib.compress(plain), self._context(name))
        path = self._folder / f"{name}{SUFFIX}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(blob)
            self._shrink(most_bytes)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}") from None

    def names(self) -> list[str]:
        """Return the names of the pieces, the oldest first."""
        if not self._folder.is_dir():
            return []
        return sorted(path.stem for path in self._folder.glob(f"*{SUFFIX}"))

    def read(self, name: str) -> Piece | None:
        """Return a piece; None when it is gone, cut off or sealed with another key."""
        try:
            blob = (self._folder / f"{name}{SUFFIX}").read_bytes()
            unpacking = zlib.decompressobj()
            plain = unpacking.decompress(self._sealer.unseal(blob, self._context(name)), LARGEST)
            about, *lines = plain.decode().split("\n")
            return Piece(frozenset(json.loads(about)), tuple(lines))
        except (OSError, SealError, zlib.error, ValueError, TypeError):
            return None

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces that can be read, the oldest first."""
        for name in self.names():
            if (piece := self.read(name)) is not None:
                yield piece

    def forget(self, uids: Collection[str]) -> int:
        """Remove the pieces about any of these people, and those that nobody can read; how many."""
        gone = 0
        for name in self.names():
            piece = self.read(name)
            if piece is None or piece.about.intersection(uids):
                self.remove(name)
                gone += 1
        return gone

    def remove(self, name: str) -> None:
        """Remove one piece; a failure is logged."""
        try:
            (self._folder / f"{name}{SUFFIX}").unlink(missing_ok=True)
        except OSError as error:
            log.error("a piece of the ring cannot be removed: %s", error)

    def _shrink(self, most_bytes: int) -> None:
        paths: Sequence[Path] = sorted(self._folder.glob(f"*{SUFFIX}"))
        total = sum(path.stat().st_size for path in paths)
        for path in paths:
            if total <= most_bytes:
                return
            total -= path.stat().st_size
            path.unlink(missing_ok=True)

    def _context(self, name: str) -> str:
        return f"{self._folder.name}/{name}"
