"""Makes the payload of the state topic: the gate's status as a flat JSON object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gated.core.door import DoorState
from gated.link.status_board import GateStatus

LONGEST = 255
"""Characters of a state in Home Assistant."""

_LOCK = {
    DoorState.LOCKED: "LOCKED",
    DoorState.LOCKDOWN: "LOCKED",
    DoorState.OUT_OF_SERVICE: "LOCKED",
    DoorState.UNLOCKED: "UNLOCKED",
    DoorState.FREE: "UNLOCKED",
    DoorState.FIRE: "UNLOCKED",
    DoorState.OPEN: "OPEN",
    DoorState.HELD_WARNING: "OPEN",
    DoorState.HELD_OPEN: "OPEN",
    DoorState.FORCED: "OPEN",
}
_OPEN = frozenset(state for state, lock in _LOCK.items() if lock == "OPEN")


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """Published facts beside the status; None: not known. inside: number of people inside.

    last_person: name or code, as the settings allow. temperature: of the processor, degrees C.
    """

    inside: int | None = None
    last_person: str | None = None
    temperature: int | None = None


def state_of(status: GateStatus, facts: SiteFacts) -> dict[str, Any]:
    """Return the state of a gate; a value is None where it is not known."""
    door = _door_state(status)
    jammed = status.door_fails
    problems = status.problems
    return {
        "lock": "JAMMED" if jammed else door and _LOCK[door],
        "locked": _on(door and _LOCK[door] != "LOCKED"),
        "door": _on(door and door in _OPEN),
        "state": door,
        "mode": status.door_mode,
        "mode_until": status.door_mode_until,
        "forced": _on(door is DoorState.FORCED or "door_forced" in status.alarms),
        "held": _on(door is DoorState.HELD_OPEN or "door_held_open" in status.alarms),
        "tamper": _on("door_tamper" in status.alarms),
        "problem": _on(bool(problems)),
        "problems": ", ".join(problems)[:LONGEST],
        "somebody_inside": None if facts.inside is None else _on(facts.inside > 0),
        "people_inside": facts.inside,
        "last_person": facts.last_person and facts.last_person[:LONGEST],
        "temperature": facts.temperature,
    }


def _door_state(status: GateStatus) -> DoorState | None:
    try:
        return DoorState(status.door_state or "")
    except ValueError:
        return None


def _on(value: object) -> str | None:
    return None if value is None else "ON" if value else "OFF"
