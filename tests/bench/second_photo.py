"""Measures what a second template of somebody is worth: `python -m tests.bench.second_photo lfw/`.

From a folder with a sub-folder a person. Visits of people of whom there are four photos: enrolled
from one, from two, and from one with a template of a confirmed visit beside it, whose part in a
score is bounded; everybody else is a stranger. Then how alike photos are that are one picture,
stored or cut otherwise, and those that are two (the likeness of `core/photo_advice.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gated.core.calibration import Calibration
from gated.core.gallery import unit
from gated.core.photo_advice import NEARLY_SAME
from gated.core.policy import CHANCES
from gated.core.statistics import bootstrap
from gated.core.values import Image
from gated.enrollment.models import VisionKit
from gated.errors import EnrollmentRefused
from gated.evaluation.recognition import SEED, PhotoFolder
from gated.vision.decoding import decode
from gated.vision.evaluation_crop import portrayed
from tests.bench.photo_folder import embedded

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

PHOTOS = 4
"""Of each who visits: one enrolled, one for the second template, two as the frames of a visit."""

PROMISE = 0.001
GALLERIES = (30, 300, 1100)
BOUNDS = (0.05, 0.1, np.inf)
"""Most similarity that the template of a visit may add to that of the original."""

SURE_DECADES = 1.0
"""A visit is confirmed beyond doubt from a rate so many powers of ten below the threshold's on."""

PAIRED = 100


def _jpeg(image: Image, quality: int) -> Image:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [1, quality])[1], 1), np.uint8)


def _resized(image: Image, by: float) -> Image:
    return np.asarray(cv2.resize(image, None, fx=by, fy=by, interpolation=3), np.uint8)


def _turned(image: Image) -> Image:
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 5, 1.0)
    border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=border), np.uint8)


SAME_PICTURE: dict[str, Callable[[Image], Image]] = {
    "as JPEG of quality 50": lambda image: _jpeg(image, 50),
    "at 0.7 of its size": lambda image: _resized(image, 0.7),
    "at 1.5 of its size": lambda image: _resized(image, 1.5),
    "cut": lambda image: np.ascontiguousarray(image[20:-10, 10:-25]),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "brighter": lambda image: np.clip(image * 1.25 + 12, 0, 255).astype(np.uint8),
    "turned by 5 degrees": _turned,
    "without colour": lambda image: np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, 2),
}


def likeness(kit: VisionKit, people: PhotoFolder) -> Iterator[str]:
    """Yield a row for each way to store a picture otherwise, and one for different photos."""
    of_person = [np.flatnonzero(people.owners == i) for i in range(len(people.names))]
    several = [rows for rows in of_person if len(rows) > 1]
    rng = np.random.default_rng(SEED)
    found: dict[str, list[float]] = {name: [] for name in (*SAME_PICTURE, "another photo")}
    for at in rng.permutation(len(several))[:PAIRED]:
        first, second = several[at][:2]
        template = people.templates[0][first]
        image = decode(people.files[first].read_bytes())
        for name, change in SAME_PICTURE.items():
            with suppress(EnrollmentRefused):
                changed = portrayed(kit.models, change(image)).template
                found[name].append(_cosine(template, changed))
        found["another photo"].append(_cosine(template, people.templates[0][second]))
    for name, cosines in found.items():
        alike = np.array([kit.calibration.likeness(c, 1.0) for c in cosines])
        low, middle, high = np.quantile(alike, (0.05, 0.5, 0.95))
        share = float(np.mean(alike >= NEARLY_SAME))
        yield f"{name:22} {len(alike):4} {low:6.2f} {middle:6.2f} {high:6.2f} {share:8.1%}"


def _cosine(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    return float(unit(np.asarray(a)) @ unit(np.asarray(b)))


Measured = tuple[Floats, Floats, Floats]
"""Similarities of each frame to the first and the second template (..., frames), and the length of
the mean of a visit's frames."""


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits of two frames, for each person and each case: choice of first and second photo.

    sure: (people, cases) similarity of the visit that gave the second template to the first one.
    own: of the same person, (people, cases, frames). strangers: (people, cases, strangers, frames).
    """

    sure: Floats
    own: Measured
    strangers: Measured


def visits_of(people: PhotoFolder) -> Visits:
    """Make a visit of every choice of a first and a second photo of who has four."""
    templates, probes = unit(people.templates[0]), unit(people.probes[0])
    of_person = [np.flatnonzero(people.owners == i) for i in range(len(people.names))]
    enrolled = [rows[:PHOTOS] for rows in of_person if len(rows) >= PHOTOS]
    others = [rows[:2] for rows in of_person if len(rows) < PHOTOS]
    strange = np.stack([rows if len(rows) == 2 else np.repeat(rows, 2) for rows in others])
    cases = list(itertools.permutations(range(PHOTOS), 2))
    rest = [[i for i in range(PHOTOS) if i not in case] for case in cases]
    first = np.stack([rows[[a for a, _ in cases]] for rows in enrolled])
    second = np.stack([rows[[b for _, b in cases]] for rows in enrolled])
    frames = np.stack([rows[np.array(rest)] for rows in enrolled])
    sure = np.einsum("pcd,pcd->pc", templates[first], probes[second])

    def own(which: npt.NDArray[np.intp]) -> Floats:
        return np.asarray(np.einsum("pcd,pcfd->pcf", templates[which], probes[frames]), np.float64)

    def met(which: npt.NDArray[np.intp]) -> Floats:
        many = np.einsum("pcd,sfd->pcsf", templates[which], probes[strange], optimize=True)
        return np.asarray(many, np.float64)

    return Visits(
        sure.astype(np.float64),
        (own(first), own(second), _length(probes[frames])),
        (met(first), met(second), _length(probes[strange])),
    )


def _length(frames: Vectors) -> Floats:
    """Length of the mean of the frames of each visit."""
    return np.asarray(np.linalg.norm(frames.mean(axis=-2), axis=-1), np.float64)


@dataclass(frozen=True, slots=True)
class Rule:
    """bound: most that the second template adds; None: it is not there. decades: powers of ten
    below the threshold's rate that the visit had to reach from which it is; None: it is a photo.
    counted: it raises the threshold as any other template."""

    name: str
    bound: float | None = None
    decades: float | None = None
    counted: bool = True


RULES = (
    Rule("one photo"),
    *(
        Rule(f"template of a sure visit, at most {bound:g}", bound, SURE_DECADES, counted)
        for bound in BOUNDS
        for counted in (True, False)
    ),
    Rule("template of any grant, at most 0.1", 0.1, 0.0, counted=False),
    Rule("two photos", np.inf),
)


def score(visits: Measured, held: npt.NDArray[np.bool_], rule: Rule, shift: float) -> Floats:
    """Score visits as `core/evidence.py` does, where a frame's similarity is that of the rule.

    held: where there is a second template.
    """
    first, second, length = visits
    frames = first
    if rule.bound is not None:
        more = np.maximum(first, np.minimum(second, first + rule.bound))
        frames = np.where(held, more, first)
    mean = frames.mean(axis=-1)
    pooled = mean / np.maximum(length, 1e-6) - shift
    return np.asarray(np.maximum(mean, pooled), np.float64)


def rates(visits: Visits, calibration: Calibration, people: int) -> Iterator[str]:
    """Yield a row for each rule in a gallery of so many people."""
    shift = calibration.pool_shift or 0.0
    alone = calibration.threshold(PROMISE, people, CHANCES)
    before: Floats | None = None
    for rule in RULES:
        sure = alone + (rule.decades or 0.0) * calibration.decade
        held = visits.sure >= (-np.inf if rule.decades is None else sure)
        of_each = 1.0 + float(held.mean()) * (rule.bound is not None and rule.counted)
        threshold = calibration.threshold(PROMISE, round(people * of_each), CHANCES)
        own = score(visits.own, held[..., None], rule, shift)
        missed = (own < threshold).mean(axis=1)
        before = missed if before is None else before
        met = score(visits.strangers, held[..., None, None], rule, shift)
        fmr = float((met >= threshold).mean())
        yield (
            f"{people:6} {rule.name:40} {held.mean():6.1%} {'yes' if rule.counted else 'no':4} "
            f"{threshold:.3f} {_shown(missed)} {_shown(missed - before)} {fmr:.1e}"
        )


def _shown(of_person: Floats) -> str:
    """Show a mean in percent with its interval over people."""
    rng = np.random.default_rng(SEED)
    low, high = bootstrap(len(of_person), lambda w: float(w @ of_person / w.sum()), rng)
    return f"{100 * of_person.mean():+6.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


def main(arguments: Sequence[str] | None = None) -> None:
    kit, people = embedded(__doc__, arguments)
    visits = visits_of(people)
    print("people rule, counted, people who have it, threshold, FNIR %, less one photo's, FMR")
    for size in GALLERIES:
        for row in rates(visits, kit.calibration, size):
            print(row)
    print("likeness               pairs   5 %  50 %   95 %  nearly the same")
    for row in likeness(kit, people):
        print(row)


if __name__ == "__main__":
    main()
