"""The attendance log, as the journal projects it. Only the journal writes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.attendance import Logged, Punch, last_of
from gated.core.clock import CLOCK_FIXED, CLOCK_UNSET
from gated.core.text import code_key
from gated.core.values import Direction
from gated.database import rows
from gated.database.records import AttendanceRow, Person, columns_of, record
from gated.database.tables import attendance_logs as log
from gated.database.tables import (
    group_members,
    groups,
    holidays,
    journal,
    persons,
    sync_chains,
)
from gated.database.tables import sites as sites_table
from gated.errors import NotFound
from gated.journal.last_passages import _PUNCH, _newest, _of
from gated.journal.pruned_ranges import split
from gated.journal.stored_object import object_in
from gated.people import overview_store, person_store

COLUMNS = [log.c[f.name] for f in fields(AttendanceRow) if f.name in log.c]
"""The columns of a record; the gate's present name is looked up separately."""


BY_HAND = ("corrected", "manual")
"""Reasons of rows that somebody wrote, and not the gate."""

_CLOCK_WAS_UNSET = sa.cast(log.c.flags, sa.Text).contains('"clock_')
"""The row was made before the clock was set, whether or not its time was corrected."""

_WAYS = {str(way): way for way in Direction}

MOST_ROWS = "granted"
"""The status that nearly all rows have."""

SMALL_DEPARTMENT = 40
"""Of so many people all rows are gathered by an index and sorted, of more the newest are tried."""

Cursor = tuple[datetime, int]
"""(created_at, id) of the last row of the page before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """The rows of the log to select, from `from_` up to but not including `to`.

    made_by: a condition of `gate_names`. raw: also rows that were corrected later.
    """

    person_id: int | None = None
    department: str | None = None
    gate_name: str | None = None
    made_by: sa.ColumnElement[bool] | None = None
    direction: str | None = None
    status: str | None = None
    reason: str | None = None
    method: str | None = None
    from_: datetime | None = None
    to: datetime | None = None
    raw: bool = False

    def conditions(self, session: Session) -> Iterator[sa.ColumnElement[bool]]:
        """Yield the conditions on rows of the log."""
        equal = {
            "person_id": self.person_id,
            "gate_name": self.gate_name,
            "direction": self.direction,
            "status": self.status,
        }
        yield from _equal({k: v for k, v in equal.items() if v is not None})
        if self.reason is not None:
            yield log.c.reason == self.reason
        if self.method is not None:
            yield log.c.method == self.method
        if self.department is not None:
            yield _of_department(session, self.department)
        if self.made_by is not None:
            yield self.made_by
        if not self.raw:
            yield log.c.superseded_by.is_(None)
        if self.from_ is not None:
            yield log.c.created_at >= self.from_
        if self.to is not None:
            yield log.c.created_at < self.to


def list_(
    session: Session, *, after: Cursor | None = None, limit: int | None = None, **wanted: Any
) -> list[AttendanceRow]:
    """List rows, newest first. wanted: fields of LogFilter."""
    found = select_rows(session, LogFilter(**wanted), COLUMNS, after=after, limit=limit)
    return [record(AttendanceRow, row) for row in found]


EXPORTED: tuple[sa.ColumnElement[Any], ...] = (
    *(
        log.c[name]
        for name in (
            *("created_at", "id", "timezone", "site", "person_id", "direction", "gate_name"),
            *("camera_name", "status", "reason", "method", "confidence_score", "superseded_by"),
            "chain",
        )
    ),
    sa.cast(log.c.flags, sa.Text).label("flags"),
)
"""The columns of exported tables: reading full records takes several times as long."""


def select_rows(
    session: Session,
    wanted: LogFilter,
    columns: Sequence[sa.ColumnElement[Any]] = EXPORTED,
    *,
    after: Cursor | None = None,
    limit: int | None = None,
) -> Sequence[Any]:
    """Select columns of rows, newest first, beginning after a cursor."""
    if rows.is_too_large(wanted.person_id) or (after and rows.is_too_large(after[1])):
        return []
    conditions = list(wanted.conditions(session))
    if after is not None:
        at, id_ = sa.literal(after[0], log.c.created_at.type), sa.literal(after[1], log.c.id.type)
        conditions.append(sa.tuple_(log.c.created_at, log.c.id) < sa.tuple_(at, id_))
    statement = (
        sa.select(*columns).where(*conditions).order_by(log.c.created_at.desc(), log.c.id.desc())
    )
    return session.execute(rows.page(statement, limit, 0)).all()


def _of_department(session: Session, name: str) -> sa.ColumnElement[bool]:
    """Return the condition for passages of people who are in a department now."""
    members = sa.select(persons.c.id).where(person_store.in_department(name))
    few = session.execute(members.limit(SMALL_DEPARTMENT + 1)).scalars().all()
    if len(few) <= SMALL_DEPARTMENT:
        return log.c.person_id.in_(few)
    # of many people some are among the newest rows: going through these needs no sorting
    return (log.c.person_id + 0).in_(members)


def _equal(wanted: Mapping[str, Any]) -> Iterator[sa.ColumnElement[bool]]:
    """Equal values; only the most selective columns are left for an index to be chosen by.

    Without statistics SQLite takes the index of any of them, also one that nearly all rows match.
    """
    if "person_id" in wanted:
        leading = {"person_id"}
    elif wanted.get("status", MOST_ROWS) != MOST_ROWS:
        leading = {"status"}
    else:
        leading = {"gate_name", "direction"} & wanted.keys() or {*wanted}
    for name, value in wanted.items():
        column = log.c[name]
        yield (column if name in leading else column.concat("")) == value


def get(session: Session, id_: int) -> AttendanceRow:
    """The row with this id, or NotFound."""
    row = rows.one(session, log, COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no attendance row {id_}")
    return record(AttendanceRow, row)


def same_punch(session: Session, person_id: int, at: datetime, direction: str) -> int | None:
    """The id of the granted passage of a person at this very moment, or None."""
    found = sa.select(log.c.id).where(
        log.c.person_id == person_id,
        log.c.created_at == at,
        log.c.direction.concat("") == direction,
        *_PUNCH,
    )
    return session.execute(found.limit(1)).scalar()


def _no_zone(timezone: str | None, site: str) -> tzinfo | None:
    return None


def punches(
    session: Session,
    person_ids: Sequence[int],
    from_: datetime,
    to: datetime,
    zone_of: Callable[[str | None, str], tzinfo | None] = _no_zone,
) -> dict[int, list[Punch]]:
    """person id -> granted passages from `from_` up to but not including `to`, by time.

    zone_of: the zone of a row from what it says of it and of its site.
    """
    flags = sa.cast(log.c.flags, sa.Text).label("flag_text")
    found = session.execute(
        sa.select(
            log.c.person_id,
            log.c.created_at,
            log.c.direction,
            log.c.id,
            log.c.timezone,
            log.c.site,
            flags,
        )
        .where(log.c.person_id.in_(person_ids), *_between(from_, to), *_PUNCH)
        .order_by(log.c.person_id, log.c.created_at, log.c.id)
    )
    punches_of: dict[int, list[Punch]] = {id_: [] for id_ in person_ids}
    spoiled = set()
    for row in found:
        unset = f'"{CLOCK_UNSET}"' in row.flag_text
        if unset or f'"{CLOCK_FIXED}"' in row.flag_text:
            spoiled.add(row.person_id)
        zone = zone_of(row.timezone, row.site)
        punch = Punch(row.created_at, Direction(row.direction), row.id, zone, unset)
        punches_of[row.person_id].append(punch)
    return punches_of | {id_: _on_both_clocks(session, punches_of[id_]) for id_ in spoiled}


def _on_both_clocks(session: Session, punches: Sequence[Punch]) -> list[Punch]:
    """The same, with boot and monotonic time where the journal tells them."""
    row, known = journal.c, dict[int, tuple[str, int]]()
    for some in rows.in_parts(punches):
        ids = [p.id for p in some]
        found = sa.select(log.c.id, row.kind, row.boot_id, row.mono_ns, row.body)
        here = sa.and_(row.chain == log.c.chain, row.seq == log.c.seq)
        for id_, *stored in session.execute(found.join(journal, here).where(log.c.id.in_(ids))):
            known[id_] = passed_at(*stored)
    return [
        replace(p, boot=known[p.id][0], mono=known[p.id][1] / 1e9) if p.id in known else p
        for p in punches
    ]


def passed_at(kind: str, boot: str, mono_ns: int, body: str) -> tuple[str, int]:
    """Boot and monotonic nanoseconds of the passage that a row of the journal speaks of.

    ("", 0) when it does not tell.
    """
    if kind == "decision":
        return boot, mono_ns
    clock = object_in(body).get("clock")
    fields = clock if isinstance(clock, Mapping) else {}
    mono = fields.get("mono_ns")
    return (str(fields["boot"]), mono) if "boot" in fields and isinstance(mono, int) else ("", 0)


def zone_near(session: Session, person_id: int, at: datetime, within: timedelta) -> str | None:
    """The time zone that the nearest passages of a person around a time say; None without any."""
    c = log.c
    said = sa.select(c.timezone).where(
        c.person_id == person_id, c.timezone.is_not(None), c.superseded_by.is_(None)
    )
    before = said.where(c.created_at <= at, c.created_at >= at - within)
    after = said.where(c.created_at > at, c.created_at <= at + within)
    for wanted, order in ((before, c.created_at.desc()), (after, c.created_at.asc())):
        found = session.execute(wanted.order_by(order).limit(1)).scalar()
        if found is not None:
            return str(found)
    return None


def who_punched(
    session: Session,
    from_: datetime,
    to: datetime,
    *,
    moved: tuple[datetime, datetime] | None = None,
    zone_names: Collection[str] = (),
    person_id: int | None = None,
    department: str | None = None,
    after: int = 0,
    limit: int,
) -> list[Person]:
    """Persons with a granted passage in that time, by id, beginning after an id.

    moved: also those with a passage in this longer time that may belong to the other: its clock was
    not set, or it was made in a time zone that is none of `zone_names`.
    """
    passed = _punched(from_, to)
    if moved is not None:
        elsewhere = log.c.timezone.is_not(None) & log.c.timezone.not_in(zone_names)
        passed |= _punched(*moved, _CLOCK_WAS_UNSET | elsewhere)
    return _chosen_people(session, [persons.c.id > after, passed], person_id, department, limit)


def people_of(session: Session, ids: Sequence[int]) -> list[Person]:
    """Those of these persons who are there, by id."""
    chosen = sa.select(*columns_of(Person, persons)).where(persons.c.id.in_(ids))
    return [record(Person, r) for r in session.execute(chosen.order_by(persons.c.id))]


def who_may_be_odd(
    session: Session,
    from_: datetime,
    to: datetime,
    left_by: datetime,
    longest: timedelta,
    *,
    person_id: int | None = None,
    department: str | None = None,
    after: int = 0,
) -> list[int]:
    """Ids, in their order and behind one, of all whose passages in that time are no plain pairs.

    Who has an entry and its exit again and again, less than `longest` apart, is in order, also
    whose last entry is later than `left_by`. It includes some who are in order, such as by night.
    Most have one pair: these are passed over by sums, as it takes long to look row by row.
    """
    if rows.is_too_large(person_id):
        return []
    times = [*_between(from_, to), *_PUNCH]
    people = [*_of_people(person_id, department, after), *times]
    some = session.scalars(_no_plain_pair(people, from_, to, left_by, longest)).all()
    found: list[int] = []
    for part in rows.in_parts(some):
        these = log.c.person_id.in_(part)
        odd = _out_of_turn([these, *times], left_by, longest if longest <= to - from_ else None)
        found += session.scalars(odd).all()
    return found


def who_may_have_moved(
    session: Session,
    from_: datetime,
    to: datetime,
    zone_names: Collection[str],
    *,
    person_id: int | None = None,
    department: str | None = None,
) -> dict[int, tuple[datetime, datetime]]:
    """Return who has passages in that time whose day does not follow from the gates of today.

    Their clock was not set, or they were made in a time zone that is none of `zone_names`. With the
    first and the last of these passages, by id.
    """
    if rows.is_too_large(person_id):
        return {}
    elsewhere = log.c.timezone.is_not(None) & log.c.timezone.not_in(zone_names)
    at = log.c.created_at
    found = (
        sa.select(log.c.person_id, sa.func.min(at), sa.func.max(at))
        .where(*_of_people(person_id, department, 0), *_between(from_, to), *_PUNCH)
        .where(_CLOCK_WAS_UNSET | elsewhere)
        .group_by(log.c.person_id)
    )
    return {id_: (first, last) for id_, first, last in session.execute(found)}


def _of_people(
    person_id: int | None, department: str | None, after: int
) -> list[sa.ColumnElement[bool]]:
    """Conditions for rows of these people, behind an id; None leaves a side open."""
    # the sum keeps the index of persons from being chosen: of each all time would be read
    who = log.c.person_id + 0
    conditions = [who > after]
    if person_id is not None:
        conditions.append(log.c.person_id == person_id)
    if department is not None:
        of_it = sa.select(persons.c.id).where(person_store.in_department(department))
        conditions.append(who.in_(of_it))
    return conditions


def _no_plain_pair(
    conditions: Sequence[sa.ColumnElement[bool]],
    from_: datetime,
    to: datetime,
    left_by: datetime,
    longest: timedelta,
) -> sa.Select[Any]:
    """Select all but who has one entry and its exit in that time, or one entry after `left_by`."""
    at, way = log.c.created_at, log.c.direction
    flagged = sa.case((sa.cast(log.c.flags, sa.Text) != _NO_FLAGS, 1))
    of_each = (
        sa.select(
            log.c.person_id,
            sa.func.max(sa.case((way == str(Direction.ENTRY), at))).label("entry"),
            sa.func.min(sa.case((way == str(Direction.EXIT), at))).label("exit"),
            sa.func.count().label("rows"),
            sa.func.count(flagged).label("flagged"),
        )
        .where(*conditions)
        .group_by(log.c.person_id)
        .subquery()
    )
    its = of_each.c
    pair: sa.ColumnElement[bool] = its.entry < its.exit
    if longest <= to - from_:
        # hardly anybody's are so long apart; to compare times of a day costs less than to subtract
        middle = from_ + (to - from_ - longest) / 2
        by_day = sa.and_(its.entry >= middle, its.exit < middle + longest - timedelta(seconds=1))
        apart = sa.extract("epoch", its.exit) - sa.extract("epoch", its.entry)
        near = sa.case((by_day, sa.true()), else_=apart < longest.total_seconds() - 1)
        pair = sa.and_(pair, near)
    plain = sa.case(
        (its.flagged > 0, sa.false()), (its.rows == 2, pair), (its.rows == 1, its.entry > left_by)
    )
    # what is compared with a time that is not there is neither true nor false
    odd = sa.select(its.person_id).where(plain.is_not(sa.true()))
    return odd.order_by(its.person_id)


def _out_of_turn(
    conditions: Sequence[sa.ColumnElement[bool]], left_by: datetime, longest: timedelta | None
) -> sa.Select[Any]:
    """Select who has an entry or exit outside of pairs. longest: of a pair, where that counts."""

    def of_each(what: sa.FunctionElement[Any]) -> sa.Over[Any]:
        return what.over(partition_by=log.c.person_id, order_by=(log.c.created_at, log.c.id))

    before = of_each(sa.func.lag(log.c.direction))
    since = of_each(sa.func.lag(log.c.created_at))
    following = of_each(sa.func.lead(log.c.direction))
    entries = sa.select(
        log.c.person_id, log.c.direction, log.c.created_at, before.label("before"),
        following.label("following"), since.label("since"),
        _CLOCK_WAS_UNSET.label("clock"),
    ).where(*conditions).subquery()  # fmt: skip
    row, entry, exit_ = entries.c, str(Direction.ENTRY), str(Direction.EXIT)
    odd = sa.or_(
        row.clock,
        row.direction == row.before,
        sa.and_(row.direction == exit_, row.before.is_(None)),
        sa.and_(row.direction == entry, row.following.is_(None), row.created_at <= left_by),
    )
    if longest is not None:
        apart = sa.extract("epoch", row.created_at) - sa.extract("epoch", row.since)
        late = apart >= longest.total_seconds() - 1
        odd = sa.or_(odd, sa.and_(row.direction == exit_, row.before == entry, late))
    return sa.select(row.person_id).where(odd).distinct().order_by(row.person_id)


_NO_FLAGS = "[]"
_ENTERED = log.c.direction.concat("") == str(Direction.ENTRY)
Arrivals = tuple[int, str | None, str, int]
"""The quarter of an hour (UTC seconds), zone and site of a row, and how many."""


def first_entries(
    session: Session,
    from_: datetime,
    to: datetime,
    days: Mapping[str, tuple[datetime, datetime]],
) -> list[Arrivals]:
    """Count the first entries of all people in that time, by quarters of an hour.

    days: name of a zone -> the part of that time which counts there.
    """
    zone = log.c.timezone
    here = [sa.and_(zone == name, *_between(*day)) for name, day in days.items()]
    its_day = sa.or_(zone.is_(None), zone.not_in([*days]), *here)
    firsts = (
        sa.select(
            sa.func.min(log.c.created_at).label("at"),
            sa.func.max(log.c.timezone).label("timezone"),
            sa.func.max(log.c.site).label("site"),
        )
        .where(log.c.person_id.is_not(None), _ENTERED, *_between(from_, to), *_PUNCH, its_day)
        .group_by(log.c.person_id)
        .subquery()
    )
    second = sa.cast(sa.extract("epoch", firsts.c.at), sa.BigInteger)
    quarter = second - second % 900
    place = (quarter, firsts.c.timezone, firsts.c.site)
    found = session.execute(sa.select(*place, sa.func.count()).group_by(*place))
    return [(int(at), timezone, site, int(n)) for at, timezone, site, n in found]


def on_payroll(
    session: Session,
    from_: datetime,
    to: datetime,
    *,
    person_id: int | None = None,
    department: str | None = None,
    after: int = 0,
    limit: int,
) -> list[Person]:
    """Persons who are active or passed in that time, but visitors, by id, beginning after an id."""
    conditions = [
        persons.c.id > after,
        sa.or_(persons.c.is_active, _punched(from_, to)),
        ~overview_store.visitors(),
    ]
    return _chosen_people(session, conditions, person_id, department, limit)


def _punched(
    from_: datetime, to: datetime, *conditions: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:
    """Select persons with a granted passage in that time to which all of this applies."""
    passed = sa.select(log.c.id).where(
        log.c.person_id == persons.c.id, *_between(from_, to), *_PUNCH, *conditions
    )
    return passed.exists()


def _chosen_people(
    session: Session,
    conditions: list[sa.ColumnElement[bool]],
    person_id: int | None,
    department: str | None,
    limit: int,
) -> list[Person]:
    """The first persons by id to whom all of this applies; None leaves a side open."""
    if rows.is_too_large(person_id):
        return []
    if person_id is not None:
        conditions.append(persons.c.id == person_id)
    if department is not None:
        conditions.append(person_store.in_department(department))
    chosen = sa.select(*columns_of(Person, persons)).where(*conditions).order_by(persons.c.id)
    return [record(Person, r) for r in session.execute(chosen.limit(limit))]


Plan = tuple[str, float]
"""Name of a group, and the hours a week that its members work."""


def plans(session: Session, person_ids: Collection[int]) -> dict[int, Plan]:
    """Return the plan of each person who has one; of several that with the most hours."""
    g, m = groups.c, group_members.c
    found = session.execute(
        sa.select(m.person_id, g.name, g.planned_hours)
        .join(group_members, m.group_id == g.id)
        .where(m.person_id.in_(person_ids), g.planned_hours.is_not(None))
        .order_by(g.planned_hours, g.name.desc())
    )
    return {id_: (name, hours) for id_, name, hours in found}


def late_after(session: Session, person_ids: Collection[int]) -> dict[int, time]:
    """Return after what time each person is late; the latest that one of their groups names."""
    g, m = groups.c, group_members.c
    found = session.execute(
        sa.select(m.person_id, sa.func.max(g.late_after))
        .join(group_members, m.group_id == g.id)
        .where(m.person_id.in_(person_ids), g.late_after.is_not(None))
        .group_by(m.person_id)
    )
    return {id_: time.fromisoformat(at) for id_, at in found}


def earliest_late_after(session: Session) -> time | None:
    """Return the earliest time after which anybody is late; None where no group names one."""
    found = session.scalar(sa.select(sa.func.min(groups.c.late_after)))
    return None if found is None else time.fromisoformat(found)


def who_came_after(
    session: Session,
    from_: datetime,
    to: datetime,
    begun: datetime,
    due: datetime,
    *,
    person_id: int | None = None,
    department: str | None = None,
    after: int = 0,
) -> list[int]:
    """Ids, in their order and behind one, of those in a group that names a time who entered between
    from_ and to, and never between `begun`, when the day has begun at all gates, and `due`."""
    if rows.is_too_large(person_id):
        return []
    bound = (
        sa.select(group_members.c.person_id)
        .join(groups, groups.c.id == group_members.c.group_id)
        .where(groups.c.late_after.is_not(None))
    )
    in_time = sa.case((sa.and_(log.c.created_at >= begun, log.c.created_at < due), 1))
    people = [*_of_people(person_id, department, after), (log.c.person_id + 0).in_(bound)]
    found = (
        sa.select(log.c.person_id)
        .where(*people, _ENTERED, *_between(from_, to), *_PUNCH)
        .group_by(log.c.person_id)
        .having(sa.func.count(in_time) == 0, sa.func.max(log.c.created_at) >= due)
        .order_by(log.c.person_id)
    )
    return list(session.scalars(found))


Corrected = tuple[datetime, str | None, str]
"""When a passage was, by its zone and site."""


def by_hand(
    session: Session, person_ids: Collection[int], from_: datetime, to: datetime
) -> dict[int, list[Corrected]]:
    """person id -> passages that somebody put down, corrected or voided, those that count now."""
    found = session.execute(
        sa.select(log.c.person_id, log.c.created_at, log.c.timezone, log.c.site).where(
            log.c.person_id.in_(person_ids),
            *_between(from_, to),
            log.c.superseded_by.is_(None),
            log.c.reason.in_(BY_HAND),
        )
    )
    corrected: dict[int, list[Corrected]] = {id_: [] for id_ in person_ids}
    for id_, at, timezone, site in found:
        corrected[id_].append((at, timezone, site))
    return corrected


def holidays_between(session: Session, first: date, last: date, sites: Sequence[str]) -> set[date]:
    """Return the days that are holidays everywhere, or at one of these sites."""
    days = sa.select(holidays.c.day).join(sites_table, sites_table.c.id == holidays.c.site_id)
    keys = [code_key(site) for site in ("", *sites)]
    days = days.where(holidays.c.day.between(first, last), sites_table.c.name_key.in_(keys))
    return set(session.execute(days).scalars())


Named = tuple[str, str, str, str | None]
"""Personnel code, last name, first name, department."""


def names(session: Session, person_ids: Collection[int]) -> dict[int, Named]:
    """Return what tables say of the persons with these ids, as far as they are there."""
    p = persons.c
    found = sa.select(p.id, p.personnel_code, p.last_name, p.first_name, p.department)
    rows_found = session.execute(found.where(p.id.in_(person_ids)))
    return {id_: tuple(named) for id_, *named in rows_found}


def _between(from_: datetime, to: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return log.c.created_at >= from_, log.c.created_at < to


LoggedPassages = dict[int, list[Logged]]
"""person id -> up to two passages, of which one is the last: see `last_of`."""


def last_punches(
    session: Session,
    since: datetime,
    person_ids: Collection[int] | None = None,
    *,
    own: bool = False,
    until: Mapping[str, int] | None = None,
    now: float = float("inf"),
) -> dict[int, Logged]:
    """person id -> the last granted passage at or after `since`, in the order of the journal.

    person_ids: of these only. own: without those that gates have sent to their hub. until: of these
    chains only, up to these rows. now: UTC seconds; what is dated later counts as now.
    """
    passages = last_rows(session, since, person_ids, own=own, until=until)
    return {id_: last for id_, some in passages.items() if (last := last_of(some, now)) is not None}


def last_rows(
    session: Session,
    since: datetime,
    person_ids: Collection[int] | None = None,
    *,
    own: bool = False,
    until: Mapping[str, int] | None = None,
) -> LoggedPassages:
    """The same before it is known what time it is."""
    conditions = [_of(person_ids), log.c.created_at >= since]
    if own:
        conditions.append(log.c.chain.not_in(sa.select(sync_chains.c.chain)))
    if until is not None:
        # neither decides which index is taken: a chain has most rows of all time
        of, number = log.c.chain.concat(""), log.c.seq + 0
        ends = (sa.and_(of == c, number <= seq) for c, seq in until.items())
        conditions.append(sa.or_(sa.false(), *ends))
    said = [log.c.direction, log.c.created_at, log.c.chain, log.c.seq]
    logged: LoggedPassages = {}
    epochs: dict[str, int] = {}
    for row in _newest(session, said, [log.c.person_id], conditions):
        if row.chain not in epochs:
            epochs[row.chain] = split(row.chain)[1]
        place = None if row.dated else (epochs[row.chain], row.seq)
        passage = Logged(_WAYS[row.direction], row.created_at.timestamp(), place)
        logged.setdefault(row.person_id, []).append(passage)
    return logged
