"""What a second, infra-red camera would say, of pairs made from recordings.

    python -m tests.bench.second_camera RECORDING...

Of each usable face: how often it is seen, flat or not there when a living person, a screen or a
print stands before both cameras.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from gated.config import Settings
from gated.devices.recorded import recording
from gated.enrollment.models import VisionKit
from gated.vision.infra_red import living, printed, screen
from gated.vision.second_look import look

EVERY = 5


def main() -> None:
    detector = VisionKit(Settings()).models.detector
    found: dict[str, Counter[str]] = {}
    for name in sys.argv[1:]:
        source, _ = recording(Path(name), 15.0)
        for number, image in enumerate(source()):
            if number % EVERY or not (faces := detector.detect(image)):
                continue
            face = max(faces, key=lambda face: face.eye_distance)
            if face.score < 0.7 or face.eye_distance < 14:
                continue
            shift = round(face.box.width / 3)
            seconds = {
                "living": living(image),
                "living, shifted by a third": living(image, shift),
                "screen": screen(image, face.box),
                "print": printed(image, face.box),
            }
            for kind, second in seconds.items():
                said = look(detector, face, image.shape[:2], second)
                found.setdefault(kind, Counter())[said] += 1
    for kind, counts in found.items():
        print(kind, dict(counts))


if __name__ == "__main__":
    main()
