"""Unpacks a backup into the staging folders."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Self

from pydantic import ValidationError

from gated.backup.contents import LARGEST_MANIFEST, MANIFEST, TABLES, Manifest, is_known
from gated.backup.database_copy import BLOCK
from gated.backup.sealed_stream import SealedReader, StreamOpener
from gated.errors import SealError, StorageError
from gated.vault.sealing import sync_directory

MOST_MEMBERS = 5_000_000
MOST_TABLES = 1000
ROOM = 64 << 20
"""Bytes that must stay free after unpacking."""
ROOM_FOR_FILES, LOOKED_AT_EACH = 10_000, 1000
"""Files for which there must stay room after unpacking, and after how many that is looked at."""
LONGEST_EXTENSION = 64 << 10
"""Bytes of a header that goes with a member, such as a long name."""

Show = Callable[[int, int], None]


class Unpacked:
    """An unpacked backup. tables: names of members; of photos no name is kept: they are many."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.tables: list[str] = []
        self._files = 0
        self._folders: set[Path] = set()

    def add(self, name: str, path: Path) -> None:
        """Note a member before it is written. Raises: SealError, StorageError at a bound."""
        if name.startswith(TABLES):
            self.tables.append(name)
        if self._files >= MOST_MEMBERS or len(self.tables) > MOST_TABLES:
            raise SealError("the backup holds too many files")
        self._folders.add(path.parent)
        if self._files % LOOKED_AT_EACH == 0:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_room_for_files(path.parent)
        self._files += 1

    def sync(self) -> None:
        """Make all files durable, with one wait for the disk instead of one for each file."""
        os.sync()
        for folder in self._folders:
            sync_directory(folder)


def unpack(
    source: BinaryIO, opener: StreamOpener, place: Callable[[str], Path], room_in: Path, show: Show
) -> Unpacked:
    """Write every member to the path that `place` returns, as a new file for this user alone.

    Nothing of it can be trusted before this returns, as only the end authenticates the whole.
    room_in: the file system whose free space is checked. Raises: SealError, SourceError,
    StorageError.
    """
    reader = io.BufferedReader(SealedReader(source, opener), BLOCK)
    with _translated(), gzip.GzipFile(fileobj=reader, mode="rb") as plain:
        with tarfile.open(
            fileobj=plain, mode="r|", format=tarfile.PAX_FORMAT, tarinfo=_BoundedHeader
        ) as tar:
            unpacked = Unpacked(_manifest(tar))
            total = unpacked.manifest.bytes
            if shutil.disk_usage(room_in).free < total + ROOM:
                raise StorageError(
                    f"there is not enough room in {room_in}: the backup needs {total >> 20} MB"
                )
            done = 0
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would remember all of them
                name = member.name
                if not member.isreg() or not is_known(name):
                    raise SealError(f"the backup holds {name!r}, which this version does not know")
                path = place(name)
                unpacked.add(name, path)
                file = tar.extractfile(member)
                assert file is not None  # noqa: S101  # of a regular file there always is one
                _write(path, file, member.size)
                done += member.size
                show(min(done, total), total)
        while plain.read(BLOCK):
            pass
    unpacked.sync()
    return unpacked


class _BoundedHeader(tarfile.TarInfo):
    """Refuses extended headers that tarfile would read into memory, whatever their size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if not header.isreg() and header.size > LONGEST_EXTENSION:
            raise tarfile.ReadError("an extended header is too long")
        return header


def _manifest(tar: tarfile.TarFile) -> Manifest:
    member = tar.next()
    if member is None or member.name != MANIFEST or member.size > LARGEST_MANIFEST:
        raise SealError("the backup does not say what it holds")
    file = tar.extractfile(member)
    try:
        return Manifest.model_validate_json(file.read() if file is not None else b"")
    except ValidationError:
        raise SealError("the backup was made by another version: it cannot be read") from None


def _write(path: Path, file: IO[bytes], size: int) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # the manifest may be wrong: a check beside a running gate must not fill the disk of its log
    if shutil.disk_usage(path.parent).free < size + ROOM:
        raise StorageError(f"there is not enough room in {path.parent}: {size >> 20} MB more")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise SealError(f"the backup holds {path.name!r} twice") from None
    with os.fdopen(fd, "wb") as target:
        shutil.copyfileobj(file, target, BLOCK)


def _require_room_for_files(folder: Path) -> None:
    """Raises: StorageError where the file system takes few files more; some do not count them."""
    found = os.statvfs(folder)
    if found.f_files and found.f_favail < ROOM_FOR_FILES:
        raise StorageError(f"there is no room in {folder} for more files (inodes)")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn errors of the formats and the disk into SealError and StorageError."""
    try:
        yield
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile):
        raise SealError("the backup is damaged, or its end is missing") from None
    except OSError as error:
        raise StorageError(f"the backup cannot be unpacked: {error.strerror or error}") from error
