from __future__ import annotations

import numpy as np
import pytest

from gated.config import VisionSettings
from gated.core.gallery import unit
from gated.core.values import Image
from gated.errors import EnrollmentRefused
from gated.vision.decoding import decode
from gated.vision.evaluation_crop import portrayed
from gated.vision.factory import Models, build_models
from gated.vision.sface_offset import OFFSET
from tests.assets import require_assets


@pytest.fixture(scope="module")
def models() -> Models:
    return build_models(VisionSettings(), require_assets("default", "demo"))


def photo(name: str) -> Image:
    return decode(require_assets("default", "demo").read(name))


def test_the_face_in_the_middle_counts(models: Models) -> None:
    obama, biden = photo("obama.jpg"), photo("biden.jpg")
    height = min(obama.shape[0], biden.shape[0])
    obama, biden = obama[:height], biden[:height]
    # Biden in the middle between two Obamas
    row = np.concatenate([obama, biden, obama], axis=1)
    seen = portrayed(models, np.asarray(row, np.uint8))
    him = portrayed(models, photo("biden.jpg"))
    other = portrayed(models, photo("obama.jpg"))
    assert float(unit(seen.template) @ unit(him.probe)) > 0.7
    assert float(unit(seen.template) @ unit(other.probe)) < 0.4


def test_a_template_is_mirrored_and_a_probe_is_not(models: Models) -> None:
    seen = portrayed(models, photo("obama2.jpg"))
    assert np.linalg.norm(seen.template) == pytest.approx(1.0, abs=1e-4)
    assert np.linalg.norm(seen.probe + OFFSET) == pytest.approx(1.0, abs=1e-4), "of one picture"
    assert 0.9 < float(seen.template @ unit(seen.probe)) < 0.9999


def test_a_poor_photo_counts_too(models: Models) -> None:
    small = photo("obama.jpg")[::8, ::8]  # enrollment refuses it
    assert portrayed(models, np.ascontiguousarray(small)).template.shape == (128,)


def test_a_photo_without_a_face_is_named(models: Models) -> None:
    with pytest.raises(EnrollmentRefused) as refused:
        portrayed(models, np.full((300, 300, 3), 127, np.uint8))
    assert refused.value.reason == "no_face"
