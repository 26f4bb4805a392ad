"""Scores liveness with the two MiniFASNets (Silent-Face-Anti-Spoofing)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.pad import QUIET_NOISE
from gated.core.values import Box, Face, Image, PadReading
from gated.errors import AssetError

INPUT = 80
SCALES = (2.7, 4.0)
"""How much of the surroundings MiniFASNetV2 and V1SE see, in sizes of the face box."""

LIVE = 1

ALIASING = 2.0
"""From this shrinking on pixels are averaged: a bilinear resize looks at 2 x 2 of them, whatever
lies between its steps, so that noise passed whole. Below it averaging only blurs, which the
networks take for a picture."""

_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
"""Blind to flat and evenly sloping parts; noise of deviation 1 comes out as 6."""

SUSPECT_NOISE = 1.0
"""Gray levels of measured noise from which on a low score is doubted: noise that is smooth, and the
same in all colours, is hardly seen. Clean clips have 0.2 to 1.5."""

DOUBTED = 0.5
"""Only a score below it says that somebody is a picture."""

SMOOTHING, PATCH, SEARCH = 5, 5, 9
"""Strength, and sides in pixels, of what takes noise away before the networks look."""

COLOURLESS = 4.0
"""Mean difference between the strongest and the weakest channel, in gray levels, below which a
picture counts as gray (infra-red at night). The networks take gray faces for printed ones: living
people came to 0.03 to 0.44. In colour they were seen to have 11 and more."""


class MiniFasNets:
    """A `PadModel`: the mean live score of both networks, each on its own crop.

    `v2`, `v1se`: ONNX files. Raises: AssetError when OpenCV cannot load them.
    minivision-ai/Silent-Face-Anti-Spoofing, 2020.
    """

    def __init__(self, v2: bytes, v1se: bytes) -> None:
        self.model = f"minifasnet/{hashlib.sha256(v2 + v1se).hexdigest()[:16]}"
        try:
            self._nets = [cv2.dnn.readNetFromONNX(np.frombuffer(c, np.uint8)) for c in (v2, v1se)]
        except cv2.error as error:
            raise AssetError(f"the liveness models cannot be loaded ({error.err})") from error

    def read(self, image: Image, face: Face) -> PadReading:
        """Judge one face of a BGR frame; a gray one gets no score."""
        crops = [surroundings(image, face.box, scale) for scale in SCALES]
        noise = noise_of(crops[0])
        if is_grey(crops[0]):
            return PadReading(None, noise, grey=True)
        if noise >= QUIET_NOISE:
            return PadReading(self._score(map(smoothed, crops)), noise)
        live = self._score(crops)
        if live < DOUBTED and noise >= SUSPECT_NOISE:
            smooth = self._score(map(smoothed, crops))
            if smooth >= DOUBTED:
                # it was the noise, more of which is there than was measured
                return PadReading(smooth, QUIET_NOISE)
        return PadReading(live, noise)

    def _score(self, crops: Iterable[Image]) -> float:
        """Return the mean live score of the networks, each on its own crop."""
        scores = []
        for net, crop in zip(self._nets, crops, strict=True):
            net.setInput(cv2.dnn.blobFromImage(crop))
            scores.append(_live(np.asarray(net.forward(), np.float32)[0]))
        return sum(scores) / len(scores)


def is_grey(picture: Image, below: float = COLOURLESS) -> bool:
    """Return whether a BGR picture has no colour, as infra-red light leaves it."""
    blue, green, red = cv2.split(picture)
    strongest = cv2.max(cv2.max(blue, green), red)
    weakest = cv2.min(cv2.min(blue, green), red)
    return cv2.mean(cv2.subtract(strongest, weakest))[0] < below


def noise_of(picture: Image) -> float:
    """Return the standard deviation of a BGR picture's noise in gray levels, the largest found.

    Looked for in brightness, and at half the size in the differences of colours: what a picture
    shows differs little there, noise that neighbouring pixels share does.
    """
    gray = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float32)
    half = (max(1, picture.shape[1] // 2), max(1, picture.shape[0] // 2))
    coarse = cv2.resize(picture.astype(np.float32), half, interpolation=cv2.INTER_AREA)
    blue, green, red = cv2.split(coarse)
    # a difference holds the noise of both
    apart = [np.asarray((other - green) * np.sqrt(0.5), np.float32) for other in (blue, red)]
    return max(_deviation(plane) for plane in (gray, *apart))


def smoothed(picture: Image) -> Image:
    """Take noise out of a picture and leave its edges, which the networks look at.

    Buades, Coll & Morel, "A non-local algorithm for image denoising", 2005.
    """
    return np.asarray(
        cv2.fastNlMeansDenoisingColored(picture, None, SMOOTHING, SMOOTHING, PATCH, SEARCH),
        np.uint8,
    )


def _deviation(plane: npt.NDArray[np.float32]) -> float:
    """Return the standard deviation of white noise in a plane.

    The median stands for the mean, so that edges do not count. Immerkaer, "Fast noise variance
    estimation", 1996.
    """
    return float(np.median(np.abs(cv2.filter2D(plane, -1, _NOISE)))) / (6.0 * 0.6745)


def surroundings(image: Image, box: Box, scale: float) -> Image:
    """Cut out (80, 80, 3): the box enlarged by `scale`, shifted into the frame, never padded."""
    height, width = image.shape[:2]
    scale = min(scale, width / max(box.width, 1.0), height / max(box.height, 1.0))
    w, h = box.width * scale, box.height * scale
    x, y = box.centre
    left = int(min(max(x - w / 2, 0.0), width - w))
    top = int(min(max(y - h / 2, 0.0), height - h))
    crop = image[top : top + max(1, int(h)), left : left + max(1, int(w))]
    return _shrunk(crop)


def _shrunk(crop: Image) -> Image:
    """Shrink to (80, 80, 3), by the mean of the pixels where there are many.

    Halved first where there are more: OpenCV halves ten times as fast as it averages over steps
    that are not whole, and those faster in float32.
    """
    while min(crop.shape[:2]) >= 2 * ALIASING * INPUT:
        height, width = crop.shape[0] // 2, crop.shape[1] // 2
        whole = crop[: 2 * height, : 2 * width]
        crop = np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA))
    if min(crop.shape[:2]) < ALIASING * INPUT:
        return np.asarray(cv2.resize(crop, (INPUT, INPUT)), np.uint8)
    exact = crop.astype(np.float32)
    mean = cv2.resize(exact, (INPUT, INPUT), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(mean), np.uint8)


def _live(logits: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    odds = np.exp(logits - logits.max())
    return float(odds[LIVE] / odds.sum())
