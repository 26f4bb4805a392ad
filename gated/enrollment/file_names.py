"""File names as tables and archives write them: other slashes, accents, case; and litter."""

from __future__ import annotations

import io
import posixpath
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

_LITTER = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin"}
    | {"system volume information", "picasa.ini", "__pycache__"}
)
"""Files that systems and programs leave in folders."""


def is_litter(name: str) -> bool:
    """Return whether a file or folder of that name is none of the user's."""
    return name.startswith((".", "~$")) or name.casefold() in _LITTER


@dataclass(frozen=True, slots=True)
class Missing:
    """A missing file that a table names. why: the rest of a sentence that begins with its name."""

    name: str
    why: str

    def __str__(self) -> str:
        return self.name

    def open(self, mode: Literal["rb"] = "rb") -> io.BytesIO:
        """Raises: FileNotFoundError."""
        raise FileNotFoundError(2, self.why)


def plain_name(name: str) -> str:
    """Return a name with `/` and in NFC: Windows writes the other slash, a Mac accents apart."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


class Names:
    """Finds files by names as people write them."""

    def __init__(self, names: Iterable[str], absent: str = "is not in the archive") -> None:
        self._exact = {name: name for name in names}
        self._plain = _groups(self._exact, plain_name)
        self._folded = _groups(self._exact, _folded)
        self._absent = absent

    def find(self, name: str, folder: str = "") -> str | Missing:
        """Find the file that this name, seen from `folder` or from the top, means.

        As it is written; else with either slash and any form of accents; else without case, where
        only one is left.
        """
        shown = posixpath.basename(plain_name(name)) or name
        for start in dict.fromkeys((folder, "")):
            inside = posixpath.normpath(posixpath.join(start, plain_name(name)))
            for group in (
                [self._exact[w] for w in (posixpath.join(start, name),) if w in self._exact],
                self._plain.get(plain_name(inside), []),
                self._folded.get(_folded(inside), []),
            ):
                if len(group) == 1:
                    return group[0]
                if group:
                    return Missing(shown, f"means several files: {', '.join(sorted(group)[:4])}")
        return Missing(shown, self._absent)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", plain_name(name).casefold())


def _groups(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups


def on_disk(folder: Path) -> Callable[[str], Path | Missing]:
    """Return a finder of files on disk, seen from a folder, by names as people write them.

    A file that is not there at all is given as it was written.
    """

    @lru_cache(maxsize=4096)
    def names_in(place: Path) -> Names:
        return Names([entry.name for entry in place.iterdir()])

    def find(name: str) -> Path | Missing:
        written = folder / name
        if _is_there(written):
            return written
        parts = plain_name(name).split("/")
        at = Path("/") if name.startswith("/") else folder
        for part in parts:
            if part in ("", ".", ".."):
                at = at / part
                continue
            try:
                found = names_in(at).find(part)
            except OSError:
                return written
            if isinstance(found, Missing):
                return found if found.why.startswith("means") else written
            at = at / found
        return at

    return find


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
