"""What is recognised at a glance is what a close look finds right; what a seal stands for."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from gated.bench.log import measure_log
from gated.core.chain import row_uid, uuid7
from gated.database.engine import Database
from gated.database.tables import journal_seal
from gated.journal.journal import Entry, Journal
from gated.journal.verify import ALL, Verification, VerificationBounds, look
from gated.vault.sealing import Keys
from tests.people.people import NOW, add_person, entry
from tests.storage import forger


def _silent(_done: int, _total: int) -> None:
    """Show nothing."""


def quickly(journal: Journal) -> Verification:
    """As a long journal is verified: no signature is looked at on which nothing depends."""
    return look(journal.evidence(), _silent, VerificationBounds({}, ALL, signatures=0)).found


VALUES = (None, "", "x", b"x", 0, 1, 2, 1.5, "{}", "[]", '{"a":1}', "2026-09-21 14:13:20.25")
TABLES = {
    "journal": "at_utc boot_id mono_ns clock_ok kind body commits prev hash seq",
    "journal_private": "role salt payload uid seq",
    "journal_seal": "hash signature seq",
    "attendance_logs": "uid person_id gate_name direction confidence_score status created_at"
    " reason rule site visit score frames flags timezone superseded_by seq",
}


@dataclass
class Written:
    """A journal of all sorts of rows, each under a seal; copies of it are altered."""

    file: Path
    keys: Keys
    journal: Journal

    def altered(self, folder: Path, chance: random.Random) -> tuple[Journal, str]:
        """A copy in which one value is another; what was done."""
        copy = folder / "copy.db"
        with closing(sqlite3.connect(self.file)) as from_, closing(sqlite3.connect(copy)) as to:
            from_.backup(to)
            did = ""
            while not did:
                with suppress(sqlite3.IntegrityError):
                    did = _alter(to, chance)
            to.commit()
        database = Database.open(f"sqlite:///{copy}")
        return Journal(database, self.keys.signer, self.journal.head_file), did


def _alter(connection: sqlite3.Connection, chance: random.Random) -> str:
    table = chance.choice([*TABLES])
    column = chance.choice(TABLES[table].split())
    seqs = [seq for (seq,) in connection.execute(f"SELECT seq FROM {table}")]  # noqa: S608
    seq = chance.choice(seqs)
    (old,) = connection.execute(
        f"SELECT {column} FROM {table} WHERE seq = ?",  # noqa: S608
        (seq,),
    ).fetchone()
    value: object = chance.choice(VALUES)
    if column == "seq":
        value = chance.choice([seq + 1, 99, -1])
    elif isinstance(old, str) and chance.random() < 0.5:
        value = old[:-1] + chance.choice("0123456789abcdef}] ")
    if value == old:
        return ""
    changed = f"UPDATE {table} SET {column} = ? WHERE seq = ?"  # noqa: S608
    connection.execute(changed, (value, seq))
    return f"{table}.{column} of row {seq}: {old!r} is {value!r}"


@pytest.fixture
def written(sqlite: Database, keys: Keys, tmp_path: Path) -> Written:
    journal = Journal(sqlite, keys.signer, tmp_path / "journal.head")
    with sqlite.write() as session:
        first, second = (add_person(session) for _ in range(2))
    for number in range(3):
        journal.append([entry(first.ref, visit=number)])
        journal.append([entry(flags=("low_light", "é")), Entry(NOW, "door_opened", {"n": number})])
        told = {"actor": {"name": "admin"}, "subject": {"uid": second.uid, "name": "Ada"}}
        journal.append([Entry(NOW, "person_changed", {}, told)])
    with sqlite.write() as session:
        journal.redact(session, NOW, f"{journal.gate_uid()}/1", [2], "retention")
    assert sqlite.engine.url.database is not None
    return Written(Path(sqlite.engine.url.database), keys, journal)


def play(written: Written, folder: Path, seed: int) -> None:
    journal, did = written.altered(folder, random.Random(seed))
    with closing(journal.db):
        closely = journal.verify(closely=True)
        assert journal.verify() == closely, (seed, did)
        if ".signature" not in did:
            assert quickly(journal) == closely, (seed, did)
        if "clock_ok" not in did:  # any number but 0 is true there
            assert not closely.ok, (seed, did)


def test_a_glance_finds_what_a_close_look_finds(written: Written, tmp_path: Path) -> None:
    for seed in range(30):
        play(written, tmp_path, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 41))
def test_a_thousand_alterations(written: Written, tmp_path: Path, seed: int) -> None:
    for number in range(25):
        play(written, tmp_path, 1000 * seed + number)


def test_where_the_hashes_do_not_lead_on_the_seals_before_are_asked(written: Written) -> None:
    """Somebody writes the beginning anew with right hashes, and cannot sign it."""
    journal, chain = written.journal, f"{written.journal.gate_uid()}/1"
    with journal.db.write() as session:
        rows = forger.forged_beginning(session, chain, 5)
        for seq, hash_ in rows.items():
            told = sa.update(journal_seal).where(journal_seal.c.seq == seq)
            session.execute(told.values(hash=hash_))
    found, closely = quickly(journal), journal.verify(closely=True)
    assert found.first_problem == closely.first_problem
    assert found.first_problem is not None
    assert (found.first_problem.seq, "not made with the key" in found.first_problem.what) == (
        2,
        True,
    )


def test_an_old_seal_that_a_later_one_covers_is_checked_closely_only(written: Written) -> None:
    journal = written.journal
    with journal.db.write() as session:
        told = sa.update(journal_seal).where(journal_seal.c.seq == 2)
        session.execute(told.values(signature="0" * 128))
    assert quickly(journal).ok
    for found in (journal.verify(), journal.verify(closely=True)):
        assert found.first_problem is not None
        assert found.first_problem.seq == 2


def test_a_look_ends_at_a_seal(sqlite: Database, keys: Keys, tmp_path: Path) -> None:
    """What no seal covers yet counts as verified only with the seal behind it."""
    journal = Journal(sqlite, keys.signer, tmp_path / "journal.head")
    journal.append([entry()])
    journal.append([entry()] * 3)
    marks = journal.look(4).marks
    assert [mark.seq for mark in marks.values()] == [2]
    assert [mark.seq for mark in journal.look(4).marks.values()] == [5]


def test_a_look_may_leave_no_trace(written: Written) -> None:
    before = {file: file.stat().st_mtime_ns for file in written.file.parent.iterdir()}
    assert written.journal.look(keep=False).whole
    after = {
        f: f.stat().st_mtime_ns for f in written.file.parent.iterdir() if f.suffix != ".db-shm"
    }
    assert {f: t for f, t in before.items() if f in after} == after


def test_the_uid_of_a_row_is_written_at_once() -> None:
    for hash_ in (f"{i:x}" * 64 for i in range(16)):
        for at_us in (0, 1_790_000_000_250_000, -5, (1 << 62) + 1):
            assert row_uid(at_us, hash_) == uuid7(at_us // 1000, bytes.fromhex(hash_))


def test_the_measurement_measures_a_whole_journal() -> None:
    measured = measure_log(lambda _: None, rows=40)
    assert measured["rows"] == 40
    assert measured["ratio"] > 0
