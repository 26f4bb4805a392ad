"""From settings to models, calibration and the gate's policy."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from gated.config import Settings, check_tolerance
from gated.config.gate_policy import gate_policy
from gated.core.calibration import Calibration
from gated.core.policy import GatePolicy
from gated.core.tracking import Tracker
from gated.devices.demo_scene import Portrait
from gated.errors import AssetError, ConfigError
from gated.vision.analyzer import Analyzer
from gated.vision.assets import AssetStore
from gated.vision.engines import (
    SFACE,
    calibration_for,
    engine,
    pools_of,
    tolerance_calibration_for,
)
from gated.vision.factory import Models, build_models

INSTALLED = Path(sys.prefix) / "share" / "gated" / "models"
"""The folder of assets that all gates of an installation share."""


def asset_store(settings: Settings) -> AssetStore:
    """Return the assets of the configured directory, the state directory and the installation."""
    configured = settings.vision.assets_dir
    places = [configured] if configured else []
    return AssetStore([*places, settings.storage.state_dir / "models", INSTALLED])


DEMO_WALKERS = ("obama3.jpg", "biden.jpg")
DEMO_PHONE = "obama2.jpg"
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
        mesh = pad and settings.liveness.needs_mesh
        try:
            self.models: Models = build_models(settings.vision, assets, pad=wanted, mesh=mesh)
        except AssetError as error:
            self.models = build_models(settings.vision, assets)
            self.pad_problem = str(error)
        given = settings.recognition.calibration
        self.calibration = (
            read_calibration(given, self.model, settings.vision.engine)
            if given
            else calibration_for(self.model, settings.vision.engine)
        )

    @property
    def model(self) -> str:
        return self.models.embedder.model

    @property
    def metric(self) -> str:
        return self.models.embedder.metric

    def analyzer(self, still_gate: bool = True, *, upright: bool | None = None) -> Analyzer:
        """Return an analyzer with its own tracker; without the still gate it analyses every frame.

        upright: as `Analyzer` has it.
        """
        settings = self.settings
        return Analyzer(
            self.models,
            Tracker(),
            settings.vision,
            settings.camera.zone,
            still_gate=still_gate,
            meshed=settings.liveness.steps_up,
            upright=upright,
        )

    def demo_portraits(self, *, phone: bool = True) -> list[Portrait]:
        """List who walks up to the camera in the demo, with their faces found.

        Where liveness is looked at, somebody holds up a phone with a picture of the first one, too,
        unless it is left out.
        """
        if self.settings.camera.source != "demo":
            return []
        assets = asset_store(self.settings)
        phone = phone and self.settings.liveness.level != "off"
        known, *others = DEMO_WALKERS
        # before the stranger: after an attack the one in whose name it was waits
        portraits = []
        for name in (known, *((DEMO_PHONE,) if phone else ()), *others):
            image = assets.portrait(name)
            face = self.models.photo_detector.detect(image)[0]
            held = name == DEMO_PHONE
            portraits.append(Portrait(image, face.box, face.eye_distance, held))
        return portraits


def read_calibration(file: Path, model: str, name: str | None = None) -> Calibration:
    """Read what `gated calibrate` wrote. Raises: ConfigError, also for another model.

    name: of the engine, for one from outside.
    """
    try:
        calibration = Calibration.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"recognition.calibration: {file}: cannot be used: {error}") from None
    if calibration.model != model:
        raise ConfigError(
            f"recognition.calibration: {file}: is of the model {calibration.model}, the engine is "
            f"{model}: run `gated calibrate` with this engine"
        )
    # other people, the same model: how its mean embeddings behave stays
    return replace(calibration, pools=pools_of(model, name))


def policy_of(settings: Settings, calibration: Calibration) -> GatePolicy:
    """Return the gate's policy with the thresholds of a model.

    Raises: ConfigError when a tolerance is laxer than may be without a word.
    """
    policy = gate_policy(settings)
    return replace(
        policy,
        similarity=tolerated_similarity(settings, calibration),
        # given in the scale of SFace's similarity
        margin=policy.margin * calibration.decade / calibration_for(SFACE.model).decade,
    )


def tolerance_in_words(settings: Settings) -> str:
    """Return `face_tolerance` as an FMR in words; empty without one. Raises: ConfigError."""
    name = settings.vision.engine
    fmr = check_tolerance(settings, tolerance_calibration_for(engine(name).model, name))
    if fmr is None:
        return ""
    tolerance = settings.recognition.face_tolerance
    return f"{tolerance:g}: one comparison in {1 / fmr:,.0f} matches a stranger"


def tolerated_similarity(settings: Settings, calibration: Calibration) -> float | None:
    """Return the threshold that `face_tolerance` stands for, in the model's similarity."""
    name, tolerance = settings.vision.engine, settings.recognition.face_tolerance
    translated = engine(name).tolerance_knots is not None
    fmr = check_tolerance(
        settings,
        tolerance_calibration_for(calibration.model, name) if translated else calibration,
    )
    if tolerance is None or fmr is None:
        return None
    return calibration.similarity_at(fmr) if translated else 1.0 - tolerance
