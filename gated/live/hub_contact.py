"""Tracks a gate's contact with its hub: failures, since when, and how much waits to be sent.

The running gate notes it by channel, as heartbeats may succeed while batches fail. Other processes
(`gated sync status`, `gated doctor`) read it from a file beside the database.
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

from gated.accounts.certificates import WARN_BEFORE
from gated.core.values import moment
from gated.link.status_board import StatusBoard
from gated.live.hub_failures import reason_of
from gated.ports import Clock
from gated.vault.files import write_atomic

log = logging.getLogger(__name__)

NAME = "hub-contact.json"
PREFIX = "hub_"
"""Prefix of problems in /health that concern the hub."""

EXPIRES = "hub_certificate_expires"
AT_ONCE = frozenset({"revoked"})
"""Reasons that are reported at once, as they do not go away by themselves."""

SPARE_S = 60.0
"""Interval of writing the file while nothing changes, to spare a flash card."""

STALE = timedelta(minutes=3)
"""An older file was left by a gate that is not running."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure. reason: a code; says: a sentence; since: when this reason began."""

    reason: str
    says: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Contact:
    """A gate's contact with its hub. failures: by channel; backlog: rows that the hub lacks.

    at: the time of this note. last_contact: the hub's last successful answer. certificate_until:
    expiry of the hub's certificate.
    """

    at: datetime
    last_contact: datetime | None = None
    backlog: int | None = None
    failures: Mapping[str, Failure] = field(default_factory=dict)
    certificate_until: datetime | None = None

    @property
    def worst(self) -> Failure | None:
        """The longest failure, those of AT_ONCE first; None when nothing fails."""
        found = sorted(self.failures.values(), key=lambda f: (f.reason not in AT_ONCE, f.since))
        return found[0] if found else None

    def sentence(self) -> str:
        """Describe the worst failure and the backlog; empty when nothing fails."""
        worst = self.worst
        if worst is None:
            return ""
        waiting = "" if not self.backlog else f"; {self.backlog} rows wait here"
        heard = f"; last heard {_shown(self.last_contact)}" if self.last_contact else ""
        return f"since {_shown(worst.since)}: {worst.says}{heard}{waiting}"

    def as_dict(self) -> dict[str, Any]:
        """Return the contact as values for JSON."""
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
        """Read the file of the running gate; None when there is none that can be read."""
        try:
            stored = json.loads((state_dir / NAME).read_text())
            failures = {
                str(channel): Failure(f["reason"], f["says"], _moment(f["since"]))
                for channel, f in stored["failures"].items()
            }
            return cls(
                _moment(stored["at"]),
                _some(stored["last_contact"]),
                stored["backlog"],
                failures,
                _some(stored["certificate_until"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


class HubContact:
    """Collects what the loops of a running gate report about its hub; thread-safe.

    degraded_after_s: a failure that lasts longer is a problem of the gate's health.
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
        """Begin of the failure by channel, whatever the reasons (monotonic seconds)."""
        self._written: tuple[float, Any] | None = None
        self._problems: set[str] = set()

    def works(self, channel: str) -> None:
        """Note a success of a channel."""
        with self._lock:
            self._began.pop(channel, None)
            rest = {c: f for c, f in self._now.failures.items() if c != channel}
            self._change(failures=rest, last_contact=moment(self._clock.now()))

    def answered(self) -> None:
        """Note an answer of the hub, though the channel may fail with something else."""
        with self._lock:
            self._change(last_contact=moment(self._clock.now()))

    def fails(self, channel: str, error: Exception) -> None:
        """Note a failure of a channel."""
        reason, now = reason_of(error), self._clock.now()
        with self._lock:
            self._began.setdefault(channel, now.mono)
            before = self._now.failures.get(channel)
            since = before.since if before and before.reason == reason else moment(now)
            failure = Failure(reason, str(error), since)
            self._change(failures={**self._now.failures, channel: failure})

    def waiting(self, backlog: int) -> None:
        """Note the number of rows that the hub does not have yet."""
        with self._lock:
            self._change(backlog=backlog)

    def certificate(self, until: datetime | None) -> None:
        """Note the expiry of the hub's certificate."""
        with self._lock:
            self._change(certificate_until=until)

    def snapshot(self) -> Contact:
        """Return the present contact."""
        with self._lock:
            return self._now

    def publish(self, board: StatusBoard) -> None:
        """Publish problems and contact on the board and in the file; call it every second or so.

        Failures that last longer than `degraded_after_s` are problems. One thread only.
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
        if now.sure:  # a doubtful clock cannot judge expiry: the last result stands
            soon = until is not None and until - moment(now) <= WARN_BEFORE
            text = f"the hub's certificate expires on {until:%Y-%m-%d}" if soon else None
            board.trouble(EXPIRES, text)
        board.publish(hub=contact.as_dict())
        self._write(contact, now.mono)

    def _change(self, **changes: Any) -> None:
        values = {name: getattr(self._now, name) for name in Contact.__dataclass_fields__}
        self._now = Contact(**{**values, **changes, "at": moment(self._clock.now())})

    def _write(self, contact: Contact, mono: float) -> None:
        state = (contact.failures, bool(contact.backlog))
        if self._written and self._written[1] == state and mono - self._written[0] < SPARE_S:
            return
        self._written = mono, state
        try:
            write_atomic(self._file, json.dumps(contact.as_dict()).encode(), 0o600)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file, error)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _some(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)


def _shown(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
