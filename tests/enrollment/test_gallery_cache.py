from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.values import Vector
from gated.database import stored_settings
from gated.database.engine import Database
from gated.database.records import Enrollment, Person
from gated.enrollment import enrollment_store
from gated.enrollment.gallery_cache import GalleryCache, Packed
from gated.errors import StorageError
from gated.people import person_store
from gated.vault.files import FileStore, remove_file
from gated.vault.sealing import Keys, Sealer
from tests.people.people import add_person, enroll

Load = Callable[[], Gallery]


class CountingFiles(FileStore):
    """A file store that knows how many templates were read."""

    reads = 0

    def load_encoding(self, rel: str) -> tuple[Vector, str]:
        self.reads += 1
        return super().load_encoding(rel)


@pytest.fixture
def files(keys: Keys, tmp_path: Path) -> CountingFiles:
    return CountingFiles(tmp_path / "uploads", keys.sealer)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "gallery.bin"


@pytest.fixture
def load(sqlite: Database, files: CountingFiles, keys: Keys, path: Path) -> Load:
    return lambda: GalleryCache(sqlite, files, keys.sealer, path, "m1", "cosine").load()


def _vector(n: int) -> Vector:
    return np.random.default_rng(n).normal(size=16).astype(np.float32)


def _enroll(
    db: Database, files: FileStore, person: Person, n: int, model: str = "m1"
) -> Enrollment:
    rel = files.save_encoding(_vector(n), model)
    with db.write() as session:
        return enroll(session, person, face_encoding_path=rel, model=model)


@pytest.fixture
def people(sqlite: Database, files: FileStore) -> list[Person]:
    """Three persons with two templates each."""
    with sqlite.write() as session:
        found = [add_person(session) for _ in range(3)]
    for n in range(6):
        _enroll(sqlite, files, found[n % 3], n)
    return found


def _expected(db: Database, files: FileStore, metric: str = "cosine") -> Gallery:
    """The gallery built from the single files."""
    with db.read() as session:
        rows = enrollment_store.gallery_rows(session, "m1")
        members = [
            GalleryPerson(p.ref, p.is_active)
            for p in {r.person_id: person_store.get(session, r.person_id) for r in rows}.values()
        ]
    templates = [
        Template(r.enrollment_id, r.person_id, *files.load_encoding(r.encoding_path)) for r in rows
    ]
    return Gallery.build("m1", metric, members, templates)


def _same(a: Gallery, b: Gallery) -> bool:
    return (
        (a.model, a.metric, a.members) == (b.model, b.metric, b.members)
        and np.array_equal(a.vectors, b.vectors)
        and np.array_equal(a.owners, b.owners)
    )


@pytest.mark.usefixtures("people")
def test_the_cache_gives_what_the_files_give(
    sqlite: Database, files: CountingFiles, load: Load
) -> None:
    built = load()
    assert len(built) == 6
    files.reads = 0
    cached = load()
    assert files.reads == 0
    assert _same(cached, built)
    assert _same(cached, _expected(sqlite, files))
    assert cached.generation > built.generation


def test_euclidean_galleries_keep_their_vectors(
    sqlite: Database, files: CountingFiles, keys: Keys, path: Path, people: list[Person]
) -> None:
    for _ in range(2):
        found = GalleryCache(sqlite, files, keys.sealer, path, "m1", "euclidean").load()
        assert _same(found, _expected(sqlite, files, "euclidean"))
        assert np.array_equal(found.vectors[0], _vector(0))


def test_a_template_that_is_not_finite_is_left_out_and_hinders_no_change(
    sqlite: Database, files: CountingFiles, load: Load, people: list[Person]
) -> None:
    rel = files.save_encoding(np.full(16, np.inf, np.float32), "m1")
    with sqlite.write() as session:
        enroll(session, people[0], face_encoding_path=rel, model="m1")
    assert len(load()) == 6
    _enroll(sqlite, files, people[1], 9)
    found = load()
    assert _same(found, _expected(sqlite, files))
    assert len(found) == 7


def test_who_is_erased_while_the_cache_is_written_is_not_left_in_it(
    sqlite: Database, keys: Keys, tmp_path: Path, path: Path, people: list[Person]
) -> None:
    class Erasing(FileStore):
        """The files of a gate where somebody is erased while they are read."""

        erased = False

        def load_encoding(self, rel: str) -> tuple[Vector, str]:
            found = super().load_encoding(rel)
            if not self.erased:
                self.erased = True
                with sqlite.write() as session:
                    person_store.delete(session, people[0].id)
                remove_file(path)
            return found

    files = Erasing(tmp_path / "uploads", keys.sealer)
    cache = GalleryCache(sqlite, files, keys.sealer, path, "m1", "cosine")
    cache.load()
    assert not path.exists()
    assert len(cache.load()) == 4


def test_every_change_is_seen_and_only_new_files_are_read(
    sqlite: Database, files: CountingFiles, load: Load, people: list[Person]
) -> None:
    load()

    def check(reads: int) -> Gallery:
        files.reads = 0
        found = load()
        assert files.reads == reads
        assert _same(found, _expected(sqlite, files))
        return found

    with sqlite.write() as session:
        person_store.set_active(session, people[0].id, False)
    assert [m.active for m in check(0).members] == [False, True, True]
    with sqlite.write() as session:
        person_store.update(session, people[1].id, last_name="Byron")
    assert check(0).members[1].person.name == "Ada Byron"
    new = _enroll(sqlite, files, people[0], 7)
    assert len(check(1)) == 7
    rel = files.save_encoding(_vector(8), "m1")
    with sqlite.write() as session:
        enrollment_store.update(session, new.id, face_encoding_path=rel)
    assert len(check(1)) == 7
    with sqlite.write() as session:
        enrollment_store.set_active(session, new.id, False)
    assert len(check(0)) == 6
    with sqlite.write() as session:
        person_store.delete(session, people[2].id)
    assert len(check(0).members) == 2


def test_a_process_that_stays_reads_nothing_twice(
    sqlite: Database, files: CountingFiles, keys: Keys, path: Path, people: list[Person]
) -> None:
    cache = GalleryCache(sqlite, files, keys.sealer, path, "m1", "cosine")
    assert cache.load() is cache.load()
    shutil.rmtree(path.parent)
    files.reads = 0
    with sqlite.write() as session:
        person_store.set_active(session, people[0].id, False)
    assert [m.active for m in cache.load().members] == [False, True, True]
    assert files.reads == 0


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other key", "garbage inside"])
def test_a_damaged_cache_is_made_anew(
    load: Load, path: Path, keys: Keys, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = load()
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[:-10]
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
    elif damage == "empty":
        data = bytearray()
    elif damage == "other key":
        data = bytearray(Sealer(bytes(32)).seal(b"x", "cache/gallery.bin"))
    else:
        data = bytearray(keys.sealer.seal(b'{"shape": [9, 9]}\n123', "cache/gallery.bin"))
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert _same(load(), before)
    assert "made anew" in caplog.text
    caplog.clear()
    assert _same(load(), before)
    assert caplog.text == ""


@pytest.mark.usefixtures("people")
def test_the_cache_of_a_restored_database_is_stale(
    sqlite: Database, files: CountingFiles, keys: Keys, path: Path, load: Load, tmp_path: Path
) -> None:
    """Both histories have seen as many changes; only one of them is the cache's."""
    sqlite.truncate_log()
    copy = shutil.copy(sqlite.name, tmp_path / "copy.db")
    with sqlite.write() as session:
        add = person_store.list_(session)[0][0]
        person_store.set_active(session, add.id, False)
    load()
    restored = Database.open(f"sqlite:///{copy}")
    with restored.write() as session:
        person_store.update(session, add.id, phone="1")
    found = GalleryCache(restored, files, keys.sealer, path, "m1", "cosine").load()
    assert all(m.active for m in found.members)
    restored.close()


def test_models_are_never_mixed(
    sqlite: Database, files: CountingFiles, keys: Keys, path: Path, people: list[Person]
) -> None:
    _enroll(sqlite, files, people[0], 9, model="m2")
    assert len(GalleryCache(sqlite, files, keys.sealer, path, "m1", "cosine").load()) == 6
    assert len(GalleryCache(sqlite, files, keys.sealer, path, "m2", "cosine").load()) == 1
    assert len(GalleryCache(sqlite, files, keys.sealer, path, "m1", "cosine").load()) == 6
    lying = files.save_encoding(_vector(1), "m2")
    with sqlite.write() as session:
        enroll(session, people[0], face_encoding_path=lying, model="m1")
    assert len(GalleryCache(sqlite, files, keys.sealer, path, "m1", "cosine").load()) == 6


def test_a_template_that_cannot_be_read_keeps_nobody_else_out(
    sqlite: Database,
    files: CountingFiles,
    load: Load,
    people: list[Person],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with sqlite.write() as session:
        broken = enrollment_store.list_(session, person_id=people[0].id)[0]
    assert broken.face_encoding_path is not None
    (files.uploads / broken.face_encoding_path).write_bytes(b"broken")
    found = load()
    assert (len(found), found.people) == (5, 3)
    assert f"enrollment {broken.id} is left out" in caplog.text


def test_the_stamp_is_that_of_what_was_read_and_not_of_what_came_meanwhile(
    sqlite: Database, keys: Keys, tmp_path: Path, path: Path
) -> None:
    class Slow(CountingFiles):
        def load_encoding(self, rel: str) -> tuple[Vector, str]:
            if self.reads == 0:
                with sqlite.write() as session:  # another process changes people meanwhile
                    stored_settings.touch_gallery(session)
            return super().load_encoding(rel)

    def stamp() -> str | None:
        with sqlite.read() as session:
            return stored_settings.gallery_stamp(session)

    slow = Slow(tmp_path / "uploads", keys.sealer)
    with sqlite.write() as session:
        person = add_person(session)
    _enroll(sqlite, slow, person, 1)
    cache, before = GalleryCache(sqlite, slow, keys.sealer, path, "m1", "cosine"), stamp()
    cache.load()
    assert before is not None
    assert before != stamp()
    assert cache.stamp == before
    cache.load()
    assert cache.stamp == stamp()


def test_an_empty_gallery(load: Load, path: Path) -> None:
    assert len(load()) == 0
    assert load().members == ()
    assert load().match(_vector(1)) is None


@pytest.mark.usefixtures("people")
def test_the_cache_is_sealed_and_private(load: Load, path: Path) -> None:
    load()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert b"Ada" not in path.read_bytes()
    assert _vector(0).tobytes() not in path.read_bytes()


@pytest.mark.usefixtures("people")
def test_a_cache_that_cannot_be_written_stops_nothing(
    load: Load, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.write_text("in the way")
    assert len(load()) == 6
    assert "cannot be written" in caplog.text


def test_forgetting_the_cache(load: Load, path: Path) -> None:
    load()
    remove_file(path)
    assert not path.exists()
    remove_file(path)
    path.mkdir()
    with pytest.raises(StorageError, match="cannot be removed"):
        remove_file(path)


def test_packing_keeps_every_bit() -> None:
    packed = Packed(
        "m",
        "cosine",
        None,
        (),
        np.array([0, 0, 1], np.int32),
        np.eye(3, dtype=np.float32),
        ("a", "b", "c"),
    )
    again = Packed.from_bytes(packed.to_bytes())
    assert (again.model, again.metric, again.stamp, again.paths) == (
        "m",
        "cosine",
        None,
        ("a", "b", "c"),
    )
    assert np.array_equal(again.owners, packed.owners)
    assert np.array_equal(again.vectors, packed.vectors)
