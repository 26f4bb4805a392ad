"""The queue of enrollments loads models when a photo comes and lets go of them afterwards."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np

from gated.devices.clock import ManualClock
from gated.enrollment.enrollment import EnrollmentService
from gated.enrollment.enrollment_context import EnrollmentContext, enrollment_context
from gated.enrollment.enrollment_queue import EnrollmentQueue
from tests.devices.waiting import eventually
from tests.enrollment.offices import office_in

SOMEBODY = np.ones(128, np.float32)


def test_models_are_dropped_when_no_photo_comes_and_made_anew_for_the_next(tmp_path: Path) -> None:
    made: list[weakref.ref[EnrollmentService]] = []
    with office_in(tmp_path) as template:

        def make() -> EnrollmentContext:
            office = enrollment_context(template.workspace, template.kit, ManualClock())
            made.append(weakref.ref(office.enrollment))
            return office

        queue = EnrollmentQueue(template.workspace, make, idle_s=0.05)
        queue.refuse_others([], SOMEBODY)
        queue.refuse_others([], SOMEBODY)
        assert len(made) == 1, "one set of models for photos in a row"
        assert eventually(lambda: made[0]() is None)
        queue.refuse_others([], SOMEBODY)
        assert len(made) == 2


def test_models_are_dropped_at_once_where_the_desk_closes(tmp_path: Path) -> None:
    made: list[weakref.ref[EnrollmentService]] = []
    with office_in(tmp_path) as template:

        def make() -> EnrollmentContext:
            office = enrollment_context(template.workspace, template.kit, ManualClock())
            made.append(weakref.ref(office.enrollment))
            return office

        queue = EnrollmentQueue(template.workspace, make, idle_s=600)
        queue.refuse_others([], SOMEBODY)
        assert made[0]() is not None
        queue.close()
        assert made[0]() is None
