"""From settings to models, calibration and the gate's policy."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gated.config import Settings, check_tolerance
from gated.core.calibration import Calibration
from gated.core.challenge import ChallengePolicy, Movement
from gated.core.door import DoorRules
from gated.core.model import Direction
from gated.core.pad import PAD_LEVELS
from gated.core.policy import GatePolicy
from gated.core.tracking import Tracker
from gated.devices.walkup import Portrait
from gated.errors import AssetError, ConfigError
from gated.vision.analyzer import Analyzer
from gated.vision.assets import AssetStore
from gated.vision.decoding import decode
from gated.vision.factory import (
    Models,
    build_models,
    calibration_for,
    tolerance_calibration_for,
)
from gated.vision.photo import PhotoExaminer

INSTALLED = Path(sys.prefix) / "share" / "gated" / "models"
"""Where an installation keeps the assets that all its gates share."""


def asset_store(settings: Settings) -> AssetStore:
    """Assets of these settings: the configured directory, the state directory, the installation."""
    configured = settings.vision.assets_dir
    places = [configured] if configured else []
    return AssetStore([*places, settings.storage.state_dir / "models", INSTALLED])


ENGINE_MODELS = {"sface": "sface-2021dec", "dlib": "dlib-resnet-v1"}
"""The embedder of each `vision.engine`, as its calibration is called."""

MARGIN_DECADE = 0.054
"""The similarity that makes a tenfold lower rate with SFace, in whose scale the margin is given."""

DEMO_WALKERS = ("obama3.jpg", "biden.jpg")
"""The demo person on a photo that is not the enrolled one, and a stranger."""


class VisionKit:
    """Models of one user (the inference thread, or enrollment), and what comes with them.

    pad: load the liveness models where the settings ask for liveness. When they are missing the
    gate runs all the same, `pad_problem` says why, and faces are denied as undecided.
    """

    def __init__(self, settings: Settings, *, pad: bool = False) -> None:
        self.settings = settings
        self.pad_problem: str | None = None
        assets = asset_store(settings)
        wanted = pad and settings.liveness.level != "off"
        mesh = pad and settings.liveness.level == "challenge"
        try:
            self.models: Models = build_models(settings.vision, assets, pad=wanted, mesh=mesh)
        except AssetError as error:
            self.models = build_models(settings.vision, assets)
            self.pad_problem = str(error)
        given = settings.recognition.calibration
        self.calibration = (
            read_calibration(given, self.model) if given else calibration_for(self.model)
        )

    @property
    def model(self) -> str:
        return self.models.embedder.model

    @property
    def metric(self) -> str:
        return self.models.embedder.metric

    def analyzer(self, still_gate: bool = True) -> Analyzer:
        """An analyzer with a tracker of its own; without the still gate every frame is analysed."""
        settings = self.settings
        return Analyzer(
            self.models, Tracker(), settings.vision, settings.camera.zone, still_gate=still_gate
        )

    def demo_portraits(self) -> list[Portrait]:
        """Who walks up to the camera in the demo, with their faces found."""
        if self.settings.camera.source != "demo":
            return []
        assets = asset_store(self.settings)
        portraits = []
        for name in DEMO_WALKERS:
            image = decode(assets.read(name))
            face = self.models.photo_detector.detect(image)[0]
            portraits.append(Portrait(image, face.box, face.eye_distance))
        return portraits

    def examiner(self) -> PhotoExaminer:
        return PhotoExaminer(self.models, self.settings.vision)


def read_calibration(file: Path, model: str) -> Calibration:
    """The calibration that `gated calibrate` wrote; ConfigError, also when of another model."""
    try:
        calibration = Calibration.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"recognition.calibration: {file}: cannot be used: {error}") from None
    if calibration.model != model:
        raise ConfigError(
            f"recognition.calibration: {file}: is of the model {calibration.model}, the engine is "
            f"{model}: run `gated calibrate` with this engine"
        )
    return calibration


def policy_of(settings: Settings, calibration: Calibration) -> GatePolicy:
    """The gate's policy; ConfigError when a tolerance is laxer than may be without a word."""
    recognition, door = settings.recognition, settings.door
    direction = settings.attendance.direction
    return GatePolicy(
        frames=recognition.frames,
        fpir=recognition.fpir,
        similarity=tolerated_similarity(settings, calibration),
        margin=recognition.margin * calibration.decade / MARGIN_DECADE,
        max_frame_age_s=recognition.max_frame_age_s,
        max_attempts=recognition.max_attempts,
        decide_after_s=recognition.decide_after_s,
        visit_closes_after_s=recognition.visit_closes_after_s,
        denial_interval_s=recognition.denial_interval_s,
        max_denials=recognition.max_denials_per_visit,
        cooldown_s=settings.access.cooldown_s,
        unlock_s=door.unlock_s,
        extended_unlock_s=max(door.extended_unlock_s, door.unlock_s),
        door=DoorRules(
            max_s=door.max_unlock_s,
            rex_releases=door.rex_releases and door.mounting == "inside",
            relock=door.relock,
            held_open_s=door.held_open_s,
            held_warning_s=door.held_warning_s,
        ),
        contact=door.contact_pin is not None,
        direction=None if direction == "auto" else Direction(direction),
        auto_reset_s=settings.attendance.auto_reset_h * 3600,
        double_punch_s=settings.attendance.double_punch_s,
        trigger=recognition.trigger != "continuous",
        trigger_window_s=recognition.trigger_window_s,
        pad=PAD_LEVELS[settings.liveness.level],
        refuse_changed_camera=settings.camera.on_change == "refuse",
        challenge=_challenge_of(settings),
        lockout_s=settings.liveness.lockout_s,
        alarm_attacks=settings.liveness.alarm_attacks,
        alarm_window_s=settings.liveness.alarm_window_s,
        alarm_denials=settings.alarms.denials,
        alarm_denials_window_s=settings.alarms.denials_window_s,
        alarm_sound_s=settings.alarms.sound_s,
    )


def _challenge_of(settings: Settings) -> ChallengePolicy:
    liveness = settings.liveness
    return ChallengePolicy(
        count=liveness.movements if liveness.level == "challenge" else 0,
        limit_s=liveness.challenge_s,
        movements=tuple(Movement(m) for m in liveness.ask_for),
        mirrored=settings.camera.mirror,
    )


def tolerance_in_words(settings: Settings) -> str:
    """What `face_tolerance` means as a false match rate; empty without one. ConfigError."""
    fmr = check_tolerance(
        settings, tolerance_calibration_for(ENGINE_MODELS[settings.vision.engine])
    )
    if fmr is None:
        return ""
    tolerance = settings.recognition.face_tolerance
    return f"{tolerance:g}: one comparison in {1 / fmr:,.0f} matches a stranger"


def tolerated_similarity(settings: Settings, calibration: Calibration) -> float | None:
    """The threshold that `face_tolerance` stands for, in the model's similarity."""
    dlib, tolerance = settings.vision.engine == "dlib", settings.recognition.face_tolerance
    fmr = check_tolerance(
        settings, tolerance_calibration_for(calibration.model) if dlib else calibration
    )
    if tolerance is None or fmr is None:
        return None
    return calibration.similarity_at(fmr) if dlib else 1.0 - tolerance
