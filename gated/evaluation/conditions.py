"""Camera conditions made from clean recordings: noise, compression, little light, blur, few pixels.

Liveness networks err with the camera as much as with the attack. Each condition changes every
frame of a recording as a worse camera would have, the same way each time, so that error rates can
be compared. They are models of cameras, not cameras: a rate under one of them is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gated.core.values import Image
from gated.errors import SourceError
from gated.vision.degrading import (
    Change,
    Frames,
    backlight,
    blur,
    colour_blotches,
    correlated_noise,
    gamma,
    grey_grain,
    jpeg,
    lasting_noise,
    low_rate,
    shrink,
    white_noise,
)

SEED = 20261129


@dataclass(frozen=True, slots=True)
class CameraCondition:
    """A way to change all frames of one recording; `described` is for the report."""

    name: str
    described: str
    change: Callable[[Frames], Iterator[Image]]


def named(names: Sequence[str]) -> list[CameraCondition]:
    """The conditions of these names, all of them for none; SourceError names an unknown one."""
    unknown = [name for name in names if name not in CONDITIONS]
    if unknown:
        raise SourceError(
            f"{unknown[0]}: no such condition; there are {', '.join(sorted(CONDITIONS))}"
        )
    return [CONDITIONS[name] for name in names or CONDITIONS]


def _each(change: Change) -> Callable[[Frames], Iterator[Image]]:
    def changed(frames: Frames) -> Iterator[Image]:
        rng = np.random.default_rng(SEED)
        for image in frames:
            yield change(image, rng)

    return changed


CONDITIONS = {
    c.name: c
    for c in (
        CameraCondition("clean", "as recorded", iter),
        CameraCondition("noise_3", "white noise, 3 gray levels", _each(white_noise(3))),
        CameraCondition("noise_8", "white noise, 8 gray levels", _each(white_noise(8))),
        CameraCondition("noise_20", "white noise, 20 gray levels", _each(white_noise(20))),
        CameraCondition("noise_40", "white noise, 40 gray levels", _each(white_noise(40))),
        CameraCondition("grain_8", "correlated noise, 8 gray levels", _each(correlated_noise(8))),
        CameraCondition(
            "grain_20", "correlated noise, 20 gray levels", _each(correlated_noise(20))
        ),
        CameraCondition("grey_8", "correlated noise in brightness alone, 8", _each(grey_grain(8))),
        CameraCondition("colour_8", "blotches of colour, 8 gray levels", _each(colour_blotches(8))),
        CameraCondition(
            "lasting_8", "correlated noise that lasts over frames, 8", lasting_noise(8, SEED)
        ),
        CameraCondition("jpeg_15", "JPEG of quality 15", _each(jpeg(15))),
        CameraCondition("low_rate", "predicted from frame to frame at a low rate", low_rate),
        CameraCondition("gamma_2", "darkened, gamma 2", _each(gamma(2))),
        CameraCondition("gamma_4", "darkened, gamma 4", _each(gamma(4))),
        CameraCondition("backlight", "before bright windows", _each(backlight)),
        CameraCondition("blur", "out of focus, 0.4 % of the long side", _each(blur(0.004))),
        CameraCondition("small", "320 x 240 pixels", _each(shrink(320, 240))),
    )
}
"""By name, in the order of reports."""
