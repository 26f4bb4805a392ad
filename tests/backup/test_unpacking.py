"""A backup that anybody could have made with the public key does not fill memory or disk."""

from __future__ import annotations

import gc
import gzip
import io
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from gated.backup.contents import MANIFEST, DatabaseInBackup, Manifest
from gated.backup.sealed_stream import PrivateKey, PublicKey, SealedWriter
from gated.backup.unpacking import MOST_TABLES, unpack
from gated.errors import SealError, StorageError

KEY = PrivateKey.make()


def sealed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A sealed backup whose manifest promises nothing, with these members."""
    manifest = Manifest(
        format=1,
        gated="1",
        created_at="2026-11-30T08:00:00+00:00",
        role="gate",
        gate="north",
        site="works",
        database=DatabaseInBackup(kind="sqlite", revision="1", counters={}),
        bytes=0,
    )
    text = manifest.model_dump_json().encode()
    target = io.BytesIO()
    writer = SealedWriter(target, PublicKey.read(KEY.public_text))
    with gzip.GzipFile(fileobj=writer, mode="wb") as packed:
        for member, data in ((named(MANIFEST, len(text)), text), *members):
            packed.write(member.tobuf() + data + bytes(-len(data) % tarfile.BLOCKSIZE))
    writer.finish()
    return target.getvalue()


def named(name: str, size: int, type_: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, type_
    return member


def unpacked(data: bytes, folder: Path) -> None:
    unpack(io.BytesIO(data), KEY, lambda name: folder / name, folder, lambda done, total: None)


def test_a_file_that_does_not_fit_is_refused_before_it_is_written(tmp_path: Path) -> None:
    whole_disk = named("database.sqlite", shutil.disk_usage(tmp_path).free)
    with pytest.raises(StorageError, match="not enough room"):
        unpacked(sealed((whole_disk, bytes(1 << 20))), tmp_path)
    assert not (tmp_path / "database.sqlite").exists()


def test_an_endless_name_is_not_read_into_memory(tmp_path: Path) -> None:
    size = 1 << 20
    endless = named("././@LongLink", size, tarfile.GNUTYPE_LONGNAME)
    with pytest.raises(SealError, match="damaged"):
        unpacked(sealed((endless, b"a" * size), (named("database.sqlite", 0), b"")), tmp_path)


def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    member = named("database.sqlite", 1)
    with pytest.raises(SealError, match="twice"):
        unpacked(sealed((member, b"a"), (member, b"b")), tmp_path)


def test_many_small_files_are_not_remembered_one_by_one(tmp_path: Path) -> None:
    """A million photos of a company must not fill the memory of the small computer at a door."""
    photos = [(named(f"uploads/images/{n:060}.sealed", 0), b"") for n in range(4000)]
    data = sealed(*photos)
    found = []
    tracemalloc.start()
    try:
        found.append(unpack(io.BytesIO(data), KEY, lambda n: tmp_path / n, tmp_path, _show))
        gc.collect()  # what is only waiting to be collected is not remembered
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(list((tmp_path / "uploads/images").iterdir())) == len(photos)
    assert kept < 100 * len(photos), "less than a name takes"


def test_more_tables_than_any_version_has_are_refused(tmp_path: Path) -> None:
    tables = [(named(f"tables/t{n}.copy", 0), b"") for n in range(MOST_TABLES + 1)]
    with pytest.raises(SealError, match="too many"):
        unpacked(sealed(*tables), tmp_path)


def _show(done: int, total: int) -> None:
    pass
