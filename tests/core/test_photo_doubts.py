"""Photos that do harm: like somebody else, unlike the person's others, and none to single out."""

from __future__ import annotations

from gated.core.photo_doubts import photo_doubts
from tests.core.test_selftest import CALIBRATION, THRESHOLD, axis, between, gallery

PAIR = [axis(0), between(axis(0), axis(1), 0.8)]


def test_photos_like_each_other_and_nobody_else_are_fine() -> None:
    known = gallery({1: PAIR, 2: [axis(4)], 3: [axis(5)]})
    assert [photo_doubts(known, CALIBRATION, THRESHOLD, i) for i in (1, 2, 3, 9)] == [[]] * 4


def test_a_photo_that_another_is_let_in_by_names_them() -> None:
    known = gallery({1: [axis(4)], 2: PAIR, 3: [between(axis(0), axis(6), 0.7)]})
    (doubt,) = photo_doubts(known, CALIBRATION, THRESHOLD, 3)
    assert (doubt.place, doubt.reason) == (0, "other_person")
    assert doubt.other is not None
    assert doubt.other.person.id == 2


def test_a_photo_nearer_to_another_than_to_its_own_is_named_below_the_threshold() -> None:
    near = between(axis(7), axis(4), 0.5)
    (doubt,) = photo_doubts(gallery({1: [*PAIR, near], 2: [axis(7)]}), CALIBRATION, THRESHOLD, 1)
    assert (doubt.place, doubt.reason) == (2, "other_person")


def test_a_photo_unlike_the_others_is_named_and_none_where_all_differ() -> None:
    odd = gallery({1: [PAIR[0], axis(3), PAIR[1]], 2: [axis(4)]})
    assert [(d.place, d.reason) for d in photo_doubts(odd, CALIBRATION, THRESHOLD, 1)] == [
        (1, "unlike")
    ]
    found = photo_doubts(gallery({1: [axis(0), axis(1)]}), CALIBRATION, THRESHOLD, 1)
    assert [(d.place, d.reason) for d in found] == [(0, "scattered"), (1, "scattered")]
