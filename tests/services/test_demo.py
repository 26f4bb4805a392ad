"""The person that the demo knows."""

from __future__ import annotations

from pathlib import Path

from gated.services.demo import CODE, enroll_demo_person
from tests.services.offices import kinds, office_in, portrait, rows, settings_in


def test_the_demo_person_is_enrolled_once(tmp_path: Path) -> None:
    portrait("obama")
    with office_in(tmp_path) as office:
        enroll_demo_person(office, settings_in(tmp_path))
        before = kinds(office.workspace)
        enroll_demo_person(office, settings_in(tmp_path))
        assert kinds(office.workspace) == before
        (row,) = rows(office.workspace)
        assert office.people.by_code(CODE).id == row.person_id
