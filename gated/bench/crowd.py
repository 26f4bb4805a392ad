"""Measures questions about many people: who is inside, explanations, and the log."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gated.access.explain import explain
from gated.access.passage_cache import PassageCache
from gated.access.presence import inside
from gated.access.rules import Access
from gated.attendance.reports import LOG_HEADER, Reports
from gated.bench.site import USERNAME, person_values
from gated.config import Settings, StorageSettings
from gated.core.messages import Decision
from gated.core.values import Direction, Instant, Outcome, PersonRef, Reason
from gated.database.tables import persons
from gated.http.spreadsheet import csv_bytes, xlsx_bytes
from gated.journal.journal import Entry, decision_entry
from gated.people import person_store
from gated.workspace import Workspace

PEOPLE = 10_000
AT_ONCE = 1000
EXPORTED_ROWS = 20_000
REPEATS = 7


def measure_crowd(folder: Path, people: int = PEOPLE) -> dict[str, Any]:
    """Measure processor time in ms with `people`, of whom two thirds are inside.

    presence_ms, explain_ms: of a question after one more passage; anew_ms: of the first one.
    csv_rows, xlsx_rows: rows of the log per second of processor time.
    """
    settings = Settings(storage=StorageSettings(state_dir=folder / "state"))
    with Workspace(settings) as workspace:
        crowd = _passages(workspace, people)
        with workspace.change(USERNAME) as change:
            Access.of(workspace).set_site_rules(change, {"occupancy": 2 * people})
        kept, last = PassageCache(), crowd[-1]
        reports = Reports(workspace)
        answers = {
            "anew_ms": _median_ms(lambda: inside(workspace)),
            "presence_ms": _median_ms(
                lambda: inside(workspace, kept=kept), lambda: _pass(workspace, [last])
            ),
            "explain_ms": _median_ms(
                lambda: explain(workspace, last.personnel_code, kept=kept),
                lambda: _pass(workspace, [last]),
            ),
        }
        count = len(inside(workspace, kept=kept).people)
        rows = min(EXPORTED_ROWS, 2 * people)
        some = list(islice(reports.log_table(), rows))
        tables = {
            "csv_rows": _rate(lambda: sum(map(len, csv_bytes(LOG_HEADER, some, False))), rows),
            "xlsx_rows": _rate(lambda: sum(map(len, xlsx_bytes(LOG_HEADER, some, "log"))), rows),
            "log_rows": _rate(lambda: sum(1 for _ in islice(reports.log_table(), rows)), rows),
        }
    return {"people": people, "inside": count, **answers, **tables}


def _passages(workspace: Workspace, people: int) -> list[PersonRef]:
    """Add two passages of each person; every third person leaves by the second."""
    with workspace.database.write() as session:
        session.execute(sa.insert(persons), [person_values(n) for n in range(people)])
    with workspace.database.read() as session:
        ids = session.execute(sa.select(persons.c.id)).scalars().all()
        crowd = list(person_store.refs(session, ids).values())
    for start in range(0, people, AT_ONCE):
        _pass(workspace, crowd[start : start + AT_ONCE])
    for start in range(0, people, AT_ONCE):
        some = crowd[start : start + AT_ONCE]
        _pass(workspace, some[::3], Direction.EXIT)
        _pass(workspace, [p for n, p in enumerate(some) if n % 3])
    return crowd


def _pass(
    workspace: Workspace, whom: list[PersonRef], direction: Direction = Direction.ENTRY
) -> None:
    workspace.journal.append([_entry(p, direction, workspace.clock.now()) for p in whom])


def _entry(person: PersonRef, direction: Direction, now: Instant) -> Entry:
    decision = Decision(
        at=now, outcome=Outcome.GRANTED, reason=Reason.GRANTED, person=person, direction=direction
    )
    return decision_entry(decision, "bench", "camera", "works")


def _median_ms(what: Callable[[], object], before: Callable[[], object] | None = None) -> float:
    """Return the median in this thread's own time, which other load affects less."""
    took = []
    for n in range(REPEATS + 1):
        if before is not None:
            before()
        began = time.thread_time()
        what()
        if n:  # the first one fills the cache
            took.append((time.thread_time() - began) * 1e3)
    return statistics.median(took)


def _rate(what: Callable[[], object], rows: int) -> float:
    began = time.thread_time()
    what()
    return rows / (time.thread_time() - began)
