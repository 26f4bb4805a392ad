"""The person enrolled in the demo."""

from __future__ import annotations

from sqlalchemy.orm import Session

from gated.people import person_store

CODE = "DEMO-1"
NAMES = {"first_name": "Barack", "last_name": "Obama"}
PHOTO = "obama.jpg"
ACTOR = "demo"


def demo_person_is_known(session: Session) -> bool:
    """Return whether the demo person exists, with or without a photo."""
    return person_store.by_code(session, CODE) is not None
