"""Messages to the screen at the gate: nothing of a person that those behind may not see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gated.core.challenge import Movement
from gated.core.messages import Notice
from gated.core.quality import FLAWS
from gated.link.status_board import DecisionView, EventView, GateStatus

HINTS = frozenset({*FLAWS, *Movement, "look_here", "hold_still", "step_back"})
"""Codes of notices that help somebody to be seen; the gate tells them only to who stands there."""

NEEDS = "needs_"
_BROKEN = frozenset({"lost", "frozen", "looped"})


def present(status: GateStatus) -> dict[str, Any]:
    """Describe the gate as a kiosk shows it: what the door does, and whether anything works."""
    fault = status.camera in _BROKEN or status.journal == "unavailable" or status.room == "full"
    return {
        "door": status.door_state,
        "mode": status.door_mode,
        "fault": fault or "door_fault" in status.alarms,
    }


def shown(
    told: DecisionView | EventView | Notice, names: bool
) -> tuple[str, Mapping[str, Any]] | None:
    """Give (kind, data) of what a kiosk shows; None for what is nobody's business there.

    names: who is let in may be greeted by name. Why somebody is refused is never shown.
    """
    match told:
        case DecisionView():
            greeted = told.person.name if names and told.person is not None else None
            granted = told.outcome == "granted"
            return "decision", {
                "outcome": told.outcome,
                "direction": told.direction,
                "name": greeted if granted else None,
            }
        case Notice():
            if told.code not in HINTS and not told.code.startswith(NEEDS):
                return None  # how it ended comes as a decision
            steps = {"done": told.done, "steps": told.steps, "seconds_left": told.seconds_left}
            return "notice", {"code": str(told.code), **steps}
    return None
