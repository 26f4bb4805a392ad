"""Passages at the gates of a site, on their hub: sent to those of them that ask.

A cursor is `NAMES.GIVEN.NUMBER`: the feed and the site's sequence, how often what this gate is
given began anew, and the last number that it has. Nothing is kept of a site of which nobody has
asked for a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from gated.database import change_feed
from gated.database.change_feed import FeedHead, topic_of
from gated.database.records import GateRow
from gated.database.tables import utcnow
from gated.fleet.hub import gate_presence, scope
from gated.journal import site_presence_store
from gated.journal.site_presence_store import (
    EVERYBODY,
    WINDOW,
    LastPassage,
    SiteHead,
    clock_ahead_s,
)
from gated.workspace import Service

__all__ = ["SitePresence", "topic_of"]

ASKED_AGAIN = timedelta(hours=1)
FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """Of one person (uid), or of everybody (None) what was forgiven.

    direction: None when nobody passed, or the last passage was at the receiving gate. Times in
    UTC seconds on the clock of that gate.
    """

    seq: int
    uid: str | None
    direction: str | None
    utc: float | None
    gate: str | None
    forgiven_utc: float | None


@dataclass(frozen=True, slots=True)
class PresencePage:
    """complete: all that is known of the site; else what is new behind the cursor that was asked.

    is_news: whether there is anything that the gate did not know. others: how many are inside whom
    it is not given; None when it did not ask.
    """

    cursor: str
    seq: int
    is_news: bool
    complete: bool
    words: Sequence[PresenceChange]
    others: int | None


class SitePresence(Service):
    """Passages at the sites of a workspace that is the hub of gates."""

    def tell(self, gate: GateRow, cursor: str, counting_from: float | None) -> PresencePage:
        """Return what a gate does not know yet; everything for a cursor that is over.

        counting_from: UTC seconds on the gate's clock; entries before are forgiven by its rules.
        """
        self.keep(gate.site)
        ahead = clock_ahead_s(gate)
        with self._workspace.database.read() as session:
            end = site_presence_store.head(session, gate.site)
            if end is None:
                return PresencePage("", 0, True, True, (), None)
            names = _names(change_feed.head(session), end)
            seq = _position(names, end, gate, cursor)
            stands = site_presence_store.since(session, gate.site, seq or 0)
            named = _carried(session, gate, stands)
            others = None
            if counting_from is not None:
                others = gate_presence.inside_unknown(session, gate, counting_from - ahead)
        words = [_word(stand, gate.device, ahead) for stand in stands if stand.uid in named]
        last = f"{names}.{gate.feed}.{end.seq}"
        return PresencePage(last, end.seq, seq != end.seq, seq is None, words, others)

    def awaited(self, site: str) -> bool:
        """Return whether some gate of a site wants to know at once who passes there."""
        with self._workspace.database.read() as session:
            end = site_presence_store.head(session, site)
        return end is not None and utcnow() - end.asked_at < 2 * ASKED_AGAIN

    def forget(self) -> None:
        """Keep nothing of sites of which nobody has asked for a day, nor of passages long ago."""
        with self._workspace.database.write() as session:
            for site in site_presence_store.idle_since(session, utcnow() - FORGOTTEN):
                site_presence_store.stop_tracking(session, site)
            site_presence_store.forget(session, utcnow() - WINDOW)

    def keep(self, site: str) -> None:
        """From now on know who passes at a site, until nobody has asked for a day."""
        with self._workspace.database.read() as session:
            end = site_presence_store.head(session, site)
        if end is not None and utcnow() - end.asked_at < ASKED_AGAIN:
            return
        own = self._workspace.settings.gate
        with self._workspace.database.write() as session:
            if end is None:
                site_presence_store.start_tracking(
                    session,
                    site,
                    gate_presence.may_forgive,
                    own.role == "gate" and own.site == site,
                )
            site_presence_store.touch(session, site)


def _names(feed: FeedHead, end: SiteHead) -> str:
    """Begin every site anew with the feed, as after a restore of the database."""
    return f"{feed.feed.rpartition('-')[2]}-{end.feed}"


def _position(names: str, end: SiteHead, gate: GateRow, cursor: str) -> int | None:
    """The number in a cursor; None for one that is over."""
    name, _, rest = cursor.partition(".")
    given, _, number = rest.partition(".")
    right = name == names and given == str(gate.feed) and number.isdecimal()
    if not right or len(number) > 18 or int(number) > end.seq:
        return None
    return int(number)


def _carried(session: Session, gate: GateRow, stands: Sequence[LastPassage]) -> set[str]:
    """Those of the uids that a gate may hear of."""
    uids = [stand.uid for stand in stands]
    return {*scope.uids_of(session, gate, uids), EVERYBODY}


def _word(stand: LastPassage, device: str | None, ahead_s: float) -> PresenceChange:
    elsewhere = stand.device != device and stand.utc is not None
    forgiven = stand.forgiven_utc
    return PresenceChange(
        stand.seq,
        stand.uid or None,
        stand.direction if elsewhere else None,
        stand.utc + ahead_s if elsewhere and stand.utc is not None else None,
        stand.gate if elsewhere else None,
        None if forgiven is None else forgiven + ahead_s,
    )
