"""The calibration in use: the program's own, or a file that fits the model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gated.config import RecognitionSettings, Settings
from gated.core.calibration import Calibration
from gated.core.gallery import Gallery
from gated.core.policy import criteria_for
from gated.enrollment.models import VisionKit, policy_of, read_calibration
from gated.errors import ConfigError
from gated.vision.engines import calibration_for
from tests.enrollment.offices import kit_of, settings_in

KNOTS = ((0.1, -1.0), (0.6, -4.0))


def written(folder: Path, model: str) -> Path:
    file = folder / "calibration.json"
    file.write_text(json.dumps(Calibration(model, "ours", KNOTS).as_dict()))
    return file


def calibrated(state: Path, file: Path) -> Settings:
    recognition = RecognitionSettings(calibration=file)
    return settings_in(state).model_copy(update={"recognition": recognition})


def test_a_file_of_the_same_model_is_used(tmp_path: Path) -> None:
    model = kit_of("sface").model
    kit = VisionKit(calibrated(tmp_path, written(tmp_path, model)))
    assert (kit.calibration.source, kit.calibration.knots) == ("ours", KNOTS)
    policy = policy_of(kit.settings, kit.calibration)
    empty = Gallery.build(kit.model, kit.metric, [], [])
    assert criteria_for(policy, empty, kit.calibration).threshold >= 0.6


def test_the_margin_is_in_the_scale_of_the_model() -> None:
    sface, dlib = calibration_for("sface-2021dec"), calibration_for("dlib-resnet-v1")
    settings = Settings()
    wanted = settings.recognition.margin
    assert policy_of(settings, sface).margin == pytest.approx(wanted)
    assert policy_of(settings, dlib).margin == pytest.approx(wanted * dlib.decade / sface.decade)
    assert policy_of(settings, dlib).margin < 0.02, "dlib's cosines lie close together"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": "m", "source": "s", "knots": []}'])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"recognition\.calibration"):
        read_calibration(file, "m")
    with pytest.raises(ConfigError, match="absent"):
        read_calibration(tmp_path / "absent.json", "m")


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "sface-2021dec/other/r1")
    with pytest.raises(ConfigError, match="the engine is sface-2021dec/this/r1"):
        read_calibration(file, "sface-2021dec/this/r1")


def test_beyond_its_last_knot_a_shipped_line_is_no_laxer_than_before_it() -> None:
    for model in ("sface-2021dec", "dlib-resnet-v1"):
        shipped = calibration_for(model)
        fitted = replace(shipped, knots=shipped.knots[:-1])
        # the last knot never makes the extrapolation laxer than the ones before
        assert shipped.similarity_at(1e-7) >= fitted.similarity_at(1e-7) - 0.01
