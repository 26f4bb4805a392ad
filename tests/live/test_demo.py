"""The person that the demo knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.config import PrivacySettings
from gated.daemon.preparation import enroll_demo_person
from gated.database import hub_ownership
from gated.database import stored_settings as settings_store
from gated.database.change_feed import PERSON
from gated.devices.clock import ManualClock
from gated.enrollment.enrollment_context import enrollment_context
from gated.live.demo import CODE, NAMES
from tests.changes import done_by
from tests.enrollment.offices import kinds, kit_of, office_in, portrait, rows, settings_in
from tests.workspaces import open_workspace


def test_the_demo_person_is_enrolled_once(tmp_path: Path) -> None:
    portrait("obama")
    with office_in(tmp_path) as office:
        enroll_demo_person(office, settings_in(tmp_path))
        before = kinds(office.workspace)
        enroll_demo_person(office, settings_in(tmp_path))
        assert kinds(office.workspace) == before
        (row,) = rows(office.workspace)
        assert office.people.by_code(CODE).id == row.person_id


def test_a_gate_whose_hub_knows_the_demo_person_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    portrait("obama")
    with office_in(tmp_path) as office:
        person = done_by("hub", office.people.create, {**NAMES, "personnel_code": CODE})
        with office.workspace.database.write() as session:
            settings_store.set_(session, hub_ownership.MEMBERSHIP, "sealed")
            hub_ownership.remember(session, PERSON, person.uid, 1)
        before = kinds(office.workspace)
        enroll_demo_person(office, settings_in(tmp_path))
        assert kinds(office.workspace) == before
        assert rows(office.workspace) == []
        assert "came from the hub" in caplog.text


def test_a_demo_that_needs_consent_starts_without_its_person(tmp_path: Path) -> None:
    portrait("obama")
    settings = settings_in(tmp_path).model_copy(
        update={"privacy": PrivacySettings(require_consent=True)}
    )
    with open_workspace(settings) as workspace:
        office = enrollment_context(workspace, kit_of("sface"), ManualClock())
        enroll_demo_person(office, settings)
        assert rows(workspace) == []
