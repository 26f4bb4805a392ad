"""Audit, retention, groups and consents on both engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from gated.core.values import Instant
from gated.database.engine import Database
from gated.database.request_origin import request_from
from gated.errors import Conflict
from gated.journal import audit_store, retention
from gated.journal.audit_store import AuditFilter
from gated.journal.journal import Entry, Journal, decision_entry
from gated.people import consent_store, group_store, person_store
from tests.people.people import NOW, add_person, enroll, grant

LATER = datetime.fromtimestamp(NOW.utc, UTC) + timedelta(days=1)


def act(journal: Journal, number: int, actor: str, uid: str | None = None) -> None:
    at = Instant(NOW.mono, NOW.utc + number)
    subject = {"subject": {"uid": uid}} if uid else {}
    entry = Entry(at, "person_changed", {"n": number}, {"actor": {"name": actor}, **subject})
    journal.append([entry])


def test_acts_are_found_by_actor_subject_and_place(db: Database, journal: Journal) -> None:
    with request_from("10.0.0.7", "r1"):
        act(journal, 1, "olga", "u1")
    act(journal, 2, "Olga", "u2")
    act(journal, 3, 'q"uote', "u1")
    journal.append([decision_entry(grant(None), "g", "c", "s")])
    with db.read() as session:
        every = audit_store.list_(session, AuditFilter(), limit=10)
        assert [r.body["n"] for r in every] == [3, 2, 1]
        assert every[2].actor == {"name": "olga", "address": "10.0.0.7", "request": "r1"}
        assert every[1].actor == {"name": "Olga"}, "no request, no origin"
        beyond = audit_store.list_(session, AuditFilter(), after=every[0].place, limit=1)
        assert [r.body["n"] for r in beyond] == [2]
        for wanted, expected in (
            (AuditFilter(actor="olga"), [1]),
            (AuditFilter(actor='q"uote'), [3]),
            (AuditFilter(subject_uid="u1"), [3, 1]),
            (AuditFilter(kind="nothing"), []),
            (AuditFilter(from_=every[1].at, to=every[0].at), [2]),
        ):
            found = audit_store.list_(session, wanted, limit=10)
            assert [r.body["n"] for r in found] == expected, wanted
        assert [r.body["n"] for r in audit_store.about(session, "u1")] == [1, 3]


def test_the_first_page_of_acts_does_not_read_the_passages(sqlite: Database) -> None:
    with sqlite.read() as session:
        seen = []

        @sa.event.listens_for(session.connection(), "before_cursor_execute")
        def note(_c: object, _u: object, statement: str, values: Any, *_: object) -> None:
            seen.append((statement, values))

        audit_store.list_(session, AuditFilter(), limit=10)
        statement, values = seen[0]
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        assert "ix_journal_audited" in str(plan.all())


def test_retention_finds_what_is_old_and_named(db: Database, journal: Journal) -> None:
    with db.write() as session:
        person = add_person(session)
    old = replace(grant(person.ref), at=NOW)
    journal.append([decision_entry(old, "g", "c", "s"), decision_entry(grant(None), "g", "c", "s")])
    act(journal, 1, "olga", person.uid)
    with db.read() as session:
        assert len(retention.passages(session, LATER, ("granted",), 10)) == 1
        assert retention.passages(session, LATER, ("denied",), 10) == []
        assert retention.passages(session, LATER - timedelta(days=2), ("granted",), 10) == []
        assert len(retention.acts(session, LATER, "subject", 10)) == 1, "not the passage"
        assert retention.last_passage(session, person.id) == LATER - timedelta(days=1)
    with db.write() as session:
        ((chain, seq),) = retention.acts(session, LATER, "actor", 10)
        journal.redact(session, NOW, chain, [seq], "retention", "actor")
    with db.read() as session:
        assert retention.acts(session, LATER, "actor", 10) == []
    assert journal.verify().ok


def test_groups_and_consents_go_with_their_person(db: Database) -> None:
    with db.write() as session:
        person, other = add_person(session), add_person(session)
        enroll(session, person)
        group = group_store.add(session, "Staff")
        with pytest.raises(Conflict):
            group_store.add(session, "STAFF")
        assert group_store.join(session, group.id, person.id)
        assert not group_store.join(session, group.id, person.id)
        group_store.join(session, group.id, other.id)
        found, total = person_store.list_(session, group="staff")
        assert ([p.id for p in found], total) == ([person.id, other.id], 2)
        given = {"notice_version": "1", "given_at": LATER, "method": "form"}
        for until, missing in ((LATER, [person.id]), (None, [])):
            consent_store.put(session, person.id, expires_at=until, **given)  # type: ignore[arg-type]
            assert list(consent_store.enrolled_without(session, LATER)) == missing
        person_store.delete(session, person.id)
        assert consent_store.find(session, person.id) is None
        assert [p.id for p in person_store.list_(session, group="staff")[0]] == [other.id]
        assert group_store.leave(session, group.id, other.id)
        group_store.delete(session, group.id)
        assert group_store.list_(session) == []
