"""The gallery's self-test over a database, and how often strangers come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

from gated.cli.screen import strangers_in_words
from gated.core.values import Instant, PersonRef, Vector
from gated.enrollment import enrollment_store
from gated.enrollment.gallery_check import check_gallery, set_outliers_aside
from gated.enrollment.stranger_store import stranger_visits
from gated.enrollment.strangers import (
    error_estimate,
    expected_wrong_openings,
    stranger_visits_per_year,
)
from gated.journal.journal import decision_entry
from gated.link.status_board import StatusBoard
from gated.workspace import Workspace
from tests.enrollment.offices import kit_of, settings_in
from tests.people.people import add_person, entry, grant
from tests.workspaces import open_workspace

DAY = 86_400.0
NOW = Instant(mono=1.0, utc=1_790_000_000.0)


def axis(number: int) -> Vector:
    return np.asarray(np.eye(128)[number], np.float32)


def enrol(
    workspace: Workspace, session: Session, code: str, *vectors: Vector, model: str = ""
) -> list[int]:
    person = add_person(session, personnel_code=code)
    model = model or kit_of("sface").model
    return [
        enrollment_store.add(
            session,
            enrollment_store.NewEnrollment(
                person_id=person.id,
                face_image_path=None,
                face_encoding_path=workspace.files.save_encoding(vector, model),
                confidence_score=0.9,
                model=model,
            ),
        ).id
        for vector in vectors
    ]


def test_odd_photos_are_named_by_enrollment_and_set_aside(tmp_path: Path) -> None:
    kit, settings = kit_of("sface"), settings_in(tmp_path)
    a, near, odd = axis(0), axis(0) + 0.3 * axis(1), axis(2)
    with open_workspace(settings) as workspace:
        with workspace.database.write() as session:
            ids = enrol(workspace, session, "A", a, odd, near)
            enrol(workspace, session, "B", axis(5))
            enrol(workspace, session, "C", axis(5) + 0.5 * axis(6))
            enrol(workspace, session, "D", axis(7), axis(8))
        report = check_gallery(workspace, settings, kit, NOW)
        (outlier,) = report["outliers"]
        assert (outlier["enrollment_id"], outlier["person"]["personnel_code"]) == (ids[1], "A")
        assert outlier["similarity"] < 0.1 < 0.9 < outlier["others"]
        assert [p["personnel_code"] for p in report["scattered"]] == ["D"]
        (pair,) = report["too_alike"]
        assert {p["personnel_code"] for p in pair["people"]} == {"B", "C"}
        assert report["too_alike_count"] == 1

        assert set_outliers_aside(workspace, report, "test") == [ids[1]]
        again = check_gallery(workspace, settings, kit, NOW)
        assert (again["outliers"], again["templates"]) == ([], report["templates"] - 1)
        with workspace.database.read() as session:
            assert not enrollment_store.get(session, ids[1]).is_active, "switched off, not deleted"


def test_rows_without_a_readable_template_do_not_shift_the_ids(tmp_path: Path) -> None:
    kit, settings = kit_of("sface"), settings_in(tmp_path)
    with open_workspace(settings) as workspace:
        with workspace.database.write() as session:
            enrol(workspace, session, "A", axis(0), axis(1), axis(1) + 0.1 * axis(2))
            ids = enrol(workspace, session, "B", axis(5), axis(6), axis(5) + 0.1 * axis(7))
            lost = enrollment_store.get(session, 1).face_encoding_path
        assert lost is not None
        workspace.files.delete(lost)
        report = check_gallery(workspace, settings, kit, NOW)
    assert [o["enrollment_id"] for o in report["outliers"]] == [ids[1]]


def logged(workspace: Workspace, *rows: tuple[float, int, str]) -> None:
    """Denials (days ago, visit, reason) in the log."""
    workspace.journal.append(
        [
            entry(None, Instant(1.0, NOW.utc - days * DAY), visit=visit, reason=reason)
            for days, visit, reason in rows
        ]
    )


def test_visits_of_strangers_are_counted_once_each(tmp_path: Path) -> None:
    with open_workspace(settings_in(tmp_path)) as workspace:
        assert stranger_visits_per_year(workspace, "front door", NOW) is None
        logged(workspace, (0.5, 1, "no_match"))
        assert stranger_visits_per_year(workspace, "front door", NOW) is None, "too young"
        logged(
            workspace,
            (9.9, 3, "no_match"),
            (9.8, 3, "no_match"),
            (9.0, 4, "spoof"),
            (8.0, 5, "no_match"),
            (7.0, 1, "no_match"),
        )
        workspace.journal.append([entry(PersonRef(1, "u", "c", "n"), Instant(1.0, NOW.utc - DAY))])
        found = stranger_visits_per_year(workspace, "front door", NOW)
        assert found == pytest.approx(4 / 9.9 * 365.25)
        assert stranger_visits_per_year(workspace, "back door", NOW) is None


def test_only_the_last_months_count(tmp_path: Path) -> None:
    with open_workspace(settings_in(tmp_path)) as workspace:
        logged(workspace, (200, 1, "no_match"), (100, 2, "no_match"), (10, 3, "no_match"))
        found = stranger_visits_per_year(workspace, "front door", NOW)
        assert found == pytest.approx(1 / 90 * 365.25)
        with workspace.database.read() as session:
            first, visits = stranger_visits(session, "front door", ago(150), ago(0))
        assert (first, visits) == (ago(200), 2)


def ago(days: float) -> datetime:
    return datetime.fromtimestamp(NOW.utc - days * DAY, UTC)


def test_wrong_openings_follow_from_visits_and_rate() -> None:
    assert expected_wrong_openings(1e-6, 100, None) is None
    assert expected_wrong_openings(1e-6, 100, 1000.0) == pytest.approx(0.3, rel=1e-3)
    assert expected_wrong_openings(1e-2, 10_000, 12.0) == pytest.approx(12.0)


def test_the_estimate_of_a_gate_is_made_of_rate_and_visits(tmp_path: Path) -> None:
    with open_workspace(settings_in(tmp_path)) as workspace:
        young = error_estimate(workspace, 1e-6, 100, NOW)
        assert young["fpir"] == pytest.approx(3e-4, rel=1e-3)
        assert (young["stranger_visits_per_year"], young["wrong_openings_per_year"]) == (None, None)
        name = workspace.settings.gate.name
        workspace.journal.append(
            [
                decision_entry(
                    grant(None, Instant(1.0, NOW.utc - days * DAY), visit=days, reason="no_match"),
                    name,
                    "camera",
                    "site",
                )
                for days in (10, 5)
            ]
        )
        old = error_estimate(workspace, 1e-6, 100, NOW)
        assert old["stranger_visits_per_year"] == pytest.approx(2 / 10 * 365.25)
        assert old["wrong_openings_per_year"] == pytest.approx(73.05 * young["fpir"])
        StatusBoard().publish(**old)


def test_the_screen_says_what_the_threshold_means() -> None:
    state = StatusBoard().snapshot()
    assert "nobody" in strangers_in_words(state)
    known = replace(state, fpir=1e-3)
    assert strangers_in_words(known) == "one in 1,000 taken for somebody"
    told = strangers_in_words(replace(known, wrong_openings_per_year=0.5))
    assert told.endswith(": 0.5 wrong openings a year as many come by")
