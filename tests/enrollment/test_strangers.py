"""What the threshold means at this gate follows the log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gated.config import Settings, StorageSettings
from gated.core.values import Instant
from gated.devices.clock import ManualClock
from gated.enrollment.strangers import refresh_error_estimate
from gated.journal.journal import decision_entry
from gated.link.status_board import StatusBoard
from tests.people.people import grant
from tests.workspaces import open_workspace

DAY = 86_400.0


def test_the_board_follows_the_rate_of_strangers(tmp_path: Path) -> None:
    board, clock = StatusBoard(), ManualClock(utc=1_800_000_000.0)
    settings = Settings(storage=StorageSettings(state_dir=tmp_path))
    with open_workspace(settings) as workspace:
        refresh_error_estimate(workspace, board, clock.now())
        assert board.snapshot().fpir is None, "without a threshold there is nothing to say"
        board.publish(fmr=1e-5, templates=100)
        refresh_error_estimate(workspace, board, clock.now())
        status = board.snapshot()
        assert status.fpir is not None
        assert 0 < status.fpir < 0.01
        assert status.wrong_openings_per_year is None
        for days in range(10):
            at = Instant(1.0, clock.now().utc - days * DAY)
            stranger = decision_entry(
                replace(grant(None), at=at), settings.gate.name, "camera", "works"
            )
            workspace.journal.append([stranger])
        refresh_error_estimate(workspace, board, clock.now())
        visits = board.snapshot().stranger_visits_per_year
        assert visits is not None
        assert visits == pytest.approx(365 * 10 / 9, rel=0.2)
        assert board.snapshot().wrong_openings_per_year == pytest.approx(visits * status.fpir)
