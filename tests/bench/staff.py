"""Thousands of people at once."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa

from gated.database import change_feed, stored_settings
from gated.database.tables import enrollments, new_uid, persons
from gated.workspace import Workspace


def hire(workspace: Workspace, count: int, model: str) -> None:
    """People with a template of noise each, as the feed tells of them, in one transaction."""
    vectors = np.random.default_rng(count).normal(size=(count, 128)).astype(np.float32)
    people = [_person(n) for n in range(count)]
    paths = [workspace.files.save_encoding(v, model, durable=False) for v in vectors]
    workspace.files.sync()
    uids = [p["uid"] for p in people]
    with workspace.database.write() as session:
        stored_settings.touch_gallery(session)
        session.execute(sa.insert(persons), people)
        there = session.execute(sa.select(persons.c.uid, persons.c.id)).all()
        ids = {row.uid: row.id for row in there}
        rows = [_enrollment(ids[u], p, model) for u, p in zip(uids, paths, strict=True)]
        session.execute(sa.insert(enrollments), rows)
        for start in range(0, count, 500):
            change_feed.note(session, change_feed.PERSON, uids[start : start + 500])


def _person(number: int) -> dict[str, str]:
    code = f"bench-{number}"
    names = {"first_name": "Ada", "last_name": f"N{number}", "personnel_code": code}
    return {"uid": new_uid(), **names, "search": code}


def _enrollment(person_id: int, path: str, model: str) -> dict[str, object]:
    told = {"person_id": person_id, "face_encoding_path": path, "model": model}
    return {**told, "confidence_score": 0.9}
