"""Lists are written without models in between; they must say what the models would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from gated.attendance.schemas import AttendanceOut, OwnAttendanceOut
from gated.database.records import AttendanceRow, Enrollment, Person
from gated.http.listing import json_list, json_parts
from gated.people.schemas import EnrollmentOut, PersonOut

AT = datetime(2026, 3, 29, 1, 2, 3, 450_000, UTC)

VALUES: dict[str, Any] = {
    "str": 'Ö "quoted" \u2028',
    "int": 7,
    "float": 0.1,
    "bool": True,
    "datetime": AT,
    "date | None": date(2027, 1, 2),
    "Mapping[str, Any]": {"eyes": [1.5, 2]},
    "Sequence[str]": ["late"],
}


def sample(cls: type[Any]) -> Any:
    """A record with a value of its type in every field; None where that is allowed and unknown."""
    return cls(*(VALUES.get(str(f.type)) for f in fields(cls)))


@pytest.mark.parametrize(
    ("record", "schema"),
    [
        (Person, PersonOut),
        (Enrollment, EnrollmentOut),
        (AttendanceRow, AttendanceOut),
        (AttendanceRow, OwnAttendanceOut),
    ],
)
def test_a_list_says_what_the_models_of_its_rows_would(
    record: type[Any], schema: type[BaseModel]
) -> None:
    rows = [sample(record), sample(record)]
    models: TypeAdapter[Sequence[Any]] = TypeAdapter(list[schema])  # type: ignore[valid-type]
    wanted = models.dump_json(models.validate_python(rows, from_attributes=True))
    assert json_list(rows, schema).body == wanted


def test_parts_make_one_array() -> None:
    row = sample(Person)
    whole = b"".join(json_parts([[], [row], [], [row, row]], PersonOut))
    assert [p["id"] for p in json.loads(whole)] == [7, 7, 7]
    assert b"".join(json_parts([], PersonOut)) == b"[]"
    assert json_list([], PersonOut).body == b"[]"
