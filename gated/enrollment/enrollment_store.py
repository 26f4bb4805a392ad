"""Enrollments: reference photos and templates of persons; changes touch the gallery's stamp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import change_feed as feed
from gated.database import limits, rows
from gated.database.records import Enrollment, GalleryRow, columns_of, record
from gated.database.stored_settings import touch_gallery
from gated.database.tables import enrollments, new_uid, persons
from gated.errors import NotFound
from gated.people import person_store as persons_

CHANGEABLE = frozenset(
    {"face_encoding_path", "face_image_path", "confidence_score", "is_active", "model"}
    | {"quality", "image_sha256"}
)

_COLUMNS = columns_of(Enrollment, enrollments)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEnrollment:
    """An enrollment to be stored. uid: by default a new one."""

    person_id: int
    face_encoding_path: str | None
    face_image_path: str | None
    confidence_score: float
    model: str | None
    quality: Mapping[str, Any] | None = None
    image_sha256: str | None = None
    is_active: bool = True
    uid: str | None = None


def add(session: Session, new: NewEnrollment) -> Enrollment:
    """Add an enrollment. Raises: NotFound for the person, LimitReached."""
    persons_.get(session, new.person_id)
    limits.PHOTOS.require_room(session, new.person_id)
    values = {**asdict(new), "quality": dict(new.quality or {}), "uid": new.uid or new_uid()}
    id_ = rows.insert(session, enrollments, **values)
    touch_gallery(session)
    feed.note_person(session, new.person_id)
    return get(session, id_)


def get(session: Session, id_: int) -> Enrollment:
    """Return the enrollment with this id. Raises: NotFound."""
    row = rows.one(session, enrollments, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no enrollment {id_}")
    return record(Enrollment, row)


def by_uid(session: Session, uid: str) -> Enrollment | None:
    """Return the enrollment with this uid, or None."""
    row = rows.one(session, enrollments, _COLUMNS, uid=uid)
    return row and record(Enrollment, row)


def list_(
    session: Session,
    *,
    person_id: int | None = None,
    is_active: bool | None = None,
    image_sha256: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[Enrollment]:
    """Return enrollments by id, all or one page of them."""
    if rows.is_too_large(person_id):
        return []
    conditions = _equal(person_id=person_id, is_active=is_active, image_sha256=image_sha256)
    statement = sa.select(*_COLUMNS).where(*conditions).order_by(enrollments.c.id)
    return [
        record(Enrollment, r) for r in session.execute(rows.page(statement, limit, offset)).all()
    ]


def count(session: Session, *, person_id: int | None, is_active: bool | None) -> int:
    """Count the enrollments of all pages."""
    if rows.is_too_large(person_id):
        return 0
    conditions = _equal(person_id=person_id, is_active=is_active)
    return rows.count(session, sa.select(enrollments.c.id).where(*conditions))


def _equal(**wanted: Any) -> list[sa.ColumnElement[bool]]:
    return [enrollments.c[k] == v for k, v in wanted.items() if v is not None]


def update(session: Session, id_: int, **changes: Any) -> Enrollment:
    """Change the named columns; files that are named no longer are left to the caller. Raises:
    NotFound."""
    if unknown := changes.keys() - CHANGEABLE:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed")
    before = get(session, id_)
    rows.change(session, enrollments, id_, **changes)
    touch_gallery(session)
    feed.note_person(session, before.person_id)
    return get(session, id_)


def set_active(session: Session, id_: int, active: bool) -> Enrollment:
    """Switch an enrollment on or off. Raises: NotFound."""
    return update(session, id_, is_active=active)


def delete(session: Session, id_: int) -> list[str]:
    """Remove an enrollment; return the files that nobody needs now. Raises: NotFound."""
    gone = get(session, id_)
    session.execute(sa.delete(enrollments).where(enrollments.c.id == id_))
    touch_gallery(session)
    feed.note_person(session, gone.person_id)
    return list(gone.files)


def has_other_models(session: Session, model: str) -> bool:
    """Return whether a template is of another model than this one, and so in no gallery of it."""
    other = sa.select(sa.literal(1)).where(enrollments.c.model != model).limit(1)
    return session.execute(other).first() is not None


def known_files(session: Session) -> set[str]:
    """Return the relative path of every file that an enrollment names."""
    found = session.execute(
        sa.select(enrollments.c.face_image_path, enrollments.c.face_encoding_path)
    )
    return {path for row in found for path in row if path}


def gallery_rows(session: Session, model: str) -> list[GalleryRow]:
    """Return the active enrollments with a template of this model, by person and enrollment."""
    e, p = enrollments.c, persons.c
    found = session.execute(
        sa.select(
            *(e.id, e.person_id, e.face_encoding_path),
            *(p.is_active, p.uid, p.personnel_code, p.extended_unlock, p.first_name, p.last_name),
        )
        .join_from(enrollments, persons)
        .where(e.model == model, e.is_active, e.face_encoding_path.is_not(None))
        .order_by(e.person_id, e.id)
    )
    return [GalleryRow(*r[:6], r[6], f"{r[7]} {r[8]}".strip()) for r in found]
