"""Sign-ins on record: bounded, whatever happens."""

from __future__ import annotations

from gated.accounts.audit import Audit, request_from
from gated.accounts.sign_in_log import ROWS, WINDOW_S, SignInLog
from gated.devices.clock import ManualClock
from gated.journal.audit_store import AuditRow
from gated.workspace import Workspace


def rows(workspace: Workspace) -> list[AuditRow]:
    return Audit(workspace).page(limit=1000).rows


def test_repetitions_are_told_as_a_number(workspace: Workspace) -> None:
    clock = ManualClock()
    log = SignInLog(workspace.journal, clock)
    with request_from("10.0.0.1", "first"):
        for _ in range(40):
            log.failed(None, None, "10.0.0.1")
    assert len(rows(workspace)) == 1
    log.flush()
    assert len(rows(workspace)) == 1, "its window is not over"
    clock.advance(WINDOW_S)
    with request_from("10.0.0.9", "another"):
        log.flush()
        log.flush()
    told = rows(workspace)
    assert sorted(r.body.get("again", 0) for r in told) == [0, 39]
    assert {(r.actor or {}).get("address") for r in told} == {"10.0.0.1"}


def test_a_flood_from_everywhere_stays_small(workspace: Workspace) -> None:
    clock = ManualClock()
    log = SignInLog(workspace.journal, clock)
    for number in range(ROWS + 300):
        log.failed(None, None, f"10.0.{number // 200}.{number % 200}")
    assert len(rows(workspace)) == ROWS
    clock.advance(WINDOW_S)
    log.failed(None, None, "10.1.1.1")
    told = rows(workspace)
    assert len(told) == ROWS + 2
    assert sum(r.body.get("again", 1) for r in told) == ROWS + 300 + 1
