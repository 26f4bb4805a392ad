from __future__ import annotations

import pytest

from gated.accounts.commit_cache import MOST, CommitInvalidatedCache


class Table:
    """What changes hands by commits, and how often it was asked."""

    def __init__(self) -> None:
        self.version = 1
        self.rows = {"a": 1}
        self.asked = 0

    def look_up(self, key: str) -> int:
        self.asked += 1
        return self.rows[key]

    def commit(self, **rows: int) -> None:
        self.rows = rows
        self.version += 1


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def known(table: Table) -> CommitInvalidatedCache[str, int]:
    return CommitInvalidatedCache(lambda: table.version, table.look_up)


def test_looks_up_once_while_nothing_is_committed(
    table: Table, known: CommitInvalidatedCache[str, int]
) -> None:
    assert [known["a"], known["a"]] == [1, 1]
    assert table.asked == 1


def test_looks_up_again_after_a_commit(
    table: Table, known: CommitInvalidatedCache[str, int]
) -> None:
    assert known["a"] == 1
    table.commit(a=2)
    assert known["a"] == 2


def test_a_commit_during_the_look_up_makes_the_finding_void(table: Table) -> None:
    def slow(key: str) -> int:
        found = table.look_up(key)
        if table.asked == 1:
            table.commit(a=2)
        return found

    known = CommitInvalidatedCache(lambda: table.version, slow)
    assert known["a"] == 1
    assert known["a"] == 2


def test_a_failed_look_up_is_not_remembered(
    table: Table, known: CommitInvalidatedCache[str, int]
) -> None:
    for _ in range(2):
        with pytest.raises(KeyError):
            known["b"]
    assert table.asked == 2


def test_the_memory_is_bounded() -> None:
    asked: list[int] = []
    known: CommitInvalidatedCache[int, None] = CommitInvalidatedCache(lambda: 1, asked.append)
    for key in range(MOST + 1):
        known[key]
    known[0]
    assert asked[-1] == 0
