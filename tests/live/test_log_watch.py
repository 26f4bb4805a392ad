"""What `journal verify` calls a failure, health and alarms say as well."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gated.config import Settings
from gated.devices.clock import SystemClock
from gated.door.alarms import Alarms
from gated.journal.marks import MARKS
from gated.link.status_board import StatusBoard
from gated.live.journal_review import JournalReview
from gated.live.journal_watch import LogWatch
from tests.people.people import entry
from tests.workspaces import open_workspace


def settings_in(state: Path) -> Settings:
    return Settings.model_validate({"storage": {"state_dir": state}})


def written(state: Path) -> None:
    with open_workspace(settings_in(state)) as workspace:
        for _ in range(3):
            workspace.journal.append([entry(), entry()])


def sql(*statements: str) -> Callable[[Path], None]:
    def damage(state: Path) -> None:
        with sqlite3.connect(state / "attendance.db") as database:
            for statement in statements:
                database.execute(statement)
        database.close()

    return damage


def emptied(state: Path) -> None:
    for path in state.glob("attendance.db*"):
        path.unlink()
    (state / "attendance.db").touch()


GONE = (
    "DELETE FROM attendance_logs",
    "DELETE FROM journal_private",
    "DELETE FROM journal_seal",
    "DELETE FROM journal",
)

DAMAGE: dict[str, Callable[[Path], None]] = {
    "an emptied database file": emptied,
    "a database that is gone": lambda state: (state / "attendance.db").unlink(),
    "a lost journal": sql(*GONE),
    "a lost journal and its name": sql(*GONE, "DELETE FROM settings"),
    "rows cut from the end": sql(*(f"{gone} WHERE seq > 4" for gone in GONE)),
    "an altered row": sql("UPDATE journal SET at_utc = at_utc + 1 WHERE seq = 3"),
    "an altered passage": sql("UPDATE attendance_logs SET status = 'granted' WHERE seq = 3"),
    "a head file that is gone": lambda state: (state / "journal.head").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_a_problem_and_an_alarm_until_it_is_acknowledged(
    tmp_path: Path, damage: str
) -> None:
    written(tmp_path)
    DAMAGE[damage](tmp_path)
    with open_workspace(settings_in(tmp_path)) as workspace:
        board, clock = StatusBoard(), SystemClock()
        watch, alarms = LogWatch(workspace, board, clock), Alarms(workspace, lambda event: None)
        for _ in range(3):
            assert not watch.look()
            assert "journal_broken" in board.snapshot().problems
            workspace.journal.append([entry()])
        assert [alarm.kind for alarm in alarms.list_(standing=True)] == ["journal_broken"]
        assert not workspace.journal.verify().ok
        JournalReview(workspace, clock).acknowledge(actor="Grace", reason="a test")
        assert watch.look()
        assert board.snapshot().problems == ()
        assert alarms.list_(standing=True) == []
        assert workspace.journal.verify().ok


def test_a_whole_journal_is_no_problem_and_is_looked_at_once(tmp_path: Path) -> None:
    written(tmp_path)
    with open_workspace(settings_in(tmp_path)) as workspace:
        assert LogWatch(workspace, StatusBoard(), SystemClock()).look()
        assert workspace.journal.look().found.rows == 0
        workspace.journal.append([entry()])
        looked = workspace.journal.look()
        assert (looked.found.rows, looked.whole, looked.found.ok) == (1, True, True)


def test_a_look_goes_as_far_as_it_may(tmp_path: Path) -> None:
    written(tmp_path)
    with open_workspace(settings_in(tmp_path)) as workspace:
        looks = [workspace.journal.look(limit=3) for _ in range(3)]
        assert [(x.found.rows, x.whole) for x in looks] == [(3, False), (2, False), (2, True)]


def test_marks_that_the_gate_has_not_signed_count_for_nothing(tmp_path: Path) -> None:
    written(tmp_path)
    with open_workspace(settings_in(tmp_path)) as workspace:
        workspace.journal.look()
        marks = tmp_path / MARKS
        marks.write_bytes(marks.read_bytes().replace(b"[7,", b"[6,"))
        assert workspace.journal.look().found.rows == 7
