"""Whether a face moves by itself, on points whose motion is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gated.core.facial_motion import LEAST_FRAMES, SHOWN, Shape, facial_motion, moves_by_itself

TREMBLE = 0.004
"""Of the mesh from frame to frame, in distances of the eyes."""


def head(rng: np.random.Generator) -> np.ndarray:
    """(60, 3) points of a face; the first two are the corners of the eyes."""
    points = rng.uniform(-1, 1, (60, 3)) * [0.7, 0.9, 0.2]
    points[:, 2] -= 0.5 * np.sqrt(np.maximum(0, 1 - points[:, 0] ** 2))
    points[0], points[1] = [-0.5, 0, -0.4], [0.5, 0, -0.4]
    return points


def frames(kind: str, count: int = 24, apart: float = 90.0, seed: int = 3) -> list[Shape]:
    rng = np.random.default_rng(seed)
    points = head(rng)
    if kind == "flat":
        points[:, 2] = 0
    shapes = []
    for i in range(count):
        t = i / 15
        moved = points.copy()
        if kind == "talking":
            moved[20:40, 1] += 0.06 * math.sin(2 * math.pi * 2.1 * t) * (points[20:40, 1] > 0)
            moved[40:50, 0] *= 1 + 0.08 * math.sin(2 * math.pi * 1.3 * t)
        yaw, pitch = 0.35 * math.sin(2 * t), 0.15 * math.sin(3 * t + 1)
        about_y = np.array(
            [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
        )
        about_x = np.array(
            [
                [1, 0, 0],
                [0, math.cos(pitch), -math.sin(pitch)],
                [0, math.sin(pitch), math.cos(pitch)],
            ]
        )
        seen = (moved @ about_y.T @ about_x.T)[:, :2] * (1 + 0.1 * math.sin(t))
        seen = seen + rng.normal(0, TREMBLE, seen.shape)
        shapes.append(np.asarray(apart * seen + 100, np.float32))
    return shapes


@pytest.mark.parametrize("kind", ["flat", "rigid"])
def test_paper_and_masks_do_not_move_by_themselves_however_they_are_moved(kind: str) -> None:
    found = facial_motion(frames(kind))
    assert found is not None
    assert found < SHOWN / 2
    assert not moves_by_itself(frames(kind))


def test_who_talks_moves_also_while_the_head_turns() -> None:
    assert moves_by_itself(frames("talking"))


def test_it_does_not_depend_on_how_large_the_face_is() -> None:
    near, far = facial_motion(frames("talking")), facial_motion(frames("talking", apart=30.0))
    assert near == pytest.approx(far, rel=0.05)


def test_a_few_frames_tell_nothing() -> None:
    assert facial_motion(frames("talking", LEAST_FRAMES - 1)) is None
    assert not moves_by_itself(frames("talking", LEAST_FRAMES - 1))
    assert not moves_by_itself([])
