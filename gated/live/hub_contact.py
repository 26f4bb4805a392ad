"""Notes how a gate stands with its hub: what fails, since when, and how much waits to be sent.

The running gate notes it here, channel by channel: heartbeats may pass while no batch does. Others
read it from a file beside the database: `gated sync status`, `gated doctor`.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from gated.accounts.certificates import TOLD_BEFORE
from gated.core.values import moment
from gated.link.status_board import StatusBoard
from gated.live.hub_failures import reason_of
from gated.ports import Clock
from gated.vault.files import write_atomic

log = logging.getLogger(__name__)

NAME = "hub-contact.json"
PREFIX = "hub_"
"""Of the problems in /health that are about the hub."""

EXPIRES = "hub_certificate_expires"
AT_ONCE = frozenset({"revoked"})
"""Reasons that do not go by themselves: nobody has to wait before they are told."""

SPARE_S = 60.0
"""The file is written so seldom while nothing changes: it may lie on a flash card."""

STALE = timedelta(minutes=3)
"""A file that is older was left by a gate that does not run any more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure. reason: a code; says: a sentence; since: of this reason's beginning."""

    reason: str
    says: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Contact:
    """A gate's contact with its hub. failures: by channel; backlog: rows that the hub lacks.

    at: when this was noted. last_contact: when the hub last answered rightly. certificate_until:
    end of the certificate that the hub showed.
    """

    at: datetime
    last_contact: datetime | None = None
    backlog: int | None = None
    failures: Mapping[str, Failure] = field(default_factory=dict)
    certificate_until: datetime | None = None

    @property
    def worst(self) -> Failure | None:
        """The failure that lasts longest, those of AT_ONCE first; None when nothing fails."""
        found = sorted(self.failures.values(), key=lambda f: (f.reason not in AT_ONCE, f.since))
        return found[0] if found else None

    def sentence(self) -> str:
        """Say what fails, since when, and the backlog; empty when nothing fails."""
        worst = self.worst
        if worst is None:
            return ""
        waiting = "" if not self.backlog else f"; {self.backlog} rows wait here"
        heard = f"; last heard {_shown(self.last_contact)}" if self.last_contact else ""
        return f"since {_shown(worst.since)}: {worst.says}{heard}{waiting}"

    def told(self) -> dict[str, Any]:
        """The same as JSON."""
        failures = {
            c: {**asdict(f), "since": f.since.isoformat()} for c, f in self.failures.items()
        }
        return {
            "at": self.at.isoformat(),
            "last_contact": self.last_contact and self.last_contact.isoformat(),
            "backlog": self.backlog,
            "failures": failures,
            "certificate_until": self.certificate_until and self.certificate_until.isoformat(),
        }

    @classmethod
    def read(cls, state_dir: Path) -> Self | None:
        """Read what the gate noted last; None when it never did, or it cannot be read."""
        try:
            told = json.loads((state_dir / NAME).read_text())
            failures = {
                str(channel): Failure(f["reason"], f["says"], _moment(f["since"]))
                for channel, f in told["failures"].items()
            }
            return cls(
                _moment(told["at"]),
                _some(told["last_contact"]),
                told["backlog"],
                failures,
                _some(told["certificate_until"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


class HubContact:
    """Takes the notes of a running gate's loops about its hub; any thread may note.

    degraded_after_s: so long a failure lasts before it is a problem of the gate's health.
    """

    def __init__(self, state_dir: Path, clock: Clock, degraded_after_s: float) -> None:
        self._file = state_dir / NAME
        self._clock = clock
        self._after_s = degraded_after_s
        self._lock = threading.Lock()
        now = moment(clock.now())
        before = Contact.read(state_dir) or Contact(now)
        self._now = Contact(now, before.last_contact, before.backlog)
        self._began: dict[str, float] = {}
        """Channel -> since when it fails, whatever the reasons (monotonic)."""
        self._written: tuple[float, Any] | None = None
        self._problems: set[str] = set()

    def works(self, channel: str) -> None:
        """The hub has answered rightly there."""
        with self._lock:
            self._began.pop(channel, None)
            rest = {c: f for c, f in self._now.failures.items() if c != channel}
            self._change(failures=rest, last_contact=moment(self._clock.now()))

    def answered(self) -> None:
        """The hub has answered rightly, though that channel may fail with something else."""
        with self._lock:
            self._change(last_contact=moment(self._clock.now()))

    def fails(self, channel: str, error: Exception) -> None:
        """Something failed there."""
        reason, now = reason_of(error), self._clock.now()
        with self._lock:
            self._began.setdefault(channel, now.mono)
            before = self._now.failures.get(channel)
            since = before.since if before and before.reason == reason else moment(now)
            failure = Failure(reason, str(error), since)
            self._change(failures={**self._now.failures, channel: failure})

    def waiting(self, backlog: int) -> None:
        """So many rows are here that the hub does not have."""
        with self._lock:
            self._change(backlog=backlog)

    def certificate(self, until: datetime | None) -> None:
        """The hub showed a certificate that ends then."""
        with self._lock:
            self._change(certificate_until=until)

    def snapshot(self) -> Contact:
        """Return the contact as it is now."""
        with self._lock:
            return self._now

    def publish(self, board: StatusBoard) -> None:
        """Let health, state and the other processes know; asked every second or so, by one thread.

        What fails longer than `degraded_after_s` is a problem.
        """
        now = self._clock.now()
        with self._lock:
            contact = self._now
            lasting = {
                PREFIX + f.reason
                for c, f in contact.failures.items()
                if f.reason in AT_ONCE or now.mono - self._began.get(c, now.mono) >= self._after_s
            }
        for name in self._problems - lasting:
            board.trouble(name, None)
        for name in lasting:
            board.trouble(name, contact.sentence())
        self._problems = lasting
        until = contact.certificate_until
        if now.sure:  # another clock cannot tell what is soon: what was told stands
            soon = until is not None and until - moment(now) <= TOLD_BEFORE
            says = f"the certificate that the hub shows ends on {until:%Y-%m-%d}" if soon else None
            board.trouble(EXPIRES, says)
        board.publish(hub=contact.told())
        self._write(contact, now.mono)

    def _change(self, **changes: Any) -> None:
        values = {name: getattr(self._now, name) for name in Contact.__dataclass_fields__}
        self._now = Contact(**{**values, **changes, "at": moment(self._clock.now())})

    def _write(self, contact: Contact, mono: float) -> None:
        said = (contact.failures, bool(contact.backlog))
        if self._written and self._written[1] == said and mono - self._written[0] < SPARE_S:
            return
        self._written = mono, said
        try:
            write_atomic(self._file, json.dumps(contact.told()).encode(), 0o600)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file, error)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _some(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)


def _shown(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
