"""Quality measures on faces and chips whose truth is known because they are made here."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gated.core.quality import (
    FLAWS,
    QualityLimits,
    assess,
    exposure,
    flaws,
    pose,
    sharpness,
)
from gated.core.values import Box, Face, Quality

HEAD = np.array(
    [[-31.5, 0, 0], [31.5, 0, 0], [0, 36.2, -28.9], [-27.3, 63.8, 5.9], [27.3, 63.8, 5.9]]
)


def rotation(yaw: float, pitch: float, roll: float) -> npt.NDArray[np.float64]:
    """Look up, turn right in the picture, tilt clockwise (degrees; x right, y down, z away)."""
    y, p, r = (math.radians(v) for v in (yaw, pitch, roll))
    turn = np.array([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    nod = np.array([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    tilt = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return np.asarray(tilt @ turn @ nod)


def seen(yaw: float, pitch: float, roll: float, scale: float = 1.0) -> npt.NDArray[np.float32]:
    """Landmarks of the average head seen by a far camera."""
    return np.asarray((HEAD @ rotation(yaw, pitch, roll).T)[:, :2] * scale + 200, np.float32)


def face_at(landmarks: npt.NDArray[np.float32], score: float = 0.9) -> Face:
    return Face(Box(100, 100, 80, 100), landmarks, score)


def textured(seed: int = 0) -> npt.NDArray[np.uint8]:
    """A picture with structure at every scale, as a face has."""
    rng = np.random.default_rng(seed)
    total = np.zeros((112, 112))
    for cell, weight in ((4, 5), (8, 10), (16, 20), (28, 20)):
        n = 112 // cell
        total += weight * np.kron(rng.normal(size=(n, n)), np.ones((cell, cell)))
    return np.asarray(np.clip(128 + total, 0, 255), np.uint8)


def box_blurred(gray: npt.NDArray[np.uint8], n: int, axis: int) -> npt.NDArray[np.uint8]:
    kernel = np.ones(n) / n
    return np.asarray(
        np.apply_along_axis(lambda v: np.convolve(v, kernel, "same"), axis, gray), np.uint8
    )


GOOD = Quality(0.9, 50, 0, 0, 0, 0.8, 120, 40, 0.8)


@pytest.mark.parametrize("angle", [-60.0, -30.0, -5.0, 0.0, 20.0, 45.0])
def test_each_angle_is_found_alone(angle: float) -> None:
    assert pose(seen(angle, 0, 0)) == pytest.approx((angle, 0, 0), abs=1e-3)
    assert pose(seen(0, angle, 0)) == pytest.approx((0, angle, 0), abs=1e-3)
    assert pose(seen(0, 0, angle)) == pytest.approx((0, 0, angle), abs=1e-3)


@given(st.floats(-50, 50), st.floats(0.1, 20))
def test_distance_does_not_change_the_pose(yaw: float, scale: float) -> None:
    assert pose(seen(yaw, 10, 5, scale)) == pytest.approx(pose(seen(yaw, 10, 5)), abs=0.05)


def test_signs_are_those_of_the_picture() -> None:
    frontal = seen(0, 0, 0)
    nose_right, nose_up, eyes_clockwise = frontal.copy(), frontal.copy(), frontal.copy()
    nose_right[2, 0] += 10
    nose_up[2, 1] -= 10
    eyes_clockwise[[1, 4], 1] += 10
    assert pose(nose_right)[0] > 4
    assert pose(nose_up)[1] > 4
    assert pose(eyes_clockwise)[2] > 4


@given(hnp.arrays(np.float32, (5, 2), elements=st.floats(-1e4, 1e4, width=32)))
def test_any_landmarks_have_a_finite_pose(landmarks: npt.NDArray[np.float32]) -> None:
    yaw, pitch, roll = pose(landmarks)
    assert -180 <= yaw <= 180
    assert -90 <= pitch <= 90
    assert -180 <= roll <= 180


def test_landmarks_that_are_no_numbers_are_an_extreme_pose() -> None:
    broken = seen(0, 0, 0)
    broken[0, 0] = np.nan
    quality = Quality(0.9, 50, *pose(broken), 0.8, 120, 40, 0.8)
    assert flaws(quality, QualityLimits()) == ("extreme_pose",)


def test_blur_in_either_direction_lowers_sharpness_step_by_step() -> None:
    gray = textured()
    for axis in (0, 1):
        values = [sharpness(box_blurred(gray, n, axis)) for n in (1, 3, 7, 15, 25)]
        assert values == sorted(values, reverse=True)
        assert values[0] > 0.8
        assert values[-1] < 0.25


def test_sharpness_does_not_depend_on_light() -> None:
    gray = textured()
    dim = np.asarray(gray / 3 + 10, np.uint8)
    assert sharpness(dim) == pytest.approx(sharpness(gray), abs=0.1)


@given(hnp.arrays(np.uint8, (112, 112), fill=st.just(7)))
def test_sharpness_is_a_fraction(gray: npt.NDArray[np.uint8]) -> None:
    assert 0.0 <= sharpness(gray) <= 1.0


def test_a_flat_picture_is_not_sharp() -> None:
    assert sharpness(np.full((112, 112), 80, np.uint8)) == 0.0


def test_exposure_looks_at_the_middle() -> None:
    gray = np.zeros((112, 112), np.uint8)
    gray[22:90, 22:90] = 200
    assert exposure(gray) == (200.0, 0.0)


def test_a_small_face_is_not_called_blurred_for_being_enlarged() -> None:
    small = textured()[:38, :38]
    blocks = np.asarray(np.kron(small, np.ones((3, 3), np.uint8))[:112, :112])
    enlarged = box_blurred(box_blurred(blocks, 5, 0), 5, 1)
    near = assess(face_at(seen(0, 0, 0, 0.5)), enlarged)
    far = assess(face_at(seen(0, 0, 0, 12 / 63)), enlarged)
    assert far.sharpness > near.sharpness + 0.2


def test_assess_gives_what_it_measured() -> None:
    quality = assess(face_at(seen(20, -10, 5, 0.8), score=0.77), textured())
    assert quality.detection == 0.77
    assert (quality.yaw, quality.pitch) == pytest.approx((20, -10), abs=0.1)
    assert quality.eye_distance == pytest.approx(face_at(seen(20, -10, 5, 0.8)).eye_distance)
    assert 0 < quality.score < 1


def test_the_score_falls_with_every_fault() -> None:
    best = assess(face_at(seen(0, 0, 0)), textured()).score
    assert assess(face_at(seen(40, 0, 0)), textured()).score < best
    assert assess(face_at(seen(0, 0, 0, 0.3)), textured()).score < best
    assert assess(face_at(seen(0, 0, 0), score=0.5), textured()).score < best
    assert assess(face_at(seen(0, 0, 0)), box_blurred(textured(), 15, 1)).score < best
    assert assess(face_at(seen(0, 0, 0)), np.asarray(textured() // 8, np.uint8)).score < best


@pytest.mark.parametrize(
    ("code", "quality"),
    [
        ("low_detection", Quality(0.69, 50, 0, 0, 0, 0.8, 120, 40, 0.8)),
        ("too_small", Quality(0.9, 13.9, 0, 0, 0, 0.8, 120, 40, 0.8)),
        ("extreme_pose", Quality(0.9, 50, -36, 0, 0, 0.8, 120, 40, 0.8)),
        ("extreme_pose", Quality(0.9, 50, 0, 31, 0, 0.8, 120, 40, 0.8)),
        ("extreme_pose", Quality(0.9, 50, 0, 0, -46, 0.8, 120, 40, 0.8)),
        ("blurred", Quality(0.9, 50, 0, 0, 0, 0.09, 120, 40, 0.8)),
        ("too_dark", Quality(0.9, 50, 0, 0, 0, 0.8, 29, 40, 0.8)),
        ("too_bright", Quality(0.9, 50, 0, 0, 0, 0.8, 236, 40, 0.8)),
    ],
)
def test_each_limit_has_its_code(code: str, quality: Quality) -> None:
    assert flaws(quality, QualityLimits()) == (code,)


def test_a_good_face_has_no_flaw_but_its_place() -> None:
    assert flaws(GOOD, QualityLimits()) == ()
    assert flaws(GOOD, QualityLimits(), in_zone=False) == ("outside_zone",)


def test_all_flaws_are_told_in_their_order() -> None:
    hopeless = Quality(0.1, 2, 80, 0, 0, 0.0, 5, 0, 0.0)
    told = flaws(hopeless, QualityLimits(), in_zone=False)
    assert told == tuple(code for code in FLAWS if code != "too_bright")
