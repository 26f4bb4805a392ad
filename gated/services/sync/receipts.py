"""How far an erasure is in the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from gated.errors import NotFound
from gated.services.workspace import Workspace
from gated.storage import changes, gates


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
    """The erasure of a person, and every gate that was part of the fleet then."""

    uid: str
    erased_at: datetime
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
        """How far the erasure of the person with this uid is; NotFound when there was none."""
        with self._workspace.database.read() as session:
            at = changes.erased_at(session, uid)
            if at is None:
                raise NotFound("nobody with this uid was erased here")
            said = changes.confirmations(session, uid)
            fleet = gates.list_(session)
        rows = [
            GateConfirmation(g.name, g.state, g.seen_at, said.get(g.id))
            for g in fleet
            if g.id in said or _had_joined(g, at)
        ]
        outstanding = sum(row.confirmed_at is None for row in rows)
        return FleetErasure(uid, at, outstanding, rows)


def _had_joined(gate: gates.GateRow, at: datetime) -> bool:
    """Whether the gate can ever have held somebody who was erased at this time."""
    return gate.joined_at is not None and gate.created_at <= at
