"""Photos and encodings as sealed files below the uploads directory, written whole or not at all."""

from __future__ import annotations

import ctypes
import glob
import json
import os
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gated.core.values import Vector
from gated.database.tables import new_uid
from gated.errors import SealError, StorageError
from gated.vault.sealing import Sealer, sync_directory

IMAGES = "images"
ENCODINGS = "encodings"
SUFFIX = ".sealed"
TEMPORARY = ".tmp"
KEPT = ".gitkeep"
_TEMPORARY_NAME = re.compile(rf"\..+\.[0-9a-f]{{16}}{re.escape(TEMPORARY)}")


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file durably: readers see the old one or the new one, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{TEMPORARY}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as f:
            os.fchmod(fd, mode)
            f.write(data)
            f.flush()
            os.fsync(fd)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sweep_temporary(
    folders: Iterable[Path], grace_s: float = 60.0, *, of: str | None = None
) -> int:
    """Remove what `write_atomic` left in these folders when it was cut off; return how many.

    Files younger than `grace_s` seconds stay: another process may be writing them. of: the name of
    one file, in a folder that others use, too.
    """
    removed, newest = 0, time.time() - grace_s
    for folder in folders:
        for path in folder.glob(f".{'*' if of is None else glob.escape(of)}.*{TEMPORARY}"):
            if _TEMPORARY_NAME.fullmatch(path.name) and path.lstat().st_mtime <= newest:
                path.unlink(missing_ok=True)
                removed += 1
    return removed


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that nobody knows of yet; a failure leaves none."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as f:
            f.write(data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync_file_system(path: Path) -> None:
    """Write out all that waits for the file system that holds `path`; OSError."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(fd)


class FileStore:
    """Sealed files by relative path, such as `images/<uid>.sealed`; nothing outside `uploads`."""

    def __init__(self, uploads: Path, sealer: Sealer) -> None:
        self.uploads = uploads
        self._sealer = sealer
        try:
            for folder in (uploads, uploads / IMAGES, uploads / ENCODINGS):
                new = not folder.exists()
                folder.mkdir(parents=True, exist_ok=True)
                if new or folder != uploads:
                    folder.chmod(0o700)
        except OSError as e:
            raise StorageError(f"{uploads} cannot be used for photos: {e.strerror}") from e

    def save_image(self, jpeg: bytes, *, durable: bool = True) -> str:
        """Store a picture; returns its relative path. StorageError.

        durable: not to be lost by a power cut; else it is so after the next `sync`.
        """
        return self._save(IMAGES, jpeg, durable)

    def load_image(self, rel: str) -> bytes:
        """The picture at a relative path; StorageError, SealError."""
        return self._load(rel, IMAGES)

    def save_encoding(self, vector: Vector, model: str, *, durable: bool = True) -> str:
        """Store a (d,) float32 template with its model's digest; returns its relative path.

        durable: as of `save_image`. StorageError.
        """
        head = json.dumps({"model": model, "dimension": len(vector)}).encode()
        return self._save(ENCODINGS, head + b"\n" + np.asarray(vector, "<f4").tobytes(), durable)

    def sync(self) -> None:
        """Make durable at once what was saved without; StorageError.

        Of hundreds of files one after the other waits for the disk hundreds of times.
        """
        try:
            _sync_file_system(self.uploads)
        except OSError as e:
            raise StorageError(f"{self.uploads} cannot be written: {e.strerror}") from e

    def load_encoding(self, rel: str) -> tuple[Vector, str]:
        """The (d,) float32 template at a relative path, and its model; StorageError, SealError."""
        head, _, body = self._load(rel, ENCODINGS).partition(b"\n")
        try:
            fields = json.loads(head)
            vector = np.frombuffer(body, "<f4").astype(np.float32)
            if len(vector) == fields["dimension"]:
                return vector, str(fields["model"])
        except (ValueError, KeyError, TypeError):
            pass
        raise SealError(f"{rel} does not hold what it says")

    def delete(self, *rels: str) -> None:
        """Remove files durably; those that are gone already are no error. StorageError."""
        paths = [self._path(rel) for rel in rels]
        try:
            for path in paths:
                path.unlink(missing_ok=True)
            for folder in {p.parent for p in paths}:
                sync_directory(folder)
        except OSError as e:
            raise StorageError(f"{e.filename} cannot be removed: {e.strerror}") from e

    def sweep(self, known: set[str], grace_s: float = 60.0) -> int:
        """Remove files that no row names and leftovers of cut-off writes; returns how many.

        Files younger than `grace_s` seconds stay: their row may be on its way in another process.
        """
        removed = 0
        newest = time.time() - grace_s
        for folder in (IMAGES, ENCODINGS):
            for path in sorted((self.uploads / folder).iterdir()):
                if path.name == KEPT or f"{folder}/{path.name}" in known or not path.is_file():
                    continue
                if path.stat().st_mtime <= newest:
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _save(self, folder: str, plain: bytes, durable: bool) -> str:
        rel = f"{folder}/{new_uid()}{SUFFIX}"
        try:
            sealed = self._sealer.seal(plain, rel)
            if durable:
                write_atomic(self.uploads / rel, sealed)
            else:
                _write_new(self.uploads / rel, sealed)
        except OSError as e:
            raise StorageError(f"{self.uploads / rel} cannot be written: {e.strerror}") from e
        return rel

    def _load(self, rel: str, folder: str) -> bytes:
        path = self._path(rel, folder)
        try:
            blob = path.read_bytes()
        except OSError as e:
            raise StorageError(f"{path} cannot be read: {e.strerror}") from e
        return self._sealer.unseal(blob, rel)

    def _path(self, rel: str, *folders: str) -> Path:
        """The path of a stored file; StorageError for anything that is not `<folder>/<name>`."""
        parts = rel.split("/")
        if (
            len(parts) != 2
            or parts[0] not in (folders or (IMAGES, ENCODINGS))
            or not parts[1].endswith(SUFFIX)
            or parts[1].startswith(".")
            or "\0" in rel
        ):
            raise StorageError(f"{rel!r} is no path of a stored file")
        return self.uploads / parts[0] / parts[1]


def remove_file(path: Path) -> None:
    """Remove a file if it is there. Raises: StorageError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as e:
        raise StorageError(f"{path} cannot be removed: {e.strerror}") from e
