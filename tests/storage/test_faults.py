"""A disk that refuses: the door goes on, the log waits, nothing that was acknowledged is lost."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from gated.config import load
from gated.core.messages import Condition, RecordDecision, RecordEvent, Restored
from gated.core.values import DoorMode, Instant
from gated.door.alarms import before_restart
from gated.door.door_memory import DoorMemory, remembered
from gated.live.log_outage import PATIENCE_S, LogOutage
from gated.live.recording import Recorder
from gated.runtime.journal_writer import JournalWriter
from gated.workspace import Workspace
from tests.assets import require_assets
from tests.e2e.process import Process, demo_config, gated
from tests.people.people import grant
from tests.storage.disk import CHANGES, READS, FaultyDisk
from tests.storage.writer import settings


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk))
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def _mount(*args: str) -> None:
    done = subprocess.run(["mount", *args], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("nothing can be mounted here")


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """No block of the file system is free while the block runs."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    yield
    filler.unlink()


class Card:
    """An ext4 file system in a file."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.folder, self._image = folder, image
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(48 << 20)
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("needs mkfs.ext4")
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        self._mount()

    def _mount(self) -> None:
        _mount("-o", "loop", str(self._image), str(self.folder))

    def give_up(self) -> None:
        """Do what ext4 does after an error: no change any more, whoever has files open."""
        _mount("-o", "remount,abort", str(self.folder))

    def put_in_again(self) -> None:
        """Mount it anew, as after a restart of the machine."""
        self.take_out()
        self._mount()

    def take_out(self) -> None:
        subprocess.run(["umount", self.folder], check=True)


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    card = Card(tmp_path / "image", tmp_path / "card")
    yield card
    card.take_out()


def writer_of(workspace: Workspace, memory: DoorMemory | None = None) -> JournalWriter:
    def crashed(name: str, error: BaseException) -> None:
        raise AssertionError(f"{name} has crashed") from error

    return JournalWriter(Recorder(workspace, workspace.settings).append, 4096, crashed, memory)


def offer_until(condition: Callable[[], bool], writer: JournalWriter) -> int:
    """Offer records until it is so, and one more; how many found a place."""
    accepted = 0
    while not condition():
        accepted += sum(writer.offer(RecordDecision(grant(None))) for _ in range(200))
        time.sleep(0.02)
    return accepted + writer.offer(RecordDecision(grant(None)))


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


@contextmanager
def running(writer: JournalWriter) -> Iterator[None]:
    writer.start()
    try:
        yield
    finally:
        writer.stop()
        writer.join(10)


def rows(workspace: Workspace) -> int:
    return workspace.journal.verify().rows


def test_records_wait_for_a_full_disk_and_none_is_lost(small_disk: Path) -> None:
    """Each record that found a place is in the log once the disk takes it again."""
    with Workspace(settings(small_disk / "state")) as workspace:
        writer = writer_of(workspace)
        with running(writer):
            writer.offer(RecordDecision(grant(None)))
            until(lambda: writer.written == 1)
            before = rows(workspace)
            with full(small_disk):
                accepted = offer_until(lambda: writer.failing, writer)
            until(lambda: writer.backlog == 0)
            assert not writer.failing
        assert rows(workspace) == before + accepted
        assert workspace.journal.verify().ok


def test_a_lockdown_that_is_set_while_the_disk_is_full_holds_over_a_restart(
    small_disk: Path,
) -> None:
    state_dir = small_disk / "state"
    lockdown = RecordEvent(Instant(1.0, time.time()), "door_mode", {"mode": "lockdown"})
    with Workspace(settings(state_dir)) as workspace:
        memory = DoorMemory(state_dir, workspace.journal.boot)
        memory.prepare()
        writer = writer_of(workspace, memory)
        with running(writer):
            writer.offer(RecordDecision(grant(None)))
            until(lambda: writer.written == 1)
            with full(small_disk):
                offer_until(lambda: writer.failing, writer)
                assert writer.offer(lockdown)
                until(lambda: remembered(state_dir).mode is not None)
                assert before_restart(workspace).unlogged
            until(lambda: writer.backlog == 0)
        assert remembered(state_dir).mode is None, "the log has it"
        assert before_restart(workspace) == Restored(DoorMode.LOCKDOWN)


def test_a_file_system_that_gave_up_takes_nothing_and_loses_nothing_that_was_written(
    card: Card,
) -> None:
    """As after an error of a card: the kernel makes the file system read-only under the gate."""
    with Workspace(settings(card.folder / "state")) as workspace:
        writer = writer_of(workspace)
        with running(writer):
            for _ in range(50):
                writer.offer(RecordDecision(grant(None)))
            until(lambda: writer.written == 50)
            card.give_up()
            for _ in range(10):
                writer.offer(RecordDecision(grant(None)))
            until(lambda: writer.failing)
        assert (writer.written, writer.backlog) == (50, 10)
    card.put_in_again()
    with Workspace(settings(card.folder / "state")) as workspace:
        assert rows(workspace) == 51
        Recorder(workspace, workspace.settings).append([RecordDecision(grant(None))])
        assert workspace.journal.verify().ok


@pytest.mark.parametrize("left", ["closed", "cut off", "cut off, without its index"])
def test_a_journal_on_a_read_only_file_system_is_verified(small_disk: Path, left: str) -> None:
    """Also what is in the write-ahead log of a gate that was cut off."""
    config = demo_config(small_disk)
    state = load(config, {}).storage.state_dir
    with Workspace(load(config, {})) as workspace:
        Recorder(workspace, workspace.settings).append([RecordDecision(grant(None))])
        if left != "closed":
            shutil.copytree(state, small_disk / "copy")
    if left != "closed":
        shutil.rmtree(state)
        (small_disk / "copy").rename(state)
        assert (state / "attendance.db-wal").stat().st_size > 0
    if left == "cut off, without its index":
        (state / "attendance.db-shm").unlink()
    before = sorted(path.name for path in state.rglob("*"))
    _mount("-o", "remount,ro", str(small_disk))
    done = gated("journal", "verify", "--config", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the journal is whole: 2 rows\n"
    assert sorted(path.name for path in state.rglob("*")) == before
    _mount("-o", "remount,rw", str(small_disk))
    with closing(sqlite3.connect(state / "attendance.db")) as database, database:
        database.execute("UPDATE journal SET body = '{}' WHERE seq = 2")
    _mount("-o", "remount,ro", str(small_disk))
    assert gated("journal", "verify", "--config", config).returncode == 1


def test_a_log_that_waits_is_an_alarm_after_ten_seconds_and_told_to_be_over() -> None:
    outage = LogOutage()
    assert list(outage.changes(0.0, failing=True, waiting=1)) == []
    assert list(outage.changes(PATIENCE_S - 0.1, failing=True, waiting=2)) == []
    (begun,) = outage.changes(PATIENCE_S, failing=True, waiting=3)
    values = {"seconds": 10, "waiting": 3}
    said = "not written for 10 s, 3 records wait"
    assert begun == Condition("log_delayed", True, said, "alarm", values)
    assert list(outage.changes(60.0, failing=True, waiting=9)) == []
    (over,) = outage.changes(70.0, failing=False, waiting=0)
    assert over == Condition("log_delayed", False, "written again after 70 s")
    assert list(outage.changes(71.0, failing=False, waiting=0)) == []
    # what is over soon is no alarm
    assert list(outage.changes(80.0, failing=True, waiting=1)) == []
    assert list(outage.changes(85.0, failing=False, waiting=0)) == []


def address_of(gate: Process) -> str:
    found = re.search(r"http://[0-9.:]+", gate.wait_for("API"))
    assert found is not None
    return found[0]


def problems_at(address: str) -> list[str]:
    """What the health names; `away` while it does not answer."""
    try:
        told = httpx.get(f"{address}/health", timeout=10, trust_env=False).json()
    except httpx.TransportError:
        return ["away"]
    return list(told["problems"])


@pytest.mark.long
def test_a_gate_that_has_lost_its_sealing_key_says_so_and_raises_an_alarm(tmp_path: Path) -> None:
    require_assets("default", "demo")
    config, state = demo_config(tmp_path), tmp_path / "state"
    with Process("--config", config) as gate:
        gate.wait_for("GRANTED")
        assert gate.end() == 0
    (state / "keys" / "seal.key").unlink()
    with Process("--config", config) as gate:
        address = address_of(gate)
        until(lambda: "templates_unreadable" in problems_at(address), 60)
        assert gate.end() == 0
    with closing(sqlite3.connect(state / "attendance.db")) as database:
        alarms = [kind for (kind,) in database.execute("SELECT kind FROM alarms")]
    assert "templates_unreadable" in alarms


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("number", "kinds", "within"),
    [
        (errno.EIO, CHANGES, "attendance.db"),
        (errno.EIO, CHANGES | READS, ""),
        (errno.ENOSPC, CHANGES, ""),
        (errno.EROFS, CHANGES, ""),
    ],
    ids=["input/output error of the database", "of everything", "no room", "read-only"],
)
def test_a_gate_whose_disk_fails_decides_on_and_logs_all_of_it_afterwards(
    tmp_path: Path, number: int, kinds: int, within: str
) -> None:
    require_assets("default", "demo")
    config, state = demo_config(tmp_path), tmp_path / "state"
    disk = FaultyDisk(tmp_path, state)
    with Process("--config", config, **disk.environ) as gate:
        address = address_of(gate)

        def problems() -> list[str]:
            return problems_at(address)

        gate.wait_for("GRANTED")
        with disk.failing(number, kinds, within):
            gate.wait_for("the journal cannot be written", seconds=120)
            until(lambda: "log_unavailable" in problems(), 60)
            gate.wait_for("GRANTED", "relay")
            time.sleep(PATIENCE_S + 5)
        gate.wait_for("the journal can be written again")
        until(lambda: not {"log_unavailable", "away"} & set(problems()), 60)
        gate.wait_for("GRANTED")
        assert gate.end() == 0
    verified = gated("journal", "verify", "--config", config)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    shown = sum(bool(re.search(r" (GRANTED|DENIED) ", line)) for line in gate.lines)
    with closing(sqlite3.connect(state / "attendance.db")) as database:
        kinds_of = [kind for (kind,) in database.execute("SELECT kind FROM journal")]
    assert kinds_of.count("decision") == shown
    assert kinds_of.count("chain_started") == 1
    assert {"log_delayed", "log_delayed_over"} <= set(kinds_of)
