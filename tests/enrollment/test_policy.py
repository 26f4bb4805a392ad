"""From settings to the gate's policy: a tolerance that lets strangers in needs a word."""

from __future__ import annotations

from typing import Literal

import pytest

from gated.config import (
    AccessSettings,
    AttendanceSettings,
    DoorSettings,
    LivenessSettings,
    RecognitionSettings,
    Settings,
    VisionSettings,
)
from gated.core.pad import PAD_LEVELS
from gated.core.values import Direction
from gated.enrollment.models import (
    policy_of,
    tolerance_in_words,
    tolerated_similarity,
)
from gated.errors import ConfigError
from gated.vision.engines import calibration_for, tolerance_calibration_for
from gated.vision.engines import engine as engine_of

Engine = Literal["sface", "dlib"]


def tolerating(engine: Engine, tolerance: float | None, accept: bool = False) -> Settings:
    return Settings(
        vision=VisionSettings(engine=engine),
        recognition=RecognitionSettings(face_tolerance=tolerance, accept_lax_tolerance=accept),
    )


def similarity(settings: Settings) -> float | None:
    return tolerated_similarity(settings, calibration_for(engine_of(settings.vision.engine).model))


@pytest.mark.parametrize("engine", ["sface", "dlib"])
def test_without_a_tolerance_the_calibration_decides(engine: Engine) -> None:
    assert similarity(tolerating(engine, None)) is None
    assert tolerance_in_words(tolerating(engine, None)) == ""


@pytest.mark.parametrize(
    ("engine", "strict", "measured_fmr"),
    [("sface", 0.585, 1e-4), ("sface", 0.535, 1e-5), ("dlib", 0.477, 1e-4), ("dlib", 0.422, 1e-5)],
)
def test_a_strict_tolerance_stands_for_its_false_match_rate(
    engine: Engine, strict: float, measured_fmr: float
) -> None:
    settings = tolerating(engine, strict)
    threshold = similarity(settings)
    assert threshold is not None
    fmr = calibration_for(engine_of(engine).model).fmr(threshold)
    assert measured_fmr / 2 < fmr < measured_fmr * 2
    words = tolerance_in_words(settings)
    assert words.startswith(f"{strict:g}: one comparison in ")
    told = float(words.split(" in ")[1].split()[0].replace(",", ""))
    assert told == pytest.approx(1 / fmr, rel=0.01)


def test_a_tolerance_of_sface_is_one_minus_the_cosine_that_its_other_users_know() -> None:
    """Embeddings as published, with what all have in common; 0.5 is stricter than 1e-5."""
    threshold = similarity(tolerating("sface", 0.5))
    assert threshold is not None
    model = engine_of("sface").model
    published = tolerance_calibration_for(model)
    assert calibration_for(model).fmr(threshold) == pytest.approx(published.fmr(0.5))
    assert published.similarity_at(1e-5) < 0.5


@pytest.mark.parametrize(("engine", "usual"), [("sface", 0.7), ("dlib", 0.6)])
def test_the_usual_setting_of_other_programs_is_refused_unless_in_words(
    engine: Engine, usual: float
) -> None:
    lax = tolerating(engine, usual)
    for ask in (similarity, tolerance_in_words):
        with pytest.raises(ConfigError, match="accept_lax_tolerance") as refused:
            ask(lax)
        assert "FACE_TOLERANCE" in str(refused.value)
    accepted = tolerating(engine, usual, accept=True)
    stricter = similarity(tolerating(engine, usual - 0.2))
    assert stricter is not None
    threshold = similarity(accepted)
    assert threshold is not None
    assert threshold < stricter
    assert policy_of(accepted, calibration_for(engine_of(engine).model)).similarity == threshold


@pytest.mark.parametrize("engine", ["sface", "dlib"])
def test_the_advised_tolerance_is_accepted(engine: Engine) -> None:
    with pytest.raises(ConfigError) as refused:
        similarity(tolerating(engine, 1.5))
    advised = float(str(refused.value).split(": use ")[1].split()[0])
    assert similarity(tolerating(engine, advised - 0.001)) is not None


def test_the_policy_says_what_the_settings_say() -> None:
    settings = Settings(
        recognition=RecognitionSettings(
            frames=4, fpir=0.01, trigger="input", trigger_window_s=7, max_attempts=9
        ),
        access=AccessSettings(cooldown_s=11),
        door=DoorSettings(unlock_s=5, max_unlock_s=20, mounting="outside"),
        attendance=AttendanceSettings(direction="exit", auto_reset_h=2),
        liveness=LivenessSettings(level="strict"),
    )
    policy = policy_of(settings, calibration_for("sface-2021dec"))
    assert (policy.frames, policy.fpir, policy.max_attempts) == (4, 0.01, 9)
    assert (policy.trigger, policy.trigger_window_s) == (True, 7)
    assert (policy.cooldown_s, policy.unlock_s, policy.door.max_s) == (11, 5, 20)
    assert (policy.direction, policy.auto_reset_s) == (Direction.EXIT, 7200)
    assert policy.pad == PAD_LEVELS["strict"]
    assert not policy.door.rex_releases  # the wires of a button are in reach out there


def test_the_defaults_watch_always_and_find_the_direction() -> None:
    policy = policy_of(Settings(), calibration_for("sface-2021dec"))
    assert not policy.trigger
    assert policy.direction is None
    assert policy.door.rex_releases
