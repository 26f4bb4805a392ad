"""On a gate: persons of its hub, a page at a time.

All persons of a page that are not here as given are entered together, a few statements for each
table. What stands in their way is moved first: a person of this gate who has the code of one of the
hub's becomes that person, and codes that pass from one person to another are freed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.text import code_key
from gated.database import account_store, change_feed, rows
from gated.database.spellings import APART
from gated.database.stored_settings import touch_gallery, touch_rules
from gated.database.tables import (
    UtcDateTime,
    enrollments,
    group_members,
    mirrored,
    persons,
    utcnow,
)
from gated.fleet.gate import edge_edit_store, replica, replica_access
from gated.fleet.gate.edge_edit_store import EdgeEdit
from gated.fleet.wire.person_states import OWN, enrollment_columns, read
from gated.fleet.wire.states import StoredPerson
from gated.people import person_store

Ids = Mapping[str, int]
"""uid -> id."""


def apply(session: Session, people: Sequence[StoredPerson], snapshot: int) -> list[str]:
    """Make persons as the hub gave them; return the files that nobody needs now."""
    uids = [p.uid for p in people]
    here = {p.uid: p for p in read(session, persons.c.uid.in_(uids), from_hub=True)}
    given = _given(session, uids)
    changed = [p for p in people if p.uid not in given or not _is_here(p, here.get(p.uid))]
    unneeded: list[str] = []
    if changed:
        touch_gallery(session)  # the locks in their order: see `change_feed`
        touch_rules(session)
        edits = edge_edit_store.open_of_all(session, list(here))
        ids = _put(session, changed, snapshot)
        unneeded += _put_enrollments(session, changed, ids, edits)
        replica_access.put_access(session, changed, ids)
        replica_access.put_credentials(session, changed, ids)
    _remember(session, people, snapshot)
    for person in changed:
        if (theirs := edits.get(person.uid)) and (there := replica.find(session, person.uid)):
            unneeded += edge_edit_store.redo(session, there, theirs)
    change_feed.note(session, change_feed.PERSON, [p.uid for p in changed])
    return unneeded


def _is_here(given: StoredPerson, here: StoredPerson | None) -> bool:
    """Return whether a person is here as given; versions are counted apart."""
    return here is not None and here.model_copy(update={"version": given.version}) == given


def _given(session: Session, uids: Sequence[str]) -> set[str]:
    """Return those of the persons whom the hub gave before."""
    m = mirrored.c
    known = sa.select(m.uid).where(m.kind == change_feed.PERSON, m.uid.in_(uids))
    return set(session.execute(known).scalars())


def _remember(session: Session, people: Sequence[StoredPerson], snapshot: int) -> None:
    of_kind = mirrored.c.kind == change_feed.PERSON
    uids = [p.uid for p in people]
    session.execute(sa.delete(mirrored).where(of_kind, mirrored.c.uid.in_(uids)))
    noted = {"kind": change_feed.PERSON, "snapshot": snapshot}
    _insert(session, mirrored, [{**noted, "uid": p.uid, "version": p.version} for p in people])


# --- the persons themselves -----------------------------------------------------------------------


def _put(session: Session, people: Sequence[StoredPerson], snapshot: int) -> Ids:
    """Enter the persons with their groups; return all their ids."""
    known = _known(session, people)
    codes = _free_codes(session, people, known)
    for person in people:
        if person.uid in known and not person.is_active:
            account_store.keep_last_admin(session, known[person.uid].id)
    now = utcnow()
    new = [p for p in people if p.uid not in known]
    times = {"created_at": now, "updated_at": now}
    _insert(session, persons, [{"uid": p.uid, **_columns(p, codes), **times} for p in new])
    changes = [{**_columns(p, codes), "id": known[p.uid].id} for p in people if p.uid in known]
    _update(session, persons, changes)
    ids = _ids(session, people)
    _put_groups(session, people, ids, snapshot)
    return ids


def _columns(person: StoredPerson, codes: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Return a person's own columns, and those that follow from them."""
    values: dict[str, Any] = {name: getattr(person, name) for name in OWN}
    values["personnel_code"], key = codes[person.uid]
    derived = person_store.derived(values)
    del derived["email_key"]  # no address travels
    return {**values, **derived, "code_key": key}


def _ids(session: Session, people: Sequence[StoredPerson]) -> Ids:
    c = persons.c
    found = sa.select(c.uid, c.id).where(c.uid.in_([p.uid for p in people]))
    return {row.uid: row.id for row in session.execute(found)}


_Known = Mapping[str, sa.Row[Any]]
"""uid -> (id, uid, personnel_code, code_key) of the persons of a page who are here."""

_NAMED_BY = [persons.c[name] for name in ("id", "uid", "personnel_code", "code_key")]


def _known(session: Session, people: Sequence[StoredPerson]) -> _Known:
    """Find the persons who are here; of others this gate's own person with their code.

    Such a person, who was added here before the hub sent them, gets the hub's uid.
    """
    uids = [p.uid for p in people]
    here = sa.select(*_NAMED_BY).where(persons.c.uid.in_(uids))
    known = {row.uid: row for row in session.execute(here)}
    own = [row for row in _with_codes(session, people) if row.uid not in known]
    of_hub = _given(session, [row.uid for row in own])
    free = {row.uid: row for row in own if row.uid not in of_hub}
    for person in people:
        if person.uid in known:
            continue
        key = code_key(person.personnel_code)
        same = [r for r in free.values() if r.personnel_code == person.personnel_code]
        alike = [r for r in free.values() if r.code_key == key]
        for row in (same or alike)[:1]:
            rows.change(session, persons, row.id, uid=person.uid)
            known[person.uid] = free.pop(row.uid)
    return known


def _with_codes(session: Session, people: Sequence[StoredPerson]) -> Sequence[sa.Row[Any]]:
    """Return everybody here with a code of one of these persons, in any spelling."""
    codes = {p.personnel_code for p in people}
    keys = {code_key(code) for code in codes}
    held = sa.or_(persons.c.personnel_code.in_(codes), persons.c.code_key.in_(keys))
    return session.execute(sa.select(*_NAMED_BY).where(held).order_by(persons.c.id)).all()


def _free_codes(
    session: Session, people: Sequence[StoredPerson], known: _Known
) -> dict[str, tuple[str, str]]:
    """Return uid -> (code, key) of each person, and move those who have such a code now.

    A code may pass from one person to another, who comes later. Of two people of the hub whose
    codes differ in spelling alone, both keep them, and one has a key apart.
    """
    last = {p.personnel_code: p.uid for p in people}
    codes = {
        p.uid: p.personnel_code
        if last[p.personnel_code] == p.uid
        else _moved(p.personnel_code, p.uid)
        for p in people
    }
    by_id = {row.id: uid for uid, row in known.items()}
    taken: set[str] = set()
    for row in _with_codes(session, people):
        uid = by_id.get(row.id)
        if uid is not None and codes[uid] == row.personnel_code:
            if row.code_key == code_key(row.personnel_code):
                taken.add(row.code_key)  # stays as it is
        elif uid is not None or row.personnel_code in last:
            free = _moved(row.personnel_code, row.uid)
            rows.change(session, persons, row.id, personnel_code=free, code_key=code_key(free))
        else:
            taken.add(row.code_key)
    return {uid: (code, _key(code, uid, known.get(uid), taken)) for uid, code in codes.items()}


def _moved(code: str, uid: str) -> str:
    return f"{code}~{uid}"


def _key(code: str, uid: str, row: sa.Row[Any] | None, taken: set[str]) -> str:
    key = code_key(code)
    if row is not None and (row.personnel_code, row.code_key) == (code, key):
        return key
    if key in taken:
        return f"{key}{APART}{uid}"
    taken.add(key)
    return key


# --- what hangs on them ---------------------------------------------------------------------------


def _put_groups(session: Session, people: Sequence[StoredPerson], ids: Ids, snapshot: int) -> None:
    member = group_members.c
    gone = sa.delete(group_members).where(member.person_id.in_([ids[p.uid] for p in people]))
    session.execute(gone)
    names = {uid: name for p in people for uid, name in p.groups.items()}
    groups = {g: replica.carried_group(session, g, name, snapshot) for g, name in names.items()}
    pairs = {(groups[uid], ids[p.uid]) for p in people for uid in p.groups}
    _insert(session, group_members, [{"group_id": g, "person_id": p} for g, p in sorted(pairs)])


def _put_enrollments(
    session: Session,
    people: Sequence[StoredPerson],
    ids: Ids,
    edits: Mapping[str, Sequence[EdgeEdit]],
) -> list[str]:
    """Let persons have these enrollments and those that open edits have added here."""
    c, now = enrollments.c, utcnow()
    given = {e.uid: {"person_id": ids[p.uid], **enrollment_columns(e)}
             for p in people for e in p.enrollments}  # fmt: skip
    added = {uid for theirs in edits.values() for uid in edge_edit_store.added(theirs)}
    theirs = c.person_id.in_([ids[p.uid] for p in people])
    of_page = sa.select(c.id, c.uid, c.face_encoding_path, c.face_image_path).where(theirs)
    here = {row.uid: row for row in session.execute(of_page)}
    replaced = [
        path for uid, r in here.items() if uid in given for path in _files(dict(r._mapping))
    ]
    gone = [row.id for uid, row in here.items() if uid not in given and uid not in added]
    files = replaced + replica.remove_enrollments(session, c.id.in_(gone))
    kept = {path for values in given.values() for path in _files(values)}
    unneeded = [path for path in files if path not in kept]
    new = {"quality": {}, "created_at": now, "updated_at": now}
    _insert(session, enrollments, [{**v, **new} for uid, v in given.items() if uid not in here])
    changes = [{**v, "id": here[uid].id} for uid, v in given.items() if uid in here]
    _update(session, enrollments, changes)
    return unneeded


def _files(row: Mapping[str, Any]) -> list[str]:
    return [p for p in (row["face_encoding_path"], row["face_image_path"]) if p]


def _insert(session: Session, table: sa.Table, values: Sequence[dict[str, Any]]) -> None:
    if values:
        session.execute(sa.insert(table), values)


def _update(session: Session, table: sa.Table, values: Sequence[dict[str, Any]]) -> None:
    """Change rows by `id`, their versions and `updated_at`; all name the same columns."""
    if not values:
        return
    bound: dict[str, Any] = {n: sa.bindparam(f"new_{n}") for n in values[0] if n != "id"}
    bound |= {"version": table.c.version + 1, "updated_at": sa.literal(utcnow(), UtcDateTime)}
    own = sa.update(table).where(table.c.id == sa.bindparam("new_id")).values(**bound)
    session.execute(own, [{f"new_{name}": v for name, v in row.items()} for row in values])
