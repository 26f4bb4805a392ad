"""A kind of things that travel down: how the hub collects their states and a gate applies them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from gated.core.values import Instant
from gated.database.records import GateRow
from gated.fleet.wire.states import State
from gated.journal.journal import Entry
from gated.workspace import Workspace

S = TypeVar("S", bound=State)
"""The state as it travels."""


@dataclass(frozen=True, slots=True)
class OutboundPage:
    """One page for one gate, on its way out of the hub."""

    workspace: Workspace
    session: Session
    gate: GateRow


@dataclass(slots=True)
class Files:
    """The files of one page on a gate. model: of its templates; written: new files so far."""

    workspace: Workspace
    model: str
    written: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ApplyContext:
    """One page on its way into a gate, in one transaction.

    snapshot: number of the present or last one. unneeded: files to remove after the commit.
    entries: what is to be journaled of it.
    """

    workspace: Workspace
    session: Session
    now: Instant
    snapshot: int
    unneeded: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def as_sent(_: Files, states: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave states as they travel: of a kind that has no files."""
    return states


@dataclass(frozen=True, slots=True)
class FeedKind(Generic[S]):
    """One kind of thing.

    state: as it travels. collect: on the hub, uid -> state of those of the named things (None: of
    all) that a gate is given; what it leaves out is gone for this gate. unpack: on the gate, before
    the transaction, states with their contents in files. apply: let all things of a page be as
    given. drop: let one go; only what the hub gave is ever dropped.
    """

    name: str
    state: type[S]
    collect: Callable[[OutboundPage, Sequence[str] | None], Mapping[str, State]]
    apply: Callable[[ApplyContext, Mapping[str, Any]], None]
    drop: Callable[[ApplyContext, str], None]
    unpack: Callable[[Files, Mapping[str, Any]], Mapping[str, Any]] = as_sent
