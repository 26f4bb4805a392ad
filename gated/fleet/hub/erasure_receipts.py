"""The progress of an erasure in the fleet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from gated.database import change_feed, records
from gated.errors import NotFound
from gated.fleet.hub import gate_store as gates
from gated.workspace import Workspace

AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class GateConfirmation:
    """One gate. confirmed_at: when it said that the person is gone there; None: outstanding.

    A gate that was revoked cannot say so any more.
    """

    gate: str
    state: str
    seen_at: datetime | None
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class FleetErasure:
    """The erasure of a person, and every gate that was part of the fleet then.

    closed_at: since when of the gates that confirmed it only the number is kept.
    """

    uid: str
    erased_at: datetime
    closed_at: datetime | None
    confirmed: int
    outstanding: int
    gates: Sequence[GateConfirmation]


class Erasures:
    """The erasures of a workspace that is the hub of gates."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """The erasures of a workspace."""
        return cls(workspace)

    def receipt(self, uid: str) -> FleetErasure:
        """Return how far the erasure of the person with this uid is; NotFound when there was
        none."""
        with self._workspace.database.read() as session:
            found = change_feed.erasure(session, uid)
            if found is None:
                raise NotFound("nobody with this uid was erased here")
            said = change_feed.confirmations(session, uid)
            fleet = gates.list_(session)
        if found.closed_at is not None:
            fleet = [g for g in fleet if g.name in (found.missing or ())]
        else:
            fleet = [g for g in fleet if g.id in said or _had_joined(g, found.at)]
        rows = [GateConfirmation(g.name, g.state, g.seen_at, said.get(g.id)) for g in fleet]
        outstanding = sum(row.confirmed_at is None for row in rows)
        confirmed = found.confirmed or len(said)
        return FleetErasure(uid, found.at, found.closed_at, confirmed, outstanding, rows)

    def close(self, before: datetime, should_continue: Callable[[], bool] = lambda: True) -> int:
        """Fold up what was erased before and every gate that can has confirmed; how many."""
        total = 0
        while should_continue() and (done := self._close_some(before)):
            total += done
        return total

    def _close_some(self, before: datetime) -> int:
        with self._workspace.database.write() as session:
            some = change_feed.ripe(session, before, AT_ONCE)
            fleet = gates.list_(session) if some else []
            for erasure in some:
                said = change_feed.confirmations(session, erasure.uid)
                asked = (g for g in fleet if _had_joined(g, erasure.at))
                change_feed.close(session, erasure.uid, [g.name for g in asked if g.id not in said])
        return len(some)


def _had_joined(gate: records.GateRow, at: datetime) -> bool:
    """Return whether the gate can ever have held somebody who was erased at this time."""
    return gate.joined_at is not None and gate.created_at <= at
