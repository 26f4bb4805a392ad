"""A backup that anybody could have made with the public key does not fill memory or disk."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from pathlib import Path

import pytest

from gated.backup.contents import MANIFEST, DatabaseInBackup, Manifest
from gated.backup.sealed_stream import PrivateKey, PublicKey, SealedWriter
from gated.backup.unpacking import unpack
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
