"""The API over a log of a million rows: pages and exports begin at once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import httpx
import pytest
import sqlalchemy as sa

from tests.attendance.test_million import FIRST, PASSAGES, PEOPLE, PERSONS, ROWS
from tests.fixtures.server import Running, running

LIMIT_MS = 150
SUMMARY_LIMIT_MS = 300
"""The first day of a summary is known when the passages of all people around it were paired."""

ADDRESSES = (
    "/api/attendance?limit=100",
    "/api/attendance",
    "/api/attendance?limit=100&person_id=42",
    "/api/attendance?limit=100&gate_name=in&direction=exit",
    "/api/attendance?limit=100&department=D3",
    "/api/attendance/export?department=D3",
    "/api/attendance?limit=100&status=denied&direction=entry",
    "/api/attendance?limit=100&to=2024-12-01T00:00:00Z",
    "/api/attendance/500000",
    "/api/attendance/export?format=csv",
    "/api/attendance/export?format=xlsx",
    "/api/attendance/export?person_id=42",
    "/api/attendance/summary?from=2024-12-01&to=2024-12-31",
    "/api/attendance/summary?person_id=42&from=2024-12-01&to=2025-12-01",
    "/api/attendance/summary?format=xlsx&from=2024-12-01&to=2024-12-31",
)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("large")) as server:
        values = {"now": "2026-01-01 00:00:00.000000", "people": PEOPLE, "rows": ROWS}
        with server.services.workspace.database.write() as session:
            session.execute(sa.text(PERSONS), values)
            session.execute(
                sa.text(PASSAGES.replace("'g/1'", "'elsewhere/1'")),
                values | {"first": int(FIRST.timestamp())},
            )
            # one row is looked at with what the journal says of it
            session.execute(
                sa.text(
                    "INSERT INTO journal (chain, seq, at_utc, boot_id, mono_ns, clock_ok, kind,"
                    " body, commits, prev, hash)"
                    " VALUES ('elsewhere/1', 500000, 0, '', 0, 1, 'decision', '{}', '{}', '', '')"
                )
            )
        yield server


@pytest.mark.long
@pytest.mark.parametrize("address", ADDRESSES)
def test_an_answer_begins_soon(
    large: Running, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with large.client("viewer") as client:
        took = [first_bytes(client, address) for _ in range(7)]
    median = statistics.median(took)
    with capsys.disabled():
        print(f"\n{median:8.1f} ms  {address}")
    assert median < (SUMMARY_LIMIT_MS if "/summary" in address else LIMIT_MS)


EXPORT_LIMIT_S = 30


@pytest.mark.long
def test_all_of_it_is_exported_in_half_a_minute(
    large: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    began, lines = time.perf_counter(), 0
    with (
        large.client("viewer") as client,
        client.stream("GET", "/api/attendance/export", timeout=300) as answer,
    ):
        for piece in answer.iter_raw():
            lines += piece.count(b"\r\n")
    took = time.perf_counter() - began
    with capsys.disabled():
        print(f"\n{took:8.1f} s  a million rows as CSV")
    assert lines == ROWS + 1
    assert took < EXPORT_LIMIT_S


def first_bytes(client: httpx.Client, address: str) -> float:
    """Milliseconds until the first bytes of the body are there."""
    began = time.perf_counter()
    with client.stream("GET", address) as answer:
        assert answer.status_code == 200
        next(answer.iter_raw())
        return (time.perf_counter() - began) * 1000
