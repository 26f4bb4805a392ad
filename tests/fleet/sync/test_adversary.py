"""A gate and its hub at random: what somebody does is found, what nobody does raises no alarm.

Somebody can write both databases and the files beside them, and has none of the keys.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.config import AttendanceSettings, GateSettings, Settings, StorageSettings
from gated.database.records import GateRow
from gated.database.tables import attendance_logs, journal, journal_private
from gated.errors import Conflict, HubError
from gated.fleet.gate.client import HubClient
from gated.fleet.gate.uplink import Uplink
from gated.fleet.hub import gate_store, ingest
from gated.fleet.hub.collect import Collector
from gated.fleet.hub.fleet import Fleet
from gated.fleet.hub.sync_schemas import JournalIn
from gated.journal import alarm_store
from gated.journal.journal import Entry
from gated.journal.pruned_ranges import own_chains
from gated.journal.pruning import prune
from gated.live.journal_review import JournalReview
from gated.vault.sealing import make_next_journal_key
from gated.workspace import Workspace
from tests.databases import Server
from tests.fixtures.server import HUB_DEVICES
from tests.people.people import NOW, add_person, entry
from tests.storage import forger
from tests.workspaces import open_workspace


class Wire:
    """The hub as a gate reaches it, without a network: the same models and the same collector."""

    def __init__(self, fleet: FleetOfOne) -> None:
        self._fleet = fleet

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/api/sync/heartbeat":
            with self._fleet.hub.database.read() as session:
                positions = ingest.positions(session, self._fleet.row().id)
            return {"now": datetime.now(UTC).isoformat(), "acknowledged": positions}
        batch = JournalIn.model_validate(body).batch()
        try:
            told = Collector.of(self._fleet.hub).take(self._fleet.row(), batch)
        except Conflict as refused:
            raise HubError(str(refused), status=409) from None
        return {"acknowledged": told.seq, "restart": told.restart}


class FleetOfOne:
    """A hub and one gate; both can be started again, and put back to what they were."""

    def __init__(self, folder: Path, chance: random.Random, url: str | None = None) -> None:
        self.folder = folder
        self.chance = chance
        self._url = url
        self.hub = self._open_hub()
        self.gate = self._open_gate()
        found, _ = Fleet.of(self.hub).invite("north", "works", {"everyone": True}, actor="test")
        self.id = found.gate.id
        own = self.gate.journal
        known = {"device": own.gate_uid(), "journal_key": own.public_key}
        with self.hub.database.write() as session:
            gate_store.update(session, self.id, **known)
        with self.gate.database.write() as session:
            self.people = [add_person(session) for _ in range(2)]
        self.write()

    @property
    def uid(self) -> str:
        return self.gate.journal.gate_uid()

    @property
    def state(self) -> Path:
        return self.folder / "gate"

    def row(self) -> GateRow:
        with self.hub.database.read() as session:
            return gate_store.get(session, self.id)

    def _open_hub(self) -> Workspace:
        storage = StorageSettings(state_dir=self.folder / "hub", database_url=self._url)
        settings = Settings(
            gate=GateSettings(name="hub", role="hub", site="office"),
            storage=storage,
            attendance=AttendanceSettings(direction="entry"),
            **HUB_DEVICES,
        )
        return open_workspace(settings)

    def _open_gate(self) -> Workspace:
        gate = GateSettings(name="north", site="works")
        storage = StorageSettings(state_dir=self.state)
        return open_workspace(Settings(gate=gate, storage=storage))

    def close(self) -> None:
        self.gate.close()
        self.hub.close()

    # --- what happens ---------------------------------------------------------------------------

    def write(self) -> None:
        number = self.chance.randint(1, 3)
        people = [self.chance.choice(self.people).ref for _ in range(number)]
        self.gate.journal.append([entry(person) for person in people])

    def restart(self) -> None:
        self.gate.close()
        self.gate = self._open_gate()

    def restart_hub(self) -> None:
        self.hub.close()
        self.hub = self._open_hub()

    def kill(self) -> None:
        """The power fails before a commit."""
        with suppress(KeyError), self.gate.database.write() as session:
            self.gate.journal.append([entry(self.people[0].ref)], session)
            raise KeyError
        self.restart()

    def kill_before_the_head(self) -> None:
        head = self.gate.journal.head_file.read_bytes()
        self.write()
        self.gate.journal.head_file.write_bytes(head)
        self.restart()

    def full_disk(self) -> None:
        """A commit that the disk refuses, and a head file that it refuses."""
        with suppress(OSError), self.gate.database.write() as session:
            self.gate.journal.append([entry(self.people[0].ref)], session)
            raise OSError(28, "No space left on device")
        head = self.gate.journal.head_file.read_bytes()
        self.write()
        self.gate.journal.head_file.write_bytes(head)
        self.write()

    def redact(self) -> None:
        part = journal_private.c
        own = sa.select(part.chain, part.seq).where(part.role == "subject")
        with self.gate.database.write() as session:
            found = session.execute(own).all()
            if found:
                chain, seq = self.chance.choice(found)
                self.gate.journal.redact(session, NOW, chain, [seq], "retention")

    def rotate(self) -> None:
        JournalReview.of(self.gate).rotate_key(actor="Grace", reason="a rule")

    def rotate_and_kill(self) -> None:
        """The power fails when the key is made, behind the commit, or behind the head file."""
        step, head = self.chance.randint(0, 2), self.gate.journal.head_file.read_bytes()
        following = make_next_journal_key(self.state)
        if step:
            self.gate.journal.rotate(NOW, following, "Grace", "a rule")
        if step == 1:
            self.gate.journal.head_file.write_bytes(head)
        self.restart()

    def drop(self) -> None:
        """Make room: rows that the hub has may go."""
        with self.gate.database.write() as session:
            prune(session, self.gate.journal, self.uid, NOW, lambda r: r.acknowledged, "age")

    def sync(self) -> None:
        uplink = Uplink.of(self.gate, cast(HubClient, Wire(self)))
        uplink.greet({}, None)
        for _ in range(50):
            if not uplink.send():
                return
        raise AssertionError("it does not come to an end")

    def hubs_own(self) -> None:
        self.hub.journal.append([Entry(NOW, "signed_in", {})])

    def backup(self) -> None:
        self.gate.database.truncate_log()
        shutil.copy(self.state / "attendance.db", self.folder / "backup.db")
        shutil.copy(self.state / "journal.head", self.folder / "backup.head")

    def restore(self, *, head: bool = False, by_the_book: bool = True) -> None:
        """Put the backup in place: the database, or with it the head file of then."""
        self.gate.close()
        for file in self.state.glob("attendance.db*"):
            file.unlink()
        shutil.copy(self.folder / "backup.db", self.state / "attendance.db")
        if head:
            shutil.copy(self.folder / "backup.head", self.state / "journal.head")
        self.gate = self._open_gate()
        if by_the_book and self.gate.journal.is_behind():
            self.gate.journal.acknowledge(NOW, "Grace", "backup of Monday")
            self.sync()
            lost = self.hub.journal.verify().problems
            if lost:  # rows that had not come to the hub: its people say so as well
                assert all("missing at the end" in problem.what for problem in lost), lost
                self.hub.journal.acknowledge(NOW, "Grace", "north was restored")

    def go_on(self, steps: int) -> list[str]:
        acts: dict[str, Callable[[], None]] = {
            **{f"write{i}": self.write for i in range(5)},
            **{f"sync{i}": self.sync for i in range(3)},
            "restart": self.restart,
            "restart_hub": self.restart_hub,
            "kill": self.kill,
            "kill_before_the_head": self.kill_before_the_head,
            "full_disk": self.full_disk,
            "redact": self.redact,
            "rotate": self.rotate,
            "rotate_and_kill": self.rotate_and_kill,
            "drop": self.drop,
            "hubs_own": self.hubs_own,
            "backup": self.backup,
        }
        done = []
        for _ in range(steps):
            may = [*acts, "restore"] if (self.folder / "backup.db").exists() else [*acts]
            name = self.chance.choice(may)
            done.append(name)
            (self.restore if name == "restore" else acts[name])()
        return done

    # --- what must hold -------------------------------------------------------------------------

    def whole(self) -> None:
        for side in (self.gate, self.hub):
            found = side.journal.verify()
            assert found.ok, found
            assert side.journal.verify(closely=True) == found
            with side.database.read() as session:
                alarms = [a.kind for a in alarm_store.list_(session, standing=True)]
            assert alarms == []

    def named(self, side: str) -> None:
        """The journal of the gate is named as wrong, there or at the hub."""
        workspace = self.gate if side == "gate" else self.hub
        found = workspace.journal.verify()
        assert found.first_problem is not None
        assert found.first_problem.chain.startswith(f"{self.uid}/"), found.first_problem


def attack(session: Session, chain: str, chance: random.Random, hows: tuple[str, ...]) -> str:
    """Do one thing to a chain; what it was."""
    rows = session.execute(
        sa.select(journal.c.seq).where(journal.c.chain == chain).order_by(journal.c.seq)
    ).scalars()
    seqs = list(rows)
    how, seq = chance.choice(hows), chance.choice(seqs)
    at = journal.c.chain == chain, journal.c.seq == seq
    if how == "insert":
        body = dict(entry().body)
        forger.forge(session, chain, "decision", body, sealed=chance.random() < 0.5)
    elif how == "delete":
        session.execute(sa.delete(journal).where(*at))
    elif how == "change":
        column = chance.choice(("at_utc", "mono_ns"))
        session.execute(sa.update(journal).where(*at).values({column: journal.c[column] + 1}))
    elif how == "truncate":
        for table in forger.TABLES:
            session.execute(sa.delete(table).where(table.c.chain == chain, table.c.seq >= seq))
    elif how == "rewrite":
        forger.rewrite(session, chain)
    else:
        flipped = {"status": "void", "direction": "exit"}
        log = attendance_logs.c.chain == chain
        changed = sa.update(attendance_logs).where(log).values(flipped)
        if not session.execute(changed.returning(attendance_logs.c.id)).all():
            session.execute(sa.delete(journal).where(*at))
    return f"{how} at row {seq} of {chain}"


AT_GATE = ("insert", "delete", "change", "truncate", "rewrite", "unlog")
AT_HUB = ("insert", "delete", "change", "truncate", "unlog")


def play(fleet: FleetOfOne, seed: int) -> None:
    """An honest history, then one attack, which stays named whatever follows."""
    chance, did = fleet.chance, ["begun"]
    try:
        did += fleet.go_on(chance.randint(4, 12))
        fleet.whole()
        fleet.sync()
        fleet.whole()
        side = chance.choice(("gate", "hub"))
        workspace, hows = (fleet.gate, AT_GATE) if side == "gate" else (fleet.hub, AT_HUB)
        with workspace.database.write() as session:
            chain = chance.choice(own_chains(session, fleet.uid))
            did.append(f"{side}: {attack(session, chain, chance, hows)}")
        for _ in range(2):
            fleet.named(side)
            follow(fleet, did)
        fleet.named(side)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {did}: {error}") from error


def follow(fleet: FleetOfOne, did: list[str]) -> None:
    """What a gate and a hub do afterwards, knowing of nothing."""
    fleet.write()
    if fleet.chance.random() < 0.5:
        fleet.restart()
        fleet.restart_hub()
    did.append("sync")
    with suppress(HubError):
        fleet.sync()
    fleet.write()


def play_older(fleet: FleetOfOne, seed: int) -> None:
    """An older copy of the database, or of all of it at once, is put in place by nobody's word."""
    chance = fleet.chance
    fleet.sync()
    fleet.backup()
    for _ in range(chance.randint(1, 3)):
        fleet.write()
        fleet.sync()
    head = chance.random() < 0.5
    fleet.restore(head=head, by_the_book=False)
    if chance.random() < 0.5:
        fleet.write()
    if not head:
        fleet.named("gate")
    fleet.sync()
    if head:  # as many other rows as were lost: the hub sees it by the next one
        follow(fleet, [])
    for _ in range(2):
        assert not fleet.gate.journal.verify().ok, (seed, head)
        follow(fleet, [])
    with fleet.gate.database.read() as session:
        alarms = {a.kind for a in alarm_store.list_(session, standing=True)}
    assert "journal_broken" in alarms, (seed, head)


@pytest.fixture
def fleet_of(tmp_path: Path) -> Iterator[Callable[..., FleetOfOne]]:
    made: list[FleetOfOne] = []

    def make(seed: int, url: str | None = None) -> FleetOfOne:
        folder = tmp_path / str(seed)
        folder.mkdir()
        made.append(FleetOfOne(folder, random.Random(seed), url))
        return made[-1]

    yield make
    for fleet in made:
        fleet.close()


Maker = Callable[..., FleetOfOne]


@pytest.mark.parametrize("seed", range(3))
def test_what_somebody_does_is_found_and_what_nobody_does_is_not(
    fleet_of: Maker, seed: int
) -> None:
    play(fleet_of(seed), seed)


def test_an_older_copy_of_all_is_noticed_by_the_hub(fleet_of: Maker) -> None:
    play_older(fleet_of(1000), 1000)


def test_it_is_the_same_on_postgresql(fleet_of: Maker, postgresql: Server) -> None:
    play(fleet_of(2000, postgresql.migrated()), 2000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 410))
def test_four_hundred_histories(fleet_of: Maker, seed: int) -> None:
    play(fleet_of(seed), seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1001, 1101))
def test_a_hundred_older_copies(fleet_of: Maker, seed: int) -> None:
    play_older(fleet_of(seed), seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2001, 2041))
def test_forty_histories_on_postgresql(fleet_of: Maker, postgresql: Server, seed: int) -> None:
    play(fleet_of(seed, postgresql.migrated()), seed)
