"""SQLite keeps whatever somebody puts into a column: verify names it, and a gate goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.attendance import attendance_store
from gated.attendance.clock_fix import unset_rows
from gated.config import GateSettings, Settings, StorageSettings
from gated.database.tables import (
    attendance_logs,
    journal,
    journal_private,
    journal_seal,
    new_uid,
)
from gated.devices.clock import ManualClock
from gated.errors import StorageError
from gated.journal import (
    alarm_store,
    audit_store,
    clock_store,
    erasure_ledger,
    forgiven_store,
    outbox,
    retention,
)
from gated.journal.audit_store import AuditFilter
from gated.journal.clock_store import ClockRecord, known_from_journal
from gated.journal.journal import Entry, GateLabel, Journal
from gated.journal.outbox import backlog, batch
from gated.live.clock_trust import ClockKeeper
from gated.live.journal_review import JournalReview
from gated.workspace import Workspace
from tests.people.people import NOW, add_person, entry
from tests.workspaces import open_workspace

TABLES = (journal, journal_private, journal_seal, attendance_logs)
STRANGE: dict[str, Any] = {
    "a text": "zzz",
    "bytes": b"\x00\xff",
    "a huge number": 2**63 - 1,
    "a negative number": -(2**63),
    "a fraction": 1.5,
    "infinity": float("inf"),
    "nothing": None,
    "no UTF-8": "CAST(x'ff41' AS TEXT)",
}

FREE = {("attendance_logs", "id")}
"""Numbers of this database alone, of which the journal says nothing."""


@dataclass(frozen=True)
class Damage:
    """One value of one row replaced."""

    table: sa.Table
    column: str
    value: str
    newest: bool

    def __str__(self) -> str:
        return f"{self.table.name}.{self.column} {self.value}{' (newest)' * self.newest}"


ALL = [
    Damage(table, column.name, value, newest)
    for table in TABLES
    for column in table.columns
    for value in STRANGE
    for newest in (False, True)
]


class Gate:
    """A gate with rows of many kinds, whose file somebody writes into."""

    def __init__(self, state: Path) -> None:
        gate = GateSettings(name="north", site="works")
        settings = Settings(gate=gate, storage=StorageSettings(state_dir=state))
        self.workspace = open_workspace(settings)
        self.chain = f"{self.workspace.journal.gate_uid()}/1"
        self._write()
        self.workspace.close()
        self.workspace = Workspace(settings)  # with the key that it has now
        self.file = sqlite3.connect(state / "attendance.db", isolation_level=None)
        for pragma in ("foreign_keys = OFF", "synchronous = OFF", "busy_timeout = 5000"):
            self.file.execute(f"PRAGMA {pragma}")

    def _write(self) -> None:
        journal_ = self.workspace.journal
        with self.workspace.database.write() as session:
            ada, ben = (add_person(session).ref for _ in range(2))
        journal_.append([entry(ada), entry(ben), entry(ada, visit=3)])
        journal_.append([Entry(NOW, "signed_in", {}, {"actor": {"name": "grace"}})])
        journal_.append([Entry(NOW, "not_used", {"visit_uid": "a"})])
        with self.workspace.database.write() as session:
            journal_.redact(session, NOW, self.chain, [2], "retention")
        JournalReview.of(self.workspace).rotate_key(actor="Grace", reason="a rule")
        journal_.append([entry(ben), entry()])
        assert journal_.verify().ok

    def close(self) -> None:
        self.file.close()
        self.workspace.close()

    def put(self, damage: Damage) -> bool:
        """Do it; False when SQLite refuses it or nothing is other than before."""
        name, column = damage.table.name, damage.column
        keys = [c.name for c in damage.table.primary_key]
        how = " DESC" * damage.newest
        order = ", ".join(f"{key}{how}" for key in keys)
        found = f"SELECT {', '.join(keys)}, {column} FROM {name} ORDER BY {order} LIMIT 1"  # noqa: S608
        *key, before = self.file.execute(found).fetchone()
        value = STRANGE[damage.value]
        if value is before:
            return False
        given, told = ("?", [value]) if damage.value != "no UTF-8" else (value, [])
        where = " AND ".join(f"{k} = ?" for k in keys)
        with suppress(sqlite3.IntegrityError):
            statement = f"UPDATE {name} SET {column} = {given} WHERE {where}"  # noqa: S608
            return self.file.execute(statement, [*told, *key]).rowcount == 1
        return False

    def restarted(self) -> Journal:
        known = self.workspace
        gate = known.settings.gate
        label = GateLabel(gate.name, gate.site)
        return Journal(known.database, known.keys.signer, known.journal.head_file, label)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.close()


def named(gate: Gate, damage: Damage) -> None:
    """Verify answers, and names where it is; so do the quick look and the close one."""
    journal_ = gate.workspace.journal
    for found in (journal_.verify(), journal_.verify(closely=True), journal_.look().found):
        assert found.first_problem is not None, damage


def goes_on(gate: Gate, damage: Damage) -> None:
    """A start appends its rows, and what reads the database gives its rows or says it cannot."""
    journal_ = gate.restarted()
    database = gate.workspace.database
    with suppress(StorageError):
        journal_.append([entry()])
        assert is_free(damage) or not journal_.verify().ok, damage
    with suppress(StorageError), database.read() as session:
        attendance_store.list_(session)
    with suppress(StorageError), database.read() as session:
        unset_rows(session, journal_.gate_uid(), journal_.boot, 0, 100)
    with suppress(StorageError), database.read() as session:
        assert backlog(session, journal_.gate_uid(), journal_.key_for) >= 0
        batch(session, gate.chain, 0, 100, journal_.key_for(session, gate.chain))


def is_free(damage: Damage) -> bool:
    return (damage.table.name, damage.column) in FREE


def play(gate: Gate, damages: list[Damage]) -> None:
    """Put each into the file as it was, and look."""
    before = Kept(gate)
    done = 0
    for damage in damages:
        if gate.put(damage):
            done += 1
            if not is_free(damage):
                named(gate, damage)
            goes_on(gate, damage)
            before.put_back()
    assert done > len(damages) / 3
    assert gate.workspace.journal.verify().ok


class Kept:
    """The state of a gate, to be put back."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._database = sqlite3.connect(":memory:")
        gate.file.backup(self._database)
        self._files = {path: path.read_bytes() for path in self._beside()}

    def _beside(self) -> list[Path]:
        return list(self._gate.workspace.journal.head_file.parent.glob("journal.*"))

    def put_back(self) -> None:
        for path in self._beside():
            path.unlink()
        for path, stored in self._files.items():
            path.write_bytes(stored)
        self._database.backup(self._gate.file)


@pytest.mark.parametrize("part", range(4))
def test_some_strange_values(gate: Gate, part: int) -> None:
    chance = Random(part)
    play(gate, chance.sample([d for d in ALL if d.table is TABLES[part]], 8))


@pytest.mark.long
@pytest.mark.parametrize("part", range(40))
def test_every_strange_value_of_every_column(gate: Gate, part: int) -> None:
    play(gate, ALL[part::40])


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (journal, "seq", "zzz"),
        (journal, "seq", 2**63 - 1),
        (journal_private, "seq", b"1"),
        (journal_seal, "seq", -(2**63)),
        (journal_seal, "seq", "zzz"),
        (attendance_logs, "seq", 2**63 - 1),
        (attendance_logs, "seq", "zzz"),
        (attendance_logs, "chain", b"x"),
        (journal, "chain", b"x"),
    ],
)
def test_a_row_where_none_can_stand_is_named_until_acknowledged(
    gate: Gate, table: sa.Table, column: str, value: Any
) -> None:
    name, chain = table.name, gate.chain
    columns = [c.name for c in table.columns if c.name not in (column, "id")]
    chosen = ", ".join("'x' || uid" if c == "uid" and name[0] == "a" else c for c in columns)
    copy = f"INSERT INTO {name} ({column}, {', '.join(columns)}) SELECT ?, {chosen}"
    gate.file.execute(f"{copy} FROM {name} WHERE chain = ? ORDER BY seq LIMIT 1", [value, chain])
    journal_ = gate.restarted()
    for _ in range(2):
        found = journal_.verify()
        assert any(name in p.what or "no seal" in p.what for p in found.problems), found
        journal_.append([entry()])
    journal_.acknowledge(NOW, "Grace", "looked into")
    assert journal_.verify().ok
    change = f"UPDATE {name} SET {columns[-1]} = 'other' WHERE {column} = ?"  # noqa: S608
    gate.file.execute(change, [value])
    assert not journal_.verify().ok, "what was acknowledged is not what stands there"


@pytest.mark.parametrize("kind", ["person_erased", "presence_forgiven", "door_mode"])
def test_what_looks_for_acts_does_not_end_over_one_that_was_altered(gate: Gate, kind: str) -> None:
    journal_, actor = gate.workspace.journal, {"actor": {"name": "grace"}}
    bodies: dict[str, dict[str, Any]] = {
        "person_erased": {"person": new_uid(), "enrollments": 0},
        "presence_forgiven": {"everybody": True},
        "door_mode": {"mode": "lockdown"},
    }
    (damaged,) = journal_.append([Entry(NOW, kind, bodies[kind], actor)])
    journal_.append([Entry(NOW, other, body, actor) for other, body in bodies.items()])
    strange = [*STRANGE.values(), "[]", "{}", "[" * 100_000]
    where = "WHERE chain = ? AND seq = ?"
    for table in (journal, journal_private, journal_seal):
        for column in (c.name for c in table.columns):
            for value in strange:
                kept = Kept(gate)
                given = value if isinstance(value, str) and value.startswith("CAST") else "?"
                change = f"UPDATE {table.name} SET {column} = {given} {where}"  # noqa: S608
                values = [value, damaged.chain, damaged.seq][given != "?" :]
                with suppress(sqlite3.IntegrityError):
                    gate.file.execute(change, values)
                read_acts(gate)
                kept.put_back()


def read_acts(gate: Gate) -> None:
    """Call whatever reads rows of some kinds, at a start or for a list."""
    journal_, long_ago = gate.restarted(), datetime(2000, 1, 1, tzinfo=UTC)
    readers: list[Callable[[Session], object]] = [
        lambda s: erasure_ledger.erased_in_journal(s, proof=journal_.proves),
        lambda s: forgiven_store.forgiven_rows(s, long_ago, journal_.proves),
        lambda s: forgiven_store.forgiven(s, long_ago),
        lambda s: journal_.last_body(s, "door_mode"),
        lambda s: journal_.is_newest(s, "door_mode"),
        lambda s: audit_store.list_(s, AuditFilter(), limit=100),
        lambda s: alarm_store.list_(s),
        lambda s: retention.acts(s, datetime.now(UTC), "actor", 100),
        lambda s: known_from_journal(s, journal_.gate_uid(), journal_.boot),
        journal_.sealed_ends,
    ]
    for reader in readers:
        with suppress(StorageError), gate.workspace.database.read() as session:
            reader(session)


def test_a_damaged_identity_is_named_and_the_gate_goes_on(gate: Gate) -> None:
    for value in ("no JSON", b"\xff", 5, "[1]", '{"gate": 7}'):
        kept = Kept(gate)
        gate.file.execute("UPDATE settings SET value = ? WHERE key = 'journal_identity'", [value])
        journal_ = gate.restarted()
        assert not journal_.verify().ok
        journal_.append([entry()])
        kept.put_back()


@pytest.mark.parametrize(
    "value", ["no JSON", b"\xff", 5, "[1]", '{"known": "x", "unset_after": "x"}']
)
def test_damaged_records_of_the_clock_and_the_hub_are_made_anew(gate: Gate, value: Any) -> None:
    with gate.workspace.database.write() as session:
        clock_store.put(session, ClockRecord())
        outbox.acknowledge(session, gate.chain, 3)
    gate.file.execute(
        "UPDATE settings SET value = ? WHERE key IN (?, ?)",
        [value, clock_store.KEY, outbox.ACKNOWLEDGED],
    )
    ClockKeeper(gate.workspace, ManualClock()).look()
    with gate.workspace.database.write() as session:
        assert clock_store.get(session).known is not None
        assert outbox.acknowledged(session) == {}
        outbox.acknowledge(session, gate.chain, 4)
        assert outbox.acknowledged(session) == {gate.chain: 4}
