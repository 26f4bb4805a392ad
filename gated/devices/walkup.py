"""People who walk up to the camera, made on the fly from portraits.

Size, light, motion blur and position vary as when someone walks up: a small face far away, growing
while it sways, standing a moment before the lens, gone. Deterministic: the same portraits give the
same frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.model import Box, Image

FAR_EYES, NEAR_EYES = 10.0, 78.0
"""Distance between the eyes in pixels of a 640-pixel frame, at the first and the last step."""

WALK_S, STAND_S, PAUSE_S = 4.0, 1.5, 3.0
STEPS_PER_S = 1.8
SEED = 20250

Float = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A picture of one person. face: where the face is in it; eyes: distance of the eye centres."""

    image: Image
    face: Box
    eyes: float


def walk_ups(portraits: Sequence[Portrait], size: tuple[int, int], fps: float) -> Iterator[Image]:
    """Frames (height, width, 3) BGR of everybody walking up once, an empty scene after each."""
    random = np.random.default_rng(SEED)
    scene = _scene(size, random)
    for portrait in portraits:
        figure = _Figure(portrait, size)
        phase = random.uniform(0, 2 * math.pi)
        for step in range(round((WALK_S + STAND_S) * fps)):
            yield _noisy(figure.draw(scene, step / fps, phase), random)
        for _ in range(round(PAUSE_S * fps)):
            yield scene.copy()


class _Figure:
    """Head and shoulders of a portrait with soft edges, ready to be drawn at any size."""

    def __init__(self, portrait: Portrait, size: tuple[int, int]) -> None:
        self._size = size
        unit = size[0] / 640
        self._far, self._near = FAR_EYES * unit, NEAR_EYES * unit
        # drawn at most at this size, so the portrait is brought down to it once
        scale = min(1.0, 1.1 * self._near / portrait.eyes)
        image = cv2.resize(portrait.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._eyes = portrait.eyes * scale
        cx, cy = (v * scale for v in portrait.face.centre)
        reach = 1.5 * max(portrait.face.width, portrait.face.height) * scale
        left, right = max(0, round(cx - reach)), min(image.shape[1], round(cx + reach))
        top, bottom = max(0, round(cy - reach)), image.shape[0]
        self._image = np.asarray(image[top:bottom, left:right], np.uint8)
        self._centre = np.array([cx - left, cy - top], np.float32)
        self._alpha = _soft_edges(self._image.shape[:2], reach)

    def draw(self, scene: Image, t: float, phase: float) -> Image:
        """The scene with the person `t` seconds after they came into view."""
        width, height = self._size
        way = min(1.0, t / WALK_S)
        # walking evenly towards the lens, size grows as one over the distance
        eyes = 1.0 / ((1 - way) / self._far + way / self._near)
        scale = eyes / self._eyes
        walking = way < 1.0
        sway = math.sin(2 * math.pi * STEPS_PER_S * t + phase) * (1.0 if walking else 0.15)
        x = width * (0.5 + 0.12 * (1 - way) * math.cos(phase)) + 0.12 * eyes * sway
        y = height * (0.42 + 0.06 * (1 - way)) + 0.06 * eyes * abs(sway)
        place = np.array([[scale, 0, 0], [0, scale, 0]], np.float32)
        place[:, 2] = np.array([x, y], np.float32) - scale * self._centre
        person = cv2.warpAffine(self._image, place, self._size, flags=cv2.INTER_LINEAR)
        alpha = cv2.warpAffine(self._alpha, place, self._size, flags=cv2.INTER_LINEAR)
        smear = round(0.05 * eyes * abs(math.cos(2 * math.pi * STEPS_PER_S * t + phase)))
        if walking and smear > 1:
            person = cv2.blur(person, (smear, 1))
        light = 0.8 + 0.2 * way + 0.06 * math.sin(0.9 * t + phase)
        person = cv2.convertScaleAbs(person, alpha=light)
        return np.asarray(cv2.blendLinear(person, scene, alpha, 1.0 - alpha), np.uint8)


def _soft_edges(shape: tuple[int, int], reach: float) -> Float:
    """(h, w) float32 opacity: 1 inside, falling to 0 at the left, right and upper edge."""
    height, width = shape
    edge = 0.35 * reach
    across = np.minimum(np.arange(width), np.arange(width)[::-1]) / edge
    down = np.arange(height) / edge
    ramp = np.clip(np.minimum(down[:, None], across[None, :]), 0.0, 1.0)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def _scene(size: tuple[int, int], random: np.random.Generator) -> Image:
    """An empty hall: a wall that is lighter on one side, with a soft texture."""
    width, height = size
    shade = np.linspace(120, 165, width, dtype=np.float32)[None, :, None]
    floor = np.linspace(1.0, 0.8, height, dtype=np.float32)[:, None, None]
    texture = random.normal(0, 10, (height // 16, width // 16, 1)).astype(np.float32)
    soft = cv2.resize(texture, size, interpolation=cv2.INTER_CUBIC)[:, :, None]
    tint = np.array([1.0, 1.02, 1.05], np.float32)
    return np.asarray(np.clip((shade * floor + soft) * tint, 0, 255), np.uint8)


def _noisy(image: Image, random: np.random.Generator) -> Image:
    """The picture with the noise of a small sensor."""
    noise = random.integers(0, 7, (image.shape[0] // 2, image.shape[1] // 2), np.uint8)
    big = cv2.resize(noise, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.add(image, cv2.merge([big, big, big])), np.uint8)
