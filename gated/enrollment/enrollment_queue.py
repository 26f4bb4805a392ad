"""Enrollment for many callers beside a running gate: few at a time, models only when needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gated.core.lookalikes import Lookalike
from gated.core.values import Image, Vector
from gated.database.rows import Versions
from gated.enrollment.enrollment import Enrolled
from gated.enrollment.enrollment_context import EnrollmentContext, enrollment_context
from gated.enrollment.gallery_check import check_gallery
from gated.enrollment.import_source import ImportRow
from gated.enrollment.importer import ImportReport, import_person
from gated.enrollment.models import VisionKit
from gated.enrollment.photo_entry import PhotoEntry
from gated.errors import Busy
from gated.vision.photo import ExaminedPhoto
from gated.workspace import Workspace

SLOTS = 4
"""Photos that are received, waiting or examined at a time; they are held in memory."""

RETRY_AFTER_S = 2.0

IDLE_S = 120.0
"""Seconds without a photo after which the models are dropped: they hold 110 MB."""

Make = Callable[[], EnrollmentContext]


class EnrollmentQueue:
    """Enrolls photos one after the other with models of its own, loaded when a photo comes.

    idle_s: they are dropped after so long without one. Any thread may call. AssetError when the
    models are missing; it is tried again next time.
    """

    def __init__(
        self,
        workspace: Workspace,
        make: Make | None = None,
        slots: int = SLOTS,
        idle_s: float = IDLE_S,
    ) -> None:
        self._workspace = workspace
        self._make = make or self._with_own_models
        self._context: EnrollmentContext | None = None
        self._idle_s = idle_s
        self._idling: threading.Timer | None = None
        self._one_at_a_time = threading.Lock()
        self._slots = threading.BoundedSemaphore(slots)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a place for a photo while the block runs. Raises: Busy when all are taken."""
        if not self._slots.acquire(blocking=False):
            raise Busy("too many photos are being enrolled: try again", RETRY_AFTER_S)
        try:
            yield
        finally:
            self._slots.release()

    def enroll(self, person_id: int, photo: bytes, entry: PhotoEntry) -> Enrolled:
        """Enroll a photo; see `EnrollmentService.enroll`."""
        with self._one_at_a_time:
            return self._ready().enrollment.enroll(person_id, photo, entry)

    def model(self) -> str:
        """Return the digest of the model that makes templates here."""
        with self._one_at_a_time:
            return self._ready().kit.model

    def replace_photo(
        self, id_: int, photo: bytes, entry: PhotoEntry, *, versions: Versions = None
    ) -> Enrolled:
        """Replace a photo; see `EnrollmentService.replace_photo`."""
        with self._one_at_a_time:
            return self._ready().enrollment.replace_photo(id_, photo, entry, versions=versions)

    def import_person(
        self, person: ImportRow, report: ImportReport, actor: str, *, may_override: bool = False
    ) -> None:
        """Import a person; see `importer.import_person`. Others may come between two persons."""
        with self._one_at_a_time:
            import_person(self._ready(), person, report, actor, may_override=may_override)

    def examine(self, image: Image) -> ExaminedPhoto:
        """Examine a picture; see `PhotoExaminer.examine`."""
        with self._one_at_a_time:
            return self._ready().enrollment.examine(image)

    def refuse_others(self, known: Sequence[Vector], vector: Vector) -> None:
        """Refuse other faces; see `EnrollmentService.refuse_others`."""
        with self._one_at_a_time:
            self._ready().enrollment.refuse_others(known, vector)

    def grouped(self, vectors: Sequence[Vector], fmr: float) -> list[int]:
        """Group templates; see `EnrollmentService.grouped`."""
        with self._one_at_a_time:
            return self._ready().enrollment.grouped(vectors, fmr)

    def lookalikes(self, strangers: Sequence[Sequence[Vector]]) -> list[list[Lookalike]]:
        """Find whom strangers resemble; see `EnrollmentService.lookalikes`."""
        with self._one_at_a_time:
            return self._ready().enrollment.lookalikes(strangers)

    def alike(self, strangers: Sequence[Sequence[Vector]]) -> list[tuple[int, int]]:
        """Find strangers who may be one person; see `EnrollmentService.alike`."""
        with self._one_at_a_time:
            return self._ready().enrollment.alike(strangers)

    def check_gallery(self, *, actor: str) -> dict[str, Any]:
        """Check the gallery, after that was journaled; see `gallery_check.check_gallery`."""
        with self._one_at_a_time:
            kit = self._ready().kit
        with self._workspace.change(actor) as change:
            change.record("gallery_checked", {"model": kit.model})
        return check_gallery(self._workspace, self._workspace.settings, kit, change.at)

    def close(self) -> None:
        """Drop the models without waiting for a photo that is examined with them."""
        if (idling := self._idling) is not None:
            idling.cancel()
        self._context = None

    def _ready(self) -> EnrollmentContext:
        if self._context is None:
            self._context = self._make()
        if self._idling is not None:
            self._idling.cancel()
        self._idling = threading.Timer(self._idle_s, self._rest)
        self._idling.daemon = True
        self._idling.start()
        return self._context

    def _rest(self) -> None:
        with self._one_at_a_time:
            self._context = None

    def _with_own_models(self) -> EnrollmentContext:
        settings = self._workspace.settings
        if settings.gate.role == "gate":  # a photo may take longer; the door's models need a core
            one = settings.vision.model_copy(update={"threads": 1})
            settings = settings.model_copy(update={"vision": one})
        kit = VisionKit(settings)
        return enrollment_context(self._workspace, kit, self._workspace.clock)
