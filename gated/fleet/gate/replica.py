"""On a gate: groups and operators of its hub, kept under the hub's uids, and persons who go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.access import access_store as access
from gated.core.text import code_key
from gated.core.values import Instant
from gated.database import account_store as accounts_
from gated.database import change_feed, editor_store, rows
from gated.database.account_store import NO_PASSWORD
from gated.database.hub_ownership import forget, forget_all, is_from_hub, remember
from gated.database.records import GroupRule, Person, columns_of, record
from gated.database.stored_settings import touch_gallery, touch_rules
from gated.database.tables import (
    accounts,
    attendance_logs,
    consents,
    credentials,
    group_members,
    mirrored,
    person_access,
)
from gated.database.tables import enrollments as enrollments_table
from gated.database.tables import groups as groups_table
from gated.database.tables import persons as persons_table
from gated.fleet.wire.states import OperatorState
from gated.journal.journal import Journal
from gated.people import group_store as groups
from gated.people import person_store

_PERSON = columns_of(Person, persons_table)


def find(session: Session, uid: str) -> Person | None:
    """Return the person with this uid, or None."""
    row = rows.one(session, persons_table, _PERSON, uid=uid)
    return row and record(Person, row)


def drop(session: Session, uid: str) -> list[str]:
    """Remove a person whom this gate does not carry any more; return the files that nobody needs.

    A person whom the hub never gave stays. Of one who has passed here the name stays for the log,
    without photos, templates, groups, and switched off.
    """
    if not forget(session, change_feed.PERSON, uid) or (person := find(session, uid)) is None:
        return []
    return _remove(session, person)


def _remove(session: Session, person: Person) -> list[str]:
    if not _is_named(session, person.id):
        return person_store.delete(session, person.id)
    return _strip(session, person.id)


def erase(session: Session, journal: Journal, at: Instant, uids: Sequence[str]) -> list[str]:
    """Forget persons for ever, here as on the hub; return the files that nobody needs."""
    journal.erase_persons(session, at, uids, "erased on the hub")
    forget_all(session, change_feed.PERSON, uids)
    unneeded = []
    for id_ in person_store.ids_by_uid(session, uids).values():
        accounts_.keep_last_admin(session, id_)
        unneeded += person_store.delete(session, id_)
    return unneeded


def behind(session: Session, snapshot: int) -> list[tuple[str, str]]:
    """Return (kind, uid) of things that the hub gave once and did not name in this snapshot."""
    old = sa.select(mirrored.c.kind, mirrored.c.uid).where(mirrored.c.snapshot < snapshot)
    return [(row.kind, row.uid) for row in session.execute(old)]


def remove(session: Session, uid: str) -> list[str]:
    """Remove a person whom the hub did not accept; return the files that nobody needs."""
    person = find(session, uid)
    return [] if person is None else _remove(session, person)


def put_group(session: Session, uid: str, name: str, snapshot: int) -> int:
    """Name a group as the hub does; return its id."""
    remember(session, change_feed.GROUP, uid, snapshot)
    return _group(session, uid, name)


def put_plan(
    session: Session, id_: int, planned_hours: float | None, late_after: str | None
) -> None:
    """Let the members of a group work as many hours as the hub says, and be late when it says."""
    group = groups.get(session, id_)
    if (group.planned_hours, group.late_after) != (planned_hours, late_after):
        rows.change(session, groups_table, id_, planned_hours=planned_hours, late_after=late_after)


def drop_group(session: Session, uid: str) -> None:
    """Remove a group that the hub gave and does not give any more."""
    if not forget(session, change_feed.GROUP, uid):
        return
    id_ = session.execute(sa.select(groups_table.c.id).where(groups_table.c.uid == uid)).scalar()
    if id_ is not None:
        groups.delete(session, id_)


def put_operator(session: Session, uid: str, state: OperatorState, snapshot: int) -> None:
    """Let an operator of the hub work here as given; another key ends the sessions."""
    remember(session, change_feed.OPERATOR, uid, snapshot)
    account = accounts_.by_uid(session, uid)
    if account is None:
        name = _free_name(session, uid, state.username)
        account = accounts_.add(session, name, "operator", NO_PASSWORD, uid=uid)
    before = editor_store.find(session, account.id)
    ids = [carried_group(session, g, name, snapshot) for g, name in state.groups.items()]
    everyone, at_once = state.everyone, state.at_once
    editor_store.put(session, account.id, ids, everyone=everyone, from_hub=True, at_once=at_once)
    if before is None or (before.salt, before.public_key) != (state.salt, state.public_key):
        editor_store.set_key(session, account.id, (state.salt, state.public_key))
        accounts_.touch(session, account.id)


def drop_operator(session: Session, uid: str) -> None:
    """Remove an operator whom the hub does not let work here any more; sessions end."""
    gone = forget(session, change_feed.OPERATOR, uid)
    account = accounts_.by_uid(session, uid) if gone else None
    if account is not None:
        accounts_.delete(session, account.id)


def drop_operators(session: Session) -> None:
    """Remove all operators of the hub."""
    for editor in editor_store.list_(session):
        if editor.from_hub:
            drop_operator(session, editor.uid)


def _free_name(session: Session, uid: str, username: str) -> str:
    """Return the operator's own name, unless an account of this gate has it."""
    names = (username, f"{username}@hub")
    free = (n for n in names if accounts_.by_username(session, n) is None)
    return next(free, f"{username}@{uid}")


def carried_group(session: Session, uid: str, name: str, snapshot: int) -> int:
    """Return the id of a group; one whose rules are still to come opens nothing until then."""
    known = is_from_hub(session, change_feed.GROUP, uid)
    id_ = put_group(session, uid, name, snapshot)
    if not known:
        access.set_rules_of_group(session, id_, [GroupRule(access.ELSEWHERE)])
    return id_


def _group(session: Session, uid: str, name: str) -> int:
    """Return the id of a group, which is made, renamed, or found by its name."""
    g = groups_table.c
    key = code_key(name)
    row = session.execute(sa.select(g.id, g.name).where(g.uid == uid)).first()
    named = session.execute(sa.select(g.id).where(g.name_key == key)).scalar()
    if named is not None and (row is None or named != row.id):
        if row is None:
            rows.change(session, groups_table, named, uid=uid, name=name)
            return int(named)
        # a name may pass from one group to another, which comes later
        rows.change(session, groups_table, named, name=f"{name}~{named}", name_key=f"{key}~{named}")
    if row is None:
        return rows.insert(session, groups_table, uid=uid, name=name, name_key=key)
    if row.name != name:
        rows.change(session, groups_table, row.id, name=name, name_key=key)
    return int(row.id)


def remove_enrollments(session: Session, wanted: sa.ColumnElement[bool]) -> list[str]:
    """Remove enrollments and return their files."""
    e = enrollments_table.c
    gone = sa.delete(enrollments_table).where(wanted)
    found = session.execute(gone.returning(e.face_encoding_path, e.face_image_path)).all()
    return [path for row in found for path in row if path]


def _is_named(session: Session, id_: int) -> bool:
    """Return whether something here cannot do without the person."""
    for table in (attendance_logs, accounts):
        if rows.one(session, table, [table.c.id], person_id=id_) is not None:
            return True
    return False


def _strip(session: Session, id_: int) -> list[str]:
    accounts_.keep_last_admin(session, id_)
    unneeded = remove_enrollments(session, enrollments_table.c.person_id == id_)
    for owned in (consents, group_members, person_access, credentials):
        session.execute(sa.delete(owned).where(owned.c.person_id == id_))
    bare: dict[str, Any] = dict.fromkeys(person_store.OPTIONAL_TEXTS)
    person = person_store.get(session, id_)
    names = {n: getattr(person, n) for n in ("first_name", "last_name", "personnel_code")}
    # by what was said of a person nobody may be found any more
    derived = person_store.derived({**names, **bare}, person)
    rows.change(session, persons_table, id_, is_active=False, **bare, **derived)
    touch_gallery(session)
    touch_rules(session)
    return unneeded
