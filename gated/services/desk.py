"""Enrollment for many callers beside a running gate: few at a time, models only when needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gated.devices.clock import SystemClock
from gated.errors import Busy
from gated.services.enrollment import Enrolled, EnrollmentService
from gated.services.models import VisionKit
from gated.services.office import office_of
from gated.services.workspace import Workspace

SEATS = 4
"""Photos that are received, waiting or examined at a time; they are held in memory."""

RETRY_AFTER_S = 2.0

Make = Callable[[], EnrollmentService]


class EnrollmentDesk:
    """Enrolls photos one after the other with models of its own, loaded at the first photo.

    Any thread may call. AssetError when the models are missing; it is tried again next time.
    """

    def __init__(self, workspace: Workspace, make: Make | None = None, seats: int = SEATS) -> None:
        self._workspace = workspace
        self._make = make or self._with_own_models
        self._service: EnrollmentService | None = None
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
        self, person_id: int, photo: bytes, *, actor: str, override: str | None = None
    ) -> Enrolled:
        """As EnrollmentService.enroll."""
        with self._one_at_a_time:
            return self._ready().enroll(person_id, photo, actor, override)

    def replace_photo(
        self, id_: int, photo: bytes, *, actor: str, version: int | None = None
    ) -> Enrolled:
        """As EnrollmentService.replace_photo."""
        with self._one_at_a_time:
            return self._ready().replace_photo(id_, photo, actor, version=version)

    def _ready(self) -> EnrollmentService:
        if self._service is None:
            self._service = self._make()
        return self._service

    def _with_own_models(self) -> EnrollmentService:
        kit = VisionKit(self._workspace.settings)
        return office_of(self._workspace, kit, SystemClock()).enrollment
