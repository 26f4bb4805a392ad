"""One unit of work: what is changed, by whom and when, its journal rows, and what follows.

    with workspace.change("olga") as change:
        change.touches(RULES)
        group = group_store.add(change.session, "Guards")
        change.record("group_created", {"group": group.uid})

All of it is committed together at the end of the block, or nothing when the block raises. Files are
deleted after the commit: a change that did not happen takes no photo away.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from sqlalchemy.orm import Session

from gated.core.values import Instant, PersonRef
from gated.database import change_feed, locks, request_origin, stored_settings
from gated.database.engine import Database
from gated.database.locks import RowLock
from gated.database.records import Person
from gated.journal.journal import Entry, Journal, Receipt, subject_of
from gated.ports import Clock
from gated.vault.files import FileStore

__all__ = ["FEED", "GALLERY", "ROLLOUTS", "RULES", "Change", "RowLock"]

log = logging.getLogger(__name__)

ROLLOUTS, GALLERY, RULES, FEED = RowLock.ROLLOUTS, RowLock.GALLERY, RowLock.RULES, RowLock.FEED

_TAKE: Mapping[RowLock, Callable[[Session], None]] = {
    ROLLOUTS: stored_settings.lock_rollouts,
    GALLERY: stored_settings.lock_gallery,
    RULES: stored_settings.lock_rules,
    FEED: change_feed.begin,
}

_open_here = threading.local()


class Change:
    """A transaction with who makes it, opened by `with`, once. `Workspace.change` makes it.

    actor: name of the account, or of the part of the program, that acts. Services take a change as
    their first argument and never open one inside it.
    """

    actor: str
    request_id: str | None
    """The request that is worked on; None for the program itself and for commands."""
    at: Instant
    """The moment of the change: when its transaction began."""
    asked_at: Instant
    """When it began to wait for its turn; what comes after that may not be in what it reads."""

    def __init__(
        self, actor: str, database: Database, journal: Journal, files: FileStore, clock: Clock
    ) -> None:
        origin = request_origin.current()
        self.actor = actor
        self.request_id = None if origin is None else origin.request_id
        self._database = database
        self._journal = journal
        self._files = files
        self._clock = clock
        self._transaction: AbstractContextManager[Session] | None = None
        self._open: set[Session] = set()
        """The session while the change is open; shared with its parts on behalf of others."""
        self._after: list[Callable[[], object]] = []

    # --- what is open ---

    @property
    def session(self) -> Session:
        """The session of the transaction. RuntimeError when the change is not open."""
        for session in self._open:
            return session
        raise RuntimeError("this change is not open: use it inside its `with` block")

    def __enter__(self) -> Self:
        if self._transaction is not None:
            raise RuntimeError("a change is made once: ask the workspace for another one")
        if id(self._database) in _open_databases():
            raise RuntimeError("a change inside a change: hand the one that is open on instead")
        self.asked_at = self._clock.now()
        self._transaction = self._database.write()
        session = self._transaction.__enter__()
        self._open.add(session)
        _open_databases().add(id(self._database))
        try:
            locks.watch(session)
            self.at = self._clock.now()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._transaction is not None  # noqa: S101
        self._open.clear()
        _open_databases().discard(id(self._database))
        self._transaction.__exit__(kind, error, trace)
        if error is None:
            self._follow()

    def _follow(self) -> None:
        """Do what was to follow the commit. The change stands, whatever becomes of it."""
        for action in self._after:
            try:
                action()
            except Exception:
                log.exception("after a change by %s, which stands, something failed", self.actor)

    def by(self, actor: str) -> Change:
        """Return the same unit of work for a part that is done on behalf of somebody else."""
        part = copy.copy(self)
        part.actor = actor
        return part

    # --- what belongs to it ---

    def touches(self, *wanted: RowLock) -> None:
        """Take these locks in their order; the first thing that a service does with a change.

        What is read from then on is what is changed: nobody else gets in between. RuntimeError for
        one that comes before a lock that the change has already.
        """
        for lock in sorted(wanted):
            _TAKE[lock](self.session)

    def record(
        self,
        kind: str,
        body: Mapping[str, Any],
        *,
        subject: PersonRef | None = None,
        about: Mapping[str, Any] | None = None,
        by: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Append a row to the journal: who did what, at the moment of the change.

        body: in the open, so no personal data. subject: the person whom it concerns, apart from it;
        about: more about whom it concerns. by: more about who acts and why, apart as well.
        """
        private: dict[str, Mapping[str, Any]] = {}
        if subject is not None or about:
            private["subject"] = {**(subject_of(subject) if subject else {}), **(about or {})}
        private["actor"] = {"name": self.actor, **(by or {})}
        return self.append(Entry(self.at, kind, dict(body), private))

    def record_person(self, kind: str, person: Person, fields: Sequence[str] = ()) -> Receipt:
        """Append that a person changed: the names of the fields in the open, the person apart."""
        body = {"person": person.uid, "fields": list(fields)}
        return self.record(kind, body, subject=person.ref)

    def append(self, entry: Entry) -> Receipt:
        """Append a row that is made elsewhere, as that of a passage."""
        session = self.session
        locks.claim(session, RowLock.JOURNAL)
        (receipt,) = self._journal.append([entry], session)
        return receipt

    def delete_files(self, *paths: str) -> None:
        """Delete sealed files once the change is committed, and only then."""
        if paths:
            self.after_commit(lambda: self._files.delete(*paths))

    def after_commit(self, action: Callable[[], object]) -> None:
        """Do something once the change is committed, in order. What it raises is logged."""
        self._after.append(action)


def _open_databases() -> set[int]:
    found: set[int] | None = getattr(_open_here, "databases", None)
    if found is None:
        found = _open_here.databases = set()
    return found
