"""The locks that a writer holds until the commit, and the one order in which they are taken.

Each is a row that is locked (PostgreSQL; SQLite knows one writer at a time anyway). Two writers who
take them in different orders would wait for each other. So a unit of work that comes to one too
late is an error at once, in tests as well, and no deadlock on some hub one night.
"""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy.orm import Session

_HELD = "gated_locks_held"


class RowLock(IntEnum):
    """A lock at which writers wait for each other. A smaller one is taken first."""

    ROLLOUTS = 1
    """The assignment of configurations to gates."""
    GALLERY = 2
    """Persons and photos, of which the gallery is made."""
    RULES = 3
    """Rules of access, whom they concern, and what is shown at the door."""
    FEED = 4
    """The numbers of changes for gates."""
    JOURNAL = 5
    """The tip of this gate's chain."""


def watch(session: Session) -> None:
    """Refuse locks of this session that come out of order from now on."""
    session.info[_HELD] = set[RowLock]()


def claim(session: Session, lock: RowLock) -> None:
    """Note that a session takes a lock. RuntimeError when it is watched and has a later one."""
    held: set[RowLock] | None = session.info.get(_HELD)
    if held is None or lock in held:
        return
    if held and lock < (last := max(held)):
        raise RuntimeError(
            f"{lock.name} is locked after {last.name}: name both when the change begins (touches)"
        )
    held.add(lock)
