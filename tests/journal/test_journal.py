from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.attendance import attendance_store
from gated.core.values import Instant, Reason
from gated.database.engine import Database
from gated.database.records import Person
from gated.database.tables import metadata
from gated.errors import Conflict, StorageError
from gated.journal import alarm_store
from gated.journal.chain_tip import Head, read_head, write_head
from gated.journal.journal import Entry, Journal, Receipt, ranges
from gated.journal.verify import Verification
from gated.people import person_store
from gated.vault.sealing import Keys, load_keys
from tests.people.people import NOW, add_person, entry

Tamper = Callable[[Session, str], None]


@pytest.fixture
def ada(db: Database) -> Person:
    with db.write() as session:
        return add_person(session, first_name="Ada", last_name="Lovelace")


def _problem(found: Verification) -> str:
    assert found.first_problem is not None
    return str(found.first_problem)


def _reopened(journal: Journal, keys: Keys) -> Journal:
    """The journal as the next process sees it."""
    return Journal(journal.db, keys.signer, journal.head_file)


# --- appending ---


def test_an_empty_journal_verifies(journal: Journal) -> None:
    assert journal.verify() == Verification(0)


def test_a_decision_lands_in_the_journal_and_in_the_log(journal: Journal, ada: Person) -> None:
    [receipt] = journal.append([entry(ada.ref)])
    assert receipt.attendance_id is not None
    with journal.db.read() as session:
        row = attendance_store.get(session, receipt.attendance_id)
    assert (row.chain, row.seq, row.person_id) == (receipt.chain, receipt.seq, ada.id)
    assert (row.status, row.reason, row.method) == ("granted", "granted", "face")
    assert (row.gate_name, row.camera_name, row.site) == ("front door", "camera", "site")
    assert (row.confidence_score, row.score, row.threshold) == (0.75, 0.6, 0.45)
    assert row.created_at.timestamp() == NOW.utc
    assert journal.verify() == Verification(2)


def test_no_personal_data_is_in_the_chain(journal: Journal, ada: Person) -> None:
    journal.append([entry(ada.ref, actor="Grace")])
    with journal.db.read() as session:
        rows = json.dumps([list(r) for r in session.execute(sa.text("SELECT * FROM journal"))])
    for told in ("Ada", "Lovelace", "Grace", ada.personnel_code, ada.uid):
        assert told not in rows


def test_a_batch_has_one_seal_and_the_head_file_holds_it(journal: Journal) -> None:
    receipts = journal.append([entry(), entry(), entry()])
    with journal.db.read() as session:
        seals = session.execute(sa.text("SELECT seq, hash FROM journal_seal")).all()
    head = read_head(journal.head_file)
    assert [tuple(s) for s in seals] == [(receipts[-1].seq, receipts[-1].hash)]
    assert head is not None
    assert (head.seq, head.hash) == (receipts[-1].seq, receipts[-1].hash)
    assert journal.head_file.stat().st_mode & 0o777 == 0o600


def test_other_kinds_make_no_row_of_the_log(journal: Journal) -> None:
    [receipt] = journal.append([Entry(NOW, "door_forced", {"severity": "alarm"})])
    assert receipt.attendance_id is None
    assert journal.verify().ok


def test_nothing_is_nothing(journal: Journal) -> None:
    assert journal.append([]) == []
    assert journal.verify() == Verification(0)


def test_numbers_that_json_lacks_do_not_stop_a_decision(journal: Journal) -> None:
    inf, nan = float("inf"), float("nan")
    journal.append([entry(margin=inf, score=-inf, threshold=nan, confidence=nan)])
    assert journal.verify().ok


def test_a_body_that_is_no_json_writes_nothing(journal: Journal) -> None:
    journal.append([entry()])
    with pytest.raises(TypeError):
        journal.append([entry(), Entry(NOW, "odd", {"what": object()})])
    assert journal.verify() == Verification(2)


def test_the_callers_transaction_takes_the_batch_with_it(journal: Journal) -> None:
    def fail() -> None:
        with journal.db.write() as session:
            add_person(session, personnel_code="gone")
            journal.append([entry()], session)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert journal.verify() == Verification(0)
    with journal.db.write() as session:
        person = add_person(session)
        journal.append([entry(person.ref)], session)
        journal.append([entry(person.ref)], session)
    assert journal.verify() == Verification(3)
    assert _reopened_head(journal) == 3


def _reopened_head(journal: Journal) -> int:
    head = read_head(journal.head_file)
    return head.seq if head else 0


def test_a_session_that_cannot_carry_it_is_refused(journal: Journal) -> None:
    with journal.db.read() as session, pytest.raises(ValueError, match="session of Database"):
        journal.append([entry()], session)
    with (
        journal.db.write() as session,
        session.begin_nested(),
        pytest.raises(ValueError, match="savepoint"),
    ):
        journal.append([entry()], session)


def test_who_was_erased_meanwhile_is_not_written_again(journal: Journal, ada: Person) -> None:
    waiting = entry(ada.ref)
    with journal.db.write() as session:
        person_store.delete(session, ada.id)
    [receipt] = journal.append([waiting])
    with journal.db.read() as session:
        assert attendance_store.get(session, receipt.attendance_id or 0).person_id is None
        assert session.execute(sa.text("SELECT count(*) FROM journal_private")).scalar() == 0
    assert journal.verify().ok


def test_a_restart_goes_on_where_it_was(journal: Journal, keys: Keys) -> None:
    [first] = journal.append([entry()])
    [second] = _reopened(journal, keys).append([entry()])
    assert (second.chain, second.seq) == (first.chain, first.seq + 1)


# --- tampering: every kind is found, and where ---


def _sql(*statements: str) -> Tamper:
    def tamper(session: Session, chain: str) -> None:
        for statement in statements:
            session.execute(sa.text(statement), {"c": chain} if ":c" in statement else {})

    return tamper


def _rewrite(
    seq: int, table: str, column: str, pattern: str, new: str | Callable[[re.Match[str]], str]
) -> Tamper:
    def tamper(session: Session, chain: str) -> None:
        where = {"c": chain, "s": seq}
        told, at = metadata.tables[table], sa.text("chain = :c AND seq = :s")
        old = session.execute(sa.select(told.c[column]).where(at), where).scalar_one()
        assert re.sub(pattern, new, old) != old
        change = sa.update(told).where(at).values({column: re.sub(pattern, new, old)})
        session.execute(change, where)

    return tamper


def _another_digit(digit: re.Match[str]) -> str:
    return "1" if digit[0] == "0" else "0"


def _swap(session: Session, chain: str) -> None:
    """Exchange two rows with everything that hangs on them."""
    for table in ("journal", "journal_private", "attendance_logs"):
        for old, new in ((4, 1004), (5, 4), (1004, 5)):
            told = metadata.tables[table]
            session.execute(
                sa.update(told).where(told.c.chain == chain, told.c.seq == old).values(seq=new)
            )


_EXTRA = (
    "INSERT INTO attendance_logs (uid, person_id, gate_name, direction, confidence_score,"
    " camera_name, status, created_at, reason, method, site, frames, flags, chain, seq,"
    " recorded_at) SELECT '{uid}', person_id, gate_name, direction, confidence_score, camera_name,"
    " status, created_at, reason, method, site, frames, flags, {chain}, {seq}, recorded_at"
    " FROM attendance_logs WHERE seq = 4"
)

TAMPERING: dict[str, tuple[Tamper, int, str]] = {
    "altered body": (_rewrite(4, "journal", "body", "granted", "denied!"), 4, "altered"),
    "body in another spelling": (_rewrite(4, "journal", "body", "^{", "{ "), 4, "no canonical"),
    "altered time": (_sql("UPDATE journal SET at_utc = at_utc + 1 WHERE seq = 4"), 4, "altered"),
    "altered kind": (_sql("UPDATE journal SET kind = 'note' WHERE seq = 4"), 4, "altered"),
    "altered clock": (_sql("UPDATE journal SET clock_ok = false WHERE seq = 4"), 4, "altered"),
    "altered hash": (
        _rewrite(4, "journal", "hash", "^.", "z"),
        4,
        "altered",
    ),
    "altered private part": (
        _rewrite(4, "journal_private", "payload", "Ada", "Eve"),
        4,
        "private part (subject) was altered",
    ),
    "other salt": (
        _sql("UPDATE journal_private SET salt = '00' WHERE seq = 4"),
        4,
        "private part (subject) was altered",
    ),
    "deleted private part": (
        _sql("DELETE FROM journal_private WHERE seq = 4"),
        4,
        "private part (subject) is missing",
    ),
    "added private part": (
        _sql("UPDATE journal_private SET role = 'witness' WHERE seq = 4"),
        4,
        "(witness) was added",
    ),
    "private part of no row": (
        _sql("UPDATE journal_private SET seq = 99 WHERE seq = 7"),
        7,
        "is missing",
    ),
    "deleted row": (_sql("DELETE FROM journal WHERE seq = 4"), 4, "it is missing"),
    "deleted first row": (_sql("DELETE FROM journal WHERE seq = 1"), 1, "it is missing"),
    "swapped rows": (_swap, 4, "does not follow"),
    "renumbered row": (
        _sql("DELETE FROM journal WHERE seq = 4", "UPDATE journal SET seq = 4 WHERE seq = 5"),
        4,
        "does not follow",
    ),
    "truncated tail": (
        _sql(
            "DELETE FROM attendance_logs WHERE seq > 5",
            "DELETE FROM journal_private WHERE seq > 5",
            "DELETE FROM journal_seal WHERE seq > 5",
            "DELETE FROM journal WHERE seq > 5",
        ),
        6,
        "rows 6 to 7 are missing at the end",
    ),
    "everything gone but the identity": (
        _sql(
            "DELETE FROM attendance_logs",
            "DELETE FROM journal_private",
            "DELETE FROM journal_seal",
            "DELETE FROM journal",
        ),
        1,
        "rows 1 to 7 are missing at the end",
    ),
    "identity gone": (_sql("DELETE FROM settings"), 1, "lost the identity"),
    "log names another": (
        _sql("UPDATE attendance_logs SET person_id = (SELECT max(id) FROM persons) WHERE seq = 4"),
        4,
        "the attendance log says otherwise: person_id",
    ),
    "log names nobody": (
        _sql("UPDATE attendance_logs SET person_id = NULL WHERE seq = 4"),
        4,
        "the attendance log says otherwise: person_id",
    ),
    "log hides a row": (
        _sql("UPDATE attendance_logs SET superseded_by = id WHERE seq = 4"),
        4,
        "the attendance log says otherwise: superseded_by",
    ),
    "log with another status and score": (
        _sql("UPDATE attendance_logs SET status = 'void', score = 0.1 WHERE seq = 4"),
        4,
        "the attendance log says otherwise: score, status",
    ),
    "log lacks a row": (
        _sql("DELETE FROM attendance_logs WHERE seq = 4"),
        4,
        "row of the attendance log is missing",
    ),
    "log with a row too many": (
        _sql(_EXTRA.format(uid="x", chain="chain", seq=99)),
        99,
        "the attendance log without a journal row",
    ),
    "log with a row of a chain that is not": (
        _sql(_EXTRA.format(uid="x", chain="'other/1'", seq=1)),
        1,
        "the attendance log without a journal row",
    ),
    "log row for what is no decision": (
        _sql(_EXTRA.format(uid="x", chain="chain", seq=6)),
        6,
        "does not follow from it",
    ),
    "broken seal": (
        _rewrite(5, "journal_seal", "signature", "^.", _another_digit),
        5,
        "not made with the key",
    ),
    "seal of another row": (
        _sql("UPDATE journal_seal SET hash = 'x' WHERE seq = 5"),
        5,
        "its seal is that of another row",
    ),
    "seal removed from the end": (
        _sql("DELETE FROM journal_seal WHERE seq = 7"),
        7,
        "no seal covers it",
    ),
    "seal without a row": (
        _sql("UPDATE journal_seal SET seq = 99 WHERE seq = 5"),
        99,
        "a seal without a journal row",
    ),
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_found_and_named(journal: Journal, ada: Person, kind: str) -> None:
    tamper, seq, told = TAMPERING[kind]
    with journal.db.write() as session:
        add_person(session)
    journal.append([entry(ada.ref), entry()])  # rows 2, 3 after the first of the chain
    journal.append([entry(ada.ref), entry(ada.ref)])  # 4, 5
    [receipt] = journal.append([Entry(NOW, "door_held", {})])  # 6
    journal.append([entry(ada.ref)])  # 7
    assert journal.verify() == Verification(7)
    with journal.db.write() as session:
        tamper(session, receipt.chain)
    found = journal.verify()
    assert found.first_problem is not None
    assert (found.first_problem.seq, told) == (seq, _told(found, told))


def _told(found: Verification, wanted: str) -> str:
    """The wanted part when it is in what was told, else all of it."""
    what = found.first_problem.what if found.first_problem else ""
    return wanted if wanted in what else what


def test_who_has_not_the_key_cannot_forge_the_end(
    journal: Journal, keys: Keys, tmp_path: Path
) -> None:
    """A forger who recomputes every hash still lacks the signature."""
    journal.append([entry()])
    other = load_keys(tmp_path / "forger", environ={})
    with journal.db.write() as session:
        session.execute(sa.text("DELETE FROM attendance_logs"))
        session.execute(sa.text("DELETE FROM journal_seal"))
        session.execute(sa.text("DELETE FROM journal WHERE seq = 2"))
    forger = Journal(journal.db, other.signer, tmp_path / "forged.head")
    forger.append([entry(reason=Reason.SPOOF)])
    shutil.copy(tmp_path / "forged.head", journal.head_file)
    assert not _reopened(journal, keys).verify().ok


def test_an_old_copy_put_back_is_found(sqlite: Database, keys: Keys, tmp_path: Path) -> None:
    journal = Journal(sqlite, keys.signer, tmp_path / "journal.head")
    journal.append([entry()])
    sqlite.truncate_log()
    copy = shutil.copy(sqlite.name, tmp_path / "old.db")
    journal.append([entry()])
    journal.append([entry()])
    sqlite.close()
    for leftover in tmp_path.glob("attendance.db*"):
        leftover.unlink()
    shutil.copy(copy, sqlite.name)

    restored = Database.open(f"sqlite:///{sqlite.name}")
    later = Journal(restored, keys.signer, tmp_path / "journal.head")
    assert "rows 3 to 4 are missing at the end: the head file" in _problem(later.verify())
    [receipt] = later.append([entry()])
    assert receipt.chain.endswith("/2")
    found = later.verify()  # writing on does not cover it up
    assert "rows 3 to 4 are missing at the end" in _problem(found)
    restored.close()


@pytest.mark.parametrize("how", ["deleted", "emptied", "unsigned"])
def test_a_head_file_that_is_gone_is_found_and_noted(
    journal: Journal, keys: Keys, how: str
) -> None:
    journal.append([entry()])
    head = journal.head_file
    if how == "deleted":
        head.unlink()
    elif how == "emptied":
        head.write_bytes(b"")
    else:
        told = json.loads(head.read_bytes())
        head.write_text(json.dumps({**told, "seq": 1}))
    assert "head file is missing or damaged" in _problem(journal.verify())
    later = _reopened(journal, keys)
    later.append([entry()])
    assert "the head file was missing or damaged" in _problem(later.verify())
    later.acknowledge(NOW, "Grace", "the disk was replaced")
    found = later.verify()
    assert found.ok
    assert ["head_missing" in note for note in found.notes] == [True, True]


def test_a_running_gate_needs_no_head_file_to_notice_a_cut(journal: Journal) -> None:
    [_, second] = journal.append([entry(), entry()])
    journal.head_file.unlink()
    with journal.db.write() as session:
        for table in ("attendance_logs", "journal_seal", "journal"):
            told = metadata.tables[table]
            session.execute(sa.delete(told).where(told.c.seq == second.seq))
    journal.append([entry()])
    assert not journal.verify().ok


def test_a_head_behind_the_database_is_normal(journal: Journal, keys: Keys) -> None:
    journal.append([entry()])
    before = journal.head_file.read_bytes()
    journal.append([entry()])
    journal.head_file.write_bytes(before)  # as if the power failed before it was written
    later = _reopened(journal, keys)
    assert later.verify() == Verification(3)
    [receipt] = later.append([entry()])
    assert receipt.seq == 4
    assert later.verify() == Verification(4)


def test_power_lost_before_the_first_commit_is_normal(journal: Journal, keys: Keys) -> None:
    def cut() -> None:
        with journal.db.write() as session:
            journal.append([entry()], session)
            raise KeyError

    with pytest.raises(KeyError):
        cut()
    assert _reopened_head(journal) == 0
    later = _reopened(journal, keys)
    later.append([entry()])
    assert later.verify() == Verification(2)


def test_power_lost_right_after_the_first_commit_is_normal(journal: Journal, keys: Keys) -> None:
    with journal.db.write() as session:
        journal.append([entry()], session)
        head = journal.head_file.read_bytes()
    journal.head_file.write_bytes(head)  # as if the power failed before it was written
    later = _reopened(journal, keys)
    assert later.verify() == Verification(2)
    later.append([entry()])
    assert later.verify() == Verification(3)


def test_power_lost_while_a_lost_head_is_noticed(journal: Journal, keys: Keys) -> None:
    """The head of the chain that never came to be must not stand for the one that was lost."""
    journal.append([entry()])
    journal.head_file.unlink()

    def cut() -> None:
        with journal.db.write() as session:
            _reopened(journal, keys).append([entry()], session)
            raise KeyError

    with pytest.raises(KeyError):
        cut()
    later = _reopened(journal, keys)
    assert not later.verify().ok
    later.append([entry()])
    assert "the head file" in _problem(later.verify())


def test_an_epoch_is_never_used_twice(sqlite: Database, keys: Keys, tmp_path: Path) -> None:
    """Else a restored gate would write another row 1 under a name that the hub has seen."""
    head = tmp_path / "journal.head"
    Journal(sqlite, keys.signer, head).append([entry()])
    sqlite.truncate_log()
    copy = shutil.copy(sqlite.name, tmp_path / "copy.db")
    head.unlink()
    [second] = Journal(sqlite, keys.signer, head).append([entry()])
    assert second.chain.endswith("/2")
    restored = Database.open(f"sqlite:///{copy}")
    [third] = Journal(restored, keys.signer, head).append([entry()])
    assert third.chain.endswith("/3")
    restored.close()


def test_one_transaction_begins_one_chain(journal: Journal, keys: Keys) -> None:
    [_, second] = journal.append([entry(), entry()])
    with journal.db.write() as session:
        for table in ("attendance_logs", "journal_seal", "journal"):
            told = metadata.tables[table]
            session.execute(sa.delete(told).where(told.c.seq == second.seq))
    later = _reopened(journal, keys)
    with journal.db.write() as session:
        chains = {later.append([entry()], session)[0].chain for _ in range(3)}
    assert len(chains) == 1


def test_the_head_file_never_goes_back(tmp_path: Path) -> None:
    path = tmp_path / "journal.head"
    for seq in (5, 3):
        write_head(path, Head("gate/1", seq, "ab", "cd"))
    assert read_head(path) == Head("gate/1", 5, "ab", "cd")
    write_head(path, Head("gate/2", 1, "ab", "cd"))
    assert read_head(path) == Head("gate/2", 1, "ab", "cd")


def test_a_head_that_cannot_be_written_stops_nothing(
    db: Database, keys: Keys, tmp_path: Path
) -> None:
    journal = Journal(db, keys.signer, tmp_path / "nowhere" / "journal.head")
    chains = {journal.append([entry()])[0].chain for _ in range(3)}
    assert len(chains) == 1
    assert "head file is missing" in _problem(journal.verify())


def test_a_new_chain_whose_head_could_not_be_written_goes_on(journal: Journal, keys: Keys) -> None:
    """A restore on a full disk, restarted: acknowledged once, it is no alarm again."""
    journal.append([entry(), entry(), entry()])
    before = journal.head_file.read_bytes()
    with journal.db.write() as session:
        for table in ("attendance_logs", "journal_seal", "journal"):
            told = metadata.tables[table]
            session.execute(sa.delete(told).where(told.c.seq > 2))
    restored = _reopened(journal, keys)
    restored.acknowledge(NOW, "Grace", "backup of Monday")
    for _ in range(3):
        journal.head_file.write_bytes(before)
        later = _reopened(journal, keys)
        assert later.verify().ok, later.verify()
        assert later.look().found.ok
        [receipt] = later.append([entry()])
        assert receipt.chain.endswith("/2")
    assert later.verify().ok, later.verify()
    with journal.db.read() as session:
        assert alarm_store.list_(session, standing=True) == []


def test_a_new_key_begins_a_new_chain(journal: Journal, tmp_path: Path) -> None:
    journal.append([entry()])
    other = load_keys(tmp_path / "new", environ={})
    later = Journal(journal.db, other.signer, journal.head_file)
    assert "another key" in _problem(later.verify())
    [receipt] = later.append([entry()])
    assert receipt.chain.endswith("/2")
    found = later.verify()
    assert "sealed with another key" in _problem(found)
    assert found.rows == 5, "an alarm was raised"
    later.acknowledge(NOW, "Grace", "the old key was lost")
    assert later.verify().ok


def test_a_database_put_in_place_of_another_is_found(
    journal: Journal, keys: Keys, tmp_path: Path
) -> None:
    journal.append([entry()])
    fresh = Database.open(f"sqlite:///{tmp_path / 'fresh.db'}")
    fresh.upgrade()
    later = Journal(fresh, keys.signer, journal.head_file)
    assert "missing at the end" in _problem(later.verify())
    later.append([entry()])
    assert "rows 1 to 2 are missing" in _problem(later.verify())
    fresh.close()


# --- erasing ---


def test_erasing_a_person_keeps_the_rows_and_the_proof(journal: Journal, ada: Person) -> None:
    with journal.db.write() as session:
        other = add_person(session)
    journal.append([entry(ada.ref), entry(other.ref), entry(ada.ref)])
    with journal.db.write() as session:
        with pytest.raises(Conflict, match="still names"):
            person_store.delete(session, ada.id)
        assert len(journal.erase_person(session, NOW, ada.uid, "asked for")) == 1
        person_store.delete(session, ada.id)
    with journal.db.read() as session:
        assert [r.person_id for r in attendance_store.list_(session)] == [None, other.id, None]
        left = session.execute(sa.text("SELECT payload FROM journal_private")).scalars().all()
    assert len(left) == 1
    assert "Lovelace" not in left[0]
    assert journal.verify() == Verification(5)


def test_a_redaction_covers_only_what_it_names(journal: Journal, ada: Person) -> None:
    receipts = journal.append([entry(ada.ref, actor="Grace"), entry(ada.ref)])
    with journal.db.write() as session:
        journal.redact(session, NOW, receipts[0].chain, [receipts[0].seq], "retention")
    assert journal.verify().ok
    with journal.db.write() as session:
        session.execute(sa.text("DELETE FROM journal_private WHERE role = 'actor'"))
    assert "(actor) is missing" in _problem(journal.verify())


def test_erased_data_is_not_left_in_the_files(sqlite: Database, keys: Keys, tmp_path: Path) -> None:
    journal = Journal(sqlite, keys.signer, tmp_path / "journal.head")
    with sqlite.write() as session:
        person = add_person(session, first_name="Unmistakable", last_name="Zyxwvut")
    journal.append([entry(person.ref)] * 50)
    with sqlite.write() as session:
        journal.erase_person(session, NOW, person.uid, "asked for")
        person_store.delete(session, person.id)
    sqlite.truncate_log()
    for path in tmp_path.glob("attendance.db*"):
        for told in (b"Unmistakable", b"unmistakable", b"Zyxwvut"):
            assert told not in path.read_bytes(), path.name


def test_ranges() -> None:
    assert list(ranges([1, 2, 3, 5, 8, 9])) == [[1, 3], [5, 5], [8, 9]]
    assert list(ranges([])) == []


# --- many at once, and the end of the world ---


def test_threads_append_together(journal: Journal, ada: Person) -> None:
    def append(_: int) -> list[Receipt]:
        return [r for _ in range(3) for r in journal.append([entry(ada.ref), entry()])]

    with ThreadPoolExecutor(50) as pool:
        receipts = [r for found in pool.map(append, range(50)) for r in found]
    assert sorted(r.seq for r in receipts) == list(range(2, 2 + 50 * 6))
    assert journal.verify() == Verification(1 + 50 * 6)
    assert _reopened_head(journal) == 1 + 50 * 6


APPENDER = """
import sys
from pathlib import Path
from gated.core.values import Instant
from gated.database.engine import Database
from gated.journal.journal import Journal
from gated.vault.sealing import load_keys
from tests.people.people import entry
state, count = Path(sys.argv[1]), int(sys.argv[2])
db = Database.open(f"sqlite:///{state / 'attendance.db'}")
db.upgrade()
journal = Journal(db, load_keys(state, environ={}).signer, state / "journal.head")
for n in range(count):
    batch = [entry(at=Instant(n, 1.79e9 + n)) for _ in range(1 + n % 4)]
    print(*(f"{r.chain} {r.seq} {r.hash}" for r in journal.append(batch)), sep="\\n", flush=True)
"""


def _appender(state: Path, count: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", APPENDER, str(state), str(count)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _held(db: Database) -> set[str]:
    with db.read() as session:
        rows = session.execute(sa.text("SELECT chain, seq, hash FROM journal"))
        return {f"{r.chain} {r.seq} {r.hash}" for r in rows}


def test_processes_append_together(sqlite: Database, tmp_path: Path) -> None:
    """They also race for the keys, the identity and the first chain."""
    running = [_appender(tmp_path, 25) for _ in range(3)]
    acknowledged: set[str] = set()
    for process in running:
        out, err = process.communicate(timeout=60)
        assert err == b""
        acknowledged |= set(out.decode().split("\n")) - {""}
    assert acknowledged <= _held(sqlite)
    assert len({a.split()[0] for a in acknowledged}) == 1
    journal = Journal(sqlite, load_keys(tmp_path, environ={}).signer, tmp_path / "journal.head")
    found = journal.verify()
    assert (found.ok, found.rows) == (True, len(acknowledged) + 1)
    assert _reopened_head(journal) == len(acknowledged) + 1


def test_kill_9_loses_no_acknowledged_row(sqlite: Database, tmp_path: Path) -> None:
    random_ = random.Random(11)
    acknowledged: set[str] = set()
    rows = 0
    for _ in range(5):
        process = _appender(tmp_path, 100_000)
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline().decode().strip()
        time.sleep(random_.uniform(0.0, 0.12))
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().decode().split("\n")
        process.wait()
        process.stdout.close()
        process.stderr.close()
        acknowledged |= {first, *rest[:-1]} - {""}  # the last line may be cut
        journal = Journal(sqlite, load_keys(tmp_path, environ={}).signer, tmp_path / "journal.head")
        found = journal.verify()
        assert found.ok, found.first_problem
        assert found.notes == ()
        assert acknowledged <= _held(sqlite)
        assert found.rows > rows
        rows = found.rows


def test_a_full_disk_refuses_clearly_and_loses_nothing(sqlite: Database, tmp_path: Path) -> None:
    """The limit on the size of files stands for the end of the disk."""
    full = APPENDER.replace(
        "for n in",
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000,) * 2)\nfor n in",
    )
    words = [sys.executable, "-c", full, str(tmp_path), "100000"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "StorageError: the database" in done.stderr
    acknowledged = set(done.stdout.split("\n")) - {""}
    assert len(acknowledged) > 50, done.stderr
    assert acknowledged <= _held(sqlite)
    keys = load_keys(tmp_path, environ={})
    journal = Journal(sqlite, keys.signer, tmp_path / "journal.head")
    assert journal.verify().ok
    journal.append([entry()])  # there is room again
    assert journal.verify().ok


def test_a_table_that_vanished_is_a_storage_error(journal: Journal) -> None:
    if not journal.db.sqlite:
        pytest.skip("a mistake in a statement is a bug there, no state of the file")
    journal.append([entry()])
    with journal.db.write() as session:
        session.execute(sa.text("DROP TABLE journal_seal"))
    for use in (journal.verify, lambda: journal.append([entry()])):
        with pytest.raises(StorageError, match="lacks tables"):
            use()


def test_times_before_the_clock_was_set_are_kept(journal: Journal) -> None:
    at = Instant(mono=3.25, utc=12.000001, clock_ok=False)
    [receipt] = journal.append([entry(at=at)])
    with journal.db.read() as session:
        row = attendance_store.get(session, receipt.attendance_id or 0)
        stored = sa.text("SELECT at_utc, mono_ns, clock_ok FROM journal WHERE seq = 2")
        assert tuple(session.execute(stored).one()) == (12_000_001, 3_250_000_000, 0)
    assert row.created_at.timestamp() == 12.000001
    assert journal.verify().ok
