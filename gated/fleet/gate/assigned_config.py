"""On a gate: settings of its hub and of its own pages, and how far they are from being in force."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from sqlalchemy.orm import Session

from gated.database import stored_settings
from gated.database.engine import Database
from gated.database.stored_settings import fields_of

Giver = Literal["hub", "pages"]
"""The source of settings: the hub, or an administrator on the pages of the gate."""

KEYS: Mapping[Giver, str] = {"hub": "given_settings", "pages": "own_settings"}
"""The givers, and where the settings of each are kept."""


@dataclass(frozen=True, slots=True)
class AssignedConfig:
    """Settings as they were given to this gate: a revision of the hub's, or all of the pages'.

    uid: of this giving, as a revision may come again. revision: its number; 0: none, the file
    alone, and always of the pages. values: section -> key -> value. by: who began the roll-out, or
    the change.
    """

    uid: str
    revision: int
    values: Mapping[str, Mapping[str, Any]]
    by: str = ""


@dataclass(frozen=True, slots=True)
class RefusedConfig:
    """Settings that this gate could not use, and why. problems: codes of those that they made.

    rule, limit: the name of the reason, for whoever has words of their own, and its limit.
    """

    uid: str
    revision: int
    reason: str
    by: str = ""
    problems: tuple[str, ...] = ()
    rule: str | None = None
    limit: str | None = None


@dataclass(frozen=True, slots=True)
class KeptConfig:
    """Settings of one giver that a gate keeps.

    accepted: with which it came up last. pending: what came after, not yet shown to work; `starts`:
    how often the program began with it; `troubles`: what was wrong with the gate before.
    """

    accepted: AssignedConfig | None = None
    pending: AssignedConfig | None = None
    refused: RefusedConfig | None = None
    starts: int = 0
    troubles: tuple[str, ...] = ()


def load(session: Session, giver: Giver = "hub") -> KeptConfig:
    """Return what is kept; nothing where nobody ever gave any."""
    stored = stored_settings.get(session, KEYS[giver])
    if stored is None:
        return KeptConfig()
    accepted, pending, refused = (stored[k] for k in ("accepted", "pending", "refused"))
    return KeptConfig(
        accepted and AssignedConfig(**fields_of(AssignedConfig, accepted)),
        pending and AssignedConfig(**fields_of(AssignedConfig, pending)),
        refused and _refused(fields_of(RefusedConfig, refused)),
        stored["starts"],
        tuple(stored["troubles"]),
    )


def _refused(stored: Mapping[str, Any]) -> RefusedConfig:
    return RefusedConfig(**{**stored, "problems": tuple(stored.get("problems", ()))})


def store(session: Session, kept: KeptConfig, giver: Giver = "hub") -> None:
    """Replace what is kept."""
    stored_settings.set_(session, KEYS[giver], asdict(kept))


def offer(session: Session, given: AssignedConfig, giver: Giver = "hub") -> None:
    """Take down what was given, once: what was decided about stays decided."""
    kept = load(session, giver)
    known = (kept.accepted, kept.pending, kept.refused)
    if given.uid not in {k.uid for k in known if k is not None}:
        store(session, replace(kept, pending=given, starts=0, troubles=()), giver)


def peek(url: str, giver: Giver = "hub") -> KeptConfig:
    """Return what is kept in a database that nothing has opened yet; StorageError."""
    return peek_all(url)[giver]


def peek_all(url: str) -> dict[Giver, KeptConfig]:
    """Return the same of every giver."""
    with closing(Database.open(url)) as database:
        if database.revision() is None:
            return {giver: KeptConfig() for giver in KEYS}
        with database.read() as session:
            return {giver: load(session, giver) for giver in KEYS}


def count_start(url: str, giver: Giver = "hub") -> None:
    """Note that the program begins with what is pending, durably on return; StorageError."""
    with closing(Database.open(url)) as database, database.write() as session:
        kept = load(session, giver)
        store(session, replace(kept, starts=kept.starts + 1), giver)
