"""Makes what a display shows: what the page Now shows, of people their names alone."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any, Protocol

from gated.access import presence
from gated.access.passage_cache import PassageCache
from gated.access.presence import Inside
from gated.config import Settings
from gated.door.alarms import Alarms
from gated.link.status_board import DecisionView, StatusBoard
from gated.workspace import Workspace

MOST_DECISIONS, MOST_INSIDE, MOST_ALARMS = 20, 100, 20
"""Listed on a display, which nobody scrolls; the people inside are counted as well."""


PUBLISHED = (
    *("problems", "camera", "clock", "clock_doubt", "clock_reason", "clock_off_s"),
    *("door_state", "door_mode", "door_mode_until"),
)
"""What the gate itself says of its state."""
OF_ALARM = ("id", "kind", "severity", "last_at", "count")
OF_DECISION = ("number", "at", "outcome", "reason")


class DisplaySources(Protocol):
    """The services that know what a display shows."""

    @property
    def alarms(self) -> Alarms: ...

    @property
    def board(self) -> StatusBoard: ...

    @property
    def passage_cache(self) -> PassageCache: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def workspace(self) -> Workspace: ...

    def zone_here(self) -> tzinfo:
        """Return the zone of the site's clock."""
        ...


def shown(services: DisplaySources) -> dict[str, Any]:
    """Return what a display shows now. Raises: StorageError."""
    status, settings = services.board.snapshot(), services.settings
    inside = presence.inside(services.workspace, kept=services.passage_cache)
    standing = services.alarms.list_(standing=True, limit=MOST_ALARMS)
    return {
        **{name: getattr(status, name) for name in PUBLISHED},
        "name": settings.gate.name,
        "site": settings.gate.site,
        "role": settings.gate.role,
        "timezone": str(services.zone_here()),
        "liveness": settings.liveness.level,
        "granted": status.counters.get("decisions.granted", 0),
        "denied": status.counters.get("decisions.denied", 0),
        "inside": _inside(inside),
        "alarms": [{name: getattr(alarm, name) for name in OF_ALARM} for alarm in standing],
        "decisions": [_decision(decision) for decision in status.decisions[:MOST_DECISIONS]],
    }


def _inside(found: Inside) -> dict[str, Any]:
    newest = found.people[-MOST_INSIDE:][::-1]
    return {
        "count": len(found.people) + found.others,
        "limit": found.limit,
        "people": [{"name": present.person.name, "since": present.since} for present in newest],
    }


def _decision(decision: DecisionView) -> dict[str, Any]:
    person = decision.person
    return {
        **{name: getattr(decision, name) for name in OF_DECISION},
        "person": None if person is None else {"name": person.name},
    }
