"""Judges now and again whether the clock is right, tells who asks, lets an admin confirm it.

What was known is kept in the database, so that a clock that leaps while the program does not run is
noticed as well. Before something is done that cannot be undone, `require_right` is asked.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gated.attendance import clock_fix
from gated.config import Settings
from gated.core.clock import ClockStanding, ClockTrust, Evidence, Known, judge
from gated.core.values import Instant
from gated.database.engine import Database
from gated.devices.clock import RTC_EPOCH, JudgedClock
from gated.errors import ClockDoubtful, Conflict
from gated.journal import clock_store as store
from gated.journal.clock_store import ClockRecord
from gated.journal.journal import Entry, boot_id
from gated.ports import Clock
from gated.workspace import Service, Workspace

log = logging.getLogger(__name__)

KEPT_S = 600.0
"""How often it is written down that the clock is right."""

ON_THEIR_WAY_S = 30.0
"""Rows of the time before the clock was set may still be on their way into the log for so long."""

BATCH = 200

ADVICE = (
    "compare it with another clock, set it if it is wrong (timedatectl set-time), then confirm it: "
    "gated clock confirm"
)

_at_a_time = threading.Lock()
"""The main loop, the hub's loops and whoever asks look in turn."""


class ClockKeeper(Service):
    """Knows what the clock of a workspace is worth; any thread and process may ask."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._raw = clock.raw if isinstance(clock, JudgedClock) else clock
        self._boot = workspace.journal.boot

    def look(self) -> ClockTrust:
        """Judge the clock, keep what is known of it, and put rows right that it spoiled.

        StorageError.
        """
        with _at_a_time:
            with self._workspace.database.read() as session:
                before = store.get(session)
                known = before.known or self._workspace.known_by_log(session)
            kept, now = replace(before, known=known), self._raw.now()
            trust = judge(now, self._evidence(kept))
            after = self._after(kept, trust, now)
            if after != before:
                with self._workspace.database.write() as session:
                    store.put(session, after)
            self._share(after)
            if trust.trusted and after.unset_boot == self._boot:
                self._put_right(after, now)
            return trust

    def hub_said(self, utc: float, now: Instant) -> None:
        """The hub, which trusts its own clock, said this time (UTC) at `now`. StorageError."""
        word = Known(utc, now.mono, self._boot, "hub")
        evidence = self._workspace.clock.evidence
        self._workspace.clock.evidence = replace(evidence, hub=word)
        old = evidence.hub
        if old is None or old.boot != self._boot or now.mono - old.mono >= KEPT_S:
            with _at_a_time, self._workspace.database.write() as session:
                store.put(session, replace(store.get(session), hub=word))

    def confirm(self, *, actor: str) -> ClockTrust:
        """Somebody has compared the clock and says that it is right; the journal tells who.

        Conflict for a clock that cannot be right, or that the hub says is wrong.
        """
        now = self._raw.now()
        if now.utc < RTC_EPOCH:
            shown = datetime.fromtimestamp(now.utc, UTC)
            raise Conflict(f"the clock shows {shown:%Y-%m-%d}, which cannot be: set it first")
        before = self.look()
        known = Known(now.utc, now.mono, self._boot, "admin")
        with _at_a_time, self._workspace.change(actor, self._raw) as change:
            kept = replace(store.get(change.session), known=known)
            after = judge(now, self._evidence(kept))
            if not after.trusted:
                raise Conflict(f"{after}: set the clock by the hub's, or ask there")
            store.put(change.session, kept)
            body = {
                "was": str(before.standing),
                "doubt": str(before.doubt) if before.doubt else None,
                "by_s": round(before.by_s),
            }
            # at the moment that was compared, and as one that is sure from now on
            change.append(Entry(now_sure(now), "clock_confirmed", body, {"actor": {"name": actor}}))
        return self.look()

    def _evidence(self, kept: ClockRecord) -> Evidence:
        off_s = self._workspace.settings.privacy.longest_off_h * 3600
        return Evidence(self._boot, kept.known, self._heard(kept.hub), off_s)

    def _share(self, kept: ClockRecord) -> None:
        """Let every moment of this process be judged by it."""
        self._workspace.clock.evidence = self._evidence(kept)

    def _heard(self, stored: Known | None) -> Known | None:
        """The hub's last word: this process may have heard one that was not stored."""
        own = self._workspace.clock.evidence.hub
        if own is None or own.boot != self._boot:
            return stored
        older = stored is None or stored.boot != self._boot or stored.mono <= own.mono
        return own if older else stored

    def _after(self, kept: ClockRecord, trust: ClockTrust, now: Instant) -> ClockRecord:
        if trust.trusted:
            return replace(kept, known=self._known(kept.known, now))
        if trust.doubted and kept.unset_boot != self._boot:
            with self._workspace.database.read() as session:
                after = store.last_set(session)
            return replace(kept, unset_boot=self._boot, unset_after=after)
        return kept

    def _known(self, known: Known | None, now: Instant) -> Known:
        """The present moment as one that is known, where enough has passed since the last one."""
        if known is None or known.boot != self._boot:
            return Known(now.utc, now.mono, self._boot)
        if 0 <= now.mono - known.mono < KEPT_S and known.allows(now):
            return known
        # a clock that is set a little again and again must not get away unnoticed
        leap = known.leap(now) if known.allows(now) and abs(known.leap(now)) > CREEP_S else 0.0
        return Known(now.utc - leap, now.mono, self._boot)

    # --- rows of an unset clock ---------------------------------------------------------------

    def _put_right(self, kept: ClockRecord, now: Instant) -> None:
        """Put the right time in the place of rows of this boot; forget of them when all are."""
        now, journal = now_sure(now), self._workspace.journal
        total = 0
        while True:
            with self._workspace.database.write() as session:
                gate = journal.gate_uid_if_known(session)
                if gate is None:
                    break
                rows = clock_fix.unset_rows(session, gate, self._boot, kept.unset_after, BATCH)
                if not rows:
                    break
                word = [] if total else [clock_fix.fixed(now, self._boot)]
                journal.append([*word, *clock_fix.fixing(session, now, self._boot, rows)], session)
                total += len(rows)
        if total:
            log.warning("the clock is set: %d rows of the log have their right time", total)
        if self._is_over(now, total):
            with self._workspace.database.write() as session:
                store.put(session, replace(store.get(session), unset_boot="", unset_after=0))

    def _is_over(self, now: Instant, total: int) -> bool:
        if total or self._right_since is None:
            self._right_since = now.mono
        return now.mono - self._right_since >= ON_THEIR_WAY_S

    _right_since: float | None = None


CREEP_S = 5.0


def now_sure(now: Instant) -> Instant:
    """A moment whose time was found to be right."""
    return Instant(now.mono, now.utc)


def stored_trust(settings: Settings, clock: Clock) -> ClockTrust:
    """Judge the clock by what is stored, which is left as it is. Raises: StorageError."""
    with contextlib.closing(Database.open(settings.storage.url)) as database:
        database.check_schema()
        with database.read() as session:
            kept = store.get(session)
    off_s = settings.privacy.longest_off_h * 3600
    return judge(clock.now(), Evidence(boot_id(), kept.known, kept.hub, off_s))


def trust_of(workspace: Workspace, clock: Clock) -> ClockTrust:
    """Judge the clock now. Raises: StorageError."""
    return ClockKeeper(workspace, clock).look()


def require_right(workspace: Workspace, clock: Clock) -> Instant:
    """The present moment; ClockDoubtful unless its time is known to be right."""
    trust = trust_of(workspace, clock)
    if not trust.trusted:
        raise ClockDoubtful(f"{trust}: nothing is erased by its date; {ADVICE}")
    return clock.now()


def status_fields(trust: ClockTrust) -> dict[str, Any]:
    """The same for the state of a gate or hub."""
    text = str(trust) if trust.standing is not ClockStanding.TRUSTED else ""
    return {"clock": str(trust.standing), "clock_doubt": text, "clock_problem": trust.problem}


def shown(now: Instant) -> str:
    """Return what the clock shows, for people."""
    return f"{datetime.fromtimestamp(now.utc, UTC):%Y-%m-%d %H:%M:%S} UTC"
