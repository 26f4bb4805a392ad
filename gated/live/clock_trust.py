"""Judges whether the clock can be trusted, and lets an admin confirm it.

The last known times are stored in the database, so that a step of the clock is also noticed when
the program was not running. `require_right` guards everything that cannot be undone.
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
"""Interval at which a known time is stored."""

ON_THEIR_WAY_S = 30.0
"""Longest time in which rows from before the clock was set may still arrive in the log."""

BATCH = 200

ADVICE = (
    "compare it with another clock, set it if it is wrong (timedatectl set-time), then confirm it: "
    "gated clock confirm"
)

_at_a_time = threading.Lock()
"""Serialises judgements by the main loop, the hub's loops and requests."""


class ClockKeeper(Service):
    """Judges the clock of a workspace; safe from any thread and process."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._raw = clock.raw if isinstance(clock, JudgedClock) else clock
        self._boot = workspace.journal.boot

    def look(self) -> ClockTrust:
        """Judge the clock, store the result, and correct rows that were logged with a wrong time.

        Raises: StorageError.
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
                self._correct_rows(after, now)
            return trust

    def hub_said(self, utc: float, now: Instant) -> None:
        """Note the time (UTC) of a hub that trusts its own clock, heard at `now`.

        Raises: StorageError.
        """
        heard = Known(utc, now.mono, self._boot, "hub")
        evidence = self._workspace.clock.evidence
        self._workspace.clock.evidence = replace(evidence, hub=heard)
        old = evidence.hub
        if old is None or old.boot != self._boot or now.mono - old.mono >= KEPT_S:
            with _at_a_time, self._workspace.database.write() as session:
                store.put(session, replace(store.get(session), hub=heard))

    def confirm(self, *, actor: str) -> ClockTrust:
        """Trust the clock, as somebody has compared it. Journaled with the actor.

        Raises: Conflict for a clock that cannot be right, or that differs from the hub's.
        """
        now = self._raw.now()
        if now.utc < RTC_EPOCH:
            shown = datetime.fromtimestamp(now.utc, UTC)
            day = f"{shown:%Y-%m-%d}"
            text = f"the clock shows {day}, which cannot be: set it first"
            raise Conflict(text).named("clock_impossible", day)
        before = self.look()
        known = Known(now.utc, now.mono, self._boot, "admin")
        with _at_a_time, self._workspace.change(actor, self._raw) as change:
            kept = replace(store.get(change.session), known=known)
            after = judge(now, self._evidence(kept))
            if not after.trusted:
                text = f"{after}: set the clock by the hub's, or ask there"
                raise Conflict(text).named("clock_by_hub")
            store.put(change.session, kept)
            body = {
                "was": str(before.standing),
                "doubt": str(before.doubt) if before.doubt else None,
                "by_s": round(before.by_s),
            }
            # dated with the time that was compared, without the flag of a doubtful clock
            change.append(Entry(now_sure(now), "clock_confirmed", body, {"actor": {"name": actor}}))
        return self.look()

    def _evidence(self, kept: ClockRecord) -> Evidence:
        off_s = self._workspace.settings.privacy.longest_off_h * 3600
        return Evidence(self._boot, kept.known, self._heard(kept.hub), off_s)

    def _share(self, kept: ClockRecord) -> None:
        """Use this record for all times read in this process."""
        self._workspace.clock.evidence = self._evidence(kept)

    def _heard(self, stored: Known | None) -> Known | None:
        """Return the hub's last time: this process may have heard a newer one than is stored."""
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
        """Return the known time to store: a new one when the last is old enough."""
        if known is None or known.boot != self._boot:
            return Known(now.utc, now.mono, self._boot)
        if 0 <= now.mono - known.mono < KEPT_S and known.allows(now):
            return known
        # otherwise many small steps of the clock would add up unnoticed
        leap = known.leap(now) if known.allows(now) and abs(known.leap(now)) > CREEP_S else 0.0
        return Known(now.utc - leap, now.mono, self._boot)

    # --- rows of an unset clock ---------------------------------------------------------------

    def _correct_rows(self, kept: ClockRecord, now: Instant) -> None:
        """Replace rows of this boot by rows with the right time, until all are corrected."""
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
                first = [] if total else [clock_fix.fixed(now, self._boot)]
                journal.append([*first, *clock_fix.fixing(session, now, self._boot, rows)], session)
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
    """Return the same moment, marked as right."""
    return Instant(now.mono, now.utc)


def stored_trust(settings: Settings, clock: Clock) -> ClockTrust:
    """Judge the clock by the stored record, without changing it. Raises: StorageError."""
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
    """Return the present moment. Raises: ClockDoubtful unless its time is known to be right."""
    trust = trust_of(workspace, clock)
    if not trust.trusted:
        raise ClockDoubtful(f"{trust}: nothing is erased by its date; {ADVICE}")
    return clock.now()


def status_fields(trust: ClockTrust) -> dict[str, Any]:
    """Return the fields of the status board for a judgement."""
    doubt = trust.doubt if trust.standing is not ClockStanding.TRUSTED else None
    return {
        "clock": str(trust.standing),
        "clock_doubt": "" if doubt is None else str(trust),
        "clock_reason": "" if doubt is None else str(doubt),
        "clock_off_s": abs(trust.by_s),
        "clock_problem": trust.problem,
    }


def shown(now: Instant) -> str:
    """Return the clock's time as text."""
    return f"{datetime.fromtimestamp(now.utc, UTC):%Y-%m-%d %H:%M:%S} UTC"
