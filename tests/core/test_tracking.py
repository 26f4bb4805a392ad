"""The tracker on made walks: who keeps an id, who gets a new one, what ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.tracking import MAX_GAP_S, Tracker, affinity, overlap
from gated.core.values import Box, Face


def face(x: float, y: float = 100, size: float = 50) -> Face:
    return Face(Box(x - size / 2, y - size / 2, size, size), np.zeros((5, 2), np.float32), 0.9)


def test_a_walking_face_keeps_its_id() -> None:
    tracker = Tracker()
    ids = {tracker.update([face(50 + 20 * i)], i / 12)[0][0] for i in range(20)}
    assert ids == {1}


def test_an_approaching_face_keeps_its_id() -> None:
    tracker = Tracker()
    ids = {tracker.update([face(200, size=20 * 1.1**i)], i / 12)[0][0] for i in range(25)}
    assert ids == {1}


def test_a_fast_face_is_followed_by_prediction() -> None:
    tracker = Tracker()
    tracker.update([face(0)], 0.0)
    tracker.update([face(30)], 0.1)
    tracker.update([face(70)], 0.2)
    assert tracker.update([face(150)], 0.4)[0] == [1]


def test_a_short_gap_is_survived_and_a_long_one_is_not() -> None:
    tracker = Tracker()
    tracker.update([face(100)], 0.0)
    assert tracker.update([], 0.2) == ([], [])
    assert tracker.update([face(104)], 0.4) == ([1], [])
    assert tracker.update([], 0.4 + MAX_GAP_S) == ([], [])
    assert tracker.update([face(104)], 0.5 + MAX_GAP_S) == ([2], [1])
    assert tracker.open == 1


def test_ids_follow_faces_and_not_their_order() -> None:
    tracker = Tracker()
    assert tracker.update([face(100), face(300)], 0.0)[0] == [1, 2]
    assert tracker.update([face(302), face(101)], 0.1)[0] == [2, 1]


def test_two_faces_that_pass_each_other_keep_their_ids() -> None:
    tracker = Tracker()
    for i in range(21):
        left, right = face(100 + 10 * i, y=100), face(300 - 10 * i, y=135)
        assert tracker.update([left, right], i / 15)[0] == [1, 2]


def test_a_face_elsewhere_is_another_track() -> None:
    tracker = Tracker()
    tracker.update([face(100)], 0.0)
    assert tracker.update([face(260)], 0.1)[0] == [2]


def test_a_face_of_another_size_in_the_same_place_is_another_track() -> None:
    tracker = Tracker()
    tracker.update([face(100, size=100)], 0.0)
    assert tracker.update([face(100, size=40)], 0.1)[0] == [2]


def test_the_clock_may_stand_still_or_go_back() -> None:
    tracker = Tracker()
    for captured_at in (5.0, 5.0, 4.9, 5.1):
        assert tracker.update([face(100)], captured_at) == ([1], [])


def test_the_number_of_tracks_is_bounded_and_the_stalest_goes() -> None:
    tracker = Tracker(max_tracks=2)
    tracker.update([face(100)], 0.0)
    tracker.update([face(300)], 0.1)
    assert tracker.update([face(500)], 0.2) == ([3], [1])
    assert tracker.open == 2


scenes = st.lists(
    st.tuples(
        st.floats(0.0, 0.8),
        st.lists(
            st.builds(face, st.floats(-100, 700), st.floats(-100, 500), st.floats(0, 300)),
            max_size=6,
        ),
    ),
    max_size=25,
)


@given(scenes)
def test_ids_are_unique_in_a_frame_never_come_back_and_end_once(
    scene: list[tuple[float, list[Face]]],
) -> None:
    tracker = Tracker(max_tracks=8)
    now, ended, started = 0.0, set[int](), set[int]()
    for wait, faces in scene:
        now += wait
        ids, lost = tracker.update(faces, now)
        assert len(ids) == len(faces) == len(set(ids))
        assert not ended & set(ids)
        assert not ended & set(lost)
        assert not set(ids) & set(lost)
        started |= set(ids)
        ended |= set(lost)
        assert tracker.open == len(started - ended) <= 8
    assert started == set(range(1, len(started) + 1))


@given(scenes)
def test_the_same_scene_gives_the_same_ids(scene: list[tuple[float, list[Face]]]) -> None:
    def run() -> list[tuple[list[int], list[int]]]:
        tracker = Tracker()
        return [tracker.update(faces, float(i)) for i, (_, faces) in enumerate(scene)]

    assert run() == run()


boxes = st.builds(Box, st.floats(-50, 50), st.floats(-50, 50), st.floats(0, 80), st.floats(0, 80))


@given(boxes, boxes)
def test_affinity_is_symmetric_and_a_fraction(a: Box, b: Box) -> None:
    assert affinity(a, b) == pytest.approx(affinity(b, a), abs=1e-9)
    assert 0.0 <= affinity(a, b) <= 1.0 + 1e-9


def test_overlap_of_known_boxes() -> None:
    assert overlap(Box(0, 0, 10, 10), Box(0, 0, 10, 10)) == 1.0
    assert overlap(Box(0, 0, 10, 10), Box(5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert overlap(Box(0, 0, 10, 10), Box(10, 0, 10, 10)) == 0.0
