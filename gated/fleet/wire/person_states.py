"""States of persons as rows hold them, on a hub and on its gates alike.

Which columns are read and written follows from the fields of the states: a field that has a column
of its name needs no word here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.change_feed import PERSON
from gated.database.tables import (
    changes,
    credentials,
    enrollments,
    group_members,
    groups,
    person_access,
    persons,
)
from gated.fleet.wire.states import (
    AccessState,
    CredentialState,
    State,
    StoredEnrollment,
    StoredPerson,
    by_uid,
)

S = TypeVar("S", bound=State)

OWN = tuple(n for n in StoredPerson.model_fields if n in persons.c and n not in ("uid", "version"))
"""The fields of a person that are columns of `persons`; the others have tables of their own."""

ENROLLMENT_COLUMNS: Mapping[str, str] = {
    "confidence": "confidence_score",
    "encoding_path": "face_encoding_path",
    "image_path": "face_image_path",
}
"""Fields of an enrollment whose columns have other names."""


def read(
    session: Session,
    wanted: sa.ColumnElement[bool],
    *,
    carried: sa.Select[tuple[int]] | None = None,
    from_hub: bool = False,
    limit: int | None = None,
) -> list[StoredPerson]:
    """Return the states of persons by uid.

    carried: the ids of the groups that may be named; None: all. from_hub: which credentials count,
    those that a hub gave, or those given here: they are made with keys of different places.
    """
    p = persons.c
    version = sa.func.coalesce(changes.c.seq, 0).label("version")
    last = sa.and_(changes.c.kind == PERSON, changes.c.uid == p.uid)
    found = sa.select(p.id, p.uid, version, *(p[name] for name in OWN)).where(wanted)
    found = found.outerjoin_from(persons, changes, last).order_by(p.uid).limit(limit)
    rows = [dict(row) for row in session.execute(found).mappings()]
    ids = [row.pop("id") for row in rows]
    theirs = _groups(session, ids, carried)
    e, c, a = enrollments, credentials, person_access
    enrolled = _hanging(session, StoredEnrollment, e, e.c.person_id.in_(ids), ENROLLMENT_COLUMNS)
    own = sa.and_(c.c.person_id.in_(ids), c.c.from_hub == from_hub)
    shown = _hanging(session, CredentialState, c, own)
    access = _hanging(session, AccessState, a, a.c.person_id.in_(ids))
    return [
        StoredPerson.of(
            **row,
            groups=theirs.get(id_, {}),
            enrollments=by_uid(enrolled.get(id_, ())),
            access=next(iter(access.get(id_, ())), None),
            credentials=by_uid(shown.get(id_, ())),
        )
        for id_, row in zip(ids, rows, strict=True)
    ]


def enrollments_of(session: Session, uids: Sequence[str]) -> dict[str, StoredEnrollment]:
    """Return the enrollments of persons with these uids, by their own uids."""
    whose = enrollments.c.person_id.in_(sa.select(persons.c.id).where(persons.c.uid.in_(uids)))
    found = _hanging(session, StoredEnrollment, enrollments, whose, ENROLLMENT_COLUMNS)
    return {e.uid: e for theirs in found.values() for e in theirs}


def enrollment_columns(enrollment: StoredEnrollment) -> dict[str, Any]:
    """Return the columns of an enrollment, with the uid and without the person."""
    return {
        ENROLLMENT_COLUMNS.get(name, name): value for name, value in enrollment.fields().items()
    }


def _hanging(
    session: Session,
    state: type[S],
    table: sa.Table,
    wanted: sa.ColumnElement[bool],
    renamed: Mapping[str, str] | None = None,
) -> dict[int, list[S]]:
    """Return states by the id of the person; each field from the column of its name."""
    names, other = tuple(state.model_fields), renamed or {}
    columns = (table.c[other.get(name, name)] for name in names)
    found: dict[int, list[S]] = defaultdict(list)
    for person_id, *values in session.execute(sa.select(table.c.person_id, *columns).where(wanted)):
        found[person_id].append(state.of(**dict(zip(names, values, strict=True))))
    return found


def _groups(
    session: Session, ids: Sequence[int], carried: sa.Select[tuple[int]] | None
) -> dict[int, dict[str, str]]:
    """Return uid -> name of the groups of persons, by their ids."""
    found = (
        sa.select(group_members.c.person_id, groups.c.uid, groups.c.name)
        .join(groups, groups.c.id == group_members.c.group_id)
        .where(group_members.c.person_id.in_(ids))
        .order_by(groups.c.uid)
    )
    if carried is not None:
        found = found.where(groups.c.id.in_(carried))
    theirs: dict[int, dict[str, str]] = defaultdict(dict)
    for row in session.execute(found):
        theirs[row.person_id][row.uid] = row.name
    return theirs
