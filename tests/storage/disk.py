"""A disk that remembers what was written and what was synced, and one that fails (`disk.c`)."""

from __future__ import annotations

import errno
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

SOURCE = Path(__file__).with_name("disk.c")
SECTOR = 512
"""What a disk writes whole."""

CHANGES, READS = 1, 2

_HEAD = struct.Struct("=cIIIQQ")


def library(folder: Path) -> Path:
    """Compile what is preloaded; the test is skipped where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc)")
    made = folder / "disk.so"
    if not made.exists():
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", made, SOURCE, "-ldl"],
            check=True,
            timeout=60,
        )
    return made


class FaultyDisk:
    """Lets calls of programs fail for files below a folder. environ: what they are started with."""

    def __init__(self, tools: Path, under: Path) -> None:
        self._file = tools / "fault"
        self._set(0, 0, "")
        self.environ = {
            "LD_PRELOAD": str(library(tools)),
            "DISK_UNDER": str(under),
            "DISK_FAULT": str(self._file),
        }

    @contextmanager
    def failing(self, number: int, kinds: int = CHANGES, within: str = "") -> Iterator[None]:
        """Let calls on paths that contain `within` fail with an errno while the block runs."""
        self._set(number, kinds, within)
        try:
            yield
        finally:
            self._set(0, 0, "")

    def _set(self, number: int, kinds: int, within: str) -> None:
        with open(self._file, "r+b" if self._file.exists() else "wb") as file:
            # the number comes last when a fault begins, and first when it ends: one write is whole
            file.write(struct.pack("=ii64s", number, kinds, within.encode()))


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the disk, as the program made it."""

    op: str
    path: str
    other: str
    at: int
    size: int
    data: bytes


def steps(log: Path) -> Iterator[Step]:
    """Read the changes that a program made, in their order."""
    with log.open("rb") as file:
        while head := file.read(_HEAD.size):
            op, path, other, data, at, size = _HEAD.unpack(head)
            texts = file.read(path).decode(), file.read(other).decode()
            yield Step(op.decode(), *texts, at, size, file.read(data))


Kept = Literal["nothing", "some in order", "some"]
"""What of the unsynced writes has come to the disk when the power fails."""


@dataclass
class _File:
    synced: bytearray = field(default_factory=bytearray)
    waiting: list[Step] = field(default_factory=list)

    def sync(self) -> None:
        for step in self.waiting:
            _apply(self.synced, step, len(step.data))
        self.waiting.clear()

    def after_cut(self, chance: random.Random, kept: Kept) -> bytes:
        content = bytearray(self.synced)
        if kept == "nothing":
            return bytes(content)
        ordered = kept == "some in order"
        end = chance.randint(0, len(self.waiting)) if ordered else len(self.waiting)
        for step in self.waiting[:end]:
            fate = 1.0 if ordered else chance.random()
            if fate < 0.4:
                continue
            torn = chance.randrange(len(step.data) // SECTOR + 1) * SECTOR
            _apply(content, step, torn if fate < 0.7 else len(step.data))
        return bytes(content)


def _apply(content: bytearray, step: Step, size: int) -> None:
    if step.op == "t":
        del content[step.size :]
        content.extend(bytes(step.size - len(content)))
        return
    content.extend(bytes(max(0, step.at - len(content))))
    content[step.at : step.at + size] = step.data[:size]


class Disk:
    """What is on a disk, and what is on its way there.

    A file's bytes are safe once it was synced; names (made, renamed, removed) once their directory
    was, and come to the disk in their order, as a journalling file system keeps them. Directories
    are there at once.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._safe: dict[str, _File] = {}
        for path in root.rglob("*"):
            if path.is_file():
                self._safe[str(path)] = _File(bytearray(path.read_bytes()))
        self._names = dict(self._safe)
        self._moves: list[tuple[Step, _File | None]] = []
        self._folders = {str(p) for p in root.rglob("*") if p.is_dir()}

    def do(self, step: Step) -> None:
        """Let a program change the disk."""
        match step.op:
            case "w" | "t":
                # what was removed while it was open concerns nobody any more
                if (file := self._names.get(step.path)) is not None:
                    file.waiting.append(step)
            case "c" | "r" | "u":
                file = _File() if step.op == "c" else None
                _move(self._names, step, file)
                self._moves.append((step, file))
            case "d":
                self._folders.add(step.path)
            case "s":
                self._sync(step.path)
            case "S":
                for file in self._names.values():
                    file.sync()
                self._sync_names("")

    def _sync(self, path: str) -> None:
        if path in self._folders or path == str(self._root):
            self._sync_names(path)
        elif (file := self._names.get(path)) is not None:
            file.sync()

    def _sync_names(self, folder: str) -> None:
        touching = [
            i for i, (step, _) in enumerate(self._moves) if not folder or _touches(step, folder)
        ]
        end = touching[-1] + 1 if touching else 0
        for step, file in self._moves[:end]:
            _move(self._safe, step, file)
        del self._moves[:end]

    def cut(self, into: Path, chance: random.Random, kept: Kept) -> None:
        """Write to an empty folder what is there when the power comes back."""
        names = dict(self._safe)
        come = 0 if kept == "nothing" else chance.randint(0, len(self._moves))
        for step, file in self._moves[:come]:
            _move(names, step, file)
        for folder in sorted(self._folders):
            (into / Path(folder).relative_to(self._root)).mkdir(0o700, parents=True, exist_ok=True)
        for name, file in names.items():
            place = into / Path(name).relative_to(self._root)
            place.write_bytes(file.after_cut(chance, kept))
            place.chmod(0o600)


def _touches(step: Step, folder: str) -> bool:
    return folder in {str(Path(step.path).parent), str(Path(step.other).parent)}


def _move(names: dict[str, _File], step: Step, made: _File | None) -> None:
    if step.op == "c":
        assert made is not None
        names[step.path] = made
        return
    file = names.pop(step.path, None)
    if step.op == "r" and file is not None:
        names[step.other] = file


ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EROFS": errno.EROFS}
