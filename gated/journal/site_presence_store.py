"""Keeps the last passages at the gates of a site: on the hub, and on a gate as its hub told it.

One row for each person and site, with a number that grows with each change of it, given under the
lock of the site. It follows from the attendance log, but for what was forgiven, and is kept for
those sites only of which some gate has asked. Where several locks are taken, this is the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import change_feed, rows
from gated.database.records import GateRow, columns_of, record
from gated.database.tables import gates, new_uid, persons, presence_sites, site_presence, utcnow
from gated.journal import forgiven_store, last_passages

WINDOW = timedelta(days=7)
"""How far back a last passage is looked for."""

TOLD = ""
"""In place of a site: as the hub of this gate told it."""

EVERYBODY = ""
"""In place of a person: what was forgiven to all."""

CLOCK_TOLERANCE_S = 1.0
"""A clock that is no further off is taken to be right; that is how exactly it is known."""

ON_ITS_WAY_S = 30.0
"""No message of a gate is on its way for longer: it gives up before."""

LATEST = 2**32
"""UTC seconds that a clock may show; what else a gate says of its clock is nonsense."""

AHEAD_S = 300.0
"""What a gate says to be still to come by more than this has not happened."""

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class SiteHead:
    """The last number of a site. feed: names the sequence that it belongs to."""

    feed: str
    seq: int
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class LastPassage:
    """The last passage of a person (UTC seconds, name of the gate, uid of its journal)."""

    uid: str
    seq: int = 0
    direction: str | None = None
    utc: float | None = None
    gate: str | None = None
    device: str | None = None
    forgiven_utc: float | None = None


@dataclass(slots=True)
class PassageChanges:
    """The changes that rows of a journal make to the last passages.

    people: ids of those of whom there is another last passage now. corrected: those who were taken
    to have passed and were not. forgiven: uid (EVERYBODY: all) -> UTC seconds.
    """

    people: set[int] = field(default_factory=set)
    corrected: set[int] = field(default_factory=set)
    forgiven: dict[str, float] = field(default_factory=dict)

    def forgive(self, row: Mapping[str, Any], private: Mapping[str, Mapping[str, Any]]) -> None:
        """Take note of a row that forgives; what the rules forgive by time follows from them."""
        if row["kind"] != forgiven_store.KIND:
            return
        whom = private.get("subject", {}).get("uid")
        if row["body"].get("everybody") is True:
            whom = EVERYBODY
        if isinstance(whom, str):
            self.forgiven[whom] = row["at_utc"] / 1e6


MayForgive = Callable[[Session, GateRow, Sequence[str]], set[str]]

_HEAD = columns_of(SiteHead, presence_sites)
_STAND = columns_of(LastPassage, site_presence)


def head(session: Session, site: str) -> SiteHead | None:
    """The end of a site's sequence; None where nobody asks for it."""
    row = rows.one(session, presence_sites, _HEAD, site=site)
    return row and record(SiteHead, row)


def begin(session: Session, site: str, may_forgive: MayForgive, own: bool = False) -> None:
    """From now on keep who passed last at a site; the log says how it begins.

    may_forgive: those of these uids whom a gate may forgive. own: the hub is itself a gate of this
    site.
    """
    if session.get_bind().dialect.name == "postgresql":
        # whoever found that nobody asks must have committed before we look at the log
        session.execute(sa.text("LOCK TABLE presence_sites IN EXCLUSIVE MODE"))
    now = utcnow()
    values = {"site": site, "feed": new_uid(), "seq": 0, "asked_at": now}
    rows.insert_unless_there(session, presence_sites, values, "site")
    _write(session, site, _last(session, site, None))
    ahead, there = _clocks_ahead(session, site), _gates(session, site)
    found = forgiven_store.forgiven_at(session, site, now - WINDOW, own=own)
    for (device, uid), utc in found.items():
        gate = there.get(device)
        if gate is None or uid in may_forgive(session, gate, [uid]):
            _forgive(session, site, uid, utc - ahead.get(device, 0.0))


def asked(session: Session, site: str) -> None:
    """Note that somebody still asks."""
    here = presence_sites.c.site == site
    session.execute(sa.update(presence_sites).where(here).values(asked_at=utcnow()))


def not_asked_since(session: Session, at: datetime) -> list[str]:
    """The sites of which nobody has asked since then."""
    found = sa.select(presence_sites.c.site).where(presence_sites.c.asked_at < at)
    return list(session.execute(found).scalars())


def end(session: Session, site: str) -> None:
    """Keep nothing of a site any more."""
    for table in (site_presence, presence_sites):
        session.execute(sa.delete(table).where(table.c.site == site))


def noted(session: Session, site: str, passed: PassageChanges, ahead_s: float = 0.0) -> None:
    """The log of a site has grown by this, written by a clock that is so far ahead."""
    people = passed.people | passed.corrected
    if (people or passed.forgiven) and _locked(session, site) is not None:
        _look(session, site, people)
        for uid, utc in passed.forgiven.items():
            _forgive(session, site, uid, utc - ahead_s)
    if passed.corrected:
        # by somebody who sits elsewhere
        here = sa.select(persons.c.uid).where(persons.c.id.in_(people))
        named = sa.select(site_presence.c.site).where(site_presence.c.uid.in_(here)).distinct()
        for other in sorted({*session.execute(named).scalars()} - {TOLD, site}):
            if _locked(session, other) is not None:
                _look(session, other, people)


def forget(session: Session, before: datetime) -> None:
    """Remove passages and forgivings of long ago; here and at the gates they count no more."""
    c, limit = site_presence.c, before.timestamp()
    old = (c.utc < limit, sa.func.coalesce(c.forgiven_utc, 0.0) < limit)
    everybody = (c.uid == EVERYBODY, c.forgiven_utc < limit)
    session.execute(sa.delete(site_presence).where(sa.or_(sa.and_(*old), sa.and_(*everybody))))


def since(session: Session, site: str, seq: int) -> list[LastPassage]:
    """List what changed at a site behind a number, in order."""
    c = site_presence.c
    found = sa.select(*_STAND).where(c.site == site, c.seq > seq).order_by(c.seq)
    return [record(LastPassage, row) for row in session.execute(found)]


def clock_offset(status: Mapping[str, Any], heard: datetime) -> tuple[float, float] | None:
    """Return how many seconds a gate's clock is ahead of the hub's, and how exactly that is known.

    A gate compares the clocks by a question and its answer: what is on its way slowly, or waits
    its turn here, must not look like a wrong clock. Until it has, the time that it told, `heard`
    at once or after a while, must do. None when it said nothing that makes sense.
    """
    measured = _seconds(status.get("clock_ahead_s")), _seconds(status.get("clock_within_s"))
    if measured[0] is not None and measured[1] is not None:
        return measured[0], abs(measured[1])
    told = _seconds(status.get("clock"))
    return None if told is None or told < 0 else (told - heard.timestamp(), ON_ITS_WAY_S)


def _seconds(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and -LATEST < value < LATEST else None


def clock_ahead_s(gate: GateRow) -> float:
    """Return how many seconds a gate's clock was certainly ahead of the hub's, as last heard."""
    found = None if gate.seen_at is None else clock_offset(gate.status, gate.seen_at)
    if found is None:
        return 0.0
    ahead, within = found
    return ahead if abs(ahead) > max(CLOCK_TOLERANCE_S, within) else 0.0


# --- on a gate ------------------------------------------------------------------------------------


def put_told(session: Session, stands: Sequence[LastPassage], *, complete: bool) -> None:
    """Keep what the hub told. complete: whom it does not name has not passed elsewhere."""
    if complete:
        session.execute(sa.delete(site_presence).where(site_presence.c.site == TOLD))
    values = [{**asdict(stand), "site": TOLD} for stand in stands]
    if values:
        rows.upsert(session, site_presence, values, ("site", "uid"))


def ids_of(session: Session, uids: Iterable[str]) -> dict[str, int]:
    """uid -> id of the persons who are known here."""
    found: dict[str, int] = {}
    for some in _some(sorted(uids)):
        known = sa.select(persons.c.uid, persons.c.id).where(persons.c.uid.in_(some))
        found |= dict(session.execute(known).all())
    return found


# --- inside ---------------------------------------------------------------------------------------


def _locked(session: Session, site: str) -> SiteHead | None:
    found = sa.select(*_HEAD).where(presence_sites.c.site == site).with_for_update()
    row = session.execute(found).first()
    return None if row is None else record(SiteHead, row)


def _look(session: Session, site: str, people: Collection[int]) -> None:
    """Find in the log who of these passed last at a site."""
    for some in _some(sorted(people)):
        _write(session, site, _last(session, site, some))


def _last(session: Session, site: str, people: Sequence[int] | None) -> list[LastPassage]:
    """The last passages at a site of these people, or of all who have passed there lately.

    Clocks of gates differ: what each has as the last one is compared by the hub's time.
    """
    ahead, end_ = _clocks_ahead(session, site), utcnow().timestamp() + AHEAD_S
    latest: dict[int, LastPassage] = {}
    for row in last_passages.last_of_chains(session, site, utcnow() - WINDOW, people):
        device = row.chain.rpartition("/")[0]
        utc = row.created_at.timestamp() - ahead.get(device, 0.0)
        known = latest.get(row.person_id)
        later = known is None or known.utc is None or utc >= known.utc
        if later and utc <= end_:
            stand = LastPassage(row.uid, 0, row.direction, utc, row.gate_name, device)
            latest[row.person_id] = stand
    missing = set(people or ()) - latest.keys()
    uids = sa.select(persons.c.uid).where(persons.c.id.in_(missing))
    return [*latest.values(), *map(LastPassage, session.execute(uids).scalars())]


def _clocks_ahead(session: Session, site: str) -> dict[str | None, float]:
    """Uid of the journal -> seconds, of the gates of a site."""
    return {device: clock_ahead_s(gate) for device, gate in _gates(session, site).items()}


def _gates(session: Session, site: str) -> dict[str | None, GateRow]:
    """Uid of the journal -> gate, of a site."""
    found = session.execute(sa.select(*columns_of(GateRow, gates)).where(gates.c.site == site))
    return {g.device: g for g in (record(GateRow, row) for row in found)}


def _write(session: Session, site: str, stands: Sequence[LastPassage]) -> None:
    """Give a number to each of these that says something new."""
    there = _stored(session, site, [stand.uid for stand in stands])
    news = []
    for stand in stands:
        known = there.get(stand.uid, LastPassage(stand.uid))
        told = replace(stand, seq=known.seq, forgiven_utc=known.forgiven_utc)
        if told != known:
            news.append(told)
    _number(session, site, news)


def _forgive(session: Session, site: str, uid: str, utc: float) -> None:
    utc = min(utc, utcnow().timestamp())  # nobody is forgiven what is still to come
    known = _stored(session, site, [uid]).get(uid, LastPassage(uid))
    if known.forgiven_utc is None or utc > known.forgiven_utc:
        _number(session, site, [replace(known, forgiven_utc=utc)])


def _stored(session: Session, site: str, uids: Sequence[str]) -> dict[str, LastPassage]:
    there: dict[str, LastPassage] = {}
    c = site_presence.c
    for some in _some(uids):
        found = sa.select(*_STAND).where(c.site == site, c.uid.in_(some))
        there |= {row.uid: record(LastPassage, row) for row in session.execute(found)}
    return there


def _number(session: Session, site: str, stands: Sequence[LastPassage]) -> None:
    end_ = _locked(session, site)
    if end_ is None or not stands:
        return
    numbered = [replace(stand, seq=end_.seq + n) for n, stand in enumerate(stands, 1)]
    values: list[dict[str, Any]] = [{**asdict(stand), "site": site} for stand in numbered]
    rows.upsert(session, site_presence, values, ("site", "uid"))
    moved = sa.update(presence_sites).where(presence_sites.c.site == site)
    session.execute(moved.values(seq=numbered[-1].seq))
    change_feed.ring(session, change_feed.topic_of(site))


def _some(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
