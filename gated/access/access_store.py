"""Stores the rules of groups and of single persons: who may pass when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.access import schedule_store
from gated.core.values import PersonRef
from gated.database import change_feed as feed
from gated.database import rows
from gated.database.records import GroupRule, PersonAccess, columns_of, record
from gated.database.stored_settings import touch_rules
from gated.database.tables import (
    credentials,
    enrollments,
    group_members,
    group_rules,
    groups,
    person_access,
    persons,
)
from gated.people import group_store as groups_
from gated.people import person_store as persons_

ELSEWHERE = ""
"""The name of the gate in a rule from the hub that concerns another gate."""

CHANGEABLE = frozenset(f.name for f in fields(PersonAccess)) - {"person_id", "version"}

_COLUMNS = columns_of(PersonAccess, person_access)
_RULE = columns_of(GroupRule, group_rules)


def rules_of_group(session: Session, group_id: int) -> list[GroupRule]:
    """List where and when the members of a group pass. Raises: NotFound."""
    groups_.get(session, group_id)
    wanted = sa.select(*_RULE).where(group_rules.c.group_id == group_id)
    return [record(GroupRule, r) for r in session.execute(wanted.order_by(group_rules.c.id))]


def set_rules_of_group(session: Session, group_id: int, rules: Iterable[GroupRule]) -> None:
    """Replace the rules of a group. Raises: NotFound for the group or a schedule."""
    groups_.get(session, group_id)
    gone = sa.delete(group_rules).where(group_rules.c.group_id == group_id)
    before = session.execute(gone.returning(group_rules.c.schedule_id)).scalars().all()
    for rule in dict.fromkeys(rules):
        if rule.schedule_id is not None:
            schedule_store.get(session, rule.schedule_id)
        values = {"gate": rule.gate, "schedule_id": rule.schedule_id}
        session.execute(sa.insert(group_rules).values(group_id=group_id, **values))
    rows.change(session, groups, group_id)
    touch_rules(session)
    feed.note_group(session, group_id, [id_ for id_ in before if id_ is not None])


def rules_of_groups(session: Session) -> Mapping[int, list[GroupRule]]:
    """Return the rules of every group that has any, by id of the group."""
    found: dict[int, list[GroupRule]] = defaultdict(list)
    wanted = sa.select(group_rules.c.group_id, *_RULE).order_by(group_rules.c.id)
    for group_id, *rule in session.execute(wanted):
        found[group_id].append(GroupRule(*rule))
    return found


def of_person(session: Session, person_id: int) -> PersonAccess:
    """Return the rights of a person, the defaults if nothing is stored. Raises: NotFound."""
    persons_.get(session, person_id)
    row = rows.one(session, person_access, _COLUMNS, person_id=person_id)
    return PersonAccess(person_id) if row is None else record(PersonAccess, row)


def set_of_person(session: Session, person_id: int, changes: Mapping[str, Any]) -> PersonAccess:
    """Change the rights of a person. Raises: NotFound."""
    if unknown := changes.keys() - CHANGEABLE:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed")
    before = of_person(session, person_id)
    if before.version:
        found = sa.select(person_access.c.id).where(person_access.c.person_id == person_id)
        rows.change(session, person_access, session.execute(found).scalar_one(), **changes)
    else:
        values = {name: getattr(before, name) for name in CHANGEABLE} | dict(changes)
        rows.insert(session, person_access, person_id=person_id, **values)
    touch_rules(session)
    feed.note_person(session, person_id)
    return of_person(session, person_id)


@dataclass(frozen=True, slots=True)
class AccessSubject:
    """A person with a credential, a group, a last day or rules of their own.

    faceless: has a credential but no photo. own: None where nothing is stored.
    """

    person: PersonRef
    active: bool
    extended_unlock: bool
    faceless: bool
    leaves_on: date | None
    own: PersonAccess | None


def people(session: Session, person_id: int | None = None) -> list[AccessSubject]:
    """List the people whom any rule of access concerns, or one person."""
    rules_of = [persons.c.id, *(c for c in _COLUMNS if c.name != "person_id")]
    concerned = sa.union(
        sa.select(person_access.c.person_id),
        sa.select(credentials.c.person_id),
        sa.select(group_members.c.person_id),
        sa.select(persons.c.id).where(persons.c.leaves_on.is_not(None)),
    )
    one = persons.c.id.in_(concerned) if person_id is None else persons.c.id == person_id
    who = ("uid", "personnel_code", "first_name", "last_name", "is_active", "extended_unlock")
    photos = sa.select(enrollments.c.id).where(
        enrollments.c.person_id == persons.c.id, enrollments.c.is_active
    )
    shown = sa.select(credentials.c.id).where(
        credentials.c.person_id == persons.c.id, credentials.c.is_active
    )
    wanted = (
        sa.select(
            *(persons.c[name] for name in who),
            sa.and_(sa.exists(shown), ~sa.exists(photos)),
            persons.c.leaves_on,
            *rules_of,
        )
        .outerjoin(person_access, person_access.c.person_id == persons.c.id)
        .where(one)
    )
    found = []
    for (
        uid,
        code,
        first,
        last,
        active,
        extended,
        faceless,
        leaves_on,
        id_,
        *rules,
    ) in session.execute(wanted):
        # without rules of their own the outer join gives NULL in columns that are never NULL
        own = PersonAccess(id_, *rules) if rules[-1] is not None else None
        person = PersonRef(id_, uid, code, f"{first} {last}".strip())
        found.append(AccessSubject(person, active, extended, faceless, leaves_on, own))
    return found


def memberships(session: Session, person_id: int | None = None) -> Mapping[int, list[int]]:
    """Return the ids of the groups by person id, of everybody or of one person."""
    found: dict[int, list[int]] = defaultdict(list)
    wanted = sa.select(group_members).order_by("group_id")
    if person_id is not None:
        wanted = wanted.where(group_members.c.person_id == person_id)
    for group_id, person_id in session.execute(wanted):
        found[person_id].append(group_id)
    return found
