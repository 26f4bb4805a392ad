"""Sign-ins in the journal: each once, repetitions as a number, so that a flood fills no disk."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from gated.accounts.audit import current
from gated.core.values import Instant
from gated.database.records import Account
from gated.journal.journal import Entry, Journal
from gated.ports import Clock

WINDOW_S = 900.0
ROWS = 50
"""So many different sign-ins get a row of their own in each window."""

_OTHERS = ("sign_in_failed", "", "")


@dataclass(slots=True)
class _Seen:
    body: dict[str, Any]
    actor: dict[str, Any]
    again: int = 0


class SignInLog:
    """Journals who signed in and who failed to.

    The first of each kind, account and address in a quarter of an hour is written at once; what
    repeats it, and what is beyond ROWS different ones, is counted and logged when the window ends.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str, str], _Seen] = {}
        self._began = clock.now().mono

    def signed_in(self, account: Account, person_uid: str | None, network: str) -> None:
        """Someone has signed in to an account (of this person); StorageError."""
        self._note("signed_in", account, person_uid, network)

    def failed(self, account: Account | None, person_uid: str | None, network: str) -> None:
        """Someone has failed to. What was typed as a name is not kept: it may be a password."""
        self._note("sign_in_failed", account, person_uid, network)

    def flush(self) -> None:
        """Tell of the repetitions once their window is over; StorageError."""
        now = self._clock.now()
        with self._lock:
            entries = self._ended(now)
        self._journal.append(entries)

    def _note(
        self, kind: str, account: Account | None, person_uid: str | None, network: str
    ) -> None:
        now = self._clock.now()
        key = kind, account.uid if account else "", network
        with self._lock:
            entries = self._ended(now)
            seen = self._seen.get(key)
            if seen is None and len(self._seen) >= ROWS:
                seen = self._seen.setdefault(_OTHERS, _Seen({}, {"name": "several"}))
            if seen is not None:
                seen.again += 1
            else:
                origin = current()
                actor: dict[str, Any] = {"name": account.username if account else "unknown"}
                if person_uid is not None:
                    actor["uid"] = person_uid
                body = {"account": account.uid, "role": account.role} if account else {}
                self._seen[key] = _Seen(body, {**(origin.as_dict() if origin else {}), **actor})
                entries.append(Entry(now, kind, body, {"actor": self._seen[key].actor}))
        self._journal.append(entries)

    def _ended(self, now: Instant) -> list[Entry]:
        """Return the entries about the window when it is over, and begin the next one."""
        if now.mono - self._began < WINDOW_S:
            return []
        repeated = [(k[0], s) for k, s in self._seen.items() if s.again]
        self._seen = {}
        self._began = now.mono
        return [
            Entry(now, kind, {**s.body, "again": s.again, "within_s": WINDOW_S}, {"actor": s.actor})
            for kind, s in repeated
        ]
