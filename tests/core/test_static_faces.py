from __future__ import annotations

import numpy as np

from gated.core.messages import RecordDecision
from gated.core.static_faces import REFUSALS, REMEMBERED, WITHIN_S, StaticFaces
from gated.core.values import Box, Reason
from tests.core.scenes import ANN, STRANGE, SURE, Scene, face

HERE, ELSEWHERE = Box(100.0, 50.0, 60.0, 80.0), Box(400.0, 50.0, 60.0, 80.0)
POSTER, OTHER = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)


def test_the_same_face_at_the_same_place_is_told_of_a_few_times() -> None:
    faces = StaticFaces()
    assert [faces.refused(HERE, POSTER, 0.4, t) for t in range(REFUSALS + 2)] == [
        *[True] * REFUSALS,
        False,
        False,
    ]
    assert faces.refused(HERE, OTHER, 0.4, 10.0), "somebody else stands there now"
    assert faces.refused(ELSEWHERE, POSTER, 0.4, 11.0), "the same face walks about"
    assert faces.refused(HERE, POSTER, 0.4, WITHIN_S + 3.0), "long ago is forgotten"


def test_what_is_remembered_is_bounded() -> None:
    faces = StaticFaces()
    for n in range(3 * REMEMBERED):
        assert faces.refused(Box(1000.0 * n, 0.0, 50.0, 50.0), POSTER, 0.4, 1.0)
    assert len(faces._refused) == REMEMBERED


def test_a_poster_fills_no_log_and_keeps_nobody_out() -> None:
    scene, poster = Scene(), face({ANN: STRANGE})
    for _ in range(8):
        scene.watch(poster, frames=40)
        scene.lose(1)
        scene.wait(6.0)
    refusals = [c for c in scene.commands if isinstance(c, RecordDecision)]
    assert len(refusals) == REFUSALS
    assert {d.decision.reason for d in refusals} == {Reason.NO_MATCH}
    scene.watch(face({ANN: SURE}), frames=5)
    assert scene.verdicts[-1] == (Reason.GRANTED, "Ann")
