"""Write what an import has refused as a table that can be mended and imported again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gated.enrollment.headings import FIELDS, OVERRIDE
from gated.http.spreadsheet import Row, csv_bytes

COLUMNS = ("line", "problem", "personnel_code", "photo", *FIELDS)
ENCODING = "encoding"
ASKED = "duplicate_face"
"""The code of a refusal to which the table may answer: its rows get a column for that."""


def failures_csv(
    report: Mapping[str, Any], moved: Callable[[str], str] | None = None
) -> Iterator[bytes]:
    """Yield the refused and differing rows and files of a report as CSV, in pieces.

    line and problem are for whoever mends it; an import passes over them. moved: what becomes of
    the names of files, where the table will lie in another folder. Cells are separated as in the
    table that was imported: spreadsheets open by a double click only what their region separates.
    """
    failed = [*report.get("refused", ()), *report.get("differing", ())]
    rows = [pair for entry in failed for pair in _rows(entry)]
    columns = [*COLUMNS, *([ENCODING] if any(ENCODING in cells for _, cells in rows) else ())]
    if any(entry.get("code") == ASKED for entry in failed):
        columns.append(OVERRIDE)

    def cell(name: str, cells: Mapping[str, Any]) -> str:
        value = str(cells.get(name, ""))
        return moved(value) if moved and value and name in ("photo", ENCODING) else value

    table: list[Row] = [
        [*head, *(cell(name, cells) for name in columns[2:])] for head, cells in rows
    ]
    return csv_bytes(columns, table, bom=True, separator=report.get("separator"))


def _rows(entry: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    """Yield ((line, problem), cells) of each row that an entry of a report is about."""
    problem = f"{entry['photo']}: {entry['detail']}"
    lines: Sequence[int] = entry.get("lines", ())
    cells = entry.get("rows", ())
    if not cells:
        yield ("", problem), {}
    for at, of_row in enumerate(cells):
        yield (str(lines[at]) if at < len(lines) else "", problem), of_row
