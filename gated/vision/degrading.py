"""Clean frames made as a worse camera would have taken them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.values import Image

Floats = npt.NDArray[np.float32]
Change = Callable[[Image, np.random.Generator], Image]
"""One frame, and randomness to draw from."""

Frames = Iterable[Image]

GRAIN = 1.5
"""Standard deviation in pixels of the blur that correlates noise, as in-camera filters leave it."""

BLOTCH = 2.0
"""The same of noise in colours alone."""

ELSEWHERE = 256
"""Noise of a frame is taken from so many places of one field in each direction."""

LASTING = 0.9
"""Share of the noise that stays from one frame to the next where cameras smooth over time."""

KEY_EVERY = 60
RESIDUAL_STEP = 28.0
"""Pictures between two whole ones in a low-rate stream, and how coarsely changes are quantised."""


# --- changes of one frame ---------------------------------------------------------------------


def white_noise(level: float) -> Change:
    """Add Gaussian noise of `level` gray levels to each pixel and channel by itself."""
    return _noise(level, 0.0, 3)


def correlated_noise(level: float) -> Change:
    """Add noise whose neighbours resemble each other, `level` gray levels after the blur."""
    return _noise(level, GRAIN, 3)


def grey_grain(level: float) -> Change:
    """Add such noise to the brightness alone, as is left where colours are smoothed more."""
    return _noise(level, GRAIN, 1)


def colour_blotches(level: float) -> Change:
    """Add noise in large blotches to the colours alone, brightness untouched."""

    def change(image: Image, rng: np.random.Generator) -> Image:
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb), np.float32)
        planes[..., 1:] += level * _part(image, rng, BLOTCH, 2)
        return np.asarray(cv2.cvtColor(_bytes(planes), cv2.COLOR_YCrCb2BGR), np.uint8)

    return change


def _noise(level: float, blur: float, channels: int) -> Change:
    def change(image: Image, rng: np.random.Generator) -> Image:
        noise = level * _part(image, rng, blur, channels)
        return _bytes(image + noise)

    return change


def _part(image: Image, rng: np.random.Generator, blur: float, channels: int) -> Floats:
    """(height, width, channels) of noise of deviation 1, from a place that `rng` draws.

    Each frame is given another part of one field; drawn anew it would take most of the time. blur:
    deviation in pixels, 0 for none.
    """
    height, width = image.shape[:2]
    field = _field(height + ELSEWHERE, width + ELSEWHERE, blur, channels)
    top, left = rng.integers(0, ELSEWHERE, 2)
    return field[top : top + height, left : left + width]


@lru_cache(maxsize=4)
def _field(height: int, width: int, blur: float, channels: int) -> Floats:
    noise = np.random.default_rng(height + width).standard_normal(
        (height, width, channels), np.float32
    )
    if blur:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), blur), np.float32)
    noise = noise.reshape(height, width, channels)
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def jpeg(quality: int) -> Change:
    """Compress each frame by itself."""

    def change(image: Image, _rng: np.random.Generator) -> Image:
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise ValueError("the frame cannot be compressed")
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    return change


def gamma(exponent: float) -> Change:
    """Darken as an exponent above 1 does: white stays, the middle sinks."""
    table = np.round(255.0 * (np.arange(256) / 255.0) ** exponent).astype(np.uint8)
    return lambda image, _rng: np.asarray(cv2.LUT(image, table), np.uint8)


def backlight(image: Image, _rng: np.random.Generator) -> Image:
    """Underexpose everything before two bright windows at the sides, with a veil of stray light."""
    width = image.shape[1]
    across = np.abs(np.linspace(-1.0, 1.0, width, dtype=np.float32))
    window = np.clip((across - 0.75) / 0.15, 0.0, 1.0)[None, :, None]
    return _bytes(image * 0.4 * (1.0 - window) + 255.0 * window + 18.0)


def blur(share: float) -> Change:
    """Defocus by a Gaussian with a deviation of this share of the picture's long side."""

    def change(image: Image, _rng: np.random.Generator) -> Image:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), share * max(image.shape[:2])), np.uint8)

    return change


def shrink(width: int, height: int) -> Change:
    """Shrink to fit into so many pixels; smaller pictures stay."""

    def change(image: Image, _rng: np.random.Generator) -> Image:
        scale = min(width / image.shape[1], height / image.shape[0])
        if scale >= 1.0:
            return image
        shape = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        return np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_AREA), np.uint8)

    return change


def _bytes(picture: npt.NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


# --- changes over frames ----------------------------------------------------------------------


def lasting_noise(level: float, seed: int) -> Callable[[Frames], Iterator[Image]]:
    """Return what adds correlated noise that fades only slowly from frame to frame."""

    def changed(frames: Frames) -> Iterator[Image]:
        rng = np.random.default_rng(seed)
        state: Floats | None = None
        for image in frames:
            new = _part(image, rng, GRAIN, 3)
            if state is None or state.shape != new.shape:
                state = new
            state = LASTING * state + float(np.sqrt(1.0 - LASTING**2)) * new
            state = state / max(float(state.std()), 1e-6)
            yield _bytes(image + level * state)

    return changed


def low_rate(frames: Frames) -> Iterator[Image]:
    """Predict each picture from the one before and keep coarsely quantised changes.

    What H.264 does at a low rate, without its search for motion: 8 x 8 cosine blocks with a wide
    dead zone, half the resolution of colour, a whole picture now and then.
    """
    before: Floats | None = None
    for number, image in enumerate(frames):
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb), np.float32)
        if before is None or before.shape != planes.shape or number % KEY_EVERY == 0:
            before = np.full_like(planes, 128.0)
        before = np.stack([_coded(planes[..., i], before[..., i], i > 0) for i in range(3)], axis=2)
        yield np.asarray(cv2.cvtColor(_bytes(before), cv2.COLOR_YCrCb2BGR), np.uint8)


def _coded(plane: Floats, before: Floats, colour: bool) -> Floats:
    """A plane as decoded from the one before and the quantised difference."""
    height, width = plane.shape
    change = plane - before
    if colour:
        half = (max(1, width // 2), max(1, height // 2))
        change = np.asarray(cv2.resize(change, half, interpolation=cv2.INTER_AREA), np.float32)
    kept = _quantised(change)
    if colour:
        kept = np.asarray(cv2.resize(kept, (width, height)), np.float32)
    return np.asarray(np.clip(before + kept, 0, 255), np.float32)


_COSINES = np.array(
    [
        [
            (np.sqrt(0.125) if k == 0 else 0.5) * np.cos(np.pi * (2 * n + 1) * k / 16)
            for n in range(8)
        ]
        for k in range(8)
    ],
    np.float32,
)
"""The 8 x 8 cosine transform; orthogonal."""


def _quantised(change: Floats) -> Floats:
    height, width = change.shape
    padded = np.pad(change, ((0, -height % 8), (0, -width % 8)), mode="edge")
    rows, columns = padded.shape[0] // 8, padded.shape[1] // 8
    blocks = padded.reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    spectrum = _COSINES @ blocks @ _COSINES.T
    # truncated towards zero, so that small changes are left out altogether
    kept = np.trunc(spectrum / RESIDUAL_STEP) * RESIDUAL_STEP
    back = (_COSINES.T @ kept @ _COSINES).transpose(0, 2, 1, 3)
    return np.asarray(back.reshape(padded.shape)[:height, :width], np.float32)
