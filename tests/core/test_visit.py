"""The transitions of a visit are those of its table."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from gated.core.visit import TABLE, Visit, VisitInput, VisitState, VisitWhen

DOCS = Path(__file__).parents[2] / "docs" / "architecture.md"


def as_markdown() -> str:
    lines = ["| in | on | if | then | for good |", "|---|---|---|---|---|"]
    for row in TABLE:
        states = ", ".join(row.states)
        final = "yes" if row.final else ""
        lines.append(f"| {states} | {row.input} | {row.when} | {row.next} | {final} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("state", "final", "input_"),
    list(itertools.product(VisitState, (False, True), VisitInput)),
)
def test_a_visit_follows_the_table(state: VisitState, final: bool, input_: VisitInput) -> None:
    visit = Visit(1, state, final=final)
    visit.take(input_)
    rows = [r for r in TABLE if r.input is input_ and state in r.states]
    rows = [r for r in rows if r.when is VisitWhen.ALWAYS or not final]
    expected = (rows[0].next, rows[0].final) if rows else (state, final)
    assert (visit.state, visit.final) == expected


def test_no_row_hides_another_one() -> None:
    seen = [(state, row.input) for row in TABLE for state in row.states]
    assert len(seen) == len(set(seen))


def test_a_visit_that_is_over_stays_so_and_a_grant_is_never_taken_back() -> None:
    for row in TABLE:
        assert VisitState.CLOSED not in row.states
        if VisitState.GRANTED in row.states:
            assert row.next in (VisitState.GRANTED, VisitState.CLOSED)
            assert row.final


def test_every_state_but_the_first_can_be_reached() -> None:
    assert {row.next for row in TABLE} == set(VisitState)


def test_the_docs_print_the_table() -> None:
    text = DOCS.read_text(encoding="utf-8")
    printed = text.split("<!-- visits -->\n")[1].split("<!-- end of visits -->")[0]
    assert printed == as_markdown()
