"""Tables of a long log: they end when nobody reads on, and take no more memory than short ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gated.attendance.reports import LOG_HEADER, ROWS_AT_A_TIME, ROWS_AT_FIRST, Reports
from gated.config import Settings, StorageSettings
from gated.http.spreadsheet import xlsx_bytes
from gated.workspace import Workspace
from tests.attendance.test_million import FIRST, PASSAGES, PERSONS
from tests.fixtures.server import Running
from tests.workspaces import open_workspace

PAGES = 40


def fill(workspace: Workspace, rows: int, people: int = 200) -> None:
    values = {"now": "2026-01-01 00:00:00.000000", "people": people, "rows": rows}
    with workspace.database.write() as session:
        taken = session.execute(sa.text("SELECT count(*) FROM persons")).scalar_one()
        if not taken:
            session.execute(sa.text(PERSONS), values)
        strangers = PASSAGES.replace("CASE WHEN i % 20 THEN 1 + (i * 7919) % :people END", "NULL")
        rows_of = PASSAGES if not taken else strangers
        session.execute(sa.text(rows_of), values | {"first": int(FIRST.timestamp())})


@contextmanager
def counted(workspace: Workspace) -> Iterator[list[str]]:
    """The questions that the database is asked about the log."""
    asked: list[str] = []

    def note(*told: Any) -> None:
        if "FROM attendance_logs" in told[2]:
            asked.append(told[2])

    engine = workspace.database.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_nothing_is_read_for_a_client_that_has_gone(server: Running, format_: str) -> None:
    workspace = server.services.workspace
    if not workspace.database.sqlite:
        pytest.skip("the rows are made in the words of SQLite")
    with workspace.database.read() as session:
        rows = session.execute(sa.text("SELECT count(*) FROM attendance_logs")).scalar_one()
    if rows < PAGES * ROWS_AT_A_TIME:
        fill(workspace, PAGES * ROWS_AT_A_TIME)
    with counted(workspace) as asked, server.client("viewer") as client:
        with client.stream("GET", "/api/attendance/export", params={"format": format_}) as answer:
            assert answer.status_code == 200
            next(answer.iter_raw())
        before, settled = -1, threading.Event()
        while before != len(asked):
            before = len(asked)
            settled.wait(0.3)
    assert 0 < len(asked) < PAGES / 2


def test_a_table_is_whole_when_threads_take_turns_to_fetch_it(tmp_path: Path) -> None:
    rows = ROWS_AT_FIRST + ROWS_AT_A_TIME + 1
    got: list[object] = []
    with (
        open_workspace(Settings(storage=StorageSettings(state_dir=tmp_path))) as workspace,
        ThreadPoolExecutor(1) as old,
        ThreadPoolExecutor(1) as new,
    ):
        fill(workspace, rows)
        old.submit(sum, range(3_000_000)).result()  # the processor time of one is far ahead
        table = Reports(workspace).log_table()
        for thread in cycle((old, new)):
            some = thread.submit(lambda: list(islice(table, ROWS_AT_FIRST - 1))).result()
            got += some
            if not some:
                break
    assert len(got) == rows


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_million_rows_become_a_workbook_in_bounded_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = 1_000_000
    with open_workspace(Settings(storage=StorageSettings(state_dir=tmp_path))) as workspace:
        fill(workspace, rows, 2000)
        size, resident, began, cpu = 0, [], time.monotonic(), time.thread_time()
        pieces = xlsx_bytes(LOG_HEADER, Reports(workspace).log_table(), "attendance")
        for n, piece in enumerate(pieces):
            size += len(piece)
            if n % 200 == 0:
                resident.append(resident_mb())
        took, worked = time.monotonic() - began, time.thread_time() - cpu
    with capsys.disabled():
        print(
            f"\n{rows:,} rows, {size >> 20} MB in {took:.0f} s, of which {worked:.0f} s at work; "
            f"{max(resident) - resident[1]:.0f} MB more than at first"
        )
    assert max(resident) - resident[1] < 32


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)
