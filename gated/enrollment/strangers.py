"""Estimate how often strangers come to this gate, and what that makes of its error rate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gated.core.calibration import fpir_of, per_year
from gated.core.policy import CHANCES
from gated.core.values import Instant
from gated.enrollment.stranger_store import stranger_visits
from gated.link.status_board import StatusBoard
from gated.workspace import Workspace

WINDOW = timedelta(days=90)
LEAST = timedelta(days=1)
"""A younger log says nothing about a year."""


def stranger_visits_per_year(workspace: Workspace, gate: str, now: Instant) -> float | None:
    """Return the visits of people who matched nobody, by the log of the last WINDOW.

    None while the log of the gate is younger than LEAST.
    """
    at = datetime.fromtimestamp(now.utc, UTC)
    with workspace.database.read() as session:
        first, visits = stranger_visits(session, gate, at - WINDOW, at)
    if first is None or at - first < LEAST:
        return None
    return per_year(visits, (at - max(first, at - WINDOW)).total_seconds())


def error_estimate(
    workspace: Workspace, fmr: float, templates: int, now: Instant
) -> dict[str, Any]:
    """Estimate an FMR's effect at this gate: fields of its `GateStatus`. Raises: StorageError."""
    visits = stranger_visits_per_year(workspace, workspace.settings.gate.name, now)
    return {
        "fmr": fmr,
        "fpir": fpir_of(fmr, templates, CHANCES),
        "stranger_visits_per_year": visits,
        "wrong_openings_per_year": expected_wrong_openings(fmr, templates, visits),
    }


def refresh_error_estimate(workspace: Workspace, board: StatusBoard, now: Instant) -> None:
    """Publish what the threshold means at the rate of strangers that the log has by now.

    Does nothing while the board has no threshold. Raises: StorageError.
    """
    known = board.snapshot()
    if known.fmr is not None:
        board.publish(**error_estimate(workspace, known.fmr, known.templates, now))


def expected_wrong_openings(fmr: float, templates: int, visits: float | None) -> float | None:
    """Return how many strangers a year face alone lets in, were liveness to refuse none."""
    return None if visits is None else visits * fpir_of(fmr, templates, CHANCES)
