"""The same done to several people, each in a change of its own: one refusal stops nobody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gated.change import Change
from gated.errors import GatedError
from gated.workspace import Workspace

MOST = 100
"""People of one request: between two of them the rows of the door find their turn."""


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """Outcome for one person: what the act gave, or the error that kept it from being done."""

    person_id: int
    made: Any = None
    error: GatedError | None = None


def each(
    workspace: Workspace, actor: str, ids: Sequence[int], act: Callable[[Change, int], Any]
) -> list[BulkOutcome]:
    """Do `act` to each person once, in the order given, and tell of each what came of it."""
    return [_one(workspace, actor, id_, act) for id_ in dict.fromkeys(ids)]


def _one(
    workspace: Workspace, actor: str, id_: int, act: Callable[[Change, int], Any]
) -> BulkOutcome:
    try:
        with workspace.change(actor) as change:
            made = act(change, id_)
    except GatedError as error:
        return BulkOutcome(id_, error=error)
    return BulkOutcome(id_, made)
