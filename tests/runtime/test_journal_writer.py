"""The queue between the controller and the journal, with a journal that fails on command."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from gated.core.messages import RecordEvent
from gated.core.values import Instant
from gated.errors import StorageError
from gated.runtime.journal_writer import RESERVE, JournalWriter, Record


def record(number: int) -> RecordEvent:
    return RecordEvent(Instant(float(number), 0.0), "test", {"number": number})


class Paper:
    """Takes batches, or refuses while `broken` is set."""

    def __init__(self) -> None:
        self.broken = threading.Event()
        self.lines: list[Record] = []

    def append(self, batch: Sequence[Record]) -> None:
        if self.broken.is_set():
            raise StorageError("disk full")
        self.lines += batch


def crash(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_records_are_written_in_order_and_drained_at_the_end() -> None:
    paper = Paper()
    writer = JournalWriter(paper.append, 1000, crash)
    records = [record(i) for i in range(600)]
    assert all(writer.offer(r) for r in records)
    writer.start()
    writer.stop()
    writer.join(10)
    assert paper.lines == records


def test_a_failing_journal_loses_and_doubles_nothing() -> None:
    paper = Paper()
    paper.broken.set()
    writer = JournalWriter(paper.append, 1000, crash)
    writer.start()
    records = [record(i) for i in range(20)]
    for r in records:
        writer.offer(r)
    assert eventually(lambda: writer.failing)
    paper.broken.clear()
    assert eventually(lambda: len(paper.lines) == 20)
    writer.stop()
    writer.join(10)
    assert paper.lines == records
    assert not writer.failing


def test_full_queue_refuses_and_says_before_that_it_is_not_available() -> None:
    writer = JournalWriter(Paper().append, RESERVE + 8, crash)
    offered = 0
    while writer.available:
        assert writer.offer(record(offered))
        offered += 1
    assert offered == 9
    assert all(writer.offer(record(i)) for i in range(RESERVE - 1))
    assert not writer.offer(record(0))
    assert writer.refused == 1


def test_on_a_full_disk_it_is_not_available_and_writes_what_still_comes() -> None:
    paper = Paper()
    writer = JournalWriter(paper.append, 100, crash)
    told = []
    for writer.disk_full in (True, False):
        told.append(writer.available)
    assert told == [False, True]
    writer.disk_full = True
    assert writer.offer(record(1))
    writer.start()
    assert eventually(lambda: len(paper.lines) == 1)
    writer.stop()
    writer.join(10)


class Noted:
    """Keeps records of the kind `test` in mind."""

    kinds = frozenset({"test"})

    def __init__(self) -> None:
        self.kept: list[RecordEvent] = []
        self.written: list[Record] = []

    def keep(self, records: Iterable[RecordEvent]) -> None:
        self.kept += records

    def recorded(self, batch: Sequence[Record]) -> None:
        self.written += batch


def test_what_must_survive_is_kept_at_once_also_where_the_queue_has_no_place() -> None:
    paper, memory = Paper(), Noted()
    paper.broken.set()
    writer = JournalWriter(paper.append, 2, crash, memory)
    writer.start()
    assert writer.offer(record(1))
    assert eventually(lambda: writer.failing)
    assert writer.offer(record(2))
    assert not writer.offer(record(3))
    assert eventually(lambda: record(3) in memory.kept)
    assert memory.kept[0] == record(1)
    assert memory.written == []
    paper.broken.clear()
    assert eventually(lambda: memory.written == [record(1), record(2)])
    writer.stop()
    writer.join(10)
