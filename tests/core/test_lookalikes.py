"""Whom a stranger resembles: offered below the threshold of a grant, and to nobody far away."""

from __future__ import annotations

import numpy as np

from gated.core.calibration import Calibration
from gated.core.gallery import Gallery
from gated.core.lookalikes import OFFERED, alike, lookalikes
from tests.core.test_selftest import axis, between, gallery

CALIBRATION = Calibration("m", "made", ((0.1, -1.0), (0.6, -6.0)))
"""The rate falls by ten with every tenth of similarity."""


def found(known: Gallery, *faces: np.ndarray) -> list[tuple[int, str]]:
    alike = lookalikes(known, CALIBRATION, np.stack(faces))
    return [(one.member.person.id, one.likeness) for one in alike]


def test_the_most_similar_come_first_in_two_degrees() -> None:
    known = gallery({1: [axis(0)], 2: [axis(1), between(axis(2), axis(3), 0.5)], 3: [axis(4)]})
    face = 0.35 * axis(0) + 0.55 * axis(1) + 0.25 * axis(4)
    face += np.sqrt(1 - float(face @ face)) * axis(9)
    assert found(known, face) == [(2, "strong"), (1, "some")]
    assert found(known, axis(9)) == []


def test_with_more_people_somebody_has_to_be_more_alike() -> None:
    face = between(axis(0), axis(9), 0.35)
    few = gallery({1: [axis(0)], 2: [axis(1)]})
    many = gallery({n: [axis(0) if n == 1 else axis(2)] for n in range(1, 401)})
    assert found(few, face) == [(1, "some")]
    assert found(many, face) == []


def test_several_faces_count_together() -> None:
    known = gallery({1: [axis(0)]})
    near, far = between(axis(0), axis(9), 0.5), axis(8)
    assert found(known, near) == [(1, "strong")]
    assert found(known, near, far, far) == []


def test_a_few_are_offered_at_most_and_nobody_without_people() -> None:
    known = gallery({n: [axis(n)] for n in range(6)})
    face = sum((0.4 * axis(n) for n in range(6)), np.zeros(16, np.float32))
    assert len(found(known, face)) == OFFERED
    assert found(gallery({}), axis(0)) == []


def test_strangers_who_may_be_one_person_come_in_pairs_the_most_similar_first() -> None:
    one, near, nearer = axis(0), between(axis(0), axis(1), 0.4), between(axis(0), axis(2), 0.6)
    strangers = gallery({1: [one, axis(5)], 2: [near], 3: [nearer], 4: [axis(9)]})
    assert alike(strangers, CALIBRATION) == [(0, 2)]  # by the mean over all faces of both
    assert alike(gallery({1: [one], 2: [near], 3: [nearer]}), CALIBRATION) == [(0, 2), (0, 1)]
    assert alike(gallery({1: [one]}), CALIBRATION) == []
