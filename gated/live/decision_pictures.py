"""Finds the stored pictures of decisions, and makes thumbnails of them for lists."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from gated.errors import StorageError
from gated.live import snapshot_store
from gated.ports import Clock
from gated.vision.drawing import shrunk_jpeg
from gated.workspace import Service, Workspace

THUMBNAIL = 320
BROWSED_S = 3600.0


class DecisionPictures(Service):
    """Pictures of decisions of a workspace."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._browsed: dict[str, float] = {}
        """Monotonic seconds of the last journaled look, by name of the account."""

    def of_decisions(self, moments: Collection[datetime]) -> dict[datetime, int]:
        """Return the ids of pictures that this gate took at the times of decisions, by time.

        Empty while the database cannot be read: the state of the gate is shown without pictures.
        """
        settings = self._workspace.settings
        if not settings.privacy.unknown_faces_days:
            return {}
        try:
            with self._workspace.database.read() as session:
                return snapshot_store.of_moments(session, settings.gate.name, moments)
        except StorageError:
            return {}

    def of_rows(self, ids: Collection[int]) -> dict[int, int]:
        """Return the ids of pictures of rows of the attendance log, by row.

        Raises: StorageError.
        """
        with self._workspace.database.read() as session:
            return snapshot_store.of_rows(session, ids)

    def thumbnail(self, id_: int, *, actor: str) -> bytes:
        """Return a small version of one picture, as JPEG. Raises: NotFound, StorageError.

        Pages show many, so looking is journaled once an hour per account, not for each picture.
        """
        with self._workspace.database.read() as session:
            found = snapshot_store.get(session, id_)
        now = self._clock.now().mono
        if now - self._browsed.get(actor, -BROWSED_S) >= BROWSED_S:
            with self.change(actor) as change:
                change.record("snapshots_browsed", {})
            self._browsed[actor] = now
        return shrunk_jpeg(self._workspace.files.load_image(found.path), THUMBNAIL)
