from __future__ import annotations

import os
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.errors import SealError, StorageError
from gated.vault.files import FileStore, write_atomic
from gated.vault.sealing import Sealer

VECTOR = np.linspace(-1, 1, 128, dtype=np.float32)


def _age(path: Path, seconds: float = 3600) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_pictures_and_templates_come_back(files: FileStore) -> None:
    image = files.save_image(b"\xff\xd8 picture")
    encoding = files.save_encoding(VECTOR, "m1")
    assert files.load_image(image) == b"\xff\xd8 picture"
    vector, model = files.load_encoding(encoding)
    assert vector.dtype == np.float32
    assert np.array_equal(vector, VECTOR)
    assert model == "m1"


def test_many_are_saved_without_waiting_for_the_disk_each_time(files: FileStore) -> None:
    paths = [files.save_encoding(VECTOR, "m1", durable=False) for _ in range(3)]
    paths.append(files.save_image(b"picture", durable=False))
    files.sync()
    assert all(stat.S_IMODE((files.uploads / p).stat().st_mode) == 0o600 for p in paths)
    assert files.load_image(paths[-1]) == b"picture"
    assert np.array_equal(files.load_encoding(paths[0])[0], VECTOR)
    shutil.rmtree(files.uploads)
    with pytest.raises(StorageError):
        files.sync()
    with pytest.raises(StorageError):
        files.save_image(b"picture", durable=False)


def test_what_lies_on_the_disk_is_sealed_and_private(files: FileStore) -> None:
    before = os.umask(0)
    try:
        paths = [files.uploads / files.save_image(b"face of Ada")]
        paths.append(files.uploads / files.save_encoding(VECTOR, "m1"))
    finally:
        os.umask(before)
    for path in paths:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        data = path.read_bytes()
        assert b"Ada" not in data
        assert VECTOR.tobytes()[:16] not in data


def test_a_file_in_the_place_of_another_is_found(files: FileStore) -> None:
    """Who can write the folder but has no key cannot give Eve's template to Ada."""
    ada, eve = files.save_encoding(VECTOR, "m1"), files.save_encoding(-VECTOR, "m1")
    shutil.copy(files.uploads / eve, files.uploads / ada)
    with pytest.raises(SealError):
        files.load_encoding(ada)


def test_a_damaged_file_and_another_key_are_found(files: FileStore) -> None:
    rel = files.save_image(b"picture")
    with pytest.raises(SealError):
        FileStore(files.uploads, Sealer(bytes(32))).load_image(rel)
    path = files.uploads / rel
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SealError):
        files.load_image(rel)


def test_a_missing_file_is_one_sentence(files: FileStore) -> None:
    rel = files.save_image(b"picture")
    files.delete(rel)
    files.delete(rel)
    with pytest.raises(StorageError, match="No such file"):
        files.load_image(rel)


HOSTILE = [
    "../secret",
    "images/../../secret",
    "images/..",
    "/etc/passwd",
    "images//etc/passwd",
    "images/./x.sealed",
    "images/x",
    "images/.hidden.sealed",
    "other/x.sealed",
    "images",
    "",
    "images/x\0.sealed",
    "images\\x.sealed",
]


@pytest.mark.parametrize("rel", HOSTILE)
def test_paths_from_outside_are_refused(files: FileStore, tmp_path: Path, rel: str) -> None:
    (tmp_path / "secret").write_text("keep me")
    for use in (files.load_image, files.load_encoding, files.delete):
        with pytest.raises(StorageError, match="no path of a stored file"):
            use(rel)
    assert (tmp_path / "secret").exists()


@given(st.lists(st.sampled_from(["images", "..", ".", "", "x.sealed", "a\0b"]), max_size=5))
def test_no_spelling_leads_out_of_the_uploads(parts: list[str]) -> None:
    store = FileStore.__new__(FileStore)
    store.uploads = Path("/nowhere/uploads")
    try:
        path = store._path("/".join(parts))
    except StorageError:
        return
    assert path.parent.parent == store.uploads
    assert path == Path(os.path.normpath(path))


def test_a_picture_is_no_template(files: FileStore) -> None:
    with pytest.raises(StorageError, match="no path"):
        files.load_encoding(files.save_image(b"picture"))


# --- writing whole or not at all ---


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomic(path, b"a longer content")
    write_atomic(path, b"short", mode=0o640)
    assert path.read_bytes() == b"short"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    (path / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_atomic(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    contents = {bytes([c]) * 100_000 for c in b"ab"}
    write_atomic(path, b"a" * 100_000)

    def write() -> None:
        for content in [*contents] * 40:
            write_atomic(path, content)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done():
            assert path.read_bytes() in contents
    writing.result()


# --- sweeping ---


def test_the_sweep_removes_what_no_row_names(files: FileStore) -> None:
    known = files.save_image(b"known")
    orphan = files.save_encoding(VECTOR, "m1")
    leftover = files.uploads / "images" / ".x.sealed.0123.tmp"
    leftover.write_bytes(b"half")
    (files.uploads / "images" / ".gitkeep").touch()
    for path in files.uploads.rglob("*"):
        _age(path)
    assert files.sweep({known}) == 2
    left = {str(p.relative_to(files.uploads)) for p in files.uploads.rglob("*") if p.is_file()}
    assert left == {known, "images/.gitkeep"}
    assert not (files.uploads / orphan).exists()


def test_the_sweep_spares_files_whose_row_may_be_on_its_way(files: FileStore) -> None:
    rel = files.save_image(b"being enrolled")
    assert files.sweep(set()) == 0
    assert files.sweep(set(), grace_s=-1) == 1
    assert not (files.uploads / rel).exists()


def test_the_sweep_leaves_everything_else_alone(files: FileStore, tmp_path: Path) -> None:
    others = [files.uploads / "notes.txt", tmp_path / "attendance.db"]
    for path in others:
        path.write_text("x")
        _age(path)
    (files.uploads / "images" / "folder").mkdir()
    assert files.sweep(set()) == 0
    assert all(p.exists() for p in others)


def test_uploads_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot be used"):
        FileStore(tmp_path / "file" / "uploads", Sealer(bytes(32)))
