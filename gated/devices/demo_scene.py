"""Generates frames of people who walk up to the camera, from portraits.

Size, place, light and motion blur vary as when someone walks up: a small face far away that grows
while it sways, a moment of standing in front of the lens, then an empty scene. Head and body are
cut out along a soft outline. The same portraits and seed give the same frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.values import Box, Image

FAR_EYES, NEAR_EYES = 12.0, 84.0
"""Distance between the eyes in pixels of a 640-pixel frame, at the first and the last step."""

STEPS_PER_S = 1.8
SEED = 20250

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class WalkPace:
    """Seconds of walking up, of standing in front of the lens, and until the next person."""

    walk_s: float = 4.0
    stand_s: float = 1.5
    pause_s: float = 3.0


UNHURRIED = WalkPace()


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A picture of one person. face: its box; eyes: distance of the eye centres.

    held: show it on a phone that a hand holds up, instead of a person walking up.
    """

    image: Image
    face: Box
    eyes: float
    held: bool = False


def walk_ups(
    portraits: Sequence[Portrait],
    size: tuple[int, int],
    fps: float,
    seed: int = SEED,
    pace: WalkPace = UNHURRIED,
) -> Iterator[Image]:
    """Yield frames (height, width, 3) BGR: each portrait once, with an empty scene after each.

    size: (width, height).
    """
    random = np.random.default_rng(seed)
    scene = _Scene(size, random)
    for portrait in portraits:
        walk: _Walk | _Phone
        if portrait.held:
            walk = _Phone(portrait, size, random)
        else:
            walk = _Walk(_Figure(portrait, size), size, random, pace.walk_s)
        for step in range(round((pace.walk_s + pace.stand_s) * fps)):
            yield scene.with_noise(walk.draw(scene.empty, step / fps), random)
        for _ in range(round(pace.pause_s * fps)):
            yield scene.with_noise(scene.empty, random)


class _Phone:
    """A phone that shows a picture, in a moving hand."""

    def __init__(
        self, portrait: Portrait, size: tuple[int, int], random: np.random.Generator
    ) -> None:
        self._size = size
        self._phase = random.uniform(0, 2 * math.pi)
        screen = _on_screen(_upright_part(portrait))
        edge = round(BEZEL * screen.shape[1])
        colour = (20, 18, 18)
        ends = 2 * edge  # the bezel is wider above and below
        self._image = cv2.copyMakeBorder(
            screen, ends, ends, edge, edge, cv2.BORDER_CONSTANT, value=colour
        )
        self._body = np.full(self._image.shape[:2], 255, np.uint8)
        self._scale = PHONE_WIDTH * size[0] / self._image.shape[1]

    def draw(self, scene: Image, t: float) -> Image:
        """Draw the phone `t` seconds after it came into view."""
        width, height = self._size
        unit = width / 640

        def tremor(slow: float, fast: float) -> float:
            way = 2 * math.pi * t + self._phase
            return slow * math.sin(0.9 * way) + fast * math.sin(2.7 * way)

        middle = self._image.shape[1] / 2, 0.45 * self._image.shape[0]
        move = cv2.getRotationMatrix2D(middle, tremor(2.2, 0.8), self._scale)
        move[0, 2] += 0.5 * width + unit * tremor(7, 2) - middle[0]
        move[1, 2] += 0.52 * height + unit * tremor(5, 1.5) - middle[1]
        phone = cv2.warpAffine(self._image, move, self._size, flags=cv2.INTER_AREA)
        body = cv2.warpAffine(self._body, move, self._size, flags=cv2.INTER_AREA)
        clear = cv2.merge([cv2.bitwise_not(body)] * 3)
        behind = cv2.multiply(scene, clear, scale=1 / 255)
        shown = cv2.multiply(phone, cv2.merge([body] * 3), scale=1 / 255)
        return np.asarray(cv2.add(behind, shown), np.uint8)


PHONE_WIDTH = 0.44
"""Share of the width of a frame."""
BEZEL = 0.065
"""Share of the width of the screen, on either side."""
SCREEN = (506, 900)
"""Width and height in pixels."""


def _upright_part(portrait: Portrait) -> Image:
    """Crop a picture to an upright screen, with the face in the upper half."""
    height, width = portrait.image.shape[:2]
    high = min(height, round(width * SCREEN[1] / SCREEN[0]))
    wide = round(high * SCREEN[0] / SCREEN[1])
    x, y = portrait.face.centre
    left = min(max(0, round(x - wide / 2)), width - wide)
    top = min(max(0, round(y - 0.4 * high)), height - high)
    part = portrait.image[top : top + high, left : left + wide]
    return np.asarray(cv2.resize(part, SCREEN, interpolation=cv2.INTER_AREA), np.uint8)


def _on_screen(picture: Image) -> Image:
    """Make a picture look like a screen: paler, bluish, with a grid and the reflection of a
    lamp."""
    shown = 28 + picture.astype(np.float32) * np.array([0.92, 0.82, 0.75], np.float32)
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
    grid = 1 + 0.06 * np.sin(x * 2 * math.pi / 3.1) + 0.05 * np.sin(y * 2 * math.pi / 2.7)
    lamp = np.zeros(picture.shape[:2], np.float32)
    place = round(0.75 * picture.shape[1]), round(0.12 * picture.shape[0])
    cv2.ellipse(lamp, place, (130, 60), 25, 0, 360, 70, -1)
    lamp = np.asarray(cv2.GaussianBlur(lamp, (0, 0), 30), np.float32)
    lit = shown * grid[:, :, None] + lamp[:, :, None]
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


class _Walk:
    """One person's way to the camera."""

    def __init__(
        self, figure: _Figure, size: tuple[int, int], random: np.random.Generator, walk_s: float
    ) -> None:
        self._figure = figure
        self._walk_s = walk_s
        self._size = size
        self._phase = random.uniform(0, 2 * math.pi)
        self._aside = random.uniform(-0.2, 0.2)
        self._light = random.uniform(0.85, 1.05)

    def draw(self, scene: Image, t: float) -> Image:
        """Draw the person `t` seconds after they came into view."""
        width, height = self._size
        unit = width / 640
        way = min(1.0, t / self._walk_s)
        # at a steady pace the size grows as one over the distance
        eyes = unit / ((1 - way) / FAR_EYES + way / NEAR_EYES)
        beat = 2 * math.pi * STEPS_PER_S * t + self._phase
        liveliness = 1.0 if way < 1 else 0.15
        sway = liveliness * math.sin(beat)
        x = width * (0.5 + self._aside * (1 - way)) + 0.12 * eyes * sway
        y = height * (0.42 + 0.06 * (1 - way)) + 0.06 * eyes * abs(sway)
        smear = round(0.06 * eyes * liveliness * abs(math.cos(beat)))
        # darker at the far end of the hall, with uneven lamps
        light = self._light * (0.75 + 0.25 * way + 0.05 * math.sin(0.9 * t + self._phase))
        return self._figure.paint(scene, eyes, (x, y), smear, light)


class _Figure:
    """Head and body of a portrait, cut out and ready to be drawn at any size.

    Stored as (h, w, 4) uint8, colours premultiplied by the opacity in the fourth channel, in levels
    of half the size each, to avoid aliasing.
    """

    def __init__(self, portrait: Portrait, size: tuple[int, int]) -> None:
        scale = min(1.0, 1.1 * NEAR_EYES * size[0] / 640 / portrait.eyes)
        image = cv2.resize(portrait.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._eyes = portrait.eyes * scale
        face = portrait.face
        self._face = np.array(face.centre) * scale
        opacity = _outline((image.shape[0], image.shape[1]), self._face, face.width * scale)
        premultiplied = cv2.multiply(image, cv2.merge([opacity] * 3), scale=1 / 255)
        self._levels = [np.dstack([premultiplied, opacity])]
        while min(self._levels[-1].shape[:2]) > 32:
            self._levels.append(np.asarray(cv2.pyrDown(self._levels[-1]), np.uint8))

    def paint(
        self, scene: Image, eyes: float, place: tuple[float, float], smear: int, light: float
    ) -> Image:
        """Draw the figure on a copy of the scene, face at `place`, `eyes` pixels between the eyes.

        smear: pixels of motion blur; light: factor of brightness.
        """
        scale = eyes / self._eyes
        level = min(len(self._levels) - 1, max(0, math.floor(-math.log2(scale))))
        figure = self._levels[level]
        height, width = scene.shape[:2]
        left, top = np.array(place) - self._face * scale
        scale *= 2.0**level
        x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
        x1 = min(width, math.ceil(left + scale * figure.shape[1]))
        y1 = min(height, math.ceil(top + scale * figure.shape[0]))
        painted = scene.copy()
        if x0 >= x1 or y0 >= y1:
            return painted
        move = np.array([[scale, 0, left - x0], [0, scale, top - y0]], np.float32)
        person = cv2.warpAffine(figure, move, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        if smear > 1:
            person = cv2.blur(person, (smear, 1))
        clear = cv2.bitwise_not(cv2.extractChannel(person, 3))
        behind = cv2.multiply(scene[y0:y1, x0:x1], cv2.merge([clear] * 3), scale=1 / 255)
        lit = cv2.convertScaleAbs(cv2.cvtColor(person, cv2.COLOR_BGRA2BGR), alpha=light)
        cv2.add(behind, lit, dst=painted[y0:y1, x0:x1])
        return painted


def _outline(shape: tuple[int, int], face: npt.NDArray[np.float64], width: float) -> Mask:
    """Return the opacity, (h, w) uint8, of a person whose face of `width` is centred at `face`.

    Head, neck and shoulders in the proportions of a standing adult, with soft edges.
    """
    mask = np.zeros(shape, np.uint8)
    x, y = face
    head = (round(0.68 * width), round(0.9 * width))
    cv2.ellipse(mask, (round(x), round(y - 0.1 * width)), head, 0, 0, 360, 255, -1)
    cv2.rectangle(
        mask,
        (round(x - 0.5 * width), round(y)),
        (round(x + 0.5 * width), round(y + 2 * width)),
        255,
        -1,
    )
    shoulders = (round(1.65 * width), round(0.95 * width))
    cv2.ellipse(mask, (round(x), round(y + 1.9 * width)), shoulders, 0, 0, 360, 255, -1)
    cv2.rectangle(
        mask,
        (round(x - 1.65 * width), round(y + 1.9 * width)),
        (round(x + 1.65 * width), shape[0]),
        255,
        -1,
    )
    # transparent at the border of the portrait, so that the blur ends there
    edge = max(2, round(0.15 * width))
    mask[:, :edge] = mask[:, -edge:] = 0
    mask[:2], mask[-edge:] = 0, 0
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.1 * width), np.uint8)


class _Scene:
    """An empty hall, and the noise of a sensor."""

    def __init__(self, size: tuple[int, int], random: np.random.Generator) -> None:
        width, height = size
        shade = np.linspace(120, 165, width, dtype=np.float32)[None, :, None]
        floor = np.linspace(1.0, 0.75, height, dtype=np.float32)[:, None, None]
        texture = random.normal(0, 6, (9, 12, 1)).astype(np.float32)
        soft = cv2.resize(texture, size, interpolation=cv2.INTER_CUBIC)[:, :, None]
        tint = np.array([1.0, 1.02, 1.05], np.float32)
        self.empty: Image = np.clip((shade * floor + soft) * tint, 0, 255).astype(np.uint8)
        # made once, larger than the frame; each frame gets another part of it
        self._spare = 64
        grain = random.normal(3.0, 1.2, (height + self._spare, width + self._spare, 3))
        self._grain = np.clip(np.rint(grain), 0, 6).astype(np.uint8)

    def with_noise(self, image: Image, random: np.random.Generator) -> Image:
        """Return a copy of the picture with the noise of a small sensor."""
        x, y = random.integers(0, self._spare, 2)
        height, width = image.shape[:2]
        return np.asarray(cv2.add(image, self._grain[y : y + height, x : x + width]), np.uint8)
