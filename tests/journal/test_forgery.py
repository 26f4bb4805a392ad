"""A forger without keys: what was forged stays named, whatever the gate writes afterwards."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
import sqlalchemy as sa

from gated.attendance import attendance_store
from gated.core.chain import GENESIS
from gated.database.engine import Database
from gated.database.records import Person
from gated.database.tables import journal as rows
from gated.database.tables import journal_private, journal_seal, metadata, settings
from gated.errors import Conflict
from gated.journal import alarm_store
from gated.journal.chain_tip import read_head
from gated.journal.journal import Entry, GateLabel, Journal
from gated.journal.pruned_ranges import PrunedRange
from gated.journal.verify import JournalProblem
from gated.vault.sealing import Keys
from tests.people.people import NOW, add_person, entry
from tests.storage import forger


@pytest.fixture
def ada(db: Database) -> Person:
    with db.write() as session:
        return add_person(session, first_name="Ada", last_name="Lovelace")


def first(journal: Journal) -> JournalProblem:
    found = journal.verify().first_problem
    assert found is not None
    return found


def restarted(journal: Journal, keys: Keys) -> Journal:
    return Journal(journal.db, keys.signer, journal.head_file, GateLabel("front door"))


def standing(journal: Journal) -> list[str]:
    with journal.db.read() as session:
        return [alarm.kind for alarm in alarm_store.list_(session, standing=True)]


def forged_passage(journal: Journal, person: Person, *, sealed: bool = False) -> tuple[str, int]:
    like = entry(person.ref)
    with journal.db.write() as session:
        chain = f"{journal.gate_uid()}/1"
        subject = {"person_id": person.id, "uid": person.uid, "name": person.name}
        return chain, forger.forge(
            session, chain, "decision", dict(like.body), subject, sealed=sealed
        )


@pytest.mark.parametrize("sealed", [False, True], ids=["no seal", "seal of another key"])
@pytest.mark.parametrize("restart", [False, True])
def test_the_gates_own_rows_never_cover_a_forged_one(
    journal: Journal, keys: Keys, ada: Person, sealed: bool, restart: bool
) -> None:
    journal.append([entry(ada.ref), entry()])
    chain, seq = forged_passage(journal, ada, sealed=sealed)
    where = (chain, seq)
    assert (first(journal).chain, first(journal).seq) == where
    later = restarted(journal, keys) if restart else journal
    for _ in range(3):
        (receipt,) = later.append([entry(ada.ref)])
        assert (first(later).chain, first(later).seq) == where
    assert receipt.chain.endswith("/2"), "it goes on in a new chain"
    assert standing(later) == ["journal_broken"]


def test_a_forged_redaction_excuses_nothing(journal: Journal, keys: Keys, ada: Person) -> None:
    journal.append([entry(ada.ref), entry(ada.ref)])
    chain = f"{journal.gate_uid()}/1"
    with journal.db.write() as session:
        session.execute(sa.delete(journal_private).where(journal_private.c.seq == 2))
        session.execute(sa.text("UPDATE attendance_logs SET person_id = NULL WHERE seq = 2"))
        body = {"chain": chain, "role": "subject", "seqs": [[2, 2]], "reason": "retention"}
        forger.forge(session, chain, "redacted", body)
    for later in (journal, restarted(journal, keys)):
        later.append([entry()])
        assert "never redacted" in str(first(later))
        assert first(later).seq == 2


def test_a_forged_cut_excuses_nothing(journal: Journal, keys: Keys, ada: Person) -> None:
    journal.append([entry(ada.ref)] * 4)
    chain = f"{journal.gate_uid()}/1"
    with journal.db.write() as session:
        third = session.execute(sa.select(rows.c.hash).where(rows.c.seq == 3)).scalar_one()
        cut = PrunedRange(chain, 3, third, journal.public_key, 3, 0, {})
        forger.forge(session, chain, "pruned", {**asdict(cut), "cause": "age"})
        for table in forger.TABLES:
            session.execute(sa.delete(table).where(table.c.seq <= 3))
    restarted(journal, keys).append([entry()])
    assert (first(journal).chain, first(journal).seq) == (chain, 1)


def test_history_written_anew_under_another_key_is_named(
    journal: Journal, keys: Keys, ada: Person
) -> None:
    journal.append([entry(ada.ref), Entry(NOW, "signed_in", {}), entry(ada.ref)])
    head, chain = read_head(journal.head_file), f"{journal.gate_uid()}/1"
    with journal.db.write() as session:
        forger.rewrite(session, chain, frozenset({"signed_in"}))
    later = restarted(journal, keys)
    for _ in range(3):
        assert (first(later).chain, first(later).seq) == (chain, 1)
        (receipt,) = later.append([entry(ada.ref)])
    assert receipt.chain.endswith("/2")
    assert read_head(journal.head_file.with_name("journal.head.before-2")) == head, "kept"
    assert standing(later) == ["journal_broken"]
    with journal.db.read() as session:
        body = json.loads(
            session.execute(
                sa.select(rows.c.body).where(rows.c.chain == receipt.chain, rows.c.seq == 1)
            ).scalar_one()
        )
    assert head is not None
    assert body["previous"] == head.as_dict(), "what the key had signed wins"


def test_nobody_stands_in_the_way_of_the_next_chain(
    journal: Journal, keys: Keys, ada: Person
) -> None:
    """Rows where the next ones belong, in this chain and those to come, stop no recording."""
    journal.append([entry(ada.ref)])
    gate = journal.gate_uid()
    with journal.db.write() as session:
        for chain, seq in ((f"{gate}/1", 3), (f"{gate}/2", 1), (f"{gate}/9", 4)):
            values = {"chain": chain, "seq": seq, "hash": "x", "signature": "x"}
            session.execute(sa.insert(journal_seal).values(values))
    (receipt,) = restarted(journal, keys).append([entry(ada.ref)])
    assert receipt.chain == f"{gate}/10"
    assert not journal.verify().ok


@pytest.mark.parametrize("how", ["other", "gone", "nonsense", "ahead"])
def test_the_head_wins_over_what_the_database_says_it_is(
    journal: Journal, keys: Keys, how: str
) -> None:
    journal.append([entry()])
    gate = journal.gate_uid()
    told: dict[str, Any] = {
        "other": {"gate": "somebody", "epoch": 1},
        "nonsense": ["x"],
        "ahead": {"gate": gate, "epoch": 7},
    }
    with journal.db.write() as session:
        there = settings.c.key == "journal_identity"
        if how == "gone":
            session.execute(sa.delete(settings).where(there))
        else:
            session.execute(sa.update(settings).where(there).values(value=told[how]))
    assert not journal.verify().ok
    (receipt,) = restarted(journal, keys).append([entry()])
    assert receipt.chain.startswith(f"{gate}/")
    assert journal.verify().ok == (how in ("gone", "nonsense")), (
        "without damage the chain just goes on"
    )


def test_what_was_acknowledged_is_no_failure_as_long_as_it_stays(
    journal: Journal, keys: Keys, ada: Person
) -> None:
    journal.append([entry(ada.ref)])
    forged_passage(journal, ada)
    journal.append([entry(ada.ref)])
    found = journal.acknowledge(NOW, "Grace", "Eve had the disk")
    assert found.first_problem is not None
    assert journal.verify().ok
    assert standing(journal) == []
    with pytest.raises(Conflict):
        journal.acknowledge(NOW, "Grace", "once more")
    with journal.db.write() as session:
        told = session.execute(sa.select(rows.c.body)).scalars().all()
        assert "Eve" not in "".join(told), "the reason is in the private part"
        session.execute(sa.text("UPDATE journal SET at_utc = at_utc + 1 WHERE seq = 3"))
    assert not journal.verify().ok, "it is another row now"


def test_an_erasure_goes_on_after_an_acknowledgement(journal: Journal, ada: Person) -> None:
    journal.append([entry(ada.ref)])
    forged_passage(journal, ada)
    journal.append([entry(ada.ref)])
    journal.acknowledge(NOW, "Grace", "a forged row")
    with journal.db.write() as session:
        journal.erase_person(session, NOW, ada.uid, "asked for")
    assert journal.verify().ok, journal.verify()
    with journal.db.read() as session:
        assert {r.person_id for r in attendance_store.list_(session)} == {None}


def test_a_restore_by_the_book_raises_no_alarm(journal: Journal, keys: Keys) -> None:
    """Acknowledged before the gate starts; the head file was left where it was."""
    journal.append([entry(), entry(), entry()])
    with journal.db.write() as session:
        for table in forger.TABLES:  # the backup had no more than two rows
            session.execute(sa.delete(table).where(metadata.tables[table.name].c.seq > 2))
        last = session.execute(sa.select(rows).where(rows.c.seq == 2)).one()
        sign = {"seq": 2, "hash": last.hash, "chain": last.chain}
        session.execute(sa.insert(journal_seal).values(**sign, signature=_signed(keys, last)))
    restored = restarted(journal, keys)
    restored.acknowledge(NOW, "command line", "backup of Monday")
    later = restarted(journal, keys)
    later.append([entry()])
    assert later.verify().ok, later.verify()
    assert standing(later) == []


def _signed(keys: Keys, row: Any) -> str:
    from gated.journal.chain_tip import Head

    return keys.signer.sign(Head(row.chain, row.seq, row.hash).message()).hex()


def test_an_empty_chain_begins_as_ever(journal: Journal) -> None:
    assert journal.verify().ok
    (receipt,) = journal.append([entry()])
    assert receipt.seq == 2
    with journal.db.read() as session:
        assert session.execute(sa.select(rows.c.prev).where(rows.c.seq == 1)).scalar() == GENESIS
    assert journal.verify().ok
