"""On a gate: many persons of the hub at once, as when it joins or is told everything anew.

Whom nothing here stands in the way of is entered together, a few statements for a whole page, and
who is as told already is left alone; the others are put one by one, as `mirror` does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.storage import carried, changes, mirror, mirror_access
from gated.storage.carried import CarriedCredential, CarriedEnrollment, CarriedPerson
from gated.storage.mirror import MirroredPerson
from gated.storage.settings import touch_gallery, touch_rules
from gated.storage.tables import enrollments, group_members, mirrored, persons, utcnow


def put_all(session: Session, people: Sequence[MirroredPerson], snapshot: int) -> list[str]:
    """Let persons be as told; returns the files that nobody needs now."""
    same = _unchanged(session, people)
    changed = [p for p in people if p.uid not in same]
    new = _newcomers(session, changed)
    if changed:  # the locks in their order: see `changes`
        touch_gallery(session)
        touch_rules(session)
    _add(session, new, snapshot)
    unneeded: list[str] = []
    fresh = {p.uid for p in new}
    for person in changed:
        if person.uid not in fresh:
            unneeded += mirror.put(session, person, snapshot)
    _remember(session, [p for p in people if p.uid in same | fresh], snapshot)
    changes.note(session, changes.PERSON, [p.uid for p in changed])
    return unneeded


def _unchanged(session: Session, people: Sequence[MirroredPerson]) -> set[str]:
    """Those whom the hub gave before, and who are here as it tells them now."""
    here = carried.present(session, [p.uid for p in people])
    given = mirrored.c.kind == changes.PERSON, mirrored.c.uid.in_(list(here))
    known = set(session.execute(sa.select(mirrored.c.uid).where(*given)).scalars())
    return {p.uid for p in people if p.uid in known and _is_as_told(here[p.uid], p)}


def _is_as_told(here: CarriedPerson, told: MirroredPerson) -> bool:
    def by_uid(things: Sequence[CarriedEnrollment] | Sequence[CarriedCredential]) -> Any:
        return {thing.uid: thing for thing in things}

    return (
        all(getattr(here, name) == getattr(told, name) for name in _PLAIN)
        and dict(here.groups) == told.groups
        and by_uid(here.enrollments) == by_uid(told.enrollments)
        and by_uid(here.credentials) == by_uid(told.credentials)
    )


_PLAIN = (
    *("first_name", "last_name", "personnel_code", "department", "position", "is_active"),
    *("leaves_on", "extended_unlock", "access"),
)


def _newcomers(session: Session, people: Sequence[MirroredPerson]) -> list[MirroredPerson]:
    """Those of whom nothing is here, and whose personnel code is free."""
    c = persons.c
    uids, codes = [p.uid for p in people], [p.personnel_code for p in people]
    there = sa.select(c.uid, c.personnel_code)
    there = there.where(sa.or_(c.uid.in_(uids), c.personnel_code.in_(codes)))
    taken = {value for row in session.execute(there) for value in row}
    found = []
    for person in people:
        if person.uid not in taken and person.personnel_code not in taken:
            found.append(person)
        taken |= {person.uid, person.personnel_code}
    return found


def _add(session: Session, people: Sequence[MirroredPerson], snapshot: int) -> None:
    if not people:
        return
    now = utcnow()
    times = {"created_at": now, "updated_at": now}
    rows = [{"uid": p.uid, **mirror.values_of(p), **times} for p in people]
    session.execute(sa.insert(persons), rows)
    wanted = sa.select(persons.c.uid, persons.c.id)
    found = session.execute(wanted.where(persons.c.uid.in_([p.uid for p in people])))
    ids = {row.uid: row.id for row in found}
    _insert(session, group_members, _members(session, people, ids, snapshot))
    _insert(session, enrollments, [{**e, **times} for e in _enrollments(people, ids)])
    told = [(ids[p.uid], c) for p in people for c in p.credentials]
    mirror_access.add_credentials(session, told)
    for person in people:
        if person.access is not None:
            mirror_access.put_access(session, ids[person.uid], person.access)


def _remember(session: Session, people: Sequence[MirroredPerson], snapshot: int) -> None:
    given = mirrored.c.kind == changes.PERSON
    session.execute(sa.delete(mirrored).where(given, mirrored.c.uid.in_([p.uid for p in people])))
    noted = {"kind": changes.PERSON, "snapshot": snapshot}
    _insert(session, mirrored, [{**noted, "uid": p.uid, "version": p.version} for p in people])


def _insert(session: Session, table: sa.Table, values: Sequence[dict[str, Any]]) -> None:
    if values:
        session.execute(sa.insert(table), values)


def _members(
    session: Session, people: Sequence[MirroredPerson], ids: dict[str, int], snapshot: int
) -> list[dict[str, Any]]:
    names = {uid: name for p in people for uid, name in p.groups.items()}
    groups = {uid: mirror.carried_group(session, uid, n, snapshot) for uid, n in names.items()}
    pairs = {(groups[uid], ids[p.uid]) for p in people for uid in p.groups}
    return [{"group_id": g, "person_id": p} for g, p in sorted(pairs)]


def _enrollments(people: Sequence[MirroredPerson], ids: dict[str, int]) -> Iterator[dict[str, Any]]:
    for person in people:
        for told in person.enrollments:
            values = mirror.values_of_enrollment(told)
            yield {"uid": told.uid, "person_id": ids[person.uid], "quality": {}, **values}
