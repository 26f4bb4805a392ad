"""Makes the messages to the screen at the gate, without anything that bystanders must not see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gated.core.challenge import Movement
from gated.core.messages import Notice
from gated.core.quality import FLAWS
from gated.link.status_board import DecisionView, EventView, GateStatus

HINTS = frozenset({*FLAWS, *Movement, "look_here", "hold_still", "step_back", "rotate"})
"""Codes of notices that help a person to be recognised; shown at the gate only."""

NEEDS = "needs_"
ENDS_TOLD = frozenset({"free_access", "out_of_service"})
_BROKEN = frozenset({"lost", "frozen", "looped", "covered", "turned"})


def present(status: GateStatus) -> dict[str, Any]:
    """Return the state of the gate for a kiosk: the door, and whether there is a fault.

    until: when the mode ends by itself; of a lockdown nobody at the door is told.
    """
    fault = status.camera in _BROKEN or status.journal == "unavailable" or status.room == "full"
    return {
        "door": status.door_state,
        "mode": status.door_mode,
        "until": status.door_mode_until if status.door_mode in ENDS_TOLD else None,
        "fault": fault or status.door_fails,
    }


def shown(
    item: DecisionView | EventView | Notice, names: bool
) -> tuple[str, Mapping[str, Any]] | None:
    """Return (kind, data) for a kiosk; None for items that a kiosk does not show.

    names: greet people who are let in by name. The reason of a denial is never shown. released: the
    relay moved for who was let in; else the door is not open.
    """
    match item:
        case DecisionView():
            greeted = item.person.name if names and item.person is not None else None
            granted = item.outcome == "granted"
            return "decision", {
                "outcome": item.outcome,
                "direction": item.direction,
                "released": item.released and granted,
                "name": greeted if granted else None,
            }
        case Notice():
            if item.code not in HINTS and not item.code.startswith(NEEDS):
                return None  # the outcome comes as a decision
            steps = {"done": item.done, "steps": item.steps, "seconds_left": item.seconds_left}
            return "notice", {"code": str(item.code), **steps}
    return None
