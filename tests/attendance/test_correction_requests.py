"""Correction requests, on each engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from gated.attendance import correction_request_store
from gated.database.engine import Database
from gated.database.records import CorrectionRequest, Person
from gated.database.tables import utcnow
from gated.errors import NotFound
from gated.people import person_store
from tests.people.people import add_person

WISH: dict[str, Any] = {
    "attendance_id": None,
    "passed_at": utcnow(),
    "direction": "exit",
    "status": None,
    "reason": "left by the yard",
}


def ask(session: Session, person: Person) -> CorrectionRequest:
    return correction_request_store.add(session, person.id, **WISH)


def test_requests_are_listed_newest_first_by_person_and_state(db: Database) -> None:
    with db.write() as session:
        ada, bert = add_person(session), add_person(session)
        first, second, other = ask(session, ada), ask(session, ada), ask(session, bert)
        assert {name: getattr(first, name) for name in WISH} == WISH
        correction_request_store.answer(session, first.id, state="refused", answer="no")
    with db.read() as session:
        found = correction_request_store.list_(session)
        assert [r.id for r in found] == [other.id, second.id, first.id]
        mine = correction_request_store.list_(session, person_id=ada.id, state="open")
        assert mine == [second]
        page = correction_request_store.list_(session, limit=1, offset=1)
        assert page == [second]
        assert correction_request_store.list_(session, person_id=2**70) == []
        assert correction_request_store.count_open(session, ada.id) == 1
        assert found[2].answered_at == found[2].updated_at
        assert found[0].answered_at is None


def test_requests_go_with_their_person_and_with_time(db: Database) -> None:
    with db.write() as session:
        ada, bert = add_person(session), add_person(session)
        gone, old = ask(session, ada), ask(session, bert)
        person_store.delete(session, ada.id)
        with pytest.raises(NotFound):
            correction_request_store.get(session, gone.id)
        assert correction_request_store.delete_older(session, old.created_at, 10) == 0
        later = old.created_at + timedelta(seconds=1)
        assert correction_request_store.delete_older(session, later, 10) == 1
        assert correction_request_store.list_(session) == []


def test_what_is_not_there_is_not_found(db: Database) -> None:
    with db.write() as session:
        for id_ in (1, 2**70):
            with pytest.raises(NotFound):
                correction_request_store.get(session, id_, lock=True)
