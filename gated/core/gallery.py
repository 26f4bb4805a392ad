"""The gallery: one immutable matrix of all templates, replaced as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gated.core.values import PersonRef, Vector

METRICS = ("cosine", "euclidean")


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The face encoding of one enrollment, pinned to the digest of the model that made it."""

    enrollment_id: int
    person_id: int
    vector: Vector
    model: str


@dataclass(frozen=True, slots=True)
class GalleryPerson:
    """A person of the gallery. Inactive people are known, so that a denial can say so."""

    person: PersonRef
    active: bool = True
    extended: bool = False
    """Needs more time to go through the door."""


@dataclass(frozen=True, slots=True)
class Match:
    """The most similar person, and the most similar *other* one."""

    member: GalleryPerson
    similarity: float
    runner_up: GalleryPerson | None = None
    runner_up_similarity: float = -np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """All templates of one model.

    vectors: (n, d) float32, unit length for `cosine`, raw for `euclidean`; sorted by owner.
    owners: (n,) int32 index into `members`. generation: grows with every replacement.
    """

    model: str
    metric: str
    vectors: npt.NDArray[np.float32]
    owners: npt.NDArray[np.int32]
    members: tuple[GalleryPerson, ...]
    generation: int = 0

    @staticmethod
    def build(
        model: str,
        metric: str,
        members: Sequence[GalleryPerson],
        templates: Iterable[Template],
        generation: int = 0,
    ) -> Gallery:
        """Pack templates into a gallery. Raises: ValueError when one is of another model.

        Leaves out templates of people who are not in `members`, members without a template, and
        vectors that are not finite, which would outrank all others.
        """
        by_id = {m.person.id: m for m in members}
        kept = sorted(
            (t for t in templates if t.person_id in by_id and np.isfinite(t.vector).all()),
            key=lambda t: (t.person_id, t.enrollment_id),
        )
        if any(t.model != model for t in kept):
            raise ValueError("a gallery never mixes models")
        ids = list(dict.fromkeys(t.person_id for t in kept))
        index = {pid: i for i, pid in enumerate(ids)}
        vectors = (
            np.stack([t.vector for t in kept]).astype(np.float32)
            if kept
            else np.empty((0, 0), np.float32)
        )
        return Gallery(
            model,
            metric,
            unit(vectors) if metric == "cosine" else vectors,
            np.array([index[t.person_id] for t in kept], np.int32),
            tuple(by_id[pid] for pid in ids),
            generation,
        )

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def people(self) -> int:
        """The number of people that a probe is compared with: the N of 1:N."""
        return len(self.members)

    def digest(self) -> str:
        """Return a digest of people and templates in any order: equal at gates with the same ones.

        SHA-256 over the sorted SHA-256 of each template with its person's uid, hex.
        """
        rows = sorted(
            hashlib.sha256(
                f"{self.members[owner].person.uid} {self.members[owner].active} ".encode()
                + row.tobytes()
            ).digest()
            for owner, row in zip(self.owners, self.vectors, strict=True)
        )
        return hashlib.sha256(b"".join(rows)).hexdigest()

    def similarities(self, probes: Vector) -> npt.NDArray[np.float32]:
        """Return float32 similarities to all templates: (n,) of a probe (d,), (k, n) of (k, d)."""
        if self.metric == "cosine":
            if probes.ndim == 2:
                return np.asarray(unit(probes) @ self.vectors.T, np.float32)
            # BLAS divides this among threads, of which each waits for the slowest: on a busy
            # machine a match took 16 ms instead of 2
            return np.asarray(np.einsum("ij,j->i", self.vectors, unit(probes)), np.float32)
        if probes.ndim == 2:
            return np.stack([self.similarities(probe) for probe in probes])
        return np.asarray(-np.linalg.norm(self.vectors - probes, axis=1), np.float32)

    def only(self, person_id: int) -> Gallery:
        """Return the gallery of this one person; empty when they have no template."""
        index = next((i for i, m in enumerate(self.members) if m.person.id == person_id), -1)
        mine = self.owners == index
        return replace(
            self,
            vectors=self.vectors[mine],
            owners=np.zeros(int(mine.sum()), np.int32),
            members=self.members[index : index + 1] if index >= 0 else (),
        )

    def match(self, probe: Vector) -> Match | None:
        """Find the best person and the best other one by their most similar template.

        None when the gallery is empty or the probe is not finite.
        """
        if not len(self.vectors) or not np.isfinite(probe).all():
            return None
        return self._best(self.similarities(probe))

    def match_all(self, probes: Sequence[Vector]) -> list[Match | None]:
        """Return `match` of each probe, in one pass over the templates."""
        if not len(self.vectors) or not len(probes):
            return [None] * len(probes)
        rows = self.similarities(np.stack(probes))
        finite = [np.isfinite(probe).all() for probe in probes]
        return [self._best(row) if ok else None for row, ok in zip(rows, finite, strict=True)]

    def _best(self, scores: npt.NDArray[np.float32]) -> Match:
        best = int(scores.argmax())
        owner = int(self.owners[best])
        # owners are sorted: the other people are left and right of this one's run
        left, right = np.searchsorted(self.owners, [owner, owner + 1])
        others = [
            (float(part.max()), int(self.owners[offset + int(part.argmax())]))
            for part, offset in ((scores[:left], 0), (scores[right:], int(right)))
            if len(part)
        ]
        second = max(others, default=None)
        return Match(
            self.members[owner],
            float(scores[best]),
            self.members[second[1]] if second else None,
            second[0] if second else -np.inf,
        )


def unit(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale rows (or one vector) to length 1; zero stays zero."""
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.maximum(norm, 1e-12), np.float32)
