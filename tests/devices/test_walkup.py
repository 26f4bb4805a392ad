"""People who walk up to the camera."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from gated.config import VisionSettings
from gated.core.values import Box, Image
from gated.devices.demo_scene import FAR_EYES, NEAR_EYES, UNHURRIED, Portrait, walk_ups
from gated.vision.decoding import decode
from gated.vision.factory import build_models
from tests.assets import require_assets
from tests.devices.pictures import portrait

SIZE, FPS = (640, 480), 15.0
WALKING = round(UNHURRIED.walk_s * FPS)
IN_VIEW = round((UNHURRIED.walk_s + UNHURRIED.stand_s) * FPS)
ONE_WALK = IN_VIEW + round(UNHURRIED.pause_s * FPS)


def redness(image: Image) -> int:
    """How many pixels are of the face of `portrait()`."""
    blue, red = image[:, :, 0].astype(int), image[:, :, 2].astype(int)
    return int((red - blue > 60).sum())


@pytest.fixture(scope="module")
def walk() -> list[Image]:
    return list(walk_ups([portrait()], SIZE, FPS))


def test_one_after_the_other_with_an_empty_scene_after_each() -> None:
    frames = list(walk_ups([portrait(), portrait()], (160, 120), FPS))
    assert len(frames) == 2 * ONE_WALK
    seen = [redness(frame) > 0 for frame in frames]
    assert seen == [i % ONE_WALK < IN_VIEW for i in range(2 * ONE_WALK)]


def test_the_face_grows_until_the_person_stands(walk: list[Image]) -> None:
    # motion blur and light make single frames waver; a second apart the growth is plain
    sizes = [float(np.mean([redness(f) for f in walk[i : i + 5]])) for i in range(0, WALKING, 15)]
    assert sizes == sorted(sizes)
    near = redness(walk[WALKING + 10])
    assert (near / sizes[0]) ** 0.5 == pytest.approx(NEAR_EYES / FAR_EYES, rel=0.25)
    eyes = portrait().eyes * (near / (np.pi * 70 * 90)) ** 0.5
    assert eyes == pytest.approx(NEAR_EYES, rel=0.1)


def test_it_is_the_same_every_time_and_another_with_another_seed() -> None:
    def some(seed: int) -> list[Image]:
        return list(itertools.islice(walk_ups([portrait()], SIZE, FPS, seed), 3))

    assert all(np.array_equal(a, b) for a, b in zip(some(7), some(7), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(some(7), some(8), strict=True))


def test_no_two_frames_are_the_same(walk: list[Image]) -> None:
    assert len({frame.tobytes() for frame in walk}) == len(walk)


def test_the_empty_scene_stands_still_but_for_noise(walk: list[Image]) -> None:
    empty = [frame.astype(int) for frame in walk[IN_VIEW:]]
    assert max(np.abs(a - b).max() for a, b in itertools.pairwise(empty)) <= 6


def test_a_person_has_soft_edges_and_no_frame(walk: list[Image]) -> None:
    scene, near = walk[-1].astype(int), walk[WALKING + 10].astype(int)
    changed = np.abs(near - scene).max(axis=2) > 12
    for corner in (changed[:40, :40], changed[:40, -40:]):
        assert not corner.any(), "beside the head the scene goes on"


@pytest.mark.parametrize("size", [(160, 120), (1280, 720)])
def test_other_sizes(size: tuple[int, int]) -> None:
    frame = next(walk_ups([portrait()], size, FPS))
    assert frame.shape == (size[1], size[0], 3)


def test_a_small_portrait_at_the_border_can_be_drawn() -> None:
    whole = portrait()
    part = Portrait(
        np.ascontiguousarray(whole.image[110:330, 100:290]),
        Box(30, 0, 140, 180),
        whole.eyes,
    )
    assert redness(list(walk_ups([part], (320, 240), FPS))[WALKING]) > 100


@pytest.mark.parametrize("name", ["obama3.jpg", "biden.jpg"])
def test_a_real_detector_sees_a_real_portrait_nearly_all_the_way(name: str) -> None:
    assets = require_assets("default", "demo")
    image = decode(assets.read(name))
    models = build_models(VisionSettings(), assets)
    face = models.photo_detector.detect(image)[0]
    frames = list(walk_ups([Portrait(image, face.box, face.eye_distance)], SIZE, FPS))
    seen = [
        max((f.eye_distance for f in models.detector.detect(frame)), default=0.0)
        for frame in frames
    ]
    assert sum(eyes > 0 for eyes in seen[:IN_VIEW]) >= 0.9 * IN_VIEW
    assert sum(eyes >= 14 for eyes in seen) >= 0.5 * IN_VIEW, "usable frames"
    assert max(seen) == pytest.approx(NEAR_EYES, rel=0.15)
    assert max(seen[IN_VIEW:]) == 0, "nobody is in the empty scene"


def test_a_phone_is_held_up_by_a_hand_that_is_never_still() -> None:
    frames = list(walk_ups([replace(portrait(), held=True)], SIZE, FPS))
    assert len(frames) == ONE_WALK
    dark = [frame.max(axis=2) < 60 for frame in frames[:IN_VIEW]]
    # its body is a frame of one size round the picture, and moves a little all the time
    sizes = [int(body.sum()) for body in dark]
    assert min(sizes) > 3000
    assert max(sizes) < 1.2 * min(sizes)
    moved = [int((a != b).sum()) for a, b in itertools.pairwise(dark)]
    assert min(moved) > 0
    assert all(redness(frame) > 0 for frame in frames[:IN_VIEW])
    assert all(redness(frame) == 0 for frame in frames[IN_VIEW:])
