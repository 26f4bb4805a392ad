"""A kind of things that travel down: what the hub tells of one, and what a gate makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from gated.core.model import Instant
from gated.services.workspace import Workspace
from gated.storage.gates import GateRow
from gated.storage.journal import Entry

Told = Mapping[str, Any]
"""The state of one thing, as JSON."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One page for one gate, on its way out of the hub."""

    workspace: Workspace
    session: Session
    gate: GateRow


@dataclass(slots=True)
class Taking:
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


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing.

    tell: on the hub, uid -> state of those of the named things (None: of all) that a gate is given;
    what it leaves out is gone for this gate. read: on the gate, a state that was told as `put`
    wants it; ValueError, KeyError, TypeError or AttributeError for one that makes no sense. put,
    drop: on the gate, let a thing be as told, or go; only what the hub gave is ever dropped.
    """

    name: str
    tell: Callable[[Telling, Sequence[str] | None], Mapping[str, Told]]
    read: Callable[[Told], Any]
    put: Callable[[Taking, str, Any], None]
    drop: Callable[[Taking, str], None]
