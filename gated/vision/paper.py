"""Presentation attacks on paper, made from portraits: sheets, cut-out masks, masks on a body.

Each species is a print of a portrait (halftone dots, banding of the print head, the narrower range
of ink, glare of the sheet) that a hand moves before a hall: it shakes, turns, tilts in perspective
and, where the species says so, is bent. They are no paper before a lens. They show which cue can
tell which species, and what gets past all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.values import Box, Image

SIZE = (640, 480)
FPS = 15.0
SECONDS = 3.0
SEED = 20261129

SKIN_SIDE = 480
"""Side of the printed part in pixels: about what a sheet of A4 has when it fills the picture."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Species:
    """A species of print: how it is cut, held and moved.

    reach: side of the printed part in sizes of the face. margin: white border, share of the side.
    mask: cut along the face. eyes: eyes cut out, others look through. worn: on somebody's body.
    bend: depth of the curve, share of the side. fills: the edge lies outside the picture.
    """

    name: str
    reach: float = 2.6
    margin: float = 0.0
    mask: bool = False
    eyes: bool = False
    worn: bool = False
    bend: float = 0.0
    fills: bool = False


SPECIES = (
    Species("paper_sheet", margin=0.06),
    Species("paper_borderless"),
    Species("paper_filling", reach=3.2, fills=True),
    Species("paper_bent", margin=0.04, bend=0.12),
    Species("mask_held", reach=1.6, mask=True),
    Species("mask_bent", reach=1.6, mask=True, bend=0.15),
    Species("mask_eyes_cut", reach=1.6, mask=True, eyes=True, bend=0.12),
    Species("mask_worn", reach=1.6, mask=True, worn=True, bend=0.15),
    Species("mask_worn_eyes_cut", reach=1.6, mask=True, eyes=True, worn=True, bend=0.15),
)


@dataclass(frozen=True, slots=True, eq=False)
class Sitter:
    """A portrait, where its face is and, (5, 2), its landmarks."""

    name: str
    image: Image
    face: Box
    landmarks: Floats


def shown_to_camera(
    species: Species, sitter: Sitter, wearer: Sitter, trial: int
) -> Iterator[Image]:
    """Yield frames (480, 640, 3) of one trial; the same arguments give the same frames.

    wearer: on whose body a worn mask is shown, and whose eyes look through the holes.
    """
    rng = np.random.default_rng([SEED, trial, SPECIES.index(species)])
    sheet = _Sheet.printed(species, sitter, wearer, rng)
    hall = _hall(rng)
    if species.worn:
        hall = _with_body(hall, wearer)
    hand = _Hand(rng)
    for step in range(round(SECONDS * FPS)):
        t = step / FPS
        frame = hand.show(sheet, hall, t, species)
        yield _sensor(frame, rng)


# --- printing ---------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Sheet:
    """A print. colour: (n, n, 3) and cover: (n, n), float32; cover 0 is cut away.

    face: its place and width in the sheet. eyes: centres of the holes, where there are any.
    """

    colour: Floats
    cover: Floats
    face: tuple[float, float, float]
    holes: Floats
    behind: Floats

    @staticmethod
    def printed(
        species: Species, sitter: Sitter, wearer: Sitter, rng: np.random.Generator
    ) -> _Sheet:
        picture, landmarks, width = _square(sitter, species.reach)
        colour = _ink(picture, rng)
        cover = np.ones(colour.shape[:2], np.float32)
        centre = landmarks.mean(axis=0)
        if species.mask:
            cover = _face_cut(landmarks, width)
        holes = landmarks[:2] if species.eyes else np.empty((0, 2), np.float32)
        other, theirs, _ = _square(wearer, species.reach)
        move = cv2.estimateAffinePartial2D(theirs, landmarks)[0]
        behind = cv2.warpAffine(other, move, (SKIN_SIDE, SKIN_SIDE)).astype(np.float32)
        if species.margin:
            edge = round(species.margin * SKIN_SIDE)
            colour[:edge], colour[-edge:] = 235.0, 235.0
            colour[:, :edge], colour[:, -edge:] = 235.0, 235.0
        return _Sheet(colour, cover, (float(centre[0]), float(centre[1]), width), holes, behind)


def _square(sitter: Sitter, reach: float) -> tuple[Image, Floats, float]:
    """Return the surroundings of the face (n, n, 3), landmarks and width of the face in them."""
    x, y = sitter.face.centre
    side = reach * max(sitter.face.width, sitter.face.height)
    scale = SKIN_SIDE / side
    move = np.array(
        [[scale, 0, SKIN_SIDE / 2 - scale * x], [0, scale, SKIN_SIDE / 2 - scale * y]], np.float32
    )
    source = sitter.image
    if scale < 0.7:
        # a warp samples single pixels
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.4 / scale), np.uint8)
    part = cv2.warpAffine(
        source, move, (SKIN_SIDE, SKIN_SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    landmarks = sitter.landmarks * scale + move[:, 2]
    return np.asarray(part, np.uint8), landmarks, sitter.face.width * scale


def _ink(picture: Image, rng: np.random.Generator) -> Floats:
    """Apply what a printer does: less range, a cast, dots on turned screens, bands."""
    light = picture.astype(np.float32) / 255.0
    low, high = rng.uniform(0.06, 0.16), rng.uniform(0.82, 0.94)
    cast = rng.uniform(0.94, 1.06, 3).astype(np.float32)
    light = (low + (high - low) * light) * cast
    y, x = np.mgrid[0:SKIN_SIDE, 0:SKIN_SIDE].astype(np.float32)
    period, depth = rng.uniform(3.0, 5.0), rng.uniform(0.04, 0.16)
    for channel, angle in enumerate(np.radians((0.0, 75.0, 15.0))):
        across = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
        down = np.cos(2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / period)
        light[..., channel] += depth * 0.25 * (across + down)
    bands = rng.uniform(0.0, 0.03) * np.sin(2 * np.pi * y / rng.uniform(14.0, 30.0))
    return np.asarray(255.0 * np.clip(light + bands[..., None], 0.0, 1.0), np.float32)


def _face_cut(landmarks: Floats, width: float) -> Floats:
    """Return (n, n), 1 inside an outline from forehead to chin, as if cut with scissors."""
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    centre = eyes + 0.35 * (mouth - eyes)
    roll = math.degrees(math.atan2(*(landmarks[1] - landmarks[0])[::-1]))
    mask = np.zeros((SKIN_SIDE, SKIN_SIDE), np.uint8)
    axes = (round(0.54 * width), round(0.76 * width))
    middle = (round(float(centre[0])), round(float(centre[1])))
    cv2.ellipse(mask, middle, axes, roll, 0, 360, 255, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.7), np.float32) / 255.0


# --- showing ----------------------------------------------------------------------------------


class _Hand:
    """Moves a sheet like a person who holds it in front of a camera."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._phases = rng.uniform(0, 2 * math.pi, 8)
        self._speeds = rng.uniform(0.3, 1.1, 8)
        self._glare = rng.uniform(0.0, 0.5)
        self._light = rng.uniform(0.8, 1.05)
        self._face = rng.uniform(120, 170)
        self._blinks = rng.uniform(0.5, 2.5)

    def show(self, sheet: _Sheet, hall: Image, t: float, species: Species) -> Image:
        wave = np.sin(2 * math.pi * self._speeds * t + self._phases)
        colour, cover = _looking_through(sheet, t, self._blinks)
        tilt = (10.0 * wave[0], 7.0 * wave[1], 5.0 * wave[2])
        scale = self._face / sheet.face[2] * (1.0 + 0.05 * wave[3])
        if species.fills:
            scale *= 1.5
        place = np.array([SIZE[0] / 2 + 14 * wave[4], SIZE[1] * 0.45 + 9 * wave[5]])
        if species.worn:
            tilt, place = (0.6 * tilt[0], 0.6 * tilt[1], 0.4 * tilt[2]), place * 0.3 + _HEAD * 0.7
            scale = _WORN / sheet.face[2]
        bend = species.bend * (1.0 + 0.25 * wave[6])
        if bend:
            colour, cover = _bent(colour, bend), _bent(cover, bend)
        colour = _lit(colour, self._light, self._glare * (0.6 + 0.4 * wave[7]), tilt)
        move = _pose(sheet, tilt, scale, place)
        drawn = cv2.warpPerspective(
            _softened(np.dstack([colour * cover[..., None], cover]), scale), move, SIZE
        )
        seen = hall * (1.0 - drawn[..., 3:]) + drawn[..., :3]
        return np.asarray(np.clip(seen, 0, 255), np.uint8)


_HEAD = np.array([SIZE[0] / 2, SIZE[1] * 0.42])
_WORN = 140.0


def _looking_through(sheet: _Sheet, t: float, every: float) -> tuple[Floats, Floats]:
    """Return the sheet with somebody's eyes in its holes, which blink and look about."""
    colour, cover = sheet.colour, sheet.cover
    if not len(sheet.holes):
        return colour, cover
    shut = (t % (1.2 * every + 0.8)) < 0.2
    drift = 2.5 * math.sin(1.7 * t)
    move = np.array([[1, 0, drift], [0, 1, 5.0]], np.float32)
    eyes = cv2.warpAffine(sheet.behind, move, (SKIN_SIDE, SKIN_SIDE)) * 0.75
    colour = colour.copy()
    for x, y in sheet.holes:
        hole = np.zeros(cover.shape, np.uint8)
        axes = (round(0.15 * sheet.face[2]), round(0.075 * sheet.face[2]))
        cv2.ellipse(hole, (round(float(x)), round(float(y))), axes, 0, 0, 360, 1, -1)
        inside = hole.astype(bool)
        colour[inside] = eyes[inside]
        if shut:
            cheek = eyes[
                min(SKIN_SIDE - 1, round(float(y) + 0.25 * sheet.face[2])), round(float(x))
            ]
            colour[inside] = cheek
    return colour, cover


def _bent(picture: Floats, depth: float) -> Floats:
    """Roll a sheet about the vertical: its sides are foreshortened."""
    n = picture.shape[1]
    u = np.linspace(-1.0, 1.0, n, dtype=np.float32)
    angle = math.pi * min(depth * 2.0, 0.45)
    source = np.arcsin(np.clip(u * math.sin(angle), -1, 1)) / angle
    columns = np.broadcast_to(((source + 1) * (n - 1) / 2).astype(np.float32), (n, n)).copy()
    rows = np.broadcast_to(np.arange(n, dtype=np.float32)[:, None], (n, n)).copy()
    return np.asarray(cv2.remap(picture, columns, rows, cv2.INTER_LINEAR), np.float32)


def _lit(colour: Floats, light: float, glare: float, tilt: tuple[float, float, float]) -> Floats:
    """Add uneven light, and a soft reflection that moves as the sheet turns."""
    n = colour.shape[0]
    y, x = np.mgrid[0:n, 0:n].astype(np.float32) / n
    cx, cy = 0.5 + 0.04 * tilt[0], 0.35 + 0.04 * tilt[1]
    spot = glare * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.06)
    shade = light * (0.9 + 0.2 * x)
    return np.asarray(colour * shade[..., None] + 140.0 * spot[..., None], np.float32)


def _pose(
    sheet: _Sheet, tilt: tuple[float, float, float], scale: float, place: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the homography from the sheet to the picture, three face widths away."""
    yaw, pitch, roll = np.radians(tilt)
    about_y = np.array(
        [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]]
    )
    about_z = np.array(
        [[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]]
    )
    turn = about_z @ about_x @ about_y
    x, y, width = sheet.face
    distance = 3.0 * width
    centred = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    # the sheet's plane is z = 0, so that the third column of the turn is not needed
    flat = np.column_stack([turn[:, 0], turn[:, 1], [0.0, 0.0, distance]])
    camera = np.array([[scale * distance, 0, place[0]], [0, scale * distance, place[1]], [0, 0, 1]])
    return np.asarray(camera @ flat @ centred, np.float64)


def _softened(sheet: Floats, scale: float) -> Floats:
    """Average details finer than a pixel, as a warp samples single pixels."""
    if scale >= 0.8:
        return sheet
    return np.asarray(cv2.GaussianBlur(sheet, (0, 0), 0.4 / scale), np.float32)


# --- the place --------------------------------------------------------------------------------


def _hall(rng: np.random.Generator) -> Image:
    """Return a wall, a door and a lamp, out of focus."""
    width, height = SIZE
    base = rng.uniform(90, 160)
    wall = np.full((height, width, 3), base, np.float32) * rng.uniform(0.92, 1.08, 3)
    wall += np.linspace(-15, 15, width)[None, :, None]
    left = int(rng.uniform(20, 420))
    door = rng.uniform(40, 200, 3)
    wall[60:, left : left + 150] = door
    cv2.circle(wall, (int(rng.uniform(80, 560)), 50), 26, (245.0, 248.0, 250.0), -1)
    texture = rng.normal(0, 9, (24, 32, 1))
    wall += cv2.resize(texture, SIZE, interpolation=cv2.INTER_CUBIC)[..., None]
    return np.asarray(np.clip(cv2.GaussianBlur(wall, (0, 0), 3.0), 0, 255), np.uint8)


def _with_body(hall: Image, wearer: Sitter) -> Image:
    """Draw a person in front of the hall; the mask will be where the face is."""
    scale = _WORN / wearer.face.width
    x, y = wearer.face.centre
    move = np.array(
        [[scale, 0, _HEAD[0] - scale * x], [0, scale, _HEAD[1] - scale * y]], np.float32
    )
    source = wearer.image
    if scale < 0.7:
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.4 / scale), np.uint8)
    figure = cv2.warpAffine(source, move, SIZE, flags=cv2.INTER_CUBIC)
    mask = np.zeros(SIZE[::-1], np.uint8)
    head = (round(_HEAD[0]), round(_HEAD[1] - 0.05 * _WORN))
    cv2.ellipse(mask, head, (round(0.75 * _WORN), round(_WORN)), 0, 0, 360, 255, -1)
    body = (round(_HEAD[0]), round(_HEAD[1] + 2.1 * _WORN))
    cv2.ellipse(mask, body, (round(1.7 * _WORN), round(1.1 * _WORN)), 0, 0, 360, 255, -1)
    inside = cv2.warpAffine(np.full(source.shape[:2], 255, np.uint8), move, SIZE)
    soft = cv2.GaussianBlur(cv2.min(mask, inside), (0, 0), 5.0).astype(np.float32)[..., None] / 255
    return np.asarray(hall * (1 - soft) + figure * soft, np.uint8)


def _sensor(frame: Image, rng: np.random.Generator) -> Image:
    """Soften a picture slightly, add a little noise and compress it as a webcam does."""
    soft = cv2.GaussianBlur(frame, (0, 0), 0.6)
    noisy = np.clip(soft + rng.normal(0, 2.0, frame.shape), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
