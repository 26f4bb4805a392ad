"""Many people with their photos as one archive, which an import takes at another gate."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from gated.database.records import Enrollment, Person
from gated.enrollment import enrollment_store
from gated.enrollment.headings import FIELDS
from gated.errors import StorageError
from gated.http.pipe import Pipe
from gated.http.spreadsheet import Row, csv_bytes
from gated.people import overview_store, person_store
from gated.vault.files import FileStore

TABLE = "people.csv"
HEADER = ("personnel_code", "photo", *FIELDS)
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of each member, so that the same people make the same archive."""


@dataclass(frozen=True, slots=True)
class MovedPeople:
    """People to move, each with the photos in use, and how many are left out and why."""

    people: tuple[tuple[Person, tuple[Enrollment, ...]], ...]
    left_out: tuple[tuple[str, int], ...]

    @property
    def photos(self) -> int:
        """The number of photos that go with them."""
        return sum(len(photos) for _, photos in self.people)


def choose_people(session: Session, *, photos: bool) -> MovedPeople:
    """Choose who may pass at any time. photos: with the photos in use.

    An import lets everybody pass: who is switched off, leaves on a day or is held back by a rule
    is left out.
    """
    rest, _ = person_store.list_(session)
    held = {p.id for p in person_store.list_(session, more=[overview_store.held_back()])[0]}
    reasons: Sequence[tuple[str, Callable[[Person], bool]]] = (
        ("switched off", lambda p: not p.is_active),
        ("with a last day", lambda p: p.leaves_on is not None),
        ("held back by a rule of their own", lambda p: p.id in held),
    )
    left = []
    for reason, applies in reasons:
        out = [p for p in rest if applies(p)]
        rest = [p for p in rest if not applies(p)]
        if out:
            left.append((reason, len(out)))
    chosen: dict[int, list[Enrollment]] = {p.id: [] for p in rest}
    for enrollment in enrollment_store.list_(session, is_active=True) if photos else ():
        if enrollment.person_id in chosen and enrollment.face_image_path is not None:
            chosen[enrollment.person_id].append(enrollment)
    return MovedPeople(tuple((p, tuple(chosen[p.id])) for p in rest), tuple(left))


def archive_bytes(
    moved: MovedPeople,
    files: FileStore,
    progress: Callable[[int, int], object],
) -> Iterator[bytes]:
    """Yield a ZIP archive in pieces: a table, and the photos that it names.

    progress: called with how many photos are done, of how many. At most one photo is in memory.
    Raises: StorageError, which names the enrollment whose photo cannot be read.
    """
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        table = b"".join(csv_bytes(HEADER, _rows(moved), bom=True))
        archive.writestr(zipfile.ZipInfo(TABLE, LONG_AGO), table, zipfile.ZIP_DEFLATED)
        yield pipe.take()
        photos = [photo for _, some in moved.people for photo in some]
        for done, photo in enumerate(photos, 1):
            image = _image(photo, files)
            archive.writestr(zipfile.ZipInfo(_name(photo), LONG_AGO), image)
            progress(done, len(photos))
            yield pipe.take()
    yield pipe.take()


def _image(photo: Enrollment, files: FileStore) -> bytes:
    try:
        return files.load_image(photo.face_image_path or "")
    except StorageError as error:
        raise StorageError(
            f"the photo of enrollment {photo.id}, of person {photo.person_id}: {error}; remove it, "
            "or enroll the person again"
        ) from error


def _rows(moved: MovedPeople) -> Iterator[Row]:
    for person, photos in moved.people:
        fields = [getattr(person, field) for field in FIELDS]
        for name in [_name(photo) for photo in photos] or [""]:
            yield [person.personnel_code, name, *fields]


def _name(photo: Enrollment) -> str:
    return f"photos/{photo.id}.jpg"
