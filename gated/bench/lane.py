"""Measures a lane at shift change: a row of people, one after the other, each to be let in once.

The people are those of the demo and of the group photo in the same set. Each is enrolled from the
mirrored picture, but for the first, of whom there are two. A step of the film is an integer number
of frames, so that the pace is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gated.bench.limits import limited
from gated.bench.running import Running
from gated.bench.site import FPS, SIZE, Site
from gated.core.values import Image
from gated.devices.demo_scene import Portrait, WalkPace, walk_ups
from gated.enrollment.models import VisionKit
from gated.live.demo import PHOTO
from gated.vision.assets import AssetStore
from gated.vision.decoding import decode

GROUP = "t1.jpg"
FRONTAL = 5
"""Of the six in the group photo; one looks aside, which no gate takes."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A pace and a machine. frames: of one person in the film, with the gap behind them."""

    per_minute: int
    walk_s: float
    stand_s: float
    fraction: float
    """Of one core."""

    @property
    def pace(self) -> WalkPace:
        return WalkPace(self.walk_s, self.stand_s, 1.0 / FPS)


LANES = (Lane(60, 0.55, 0.38, 1 / 9), Lane(100, 0.33, 0.2, 1.0))


def queue_of(kit: VisionKit, assets: AssetStore) -> tuple[list[Portrait], npt.NDArray[np.float32]]:
    """Return the people in their order, and a template of each: (n, dimensions) float32."""
    portraits = kit.demo_portraits(phone=False)
    group = decode(assets.read(GROUP))
    faces = kit.models.photo_detector.detect(group)
    # the one who looks aside has his eyes closest together
    frontal = sorted(faces, key=lambda face: -face.eye_distance)[:FRONTAL]
    portraits += [Portrait(group, face.box, face.eye_distance) for face in frontal]
    photo = decode(assets.read(PHOTO))
    first = kit.models.photo_detector.detect(photo)[0]
    chips = [kit.models.embedder.align(photo, first)]
    for portrait in portraits[1:]:
        found = kit.models.photo_detector.detect(portrait.image)
        face = next(f for f in found if f.box == portrait.face)
        chip = kit.models.embedder.align(portrait.image, face)
        chips.append(np.ascontiguousarray(chip[:, ::-1]))
    return portraits, np.stack([kit.models.embedder.embed_chip(chip) for chip in chips])


def lane(portraits: Sequence[Portrait], pace: WalkPace) -> Iterator[Image]:
    """Yield the frames in which each of them passes once."""
    return walk_ups(portraits, SIZE, FPS, pace=pace)


def measure_lane(site: Site, wanted: Lane, people: int, seconds: float) -> dict[str, Any]:
    """Measure who of the lane is let in within so many seconds."""
    with Running(site) as gate:
        gate.wait_ready()
        with limited(gate.pid, wanted.fraction) as how:
            gate.collect(2.0)
            lines = gate.collect(seconds)
        gate.end()
    granted = [line for line in lines if line["kind"] == "decision" and line["granted"]]
    order = [int(line["person"].removeprefix("B")) - 1 for line in granted]
    return {
        "per_minute": wanted.per_minute,
        "fraction": wanted.fraction,
        "how": how,
        **count_passages(order, people),
    }


def count_passages(order: Sequence[int], people: int) -> dict[str, int]:
    """Count who was let in, passed over and let in twice, in a row of `people` that repeats.

    order: the numbers of those who were let in.
    """
    steps = [(after - before) % people for before, after in pairwise(order)]
    return {
        "let_in": len(order),
        "missed": sum(step - 1 for step in steps if step > 1),
        "twice": steps.count(0),
    }
