"""Keep the feed for gates: each changed thing once, with the number of its last change.

Numbers are given under a lock that is held until the commit, so that whoever has read up to one has
missed none below it; `locks` has the order of all locks. A feed says what is, not what was: a
reader receives the present state of each thing that changed behind its cursor, however often it
changed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import rows, stored_settings
from gated.database.engine import Database
from gated.database.locks import RowLock, claim
from gated.database.tables import (
    changes,
    erasure_confirmations,
    erasures,
    gates,
    group_members,
    group_rules,
    groups,
    new_uid,
    persons,
    presence_sites,
    schedules,
    utcnow,
)
from gated.errors import StorageError

HEAD = "change_head"
CHANNEL = "gated_changes"
FEED = ""
"""The topic of the feed of changes on the notification channel."""

PERSON, GROUP, OPERATOR, EDIT = "person", "group", "operator", "edit"
SCHEDULE, SITE, CREDENTIAL_KEYS = "schedule", "site", "credential_keys"
SETTINGS = "settings"

_SITE = "site "
_GATHER_S = 0.05


@dataclass(frozen=True, slots=True)
class FeedHead:
    """The end of the feed. floor: what was gone up to there is forgotten."""

    feed: str
    seq: int
    floor: int


@dataclass(frozen=True, slots=True)
class FeedChange:
    """A thing that changed. gone: it is there no more."""

    seq: int
    kind: str
    uid: str
    gone: bool


@dataclass(frozen=True, slots=True)
class Erasure:
    """The erasure of a person. confirmed, missing: how many gates said so, and which never can.

    Both are None until it is closed.
    """

    uid: str
    at: datetime
    closed_at: datetime | None
    confirmed: int | None
    missing: Sequence[str] | None


def note(session: Session, kind: str, uids: Iterable[str], *, gone: bool = False) -> None:
    """Say that these things changed, or are gone."""
    wanted = list(dict.fromkeys(uids))
    if not wanted:
        return
    value = _locked_head(session)
    now = utcnow()
    noted = [
        {"kind": kind, "uid": uid, "seq": value["seq"] + n, "gone": gone, "at": now}
        for n, uid in enumerate(wanted, 1)
    ]
    statement = rows.insert_for(session)(changes)
    latest = {c: statement.excluded[c] for c in ("seq", "gone", "at")}
    keys = ["kind", "uid"]
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=latest), noted)
    stored_settings.set_(session, HEAD, {**value, "seq": value["seq"] + len(wanted)})
    ring(session, FEED)


def note_person(session: Session, *ids: int) -> None:
    """Say that these persons, or what hangs on them, changed."""
    uids = session.execute(sa.select(persons.c.uid).where(persons.c.id.in_(ids))).scalars()
    note(session, PERSON, uids)


def note_members(session: Session, group_id: int) -> None:
    """Say that all members of a group changed."""
    members = sa.select(group_members.c.person_id).where(group_members.c.group_id == group_id)
    uids = session.execute(sa.select(persons.c.uid).where(persons.c.id.in_(members))).scalars()
    note(session, PERSON, uids)


def note_group(session: Session, group_id: int, schedule_ids: Iterable[int] = ()) -> None:
    """Say that what holds for a group changed, and so perhaps who needs these schedules."""
    named = sa.select(group_rules.c.schedule_id).where(group_rules.c.group_id == group_id)
    present = session.execute(named.where(group_rules.c.schedule_id.is_not(None))).scalars()
    note_schedules(session, [*schedule_ids, *present])
    uids = session.execute(sa.select(groups.c.uid).where(groups.c.id == group_id)).scalars()
    note(session, GROUP, uids)


def note_schedules(session: Session, ids: Iterable[int]) -> None:
    """Say that these schedules changed, or who needs them."""
    named = schedules.c.id.in_(sorted(set(ids)))
    found = sa.select(schedules.c.uid).where(named).order_by(schedules.c.id)
    note(session, SCHEDULE, session.execute(found).scalars())


def note_erasures(session: Session, uids: Sequence[str]) -> None:
    """Say that persons were erased; the order of this is what gates confirm."""
    note(session, PERSON, uids, gone=True)
    c, now = changes.c, utcnow()
    once = rows.insert_for(session)(erasures).on_conflict_do_nothing(index_elements=["uid"])
    for some in rows.in_parts(uids):
        them = sa.select(c.uid, c.seq).where(c.kind == PERSON, c.uid.in_(some))
        noted = session.execute(them).all()
        session.execute(once, [{"uid": uid, "seq": seq, "at": now} for uid, seq in noted])


def head(session: Session) -> FeedHead:
    """The end of the feed."""
    value = stored_settings.get(session, HEAD) or {"feed": "none", "seq": 0}
    return FeedHead(value["feed"], value["seq"], value.get("floor", 0))


def begin(session: Session) -> None:
    """Make sure that the feed has a name, before the first cursor speaks of it; locks its end."""
    _locked_head(session)


def since(session: Session, seq: int, limit: int) -> list[FeedChange]:
    """List what changed behind `seq`, in order; at most `limit`."""
    c = changes.c
    found = sa.select(c.seq, c.kind, c.uid, c.gone).where(c.seq > seq).order_by(c.seq).limit(limit)
    return [FeedChange(*row) for row in session.execute(found)]


def forget(session: Session, before: datetime) -> int:
    """Forget what was gone before; cursors behind that need a snapshot. Returns how much."""
    c = changes.c
    old = sa.select(sa.func.max(c.seq)).where(c.gone, c.at < before)
    last = session.execute(old).scalar()
    if last is None:
        return 0
    value = _locked_head(session)
    gone = session.execute(sa.delete(changes).where(c.gone, c.seq <= last).returning(c.seq)).all()
    floor = max(last, value.get("floor", 0))
    stored_settings.set_(session, HEAD, {**value, "floor": floor})
    return len(gone)


def renew(session: Session) -> None:
    """Give the feed another name: all cursors are void, as after a restore of the database."""
    stored_settings.set_(session, HEAD, {**_locked_head(session), "feed": new_uid()})


# --- erasures -------------------------------------------------------------------------------------


def erased(session: Session, uids: Sequence[str]) -> set[str]:
    """Those of the persons who were erased."""
    found: set[str] = set()
    for some in rows.in_parts(uids):
        them = sa.select(erasures.c.uid).where(erasures.c.uid.in_(some))
        found.update(session.execute(them).scalars())
    return found


def unconfirmed(session: Session, gate_id: int, joined_at: datetime | None) -> list[str]:
    """The erased persons of whom a gate has not said that they are gone there.

    A gate never received what was closed before it joined.
    """
    wanted = _open(gate_id)
    if joined_at is not None:
        wanted = sa.or_(wanted, erasures.c.closed_at < joined_at)
    found = sa.select(erasures.c.uid).where(wanted).order_by(erasures.c.seq)
    return list(session.execute(found).scalars())


def confirm(session: Session, gate_id: int, seq: int) -> None:
    """Note that a gate has done everything up to a change."""
    now = utcnow()
    done = sa.select(erasures.c.uid).where(_open(gate_id), erasures.c.seq <= seq)
    said = [{"uid": uid, "gate_id": gate_id, "at": now} for uid in session.execute(done).scalars()]
    if said:
        # a gate that has asked twice has confirmed it once
        confirmed = rows.insert_for(session)(erasure_confirmations).on_conflict_do_nothing()
        session.execute(confirmed, said)


def unconfirm(session: Session, gate_id: int) -> None:
    """Take back what a gate has confirmed of erasures that are open: it is not known to be so."""
    said, still_open = erasure_confirmations.c, sa.select(erasures.c.uid)
    still_open = still_open.where(erasures.c.closed_at.is_(None))
    session.execute(
        sa.delete(erasure_confirmations).where(said.gate_id == gate_id, said.uid.in_(still_open))
    )


def confirmations(session: Session, uid: str) -> dict[int, datetime]:
    """gate id -> when it confirmed the erasure of a person."""
    c = erasure_confirmations.c
    found = session.execute(sa.select(c.gate_id, c.at).where(c.uid == uid))
    return {row.gate_id: row.at for row in found}


def erasure(session: Session, uid: str) -> Erasure | None:
    """The erasure of a person; None when there was none."""
    columns = [erasures.c[name] for name in Erasure.__dataclass_fields__]
    found = session.execute(sa.select(*columns).where(erasures.c.uid == uid)).first()
    return None if found is None else Erasure(*found)


def ripe(session: Session, before: datetime, limit: int) -> list[Erasure]:
    """Erasures from before that every gate which can has confirmed, the oldest first."""
    e, said = erasures.c, erasure_confirmations.c
    confirmed = sa.exists().where(said.uid == e.uid, said.gate_id == gates.c.id)
    lacking = sa.exists().where(
        gates.c.account_id.is_not(None), gates.c.created_at <= e.at, ~confirmed
    )
    columns = [e[name] for name in Erasure.__dataclass_fields__]
    found = sa.select(*columns).where(e.closed_at.is_(None), e.at < before, ~lacking)
    return [Erasure(*row) for row in session.execute(found.order_by(e.seq).limit(limit))]


def close(session: Session, uid: str, missing: Sequence[str]) -> None:
    """Keep of the confirmations of an erasure no more than their number, and who cannot."""
    said = erasure_confirmations.c
    gone = session.execute(
        sa.delete(erasure_confirmations).where(said.uid == uid).returning(said.uid)
    )
    values = {"closed_at": utcnow(), "confirmed": len(gone.all()), "missing": list(missing)}
    session.execute(sa.update(erasures).where(erasures.c.uid == uid).values(values))


def _open(gate_id: int) -> sa.ColumnElement[bool]:
    c = erasure_confirmations.c
    said = sa.select(c.uid).where(c.gate_id == gate_id)
    return sa.and_(erasures.c.closed_at.is_(None), erasures.c.uid.not_in(said))


# --- notifications --------------------------------------------------------------------------------


def topic_of(site: str) -> str:
    """The topic of who passes at a site."""
    return _SITE + site


def ends(session: Session, topics: Collection[str] | None) -> dict[str, int]:
    """Topic -> number of the last change, of these topics or (None) of all."""
    sites = sa.select(presence_sites.c.site, presence_sites.c.seq)
    if topics is not None:
        named = [topic.removeprefix(_SITE) for topic in topics if topic != FEED]
        sites = sites.where(presence_sites.c.site.in_(named))
    found = {topic_of(row.site): row.seq for row in session.execute(sites)}
    return {FEED: head(session).seq, **found}


def ring(session: Session, topic: str) -> None:
    """Tell those who listen of a topic, once this is committed."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_notify(CHANNEL, topic)))


def listen(database: Database, pause_s: float) -> Generator[frozenset[str] | None, None, None]:
    """The topics of which somebody may have changed something (None: all), time and again.

    None of them after `pause_s` of silence. PostgreSQL tells at the commit (LISTEN/NOTIFY); of
    SQLite only the next look can. StorageError.
    """
    if database.sqlite:
        yield from _look(database, pause_s)
        return
    import psycopg

    try:
        yield from _notified(database, pause_s)
    except (psycopg.Error, sa.exc.SQLAlchemyError) as error:
        raise StorageError(f"the database {database.name} cannot be listened to") from error


def _notified(database: Database, pause_s: float) -> Generator[frozenset[str] | None, None, None]:
    raw = database.engine.raw_connection()
    try:
        driver: Any = raw.driver_connection
        driver.autocommit = True
        driver.execute(f"LISTEN {CHANNEL}")
        yield None  # what was committed before we listened
        while True:
            # to its end: a generator of the driver that is left half-way keeps its lock
            heard = list(driver.notifies(timeout=pause_s, stop_after=1))
            if any(notify.payload == FEED for notify in heard):
                # one notification for many changes at once
                heard += driver.notifies(timeout=_GATHER_S)
            yield frozenset(notify.payload for notify in heard)
    finally:
        raw.invalidate()
        raw.close()


def _look(database: Database, pause_s: float) -> Generator[frozenset[str], None, None]:
    last: dict[str, int] = {}
    while True:
        with database.read() as session:
            found = ends(session, None)
        yield frozenset(topic for topic, seq in found.items() if last.get(topic) != seq)
        last = found
        time.sleep(pause_s)


def _locked_head(session: Session) -> dict[str, Any]:
    claim(session, RowLock.FEED)
    stored_settings.create(session, HEAD, {"feed": new_uid(), "seq": 0})
    value: dict[str, Any] = stored_settings.get_locked(session, HEAD)
    return value
