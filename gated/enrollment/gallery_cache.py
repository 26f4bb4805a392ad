"""The packed gallery: all templates in one sealed file, so that a start need not open thousands.

    head (JSON, one line)   model, metric, dimension, stamp of the database, members
    owners                  (n,) int32
    vectors                 (n, d) float32, as they were embedded
    paths                   one encoding file a line

Fresh means that the database's stamp is the file's. A stale cache still serves: files never change
under their name, so only templates that it does not know are read from their own files.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gated.core.gallery import Gallery, GalleryPerson, Template, unit
from gated.core.values import PersonRef, Vector
from gated.database import stored_settings
from gated.database.engine import Database
from gated.database.records import Enrollment, GalleryRow
from gated.enrollment import enrollment_store
from gated.errors import SealError, StorageError
from gated.vault.files import FileStore, remove_file, write_atomic
from gated.vault.sealing import Sealer
from gated.workspace import Workspace

CONTEXT = "cache/gallery.bin"
INCOMPLETE = ""
"""The stamp of a packed file in which templates are missing that may be readable next time."""

REWRITE_AFTER = 64
"""Templates read from their own files that make the packed file worth writing again."""

log = logging.getLogger(__name__)

_generations = count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """The content of the cache file."""

    model: str
    metric: str
    stamp: str | None
    members: tuple[GalleryPerson, ...]
    owners: npt.NDArray[np.int32]
    vectors: npt.NDArray[np.float32]
    paths: tuple[str, ...]

    def gallery(self) -> Gallery:
        """Return the gallery that the gate matches against."""
        vectors = _unit(self.vectors) if self.metric == "cosine" else self.vectors
        return Gallery(
            self.model, self.metric, vectors, self.owners, self.members, next(_generations)
        )

    def to_bytes(self) -> bytes:
        head = {
            "model": self.model,
            "metric": self.metric,
            "stamp": self.stamp,
            "shape": self.vectors.shape,
            "members": [
                [p.id, p.uid, p.personnel_code, p.name, m.active, m.extended]
                for m in self.members
                for p in (m.person,)
            ],
        }
        parts = json.dumps(head).encode(), self.owners.astype("<i4").tobytes()
        vectors = self.vectors.astype("<f4").tobytes()
        return b"".join((parts[0], b"\n", parts[1], vectors, "\n".join(self.paths).encode()))

    @staticmethod
    def from_bytes(data: bytes) -> Packed:
        """Read what `to_bytes` made. Raises: ValueError, KeyError, TypeError for all else."""
        end = data.index(b"\n") + 1
        head = json.loads(data[:end])
        n, d = head["shape"]
        owners = np.frombuffer(data, "<i4", n, end).astype(np.int32)
        vectors = np.frombuffer(data, "<f4", n * d, end + 4 * n).astype(np.float32)
        paths = data[end + 4 * n + 4 * n * d :].decode()
        members = tuple(GalleryPerson(PersonRef(*m[:4]), *m[4:]) for m in head["members"])
        return Packed(
            head["model"],
            head["metric"],
            head["stamp"],
            members,
            owners,
            vectors.reshape(n, d),
            tuple(paths.split("\n")) if n else (),
        )


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale rows to length 1; return the array itself where they have it, as a copy is large."""
    squares = np.einsum("ij,ij->i", vectors, vectors)
    return vectors if np.all(np.abs(squares - 1) < 1e-6) else unit(vectors)


class GalleryCache:
    """Keeps the gallery of one model; what it has once read it need not read again."""

    def __init__(
        self, db: Database, files: FileStore, sealer: Sealer, path: Path, model: str, metric: str
    ) -> None:
        self._db = db
        self._files = files
        self._sealer = sealer
        self._path = path
        self._model = model
        self._metric = metric
        self._packed: Packed | None = None
        self._gallery: Gallery | None = None
        self.unreadable = 0
        """The number of templates that the last `load` could not read."""
        self.stamp: str | None = None
        """The database's stamp of the gallery that `load` returned last."""

    def load(self) -> Gallery:
        """Return the present gallery, the same one while nothing changed.

        Templates that cannot be read are left out and logged. Raises: StorageError.
        """
        first = self._packed is None
        old = self._packed or self._read()
        with self._db.read() as session:
            stamp = stored_settings.gallery_stamp(session)
            unchanged = old is not None and old.stamp == stamp
            rows = [] if unchanged else enrollment_store.gallery_rows(session, self._model)
        self.stamp = stamp
        if old is not None and unchanged:
            self.unreadable = 0
            return self._keep(old)
        packed, read = self._pack(rows, stamp, old)
        if first or read > REWRITE_AFTER:
            self._write(packed)
            self._remove_outdated(stamp)
        return self._keep(packed)

    def _keep(self, packed: Packed) -> Gallery:
        if self._gallery is None or packed is not self._packed:
            self._packed, self._gallery = packed, packed.gallery()
        return self._gallery

    def _pack(
        self, rows: Sequence[GalleryRow], stamp: str | None, old: Packed | None
    ) -> tuple[Packed, int]:
        """Pack the rows with their templates; return how many were read from files, too."""
        known = dict(zip(old.paths, old.vectors, strict=True)) if old else {}
        templates, members, paths, read = [], {}, [], 0
        self.unreadable = 0
        for row in rows:
            vector: Vector | None = known.get(row.encoding_path)
            if vector is None:
                vector = self._template(row)
                read += 1
            if vector is None:
                continue
            templates.append(Template(row.enrollment_id, row.person_id, vector, self._model))
            paths.append(row.encoding_path)
            if row.person_id not in members:
                ref = PersonRef(row.person_id, row.person_uid, row.personnel_code, row.name)
                members[row.person_id] = GalleryPerson(ref, row.person_active, row.extended)
        if self.unreadable:
            stamp = INCOMPLETE
        # euclidean: vectors as they are; `rows` has the order that `build` sorts by
        raw = Gallery.build(self._model, "euclidean", list(members.values()), templates)
        return (
            Packed(
                self._model,
                self._metric,
                stamp,
                raw.members,
                raw.owners,
                raw.vectors,
                tuple(paths),
            ),
            read,
        )

    def _template(self, row: GalleryRow) -> Vector | None:
        try:
            vector, model = self._files.load_encoding(row.encoding_path)
        except StorageError as e:
            log.error("enrollment %d is left out: %s", row.enrollment_id, e)
            self.unreadable += 1
            return None
        if model != self._model:
            log.error("enrollment %d is left out: of another model", row.enrollment_id)
            return None
        if not np.isfinite(vector).all():  # `Gallery.build` would drop it, and the paths not fit
            log.error("enrollment %d is left out: its template is not finite", row.enrollment_id)
            return None
        return vector

    def _read(self) -> Packed | None:
        """Read the cache file; None when there is none, or it is damaged or of another model."""
        try:
            packed = Packed.from_bytes(self._sealer.unseal(self._path.read_bytes(), CONTEXT))
        except FileNotFoundError:
            return None
        except (OSError, SealError, ValueError, KeyError, TypeError) as e:
            log.warning("the gallery cache cannot be used and is made anew: %s", e)
            return None
        fits = (packed.model, packed.metric) == (self._model, self._metric)
        return packed if fits else None

    def _write(self, packed: Packed) -> None:
        """Write the cache file; a failure is logged, as the next start is slow without, no more."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(self._path, self._sealer.seal(packed.to_bytes(), CONTEXT))
        except OSError as e:
            log.warning("the gallery cache %s cannot be written: %s", self._path, e)

    def _remove_outdated(self, stamp: str | None) -> None:
        """Remove the file again if somebody may have been erased while it was made."""
        try:
            with self._db.read() as session:
                changed = stored_settings.gallery_stamp(session) != stamp
            if changed:
                remove_file(self._path)
        except StorageError as e:
            log.warning("the gallery cache %s cannot be removed: %s", self._path, e)


def open_gallery(workspace: Workspace, model: str, metric: str) -> GalleryCache:
    """Return the gallery of one model; `load` gives the present one. One thread may use it."""
    path, sealer = workspace.gallery_file, workspace.keys.sealer
    return GalleryCache(workspace.database, workspace.files, sealer, path, model, metric)


def stale_enrollments(workspace: Workspace, model: str) -> list[Enrollment]:
    """Return the enrollments whose template is of another model, and so in no gallery of it."""
    with workspace.database.read() as session:
        return [e for e in enrollment_store.list_(session) if e.model != model]
