"""Photos for evaluation: the central face of each, whatever its quality.

Enrollment refuses poor photos; error rates without them would be too good. Data sets of people
are cropped so that the person is in the middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gated.core.values import Image, Vector
from gated.errors import EnrollmentRefused
from gated.vision.embedder import template_and_probe
from gated.vision.factory import Models


@dataclass(frozen=True, slots=True, eq=False)
class Portrayed:
    """One face as enrollment would keep it (template) and as the gate would see it (probe)."""

    template: Vector
    probe: Vector


def portrayed(models: Models, image: Image) -> Portrayed:
    """Template and probe of the face nearest to the middle; EnrollmentRefused(`no_face`)."""
    height, width = image.shape[:2]
    # small faces are looked for where the gate itself sees none
    faces = models.detector.detect(image) or models.photo_detector.detect(image)
    if not faces:
        raise EnrollmentRefused("no_face", "No face was found.")
    face = min(faces, key=lambda f: math.dist(f.box.centre, (width / 2, height / 2)))
    face = models.look_closer(image, face)
    chip = models.embedder.align(image, face)
    return Portrayed(*template_and_probe(models.embedder, chip))
