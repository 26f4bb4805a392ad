"""The oldest rows of a journal go with a word, and only with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.attendance import attendance_store, correction_request_store, correction_store
from gated.core.chain import GENESIS, canonical
from gated.core.values import Direction
from gated.database.records import Person
from gated.database.tables import attendance_logs, journal_private, journal_seal
from gated.database.tables import journal as rows
from gated.errors import StorageError
from gated.journal import outbox, pruning
from gated.journal.chain_tip import Head, last_row
from gated.journal.journal import Entry, Journal
from gated.journal.kinds import ROTATED
from gated.journal.pruned_ranges import PrunedRange, newest_pruned, own_chains
from gated.journal.pruning import OldRow, prune
from gated.people import person_store
from gated.vault.sealing import Keys
from tests.people.people import NOW, add_person, entry


def anything(row: OldRow) -> bool:
    return True


def acknowledged(row: OldRow) -> bool:
    return row.acknowledged


def up_to(seq: int) -> Callable[[OldRow], bool]:
    return lambda row: row.seq <= seq


def cut(journal: Journal, may_go: Callable[[OldRow], bool] = anything) -> PrunedRange | None:
    gate = journal.gate_uid()
    with journal.db.write() as session:
        return prune(session, journal, gate, NOW, may_go, "disk")


def acknowledge(journal: Journal, seq: int) -> None:
    with journal.db.write() as session:
        (chain,) = own_chains(session, journal.gate_uid())
        outbox.acknowledge(session, chain, seq)


def numbers(journal: Journal, table: sa.Table) -> list[int]:
    with journal.db.read() as session:
        return sorted(set(session.execute(sa.select(table.c.seq)).scalars()))


@pytest.fixture(autouse=True)
def few_rows_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "LEAST", 1)


@pytest.fixture
def ada(journal: Journal) -> Person:
    """Who has passed twelve times: rows 2 to 13, in batches of three."""
    with journal.db.write() as session:
        person = add_person(session)
    for _ in range(4):
        journal.append([entry(person.ref) for _ in range(3)])
    return person


def test_what_a_hub_has_goes_and_the_rest_verifies(
    journal: Journal, ada: Person, keys: Keys
) -> None:
    acknowledge(journal, 6)
    gone = cut(journal, acknowledged)
    assert gone is not None
    assert (gone.seq, gone.rows, gone.unacknowledged) == (6, 6, 0)
    for table in (rows, journal_private, attendance_logs):
        assert numbers(journal, table)[0] == 7, table
    assert numbers(journal, journal_seal) == [7, 10, 13, 14]
    assert cut(journal, acknowledged) is None
    # the next process goes on in the same chain
    again = Journal(journal.db, keys.signer, journal.head_file)
    [receipt] = again.append([entry(ada.ref)])
    assert receipt.chain == gone.chain
    found = again.verify()
    assert found.ok, found
    assert found.rows == 9
    assert any("begins behind row 6" in note for note in found.notes)


def test_all_but_the_newest_row_may_go(journal: Journal, ada: Person) -> None:
    for tip in (13, 15):
        cut(journal)
        assert journal.verify().ok, journal.verify()
        assert numbers(journal, rows) == [tip, tip + 1]  # and the word
        journal.append([entry(ada.ref)])


TAMPERING: dict[str, tuple[str, int]] = {
    "a row more": ("DELETE FROM journal WHERE seq = 7", 7),
    "the word, too": ("DELETE FROM journal WHERE seq = 14", 1),
    "a word that says more": (
        """UPDATE journal SET body = replace(body, '"seq":6', '"seq":9') WHERE kind = 'pruned'""",
        7,
    ),
    "a row of the log left behind": (
        "UPDATE attendance_logs SET seq = 5 WHERE seq = 7",
        5,
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_rows_that_go_without_a_word_are_found(journal: Journal, ada: Person, name: str) -> None:
    statement, seq = TAMPERING[name]
    assert cut(journal, up_to(6)) is not None
    journal.append([entry()])
    with journal.db.write() as session:
        session.connection().exec_driver_sql(statement)
    problem = journal.verify().first_problem
    assert problem is not None
    assert problem.seq == seq, problem


def test_an_older_chain_goes_whole(journal: Journal, ada: Person) -> None:
    journal.start_new_chain(NOW, "forked")
    journal.acknowledge(NOW, "Grace", "the clone is gone")
    journal.append([entry(ada.ref)] * 3)
    assert cut(journal, up_to(4)) is not None
    whole = cut(journal)
    assert whole is not None
    assert (whole.chain[-2:], whole.seq) == ("/2", 0)
    with journal.db.read() as session:
        assert own_chains(session, journal.gate_uid()) == [whole.chain]
    assert journal.verify().ok, journal.verify()
    assert cut(journal, up_to(2)) is not None
    assert journal.verify().ok, journal.verify()


def test_erasures_and_corrections_across_the_cut_stay_right(journal: Journal, ada: Person) -> None:
    with journal.db.write() as session:
        bob = add_person(session)
        old = attendance_store.list_(session, limit=100)[-1]
        new = correction_store.NewValues(
            person=ada, passed_at=old.created_at, direction="exit", status="void"
        )
        made = correction_store.correction_entry(NOW, old, new, actor="a", cause="b")
        journal.append([made], session)
        correction_request_store.add(
            session, person_id=ada.id, attendance_id=old.id, passed_at=None,
            direction=str(Direction.EXIT), status=None, reason="forgot",
        )  # fmt: skip
    journal.append([entry(bob.ref)])
    with journal.db.write() as session:
        journal.erase_person(session, NOW, ada.uid, "erasure")
        journal.append([Entry(NOW, "person_erased", erased(ada))], session)
        correction_requests_left = person_store.delete(session, ada.id)
    assert correction_requests_left == []
    cut(journal, up_to(8))
    assert journal.verify().ok, journal.verify()


def erased(person: Person) -> dict[str, Any]:
    return {"person": person.uid, "enrollments": 0}


def test_requests_to_correct_a_row_go_with_it(journal: Journal, ada: Person) -> None:
    with journal.db.write() as session:
        first = attendance_store.list_(session, limit=100)[-1]
        correction_request_store.add(
            session, person_id=ada.id, attendance_id=first.id, passed_at=None,
            direction=str(Direction.EXIT), status=None, reason="forgot",
        )  # fmt: skip
    cut(journal, up_to(4))
    with journal.db.read() as session:
        assert correction_request_store.list_(session, limit=10) == []


def test_the_doors_mode_outlives_the_row_that_told_of_it(journal: Journal, ada: Person) -> None:
    journal.append([Entry(NOW, "door_mode", {"mode": "lockdown"})])
    journal.append([entry(), entry()])
    for _ in range(2):  # the second time from the word of the first
        cut(journal)
        journal.append([entry(), entry()])
    with journal.db.read() as session:
        assert journal.last_body(session, "door_mode") == {"mode": "lockdown"}
    assert "door_mode" not in kinds(journal)


def kinds(journal: Journal) -> set[str]:
    with journal.db.read() as session:
        return set(session.execute(sa.select(rows.c.kind)).scalars())


def test_the_ledger_is_complete_before_what_it_is_made_of_goes(
    journal: Journal, ada: Person
) -> None:
    journal.append([Entry(NOW, "person_erased", erased(ada)), entry()])
    journal.ledger.path.mkdir()  # nobody can write there
    with pytest.raises(StorageError):
        cut(journal)
    assert numbers(journal, rows)[0] == 1
    journal.ledger.path.rmdir()
    cut(journal)
    assert ada.uid in journal.ledger.read()


def test_one_step_is_bounded(
    journal: Journal, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "STEP", 5)
    first, second = cut(journal), cut(journal)
    assert first is not None
    assert second is not None
    assert (first.seq, second.seq) == (5, 10)
    assert journal.verify().ok


def test_a_word_is_not_given_for_fewer_rows_than_it_takes(
    journal: Journal, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "LEAST", 10)
    assert cut(journal, up_to(9)) is None
    assert cut(journal, up_to(10)) is not None


def test_a_head_that_was_not_renewed_does_not_look_like_a_cut(
    journal: Journal, ada: Person, keys: Keys
) -> None:
    """On a full disk the head file stays behind the rows that are dropped."""
    before = journal.head_file.read_bytes()
    journal.append([entry()])
    cut(journal)
    journal.append([entry()])
    journal.head_file.write_bytes(before)
    restarted = Journal(journal.db, keys.signer, journal.head_file)
    assert restarted.verify().ok, restarted.verify()
    assert restarted.look().found.ok
    [receipt] = restarted.append([entry()])
    assert receipt.chain.endswith("/1")
    assert journal.verify().ok, journal.verify()


def test_a_head_from_before_the_first_row_outlives_its_chain(
    journal: Journal, ada: Person, keys: Keys
) -> None:
    """The disk was full from the first row on, and the gate was restarted."""
    empty = Head(f"{journal.gate_uid()}/1", 0, GENESIS)
    before = canonical({**empty.as_dict(), "signature": keys.signer.sign(empty.message()).hex()})
    journal.start_new_chain(NOW, ROTATED)
    while cut(journal) is not None:
        journal.append([entry(ada.ref)])
        if len(chains(journal)) == 1:
            break
    assert [c[-2:] for c in chains(journal)] == ["/2"]
    journal.head_file.write_bytes(before)
    restarted = Journal(journal.db, keys.signer, journal.head_file)
    assert restarted.verify().ok, restarted.verify()
    (receipt,) = restarted.append([entry()])
    assert receipt.chain.endswith("/2")
    assert restarted.verify().ok, restarted.verify()


def chains(journal: Journal) -> list[str]:
    with journal.db.read() as session:
        return own_chains(session, journal.gate_uid())


def test_the_backlog_counts_what_is_here(journal: Journal, ada: Person) -> None:
    gate = journal.gate_uid()

    def backlog(session: Session) -> int:
        return outbox.backlog(session, gate)

    acknowledge(journal, 3)
    cut(journal, up_to(8))
    with journal.db.read() as session:
        tip = last_row(session, own_chains(session, gate)[0])
        assert tip is not None
        assert backlog(session) == tip.seq - 8
        told = newest_pruned(session, gate)
    assert told is not None
    assert told.unacknowledged == 5
    assert json.loads(json.dumps(dict(told.state))) == {}
