"""Whether another photo of somebody is advised: of one person, in lists, and in a filter."""

from __future__ import annotations

import pytest

from gated.core.photo_advice import LIKENESS, NEARLY_SAME
from gated.devices.clock import ManualClock
from gated.people.people import People
from gated.workspace import Workspace
from tests.people.people import add_person, enroll

OTHER, SAME = {LIKENESS: NEARLY_SAME - 0.1}, {LIKENESS: NEARLY_SAME}
OFF = {"is_active": False}


@pytest.mark.parametrize(
    ("photos", "usable", "reason"),
    [
        ([], 0, "no_photo"),
        ([OFF], 0, "no_photo"),
        ([{}], 1, "one_photo"),
        ([{}, {"quality": OTHER} | OFF], 1, "one_photo"),
        ([{}, {"quality": OTHER}], 2, None),
        ([{}, {"quality": {}}], 2, None),  # enrolled before likeness was measured
        ([{}, {"quality": SAME}], 2, "nearly_same"),
        ([OFF, {"quality": SAME}, {"quality": SAME}], 2, "nearly_same"),
        ([{}, {"quality": SAME}, {"quality": OTHER}], 3, None),
    ],
)
def test_one_person_lists_and_filter_agree(
    workspace: Workspace,
    photos: list[dict[str, object]],
    usable: int,
    reason: str | None,
) -> None:
    with workspace.database.write() as session:
        person, two = add_person(session), add_person(session)
        for photo in photos:
            enroll(session, person, **photo)
        enroll(session, two)
        enroll(session, two, quality=OTHER)
    people = People(workspace, ManualClock())
    told, enough = people.overview([person.id, two.id])
    advice = told.photo_advice
    assert (advice.usable, advice.reason, told.photos) == (usable, reason, usable)
    assert advice.another_advised == bool(advice.text) == (reason is not None)
    assert not enough.photo_advice.another_advised
    _, photos_of_person, _ = people.with_enrollments(person.id)
    assert type(advice).of_photos(photos_of_person) == advice
    wanted = reason in ("one_photo", "nearly_same")
    found, _ = people.list_(one_photo=True)
    assert [p.id for p in found] == [person.id] * wanted
    others, _ = people.list_(one_photo=False)
    assert [p.id for p in others] == [person.id] * (not wanted) + [two.id]
