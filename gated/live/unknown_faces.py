"""Groups the stored pictures of strangers by face, and lets them be named, ignored and deleted.

No face data is stored for that: templates are computed on request, a few at a time, and kept in
memory while the picture exists. Marks (ignored, deleted, grouped by hand) are stored by the uid of
the picture and deleted with it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from gated.change import Change
from gated.core.lookalikes import Lookalike
from gated.core.values import Reason, Vector
from gated.database import stored_settings
from gated.database.records import Snapshot
from gated.enrollment.enrollment import DUPLICATE_FMR
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.enrollment.local_editor import PhotoEditor
from gated.errors import EnrollmentRefused, GatedError, NotFound
from gated.live import snapshot_store
from gated.ports import Clock
from gated.vision.decoding import decode
from gated.workspace import Service, Workspace

MOST = 200
"""Number of the newest pictures that are shown; older ones stay until their retention ends."""

MARKED = 2000
"""Number of the newest pictures whose marks are kept."""

AT_ONCE = 6
"""Pictures that one request examines, which keeps a core busy."""

COMPARED = 6
"""Newest faces of a stranger that are compared with the people of the gate."""

ENROLLED = 3
"""Pictures of one stranger that become photos of a person; more from one minute add nothing."""

UNDO_S = 600.0
"""Time in which a deletion can be undone."""

_KEY = "unknown_faces"

Act = Literal["ignore", "delete", "restore", "merge", "unmerge", "split"]


@dataclass(frozen=True, slots=True)
class UnknownFace:
    """A picture of a stranger. group: the uid of one picture, the same for all of one face."""

    snapshot: Snapshot
    group: str
    ignored: bool
    deleted_at: datetime | None
    """Time of the final deletion; None unless somebody has deleted it."""
    problem: str | None
    """Code of the reason why it cannot be enrolled; None where it can, or is not examined yet."""


@dataclass(frozen=True, slots=True)
class Strangers:
    """The newest pictures, newest first; how many of them are not examined yet.

    Of the strangers that nobody has set aside or deleted: the people whom they resemble, by group,
    and pairs of groups that may be one person, most similar first.
    """

    faces: Sequence[UnknownFace] = ()
    waiting: int = 0
    lookalikes: Mapping[str, Sequence[Lookalike]] = field(default_factory=dict)
    alike: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """The result of naming: number of photos enrolled, and errors of the others."""

    enrolled: int
    refused: Sequence[GatedError]


_Seen = tuple[Vector | None, str | None]
_NOT_YET: _Seen = None, None


class UnknownFaces(Service):
    """The strangers of a workspace."""

    def __init__(self, workspace: Workspace, clock: Clock, queue: EnrollmentQueue) -> None:
        super().__init__(workspace, clock)
        self._queue = queue
        self._seen: dict[str, _Seen] = {}
        """Template or code of refusal, by uid of the picture; in memory only."""
        self._looking = threading.Lock()

    @property
    def kept(self) -> bool:
        """True where pictures of strangers are kept."""
        settings = self._workspace.settings
        return bool(settings.storage.keep_stranger_pictures and settings.privacy.unknown_faces_days)

    # --- listing ------------------------------------------------------------------------------

    def list_(self) -> Strangers:
        """List the newest pictures, and whom of the people here they resemble.

        Examines AT_ONCE more of them. Raises: Busy, AssetError, StorageError.
        """
        if not self.kept:
            return Strangers()
        with self._workspace.database.read() as session:
            found = snapshot_store.newest(session, Reason.NO_MATCH, MOST)
            marks = _marks(session)
        with self._looking:
            self._seen = {s.uid: self._seen[s.uid] for s in found if s.uid in self._seen}
            unseen = [s for s in found if s.uid not in self._seen]
            if unseen:
                with self._queue.slot():
                    self._seen |= {s.uid: self._look(s) for s in unseen[:AT_ONCE]}
            groups = self._groups(found, marks)
            faces = [self._face(s, groups[s.uid], marks) for s in found]
            return self._compared(faces, max(len(unseen) - AT_ONCE, 0))

    def _compared(self, faces: Sequence[UnknownFace], waiting: int) -> Strangers:
        """Compare the strangers with the people of the gate, and with each other."""
        vectors: dict[str, list[Vector]] = {}
        for face in faces:
            vector = self._seen.get(face.snapshot.uid, _NOT_YET)[0]
            if vector is not None and not face.ignored and face.deleted_at is None:
                vectors.setdefault(face.group, []).append(vector)
        if not vectors:
            return Strangers(faces, waiting)
        groups, of_each = list(vectors), [of_one[:COMPARED] for of_one in vectors.values()]
        people = zip(groups, self._queue.lookalikes(of_each), strict=True)
        pairs = [(groups[a], groups[b]) for a, b in self._queue.alike(of_each)]
        return Strangers(faces, waiting, {g: found for g, found in people if found}, pairs)

    def _look(self, snapshot: Snapshot) -> _Seen:
        try:
            image = decode(self._workspace.files.load_image(snapshot.path))
            return self._queue.examine(image).embedding, None
        except EnrollmentRefused as refused:
            return None, refused.reason

    def _groups(self, found: Sequence[Snapshot], marks: Mapping[str, Any]) -> dict[str, str]:
        """Return the group of each picture by uid: by face, and as grouped by hand."""
        vectors = {
            s.uid: v for s in found if (v := self._seen.get(s.uid, (None, None))[0]) is not None
        }
        numbers = self._queue.grouped(list(vectors.values()), DUPLICATE_FMR) if vectors else []
        first: dict[int, str] = {}
        groups = {s.uid: s.uid for s in found}
        for uid, number in zip(vectors, numbers, strict=True):
            groups[uid] = first.setdefault(number, uid)
        stand_ins: dict[str, str] = {}
        for uid in groups:
            other = marks.get(uid, {}).get("with", uid)
            if other not in groups:  # that picture is gone; those that were merged stay together
                other = stand_ins.setdefault(other, uid)
            if groups[other] != groups[uid]:
                old, new = groups[uid], groups[other]
                groups = {u: new if g == old else g for u, g in groups.items()}
        return groups

    def _face(self, snapshot: Snapshot, group: str, marks: Mapping[str, Any]) -> UnknownFace:
        mark = marks.get(snapshot.uid, {})
        gone = mark.get("gone_at")
        return UnknownFace(
            snapshot,
            group,
            bool(mark.get("ignored")),
            None if gone is None else datetime.fromtimestamp(gone, UTC),
            self._seen.get(snapshot.uid, _NOT_YET)[1],
        )

    # --- acts ---------------------------------------------------------------------------------

    def act(self, change: Change, ids: Sequence[int], act: Act) -> None:
        """Ignore, delete or restore pictures; merge or split their groups. Journaled.

        unmerge: take the last merging back; what was merged before stays together. Raises:
        NotFound for an id that is no picture of a stranger.
        """
        session = change.session
        marks = _marks(session)
        uids = [_stranger(session, id_).uid for id_ in ids]
        for uid in uids:
            mark = marks.pop(uid, {})
            match act:
                case "ignore":
                    mark["ignored"] = True
                case "delete":
                    mark["gone_at"] = change.at.utc + UNDO_S
                case "restore":
                    mark = {key: mark[key] for key in ("with", "before") if key in mark}
                case "merge":
                    mark["before"], mark["with"] = mark.get("with"), uids[0]
                case "unmerge":
                    before = mark.pop("before", None)
                    mark.pop("with", None)
                    if before is not None:
                        mark["with"] = before
                case "split":
                    mark.pop("with", None)
                    mark.pop("before", None)
            if mark:
                marks[uid] = mark
        _keep(session, marks)
        change.record("unknown_faces_changed", {"act": act, "snapshots": uids})

    def name(self, ids: Sequence[int], person_id: int, editor: PhotoEditor, actor: str) -> Named:
        """Enroll up to ENROLLED of the pictures as photos of a person, by the usual rules.

        All pictures are deleted afterwards, which can be undone as any deletion. Refusals are in
        the result. Raises: NotFound.
        """
        with self._workspace.database.read() as session:
            found = [_stranger(session, id_) for id_ in ids]
        enrolled = 0
        refused: list[GatedError] = []
        for snapshot in found:
            if enrolled == ENROLLED:
                break
            try:
                editor.enroll(person_id, self._workspace.files.load_image(snapshot.path))
                enrolled += 1
            except EnrollmentRefused as error:
                refused.append(error)
            except GatedError as error:
                refused.append(error)
                break  # no picture of this person can be enrolled
        if enrolled:
            with self.change(actor) as change:
                self.act(change, ids, "delete")
        return Named(enrolled, refused)


class DeletedFaces(Service):
    """Pictures of strangers that somebody has deleted, until the final deletion."""

    def purge(self) -> None:
        """Delete finally what was deleted more than UNDO_S ago. Raises: StorageError."""
        with self._workspace.database.read() as session:
            if not self._due(session):
                return
        with self.change("unknown faces") as change:
            due = self._due(change.session)
            change.delete_files(*snapshot_store.delete(change.session, list(due.values())))
            _keep(change.session, _marks(change.session))
            change.record("unknown_faces_deleted", {"snapshots": list(due)})

    def _due(self, session: Session) -> dict[str, int]:
        """Return the ids of the pictures that are due for final deletion, by uid."""
        now = self._clock.now().utc
        gone = {u for u, mark in _marks(session).items() if mark.get("gone_at", now + 1) <= now}
        if not gone:
            return {}
        return {s.uid: s.id for s in _strangers(session) if s.uid in gone}


def _strangers(session: Session) -> list[Snapshot]:
    return snapshot_store.newest(session, Reason.NO_MATCH, MARKED)


def _stranger(session: Session, id_: int) -> Snapshot:
    found = snapshot_store.get(session, id_)
    if found.reason != Reason.NO_MATCH.value:
        raise NotFound(f"snapshot {id_} shows no stranger")
    return found


def _marks(session: Session) -> dict[str, dict[str, Any]]:
    """Read the marks of pictures by uid: `ignored`, `gone_at` (UTC seconds), `with` (uid of a
    picture of the same stranger) and `before` (what `with` was until the last merging)."""
    return dict(stored_settings.get(session, _KEY, {}))


def _keep(session: Session, marks: Mapping[str, Any]) -> None:
    """Store the marks of the pictures that still exist."""
    there = {s.uid for s in _strangers(session)}
    stored_settings.set_(session, _KEY, {u: m for u, m in marks.items() if u in there})
