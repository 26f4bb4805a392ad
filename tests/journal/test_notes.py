"""What others typed beside their acts: where it names somebody, it goes when they are erased."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

import gated
from gated.database.engine import Database
from gated.database.records import Person
from gated.database.tables import correction_requests, journal_private, utcnow
from gated.database.tables import journal as rows
from gated.journal.journal import Entry, Journal, subject_of
from gated.journal.notes import NOTED, Naming, count_left
from gated.people import person_store
from tests.people.people import NOW, add_person

ADA = Naming.of("Lovelace", "E-17", "ada@works.example", "+44 20 7946 0018")


@pytest.fixture
def ada(db: Database) -> Person:
    with db.write() as session:
        return add_person(session, first_name="Ada", last_name="Lovelace", personnel_code="E-17")


@pytest.mark.parametrize(
    "text",
    [
        "let in Ada Lovelace, who had no card",
        "for LOVELACE",
        "Lovelace's card was lost",
        "e-17 stood outside",
        "as ada@works.example asked",
        "call +44 (20) 7946-0018",
        "Ĺovelacé, she said",
    ],
)
def test_a_text_names_a_person_in_any_writing(text: str) -> None:
    assert ADA.is_in(text)


@pytest.mark.parametrize(
    "text", ["the door of E-171", "Lovelaces", "Ada", "call 7946", "", "E 1 7"]
)
def test_other_texts_do_not(text: str) -> None:
    assert not ADA.is_in(text)


def test_a_name_of_several_words_is_these_words_in_a_row() -> None:
    naming = Naming.of("van der Berg", "X", None, None)
    assert naming.is_in("Mr. Van der Berg")
    assert not naming.is_in("the Berg van")
    assert not naming.is_in("X"), "one letter names nobody"


def test_a_note_goes_with_the_person_whom_it_names(journal: Journal, ada: Person) -> None:
    acts = sorted(set(NOTED) - {"corrected", "manual_punch"})  # those: see the next test
    for kind in acts:
        for text in ("cause", "reason"):
            about_ada = {"actor": {"name": "grace", text: "for Ada Lovelace"}}
            other = {"actor": {"name": "grace", text: "for the plumber"}}
            journal.append([Entry(NOW, kind, {}, about_ada), Entry(NOW, kind, {}, other)])
    erase(journal, ada)
    for kind in acts:
        assert notes(journal, kind) == ["for the plumber"] * 2, kind
    assert journal.verify().ok


def test_why_two_may_have_one_face_goes_with_either_of_them(
    db: Database, journal: Journal, ada: Person
) -> None:
    with db.write() as session:
        twin = add_person(session, first_name="Eve", last_name="King", personnel_code="E-18")
    for text in ("twin of Ada Lovelace", "their faces were compared by hand"):
        private = {"subject": {**subject_of(twin.ref), "reason": text}, "actor": {"name": "grace"}}
        journal.append([Entry(NOW, "duplicate_overridden", {}, private)])
    erase(journal, ada)
    with db.read() as session:
        left = session.execute(
            sa.select(journal_private.c.payload).where(journal_private.c.role == "subject")
        )
        kept = [json.loads(payload)["reason"] for payload in left.scalars()]
    assert kept == ["their faces were compared by hand"]
    assert journal.verify().ok


def test_texts_beside_others_stay_and_are_counted(
    db: Database, journal: Journal, ada: Person
) -> None:
    with db.write() as session:
        other = add_person(session, first_name="Eve", last_name="King", personnel_code="E-18")
        for reason, answer in (
            ("Ada Lovelace has seen me", None),
            ("late", "ask E-17"),
            ("x", "y"),
        ):
            session.execute(
                sa.insert(correction_requests).values(
                    person_id=other.id, reason=reason, answer=answer, state="open",
                    created_at=utcnow(), updated_at=utcnow(),
                )
            )  # fmt: skip
    for person, text in (
        (other, "let in for Lovelace"),
        (other, "forgot"),
        (ada, "Lovelace forgot"),
    ):
        subject = {**subject_of(person.ref), "cause": text}
        entry = Entry(NOW, "presence_forgiven", {}, {"subject": subject})
        journal.append([entry])
    with db.read() as session:
        assert count_left(session, ada.uid) == 3
        assert count_left(session, other.uid) == 0
        assert count_left(session, "nobody") == 0


@pytest.mark.parametrize("kind", ["corrected", "manual_punch"])
def test_so_does_a_word_on_a_passage_of_nobody(journal: Journal, ada: Person, kind: str) -> None:
    body = {
        **dict.fromkeys(("gate", "camera", "site", "direction", "status", "reason", "method"), "x"),
        "confidence": 0.0,
        **({"corrects": {"chain": "-", "seq": 1}} if kind == "corrected" else {}),
    }
    entry = Entry(NOW, kind, body, {"actor": {"name": "grace", "cause": "it was Lovelace"}})
    if kind == "corrected":
        journal.append([Entry(NOW, "manual_punch", body)])
        entry.body["corrects"].update(chain=f"{journal.gate_uid()}/1", seq=2)
    journal.append([entry])
    erase(journal, ada)
    assert notes(journal, kind) == []
    assert journal.verify().ok


def test_every_kind_of_an_act_at_the_door_with_a_reason_is_among_them() -> None:
    core = Path(gated.__file__).parent / "core"
    found = {
        kind
        for file in core.glob("*.py")
        for kind in re.findall(r'RecordEvent\(\w+, "(\w+)"[^\n]*cause=', file.read_text())
    }
    assert len(found) == 4, "the way of writing has changed: look anew"
    assert found <= set(NOTED)


def erase(journal: Journal, person: Person) -> None:
    with journal.db.write() as session:
        journal.erase_person(session, NOW, person.uid, "erasure")
        person_store.delete(session, person.id)


def notes(journal: Journal, kind: str) -> list[str]:
    """The notes that are left beside rows of a kind."""
    part = journal_private.c
    beside = sa.and_(part.chain == rows.c.chain, part.seq == rows.c.seq)
    found = sa.select(part.payload).join(rows, beside).where(rows.c.kind == kind)
    with journal.db.read() as session:
        told = map(json.loads, session.execute(found.order_by(part.seq)).scalars())
        return [payload.get("cause") or payload["reason"] for payload in told]
