"""Who passes at the gates of a site, on their hub: told to those of them that ask.

A cursor is `NAMES.GIVEN.NUMBER`: the feed and the site's sequence, how often what this gate is
given began anew, and the last number that it has. Nothing is kept of a site of which nobody has
asked for a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from gated.services.workspace import Service
from gated.storage import carried, changes, site_presence
from gated.storage.changes import FeedHead, topic_of
from gated.storage.gates import GateRow
from gated.storage.site_presence import EVERYBODY, WINDOW, SiteHead, Stand, clock_ahead_s
from gated.storage.tables import utcnow

__all__ = ["SitePresence", "topic_of"]

ASKED_AGAIN = timedelta(hours=1)
FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Word:
    """Of one person (uid), or of everybody (None) what was forgiven.

    direction: None when nobody passed, or the last passage was at the gate that is told. Times in
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
    words: Sequence[Word]
    others: int | None


class SitePresence(Service):
    """Who passes at the sites of a workspace that is the hub of gates."""

    def tell(self, gate: GateRow, cursor: str, counting_from: float | None) -> PresencePage:
        """What a gate does not know yet; everything for a cursor that is over.

        counting_from: UTC seconds on the gate's clock; entries before are forgiven by its rules.
        """
        self.keep(gate.site)
        ahead = clock_ahead_s(gate)
        with self._workspace.database.read() as session:
            end = site_presence.head(session, gate.site)
            if end is None:
                return PresencePage("", 0, True, True, (), None)
            names = _names(changes.head(session), end)
            seq = _position(names, end, gate, cursor)
            stands = site_presence.since(session, gate.site, seq or 0)
            named = _carried(session, gate, stands)
            others = None
            if counting_from is not None:
                others = site_presence.inside_unknown(session, gate, counting_from - ahead)
        words = [_word(stand, gate.device, ahead) for stand in stands if stand.uid in named]
        last = f"{names}.{gate.feed}.{end.seq}"
        return PresencePage(last, end.seq, seq != end.seq, seq is None, words, others)

    def awaited(self, site: str) -> bool:
        """Whether some gate of a site wants to know at once who passes there."""
        with self._workspace.database.read() as session:
            end = site_presence.head(session, site)
        return end is not None and utcnow() - end.asked_at < 2 * ASKED_AGAIN

    def forget(self) -> None:
        """Keep nothing of sites of which nobody has asked for a day, nor of passages long ago."""
        with self._workspace.database.write() as session:
            for site in site_presence.not_asked_since(session, utcnow() - FORGOTTEN):
                site_presence.end(session, site)
            site_presence.forget(session, utcnow() - WINDOW)

    def keep(self, site: str) -> None:
        """From now on know who passes at a site, until nobody has asked for a day."""
        with self._workspace.database.read() as session:
            end = site_presence.head(session, site)
        if end is not None and utcnow() - end.asked_at < ASKED_AGAIN:
            return
        own = self._workspace.settings.gate
        with self._workspace.database.write() as session:
            if end is None:
                site_presence.begin(session, site, own=own.role == "gate" and own.site == site)
            site_presence.asked(session, site)


def _names(feed: FeedHead, end: SiteHead) -> str:
    """When the feed begins anew, as after a restore of the database, so does every site."""
    return f"{feed.feed.rpartition('-')[2]}-{end.feed}"


def _position(names: str, end: SiteHead, gate: GateRow, cursor: str) -> int | None:
    """The number in a cursor; None for one that is over."""
    name, _, rest = cursor.partition(".")
    given, _, number = rest.partition(".")
    right = name == names and given == str(gate.feed) and number.isdecimal()
    if not right or len(number) > 18 or int(number) > end.seq:
        return None
    return int(number)


def _carried(session: Session, gate: GateRow, stands: Sequence[Stand]) -> set[str]:
    """Those of the uids that a gate may hear of."""
    uids = [stand.uid for stand in stands]
    return {*carried.uids_of(session, gate, uids), EVERYBODY}


def _word(stand: Stand, device: str | None, ahead_s: float) -> Word:
    elsewhere = stand.device != device and stand.utc is not None
    forgiven = stand.forgiven_utc
    return Word(
        stand.seq,
        stand.uid or None,
        stand.direction if elsewhere else None,
        stand.utc + ahead_s if elsewhere and stand.utc is not None else None,
        stand.gate if elsewhere else None,
        None if forgiven is None else forgiven + ahead_s,
    )
