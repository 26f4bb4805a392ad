"""Says which photos of a person do harm, by the stored templates alone: no model is loaded."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from gated.core.calibration import Calibration
from gated.core.photo_doubts import Reason, photo_doubts
from gated.core.policy import criteria_for
from gated.core.values import PersonRef
from gated.enrollment import enrollment_store
from gated.enrollment.gallery_cache import GalleryCache, open_gallery
from gated.enrollment.models import policy_of, read_calibration
from gated.errors import AssetError
from gated.ports import Clock
from gated.vision.engines import calibration_for
from gated.workspace import Service, Workspace

METRIC = "cosine"
"""Of all engines whose error rates the program knows."""


@dataclass(frozen=True, slots=True)
class DoubtfulPhoto:
    """A photo that does harm, why, and whom it resembles."""

    enrollment_id: int
    reason: Reason
    other: PersonRef | None


class PhotoDoubts(Service):
    """The photos of a workspace that do harm."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._lock = threading.Lock()
        self._gallery: tuple[str, GalleryCache] | None = None

    def of_person(self, person_id: int) -> list[DoubtfulPhoto]:
        """Return the harmful ones of a person's photos in use, of the model that made the last one.

        Empty for a model whose error rates nobody knows. Raises: StorageError, ConfigError.
        """
        with self._workspace.database.read() as session:
            kept = enrollment_store.list_(session, person_id=person_id, is_active=True)
        stored = [e for e in kept if e.face_encoding_path is not None]
        model = stored[-1].model if stored else None
        if model is None:
            return []
        try:
            calibration = self._calibration(model)
        except AssetError:
            return []
        settings = self._workspace.settings
        with self._lock:
            gallery = self._cache(model).load()
        policy = policy_of(settings, calibration)
        threshold = criteria_for(policy, gallery, calibration).threshold
        found = photo_doubts(gallery, calibration, threshold, person_id)
        ids = [e.id for e in stored if e.model == model]
        if len(ids) != len(gallery.only(person_id)):
            return []  # a template cannot be read, or the photos were changed at this moment
        return [
            DoubtfulPhoto(ids[d.place], d.reason, d.other.person if d.other else None)
            for d in found
        ]

    def _cache(self, model: str) -> GalleryCache:
        if self._gallery is None or self._gallery[0] != model:
            self._gallery = model, open_gallery(self._workspace, model, METRIC)
        return self._gallery[1]

    def _calibration(self, model: str) -> Calibration:
        settings = self._workspace.settings
        given, name = settings.recognition.calibration, settings.vision.engine
        return read_calibration(given, model, name) if given else calibration_for(model, name)
