"""Which stored photos of a person do harm, by their templates alone."""

from __future__ import annotations

from pathlib import Path

from gated.database.records import Enrollment
from gated.enrollment import enrollment_store
from gated.enrollment.photo_doubts import PhotoDoubts
from tests.enrollment.offices import settings_in
from tests.enrollment.test_gallery_check import axis, enrol
from tests.workspaces import open_workspace


def test_photos_in_use_are_named_by_enrollment_whatever_is_changed_meanwhile(
    tmp_path: Path,
) -> None:
    with open_workspace(settings_in(tmp_path)) as workspace:
        with workspace.database.write() as session:
            off, first, odd, _near = enrol(
                workspace, session, "A", axis(9), axis(0), axis(2), axis(0) + 0.3 * axis(1)
            )
            enrol(workspace, session, "B", axis(5))
            enrollment_store.set_active(session, off, False)
            found: Enrollment = enrollment_store.get(session, first)
        doubts = PhotoDoubts.of(workspace)
        (doubt,) = doubts.of_person(found.person_id)
        assert (doubt.enrollment_id, doubt.reason, doubt.other) == (odd, "unlike", None)

        with workspace.database.write() as session:
            enrol(workspace, session, "C", axis(2))
        (doubt,) = doubts.of_person(found.person_id)
        assert doubt.other is not None
        assert (doubt.reason, doubt.other.personnel_code) == ("other_person", "C")
        with workspace.database.write() as session:
            enrollment_store.set_active(session, odd, False)
        assert doubts.of_person(found.person_id) == []


def test_a_model_that_nobody_measured_says_nothing(tmp_path: Path) -> None:
    with open_workspace(settings_in(tmp_path)) as workspace:
        with workspace.database.write() as session:
            (photo,) = enrol(workspace, session, "A", axis(0))
            person = enrollment_store.get(session, photo).person_id
            enrollment_store.update(session, photo, model="unheard/1")
        assert PhotoDoubts.of(workspace).of_person(person) == []
