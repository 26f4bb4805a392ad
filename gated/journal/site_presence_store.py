"""Stores the last passages at a site: on the hub, and on a gate those received from its hub.

One row for each person and site, with a sequence number that is assigned at each change, under the
lock of the site. All but the forgivings follow from the attendance log. Only sites are tracked for
which a gate has asked. Where several locks are taken, this is the last one.
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
"""The age up to which a passage counts."""

FROM_HUB = ""
"""In place of a site: rows that this gate has received from its hub."""

EVERYBODY = ""
"""In place of a person: everybody was forgiven."""

CLOCK_TOLERANCE_S = 1.0
"""A clock that is no further off counts as right; its offset is not known more exactly."""

LONGEST_TRANSIT_S = 30.0
"""The longest transit of a message; a gate gives up before."""

LATEST = 2**32
"""UTC seconds; a gate's clock that claims more is ignored."""

AHEAD_S = 300.0
"""Passages that are dated further in the future are ignored."""


@dataclass(frozen=True, slots=True)
class SiteHead:
    """The last sequence number of a site. feed: uid of the sequence, which begins anew with it."""

    feed: str
    seq: int
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class LastPassage:
    """The last passage of a person. utc: seconds. gate: its name. device: uid of its journal."""

    uid: str
    seq: int = 0
    direction: str | None = None
    utc: float | None = None
    gate: str | None = None
    device: str | None = None
    forgiven_utc: float | None = None


@dataclass(slots=True)
class PassageChanges:
    """Changes of last passages by rows of a journal.

    people: ids of persons with a new last passage. corrected: ids of persons whose passage was
    corrected. forgiven: uid (EVERYBODY: all) -> UTC seconds.
    """

    people: set[int] = field(default_factory=set)
    corrected: set[int] = field(default_factory=set)
    forgiven: dict[str, float] = field(default_factory=dict)

    def forgive(self, row: Mapping[str, Any], private: Mapping[str, Mapping[str, Any]]) -> None:
        """Collect a row that forgives; forgiving by time follows from the rules."""
        if row["kind"] != forgiven_store.KIND:
            return
        whom = private.get("subject", {}).get("uid")
        if row["body"].get("everybody") is True:
            whom = EVERYBODY
        if isinstance(whom, str):
            self.forgiven[whom] = row["at_utc"] / 1e6


MayForgive = Callable[[Session, GateRow, Sequence[str]], set[str]]

_HEAD = columns_of(SiteHead, presence_sites)
_PASSAGE = columns_of(LastPassage, site_presence)


def head(session: Session, site: str) -> SiteHead | None:
    """Return the end of a site's sequence; None for a site that is not tracked."""
    row = rows.one(session, presence_sites, _HEAD, site=site)
    return row and record(SiteHead, row)


def start_tracking(session: Session, site: str, may_forgive: MayForgive, own: bool = False) -> None:
    """Track the last passages at a site from now on, beginning with those in the attendance log.

    may_forgive: returns which of these uids a gate may forgive. own: the hub is itself a gate of
    this site.
    """
    if session.get_bind().dialect.name == "postgresql":
        # waits for transactions that found the site untracked, before the log is read
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


def touch(session: Session, site: str) -> None:
    """Note that a gate has asked for the site."""
    here = presence_sites.c.site == site
    session.execute(sa.update(presence_sites).where(here).values(asked_at=utcnow()))


def idle_since(session: Session, at: datetime) -> list[str]:
    """Return the sites for which no gate has asked since then."""
    found = sa.select(presence_sites.c.site).where(presence_sites.c.asked_at < at)
    return list(session.execute(found).scalars())


def stop_tracking(session: Session, site: str) -> None:
    """Delete all rows of a site."""
    for table in (site_presence, presence_sites):
        session.execute(sa.delete(table).where(table.c.site == site))


def apply_changes(
    session: Session, site: str, passed: PassageChanges, ahead_s: float = 0.0
) -> None:
    """Update the last passages at a site, and elsewhere for corrections.

    ahead_s: seconds by which the clock of the journal is ahead.
    """
    people = passed.people | passed.corrected
    if (people or passed.forgiven) and _locked(session, site) is not None:
        _refresh(session, site, people)
        for uid, utc in passed.forgiven.items():
            _forgive(session, site, uid, utc - ahead_s)
    if passed.corrected:
        # a correction may have been made at another site
        here = sa.select(persons.c.uid).where(persons.c.id.in_(people))
        named = sa.select(site_presence.c.site).where(site_presence.c.uid.in_(here)).distinct()
        for other in sorted({*session.execute(named).scalars()} - {FROM_HUB, site}):
            if _locked(session, other) is not None:
                _refresh(session, other, people)


def forget(session: Session, before: datetime) -> None:
    """Delete passages and forgivings from before this time, which no rule counts any more."""
    c, limit = site_presence.c, before.timestamp()
    old = (c.utc < limit, sa.func.coalesce(c.forgiven_utc, 0.0) < limit)
    everybody = (c.uid == EVERYBODY, c.forgiven_utc < limit)
    session.execute(sa.delete(site_presence).where(sa.or_(sa.and_(*old), sa.and_(*everybody))))


def since(session: Session, site: str, seq: int) -> list[LastPassage]:
    """Return the rows of a site that changed after a sequence number, in order."""
    c = site_presence.c
    found = sa.select(*_PASSAGE).where(c.site == site, c.seq > seq).order_by(c.seq)
    return [record(LastPassage, row) for row in session.execute(found)]


def clock_offset(status: Mapping[str, Any], heard: datetime) -> tuple[float, float] | None:
    """Return how many seconds a gate's clock is ahead of the hub's, and the uncertainty of that.

    A gate measures the offset by a request and its answer, so that a slow transit does not look
    like a wrong clock. Before that it follows from the time in its status, received at `heard`.
    None without a valid value.
    """
    measured = _seconds(status.get("clock_ahead_s")), _seconds(status.get("clock_within_s"))
    if measured[0] is not None and measured[1] is not None:
        return measured[0], abs(measured[1])
    shown = _seconds(status.get("clock"))
    return None if shown is None or shown < 0 else (shown - heard.timestamp(), LONGEST_TRANSIT_S)


def _seconds(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and -LATEST < value < LATEST else None


def clock_ahead_s(gate: GateRow) -> float:
    """Return the seconds by which a gate's clock is ahead of the hub's; 0 where that is
    uncertain."""
    found = None if gate.seen_at is None else clock_offset(gate.status, gate.seen_at)
    if found is None:
        return 0.0
    ahead, within = found
    return ahead if abs(ahead) > max(CLOCK_TOLERANCE_S, within) else 0.0


# --- on a gate ------------------------------------------------------------------------------------


def store_from_hub(session: Session, passages: Sequence[LastPassage], *, complete: bool) -> None:
    """Store passages received from the hub. complete: they replace all stored ones."""
    if complete:
        session.execute(sa.delete(site_presence).where(site_presence.c.site == FROM_HUB))
    values = [{**asdict(passage), "site": FROM_HUB} for passage in passages]
    if values:
        rows.upsert(session, site_presence, values, ("site", "uid"))


def ids_of(session: Session, uids: Iterable[str]) -> dict[str, int]:
    """Return uid -> id of the persons who are known here."""
    found: dict[str, int] = {}
    for some in rows.in_parts(sorted(uids)):
        known = sa.select(persons.c.uid, persons.c.id).where(persons.c.uid.in_(some))
        found |= dict(session.execute(known).all())
    return found


# --- inside ---------------------------------------------------------------------------------------


def _locked(session: Session, site: str) -> SiteHead | None:
    found = sa.select(*_HEAD).where(presence_sites.c.site == site).with_for_update()
    row = session.execute(found).first()
    return None if row is None else record(SiteHead, row)


def _refresh(session: Session, site: str, people: Collection[int]) -> None:
    """Read the last passages of these people at a site from the log again."""
    for some in rows.in_parts(sorted(people)):
        _write(session, site, _last(session, site, some))


def _last(session: Session, site: str, people: Sequence[int] | None) -> list[LastPassage]:
    """Return the last passages at a site of these people, or of all within `WINDOW`.

    Clocks of gates differ: the last passages at each gate are compared by the hub's time.
    """
    ahead, end_ = _clocks_ahead(session, site), utcnow().timestamp() + AHEAD_S
    latest: dict[int, LastPassage] = {}
    for row in last_passages.last_of_chains(session, site, utcnow() - WINDOW, people):
        device = row.chain.rpartition("/")[0]
        utc = row.created_at.timestamp() - ahead.get(device, 0.0)
        known = latest.get(row.person_id)
        later = known is None or known.utc is None or utc >= known.utc
        if later and utc <= end_:
            passage = LastPassage(row.uid, 0, row.direction, utc, row.gate_name, device)
            latest[row.person_id] = passage
    missing = set(people or ()) - latest.keys()
    uids = sa.select(persons.c.uid).where(persons.c.id.in_(missing))
    return [*latest.values(), *map(LastPassage, session.execute(uids).scalars())]


def _clocks_ahead(session: Session, site: str) -> dict[str | None, float]:
    """Return journal uid -> seconds ahead, of the gates of a site."""
    return {device: clock_ahead_s(gate) for device, gate in _gates(session, site).items()}


def _gates(session: Session, site: str) -> dict[str | None, GateRow]:
    """Return journal uid -> gate, of a site."""
    found = session.execute(sa.select(*columns_of(GateRow, gates)).where(gates.c.site == site))
    return {g.device: g for g in (record(GateRow, row) for row in found)}


def _write(session: Session, site: str, passages: Sequence[LastPassage]) -> None:
    """Store those of these passages that differ from the stored ones, each under a new number."""
    there = _stored(session, site, [passage.uid for passage in passages])
    changed = []
    for passage in passages:
        known = there.get(passage.uid, LastPassage(passage.uid))
        new = replace(passage, seq=known.seq, forgiven_utc=known.forgiven_utc)
        if new != known:
            changed.append(new)
    _store_numbered(session, site, changed)


def _forgive(session: Session, site: str, uid: str, utc: float) -> None:
    utc = min(utc, utcnow().timestamp())  # never in the future: it would cover passages to come
    known = _stored(session, site, [uid]).get(uid, LastPassage(uid))
    if known.forgiven_utc is None or utc > known.forgiven_utc:
        _store_numbered(session, site, [replace(known, forgiven_utc=utc)])


def _stored(session: Session, site: str, uids: Sequence[str]) -> dict[str, LastPassage]:
    there: dict[str, LastPassage] = {}
    c = site_presence.c
    for some in rows.in_parts(uids):
        found = sa.select(*_PASSAGE).where(c.site == site, c.uid.in_(some))
        there |= {row.uid: record(LastPassage, row) for row in session.execute(found)}
    return there


def _store_numbered(session: Session, site: str, passages: Sequence[LastPassage]) -> None:
    """Store passages under the next sequence numbers of the site, and notify waiting requests."""
    end_ = _locked(session, site)
    if end_ is None or not passages:
        return
    numbered = [replace(passage, seq=end_.seq + n) for n, passage in enumerate(passages, 1)]
    values: list[dict[str, Any]] = [{**asdict(passage), "site": site} for passage in numbered]
    rows.upsert(session, site_presence, values, ("site", "uid"))
    moved = sa.update(presence_sites).where(presence_sites.c.site == site)
    session.execute(moved.values(seq=numbered[-1].seq))
    change_feed.ring(session, change_feed.topic_of(site))
