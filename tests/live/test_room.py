"""Room on the disk for the newest rows of the log: what goes in which order, never silently."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gated.attendance import attendance_store
from gated.config import Settings
from gated.database.tables import journal, sync_chains, utcnow
from gated.devices.clock import ManualClock, SystemClock
from gated.errors import StorageError
from gated.fleet.hub import gate_store
from gated.journal import alarm_store, outbox
from gated.journal.chain_tip import last_row
from gated.journal.disk_reserve import Reserve
from gated.journal.pruned_ranges import own_chains
from gated.link.status_board import StatusBoard
from gated.live import snapshot_store
from gated.live.disk_space import DiskSpace, room_to_start
from gated.workspace import Workspace
from tests.people.people import entry
from tests.workspaces import open_workspace

MB = 1 << 20


def opened(state: Path, **storage: object) -> Workspace:
    given = {"storage": {"state_dir": state, "reserve_mb": 8, **storage}}
    return open_workspace(Settings.model_validate(given))


@pytest.fixture(autouse=True)
def few_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gated.live.disk_space.KEPT", 1)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with opened(tmp_path, when_full="drop_oldest") as workspace:
        yield workspace


class Disk:
    """So many bytes are free, whatever goes; what went is noted at each look."""

    def __init__(self, workspace: Workspace, free: int) -> None:
        self.free = free
        self.went: list[str] = []
        self._workspace = workspace

    def __call__(self, path: Path) -> int:
        """Bytes that are free."""
        with self._workspace.database.read() as session:
            pictures = len(snapshot_store.list_(session, 100))
            told = sa.select(journal.c.kind, journal.c.body).where(
                journal.c.kind.in_(("pruned", "log_dropping"))
            )
            rows = [(r.kind, json.loads(r.body)) for r in session.execute(told)]
        seen = [f"{pictures} pictures"]
        seen += [k if k != "pruned" else f"pruned {b['unacknowledged']}" for k, b in rows]
        self.went.append(", ".join(seen))
        return self.free


def write(workspace: Workspace, rows: int) -> None:
    for _ in range(0, rows, 20):
        workspace.journal.append([entry() for _ in range(20)])


def acknowledge_all(workspace: Workspace) -> None:
    gate = workspace.journal.gate_uid()
    with workspace.database.write() as session:
        for chain in own_chains(session, gate):
            end = last_row(session, chain)
            outbox.acknowledge(session, chain, end.seq if end else 0)


def picture(workspace: Workspace, reason: str) -> None:
    path = workspace.files.save_image(b"a picture")
    with workspace.database.write() as session:
        snapshot_store.add(
            session, person_id=None, reason=reason, gate_name="g", visit=1, pad=None, path=path,
            taken_at=utcnow(),
        )  # fmt: skip


def standing(workspace: Workspace) -> list[str]:
    with workspace.database.read() as session:
        return [a.kind for a in alarm_store.list_(session, standing=True)]


def test_nothing_goes_while_there_is_room(workspace: Workspace) -> None:
    write(workspace, 40)
    acknowledge_all(workspace)
    assert DiskSpace(workspace, SystemClock(), lambda _: 100 * MB).keep() == "enough"
    assert workspace.journal.verify().rows == 41


def test_acknowledged_rows_go_first_then_pictures_then_after_an_alarm_the_rest(
    workspace: Workspace,
) -> None:
    write(workspace, 40)
    acknowledge_all(workspace)
    for reason in ("spoof", "no_match"):
        picture(workspace, reason)
    write(workspace, 20)
    disk = Disk(workspace, 0)
    assert DiskSpace(workspace, SystemClock(), disk).keep() == "dropping"
    steps = list(dict.fromkeys(disk.went))
    assert steps[:3] == ["2 pictures", "2 pictures, pruned 0", "0 pictures, pruned 0"]
    assert steps[3] == "0 pictures, log_dropping, pruned 21"  # with the word of the first step
    assert standing(workspace) == ["log_dropping"]
    assert not list(workspace.files.uploads.rglob("*.sealed"))
    assert workspace.journal.verify().ok, workspace.journal.verify()


def test_without_permission_nothing_goes_that_nobody_else_has(tmp_path: Path) -> None:
    with opened(tmp_path) as workspace:
        write(workspace, 40)
        room = DiskSpace(workspace, SystemClock(), lambda _: 0)
        assert room.keep() == "full"
        assert standing(workspace) == []
        assert workspace.journal.verify().rows == 41
        # the hub is back, and has it all
        acknowledge_all(workspace)
        assert DiskSpace(workspace, SystemClock(), Disk(workspace, 0)).keep() == "full"
        assert workspace.journal.verify().rows < 4
        DiskSpace(workspace, SystemClock(), lambda _: 100 * MB).keep()


def test_the_newest_rows_stay_whatever_comes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gated.live.disk_space.KEPT", 30)
    write(workspace, 60)
    room = DiskSpace(workspace, SystemClock(), lambda _: 0)
    for _ in range(2):
        room.keep()
        assert 30 <= workspace.journal.verify().rows < 42


def test_dropping_is_told_in_health_until_somebody_has_seen_it(workspace: Workspace) -> None:
    write(workspace, 40)
    DiskSpace(workspace, SystemClock(), lambda _: 0).keep()
    room, board = DiskSpace(workspace, SystemClock(), lambda _: 100 * MB), StatusBoard()
    board.publish(room=room.keep())
    assert board.snapshot().problems == ("log_dropping",)
    with workspace.database.write() as session:
        (alarm,) = alarm_store.list_(session, standing=True)
        alarm_store.acknowledge(session, alarm.id, utcnow(), "c/1", 1)
    board.publish(room=room.keep())
    assert board.snapshot().problems == ()
    board.publish(room="full")
    assert board.snapshot().problems == ("disk_full",)


def test_what_the_hub_has_goes_when_its_time_is_over(tmp_path: Path) -> None:
    with opened(tmp_path, keep_acknowledged_days=7) as workspace:
        wrote = entry().at
        clock = ManualClock(wrote.mono + 6.9 * 86_400, wrote.utc + 6.9 * 86_400)
        write(workspace, 40)
        room = DiskSpace(workspace, clock)
        acknowledge_all(workspace)
        assert room.expire() == 0
        clock.advance(0.2 * 86_400)
        assert room.expire() == 40
        workspace.journal.append([entry(at=clock.now())])
        assert room.expire() == 0
        assert workspace.journal.verify().ok


def test_a_hub_of_others_keeps_its_own_journal_whole(workspace: Workspace) -> None:
    write(workspace, 20)
    acknowledge_all(workspace)
    with workspace.database.write() as session:
        gate = gate_store.add(session, "other", "site", status={}, feed=1, cursor=0)
        session.execute(
            sa.insert(sync_chains).values(chain="x/1", gate_id=gate.id, seq=0, hash="0")
        )
    DiskSpace(workspace, SystemClock(), lambda _: 0).keep()
    assert workspace.journal.verify().rows == 21


def write_again(workspace: Workspace, room: DiskSpace, count: int) -> None:
    """Write as the journal's thread does: a batch that is refused is kept and tried again."""
    try:
        write(workspace, count)
    except StorageError:
        assert room.keep() != "full"
        write(workspace, count)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("no small file system can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_on_a_disk_that_is_full_the_newest_decisions_go_on(small_disk: Path) -> None:
    """While the hub keeps up, and when it is away and something else fills the disk as well."""
    with opened(small_disk / "state", when_full="drop_oldest") as workspace:
        room = DiskSpace(workspace, SystemClock())
        for _ in range(12):
            write(workspace, 240)
            acknowledge_all(workspace)
            assert room.keep() == "enough"
        fill(small_disk)
        for _ in range(14):
            assert room.keep() != "full"
            write_again(workspace, room, 240)
        assert room.keep() == "dropping"
        assert standing(workspace) == ["log_dropping"]
        found = workspace.journal.verify()
        assert found.ok, found
        with workspace.database.read() as session:
            kept = attendance_store.list_(session, limit=10_000)
        assert 240 < len(kept) < 14 * 240
    # the log of changes is gone with the last process: the next one finds no room for another
    fill(small_disk)
    room_to_start(small_disk / "state")
    with opened(small_disk / "state", when_full="drop_oldest") as again:
        DiskSpace(again, SystemClock()).keep()
        write(again, 240)
        assert again.journal.look().found.ok
    (small_disk / "filler").unlink()
    with opened(small_disk / "state", when_full="drop_oldest") as again:
        write(again, 20)
        found = again.journal.verify()
        assert found.ok, found
        assert standing(again) == ["log_dropping"]
        with again.database.read() as session:
            assert len(own_chains(session, again.journal.gate_uid())) == 1


def test_the_reserve_takes_what_there_is_and_gives_it_back(small_disk: Path) -> None:
    reserve = Reserve(small_disk)
    assert reserve.held == 0

    def blocks() -> int:
        return (small_disk / "reserve").stat().st_blocks * 512

    for size in (MB, 2 * MB, MB // 2):
        reserve.hold(size)
        assert reserve.held == blocks() == size
    fill(small_disk)
    reserve.hold(MB)
    assert reserve.held == blocks() == MB // 2
    reserve.release()
    (small_disk / "other").write_bytes(bytes(MB // 8))
    reserve.hold(MB)
    assert reserve.held == blocks() == MB // 4


def fill(disk: Path) -> None:
    """Leave no block free."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_reserve_that_the_disk_does_not_let_go_is_a_storage_error(tmp_path: Path) -> None:
    """A folder in its place stands for a card that has become read-only."""
    (tmp_path / "reserve").mkdir()
    reserve = Reserve(tmp_path)
    with pytest.raises(StorageError, match="reserve cannot be changed"):
        reserve.release()
    with pytest.raises(StorageError, match="reserve cannot be changed"):
        reserve.hold(0)
