"""On a gate: the settings that its hub has given, and how far they are from being in force."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from gated.storage import settings
from gated.storage.engine import Database

KEY = "given_settings"


@dataclass(frozen=True, slots=True)
class Given:
    """One revision of the hub's as it was given to this gate.

    uid: of this giving, as a revision may come again. revision: its number; 0: none, the file
    alone. values: section -> key -> value. by: who began the roll-out, there.
    """

    uid: str
    revision: int
    values: Mapping[str, Mapping[str, Any]]
    by: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """What this gate could not use, and why."""

    uid: str
    revision: int
    reason: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a gate keeps of it.

    accepted: with which it came up last. pending: what came after, not yet shown to work; `starts`:
    how often the program began with it; `troubles`: what was wrong with the gate before.
    """

    accepted: Given | None = None
    pending: Given | None = None
    refused: Refused | None = None
    starts: int = 0
    troubles: tuple[str, ...] = ()


def load(session: Session) -> Kept:
    """What is kept; nothing where no hub ever gave any."""
    stored = settings.get(session, KEY)
    if stored is None:
        return Kept()
    accepted, pending, refused = (stored[k] for k in ("accepted", "pending", "refused"))
    return Kept(
        accepted and Given(**accepted),
        pending and Given(**pending),
        refused and Refused(**refused),
        stored["starts"],
        tuple(stored["troubles"]),
    )


def store(session: Session, kept: Kept) -> None:
    """Replace what is kept."""
    settings.set_(session, KEY, asdict(kept))


def offer(session: Session, given: Given) -> None:
    """Take down what came from the hub, once: what was decided about stays decided."""
    kept = load(session)
    known = (kept.accepted, kept.pending, kept.refused)
    if given.uid not in {k.uid for k in known if k is not None}:
        store(session, replace(kept, pending=given, starts=0, troubles=()))


def peek(url: str) -> Kept:
    """What is kept in a database that nothing has opened yet; StorageError."""
    with closing(Database.open(url)) as database:
        if database.revision() is None:
            return Kept()
        with database.read() as session:
            return load(session)


def count_start(url: str) -> None:
    """Note that the program begins with what is pending, durably on return; StorageError."""
    with closing(Database.open(url)) as database, database.write() as session:
        kept = load(session)
        store(session, replace(kept, starts=kept.starts + 1))
