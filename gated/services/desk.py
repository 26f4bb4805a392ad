"""Enrollment for many callers beside a running gate: few at a time, models only when needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gated.core.model import Image, Vector
from gated.devices.clock import SystemClock
from gated.errors import Busy
from gated.services.enrollment import Enrolled, Entering
from gated.services.gallery_check import check_gallery
from gated.services.importer import Report, import_person
from gated.services.models import VisionKit
from gated.services.office import Office, office_of
from gated.services.roster import Candidate
from gated.services.workspace import Workspace
from gated.storage.journal import Entry
from gated.vision.photo import Examined

SEATS = 4
"""Photos that are received, waiting or examined at a time; they are held in memory."""

RETRY_AFTER_S = 2.0

IDLE_S = 120.0
"""After so long without a photo the models are dropped: they hold 110 MB."""

Make = Callable[[], Office]


class EnrollmentDesk:
    """Enrolls photos one after the other with models of its own, loaded when a photo comes.

    idle_s: they are dropped after so long without one. Any thread may call. AssetError when the
    models are missing; it is tried again next time.
    """

    def __init__(
        self,
        workspace: Workspace,
        make: Make | None = None,
        seats: int = SEATS,
        idle_s: float = IDLE_S,
    ) -> None:
        self._workspace = workspace
        self._make = make or self._with_own_models
        self._office: Office | None = None
        self._idle_s = idle_s
        self._idling: threading.Timer | None = None
        self._one_at_a_time = threading.Lock()
        self._seats = threading.BoundedSemaphore(seats)

    @contextmanager
    def seat(self) -> Iterator[None]:
        """A place in the waiting room while the block runs; Busy when all are taken."""
        if not self._seats.acquire(blocking=False):
            raise Busy("too many photos are being enrolled: try again", RETRY_AFTER_S)
        try:
            yield
        finally:
            self._seats.release()

    def enroll(
        self,
        person_id: int,
        photo: bytes,
        *,
        actor: str,
        override: str | None = None,
        entering: Entering | None = None,
    ) -> Enrolled:
        """As EnrollmentService.enroll."""
        with self._one_at_a_time:
            enrollment = self._ready().enrollment
            return enrollment.enroll(person_id, photo, actor, override, entering)

    def model(self) -> str:
        """The model that makes templates here."""
        with self._one_at_a_time:
            return self._ready().kit.model

    def replace_photo(
        self,
        id_: int,
        photo: bytes,
        *,
        actor: str,
        version: int | None = None,
        entering: Entering | None = None,
    ) -> Enrolled:
        """As EnrollmentService.replace_photo."""
        with self._one_at_a_time:
            enrollment = self._ready().enrollment
            return enrollment.replace_photo(id_, photo, actor, version=version, entering=entering)

    def import_person(self, person: Candidate, report: Report, actor: str) -> None:
        """As importer.import_person; others may come between two persons."""
        with self._one_at_a_time:
            import_person(self._ready(), person, report, actor)

    def examine(self, image: Image) -> Examined:
        """As PhotoExaminer.examine."""
        with self._one_at_a_time:
            return self._ready().enrollment.examine(image)

    def refuse_others(self, known: Sequence[Vector], vector: Vector) -> None:
        """As EnrollmentService.refuse_others."""
        with self._one_at_a_time:
            self._ready().enrollment.refuse_others(known, vector)

    def check_gallery(self, *, actor: str) -> dict[str, Any]:
        """As gallery_check.check_gallery, with the look journaled before."""
        with self._one_at_a_time:
            kit = self._ready().kit
        now = SystemClock().now()
        entry = Entry(now, "gallery_checked", {"model": kit.model}, {"actor": {"name": actor}})
        self._workspace.journal.append([entry])
        return check_gallery(self._workspace, self._workspace.settings, kit, now)

    def _ready(self) -> Office:
        if self._office is None:
            self._office = self._make()
        if self._idling is not None:
            self._idling.cancel()
        self._idling = threading.Timer(self._idle_s, self._rest)
        self._idling.daemon = True
        self._idling.start()
        return self._office

    def _rest(self) -> None:
        with self._one_at_a_time:
            self._office = None

    def _with_own_models(self) -> Office:
        kit = VisionKit(self._workspace.settings)
        return office_of(self._workspace, kit, SystemClock())
