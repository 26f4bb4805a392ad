"""Enrollment by the gate's own camera: guidance, then the best of several frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gated.core.values import Image
from gated.enrollment.enrollment import Enrolled
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.errors import EnrollmentRefused
from gated.link.running_gate import FrameSubscriber
from gated.vision.jpeg import encode_jpeg
from gated.vision.photo import ExaminedPhoto

WITHIN_S = 30.0
GOOD_FRAMES = 5
"""So many good frames are compared, and the best one is enrolled."""

BETWEEN_S = 0.15
"""Time between two frames that are examined, which is left to the gate and to other poses."""


@dataclass(frozen=True, slots=True)
class Guidance:
    """Advice for the person now: `code` is `hold_still` or one of the contract's refusals."""

    code: str
    advice: str
    good: int
    wanted: int
    measured: Mapping[str, float] = field(default_factory=dict)


Step = Guidance | Enrolled


def capture(
    queue: EnrollmentQueue,
    subscriber: FrameSubscriber,
    enroll: Callable[[bytes], Enrolled],
    *,
    within_s: float = WITHIN_S,
    good_frames: int = GOOD_FRAMES,
) -> Iterator[Step]:
    """Yield guidance as frames are examined, and the enrollment at last.

    EnrollmentRefused: `no_good_frame` when there were not enough within `within_s` seconds,
    `not_same_person` when another person stepped in, and whatever `enroll` raises.
    """
    deadline = time.monotonic() + within_s
    good: list[tuple[Image, ExaminedPhoto]] = []
    last = EnrollmentRefused("no_face", "No picture came from the camera.")
    while len(good) < good_frames:
        if time.monotonic() > deadline:
            raise EnrollmentRefused("no_good_frame", f"It took too long. {last.advice}")
        frame = subscriber.take(timeout=1.0)
        if frame is None:
            continue
        try:
            examined = queue.examine(frame.image)
        except EnrollmentRefused as refusal:
            last = refusal
            yield Guidance(refusal.reason, refusal.advice, len(good), good_frames, refusal.measured)
        else:
            queue.refuse_others([e.embedding for _, e in good], examined.embedding)
            good.append((frame.image, examined))
            yield Guidance("hold_still", "Good. Hold still.", len(good), good_frames)
        time.sleep(BETWEEN_S)
    image, _ = max(good, key=_score)
    yield enroll(encode_jpeg(image))


def _score(frame: tuple[Any, ExaminedPhoto]) -> float:
    return frame[1].quality.score
