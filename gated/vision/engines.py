"""The engines: how a face becomes a template, and the error rates measured for each.

An engine is one declaration. The program's own are named in `config.drivers`; other packages
declare theirs as entry points `gated.engines` (docs/extending.md). Templates belong to the model
that made them: an engine whose model changes needs another model name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gated.config import Section, VisionSettings
from gated.config.drivers import BUILT_IN, load_driver
from gated.core.calibration import Calibration
from gated.errors import AssetError, ConfigError, GatedError
from gated.ports import Embedder
from gated.vision import manifest
from gated.vision.dlibnet import DlibEmbedder
from gated.vision.embedder import SFaceEmbedder

if TYPE_CHECKING:
    from gated.vision.assets import AssetStore

Knots = tuple[tuple[float, float], ...]

SOURCE = "LFW view 2 folds 1-3, 1,241 people, 4.6 million impostor comparisons"
"""`gated calibrate DIR --out FILE` on these photos, template against probe as the gate compares.

Knots rounded to the strict side; from 1e-4 on the similarity is raised to what was counted, label
errors of the data included, where that is more than the fitted tail says.
"""

SFACE_KNOTS = (
    (0.000, -0.301),
    (0.048, -0.523),
    (0.118, -1.0),
    (0.175, -1.523),
    (0.217, -2.0),
    (0.255, -2.5),
    (0.290, -3.0),
    (0.322, -3.5),
    (0.351, -4.0),
    (0.380, -4.5),
    (0.410, -5.0),
)
SFACE_POOLS = 3.0
"""Every three of four photos of each of 175 people of the same data, tried against one photo of
each of 1,066 others: at one similarity their mean embedding matches 1.1 times as often as one
alone at a rate of 1e-2, 1.4 times at 1e-4, twice at 1e-5, and more below, as far as can be seen."""

SFACE_PUBLISHED_KNOTS = (
    (0.095, -0.301),
    (0.141, -0.523),
    (0.208, -1.0),
    (0.261, -1.523),
    (0.299, -2.0),
    (0.335, -2.5),
    (0.367, -3.0),
    (0.396, -3.5),
    (0.422, -4.0),
    (0.448, -4.5),
    (0.475, -5.0),
)
"""The same of the embeddings as the network gives them, with what all have in common: the cosine
that others' settings for SFace mean, and the unit of a tolerance."""

DLIB_KNOTS = (
    (0.837, -0.301),
    (0.855, -0.523),
    (0.879, -1.0),
    (0.896, -1.523),
    (0.908, -2.0),
    (0.918, -2.5),
    (0.927, -3.0),
    (0.934, -3.5),
    (0.941, -4.0),
    (0.947, -4.5),
    (0.953, -5.0),
)
"""(cosine, log10 of the false match rate)."""

DLIB_DISTANCE_KNOTS = (
    (-0.822, -0.301),
    (-0.707, -1.0),
    (-0.616, -2.0),
    (-0.544, -3.0),
    (-0.475, -4.0),
    (-0.409, -5.0),
)
"""(minus the Euclidean distance, log10 of the false match rate), the unit of a tolerance."""


class NoEngineOptions(Section):
    """The options of an engine without options."""


@dataclass(frozen=True)
class EngineSetup:
    """The ingredients of an embedder. `options` is the engine's own model, validated."""

    settings: VisionSettings
    options: Any
    assets: AssetStore


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A kind of face recognition.

    model: what its embedder's `model` begins with, up to the first slash. calibration: knots of
    cosine and log10 of the false match rate, measured on `source`.
    """

    name: str
    model: str
    make: Callable[[EngineSetup], Embedder]
    """The embedder; AssetError names what to install."""
    calibration: Knots
    source: str
    pools: float | None = None
    """As in `Calibration`."""
    tolerance_knots: Knots | None = None
    """The same over what a tolerance stands for, where that is not the similarity."""
    asset_sets: tuple[str, ...] = ()
    """Sets of `gated assets` that it needs besides the default."""
    options: type[Section] = NoEngineOptions
    """The model of `vision.options`."""


def engine(name: str) -> Engine:
    """Return the engine of this name. Raises: ConfigError, with what to do."""
    return load_driver("gated.engines", name, Engine)


def embedder_of(settings: VisionSettings, assets: AssetStore) -> Embedder:
    """Return the embedder of the configured engine.

    Raises: AssetError when a model is missing, ConfigError when the engine or its options are
    wrong.
    """
    found = engine(settings.engine)
    try:
        options = found.options.model_validate(settings.options)
    except ValidationError as error:
        raise ConfigError(
            *(f"vision.options.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        ) from None
    made = _made(found, EngineSetup(settings, options, assets))
    if made.model.split("/")[0] != found.model:
        raise ConfigError(
            f"vision.engine: {found.name} declares the model {found.model} and made {made.model}: "
            "ask who made the package"
        )
    return made


def _made(found: Engine, setup: EngineSetup) -> Embedder:
    """Make an embedder. Raises: ConfigError for whatever an engine from outside raises."""
    if found.name in BUILT_IN["gated.engines"]:
        return found.make(setup)
    try:
        return found.make(setup)
    except GatedError:
        raise
    except Exception as error:
        raise ConfigError(
            f"vision.engine: {found.name} failed: {type(error).__name__}: {error}: bring its "
            "package up to date, or name another engine"
        ) from error


def calibration_for(model: str, name: str | None = None) -> Calibration:
    """False match rates of an embedder's `model`, of the engine `name` or one of the program's own.

    Raises: AssetError for a model that was never measured.
    """
    found = _measured(model, name)
    return Calibration(model, found.source, found.calibration, found.pools)


def tolerance_calibration_for(model: str, name: str | None = None) -> Calibration:
    """The same over the similarity that a tolerance stands for.

    Of what the models' other users know: for SFace the cosine of embeddings as the network gives
    them, for dlib minus face_recognition's Euclidean distance. The gate itself compares otherwise,
    which separates people better.
    """
    found = _measured(model, name)
    return Calibration(model, found.source, found.tolerance_knots or found.calibration)


def pools_of(model: str, name: str | None = None) -> float | None:
    """`Calibration.pools` of an embedder's `model`; None for one that was never measured."""
    try:
        return _measured(model, name).pools
    except AssetError:
        return None


def _measured(model: str, name: str | None) -> Engine:
    own = [engine(known) for known in (name or "", *BUILT_IN["gated.engines"]) if known]
    for found in own:
        if found.model == model.split("/")[0]:
            return found
    raise AssetError(f"no false match rates are known for the model {model}")


SFACE = Engine(
    name="sface",
    model="sface-2021dec",
    make=lambda setup: SFaceEmbedder(setup.assets.read(manifest.SFACE)),
    calibration=SFACE_KNOTS,
    source=SOURCE,
    pools=SFACE_POOLS,
    tolerance_knots=SFACE_PUBLISHED_KNOTS,
)
DLIB = Engine(
    name="dlib",
    model="dlib-resnet-v1",
    make=lambda setup: DlibEmbedder(
        setup.assets.read(manifest.DLIB_RESNET), setup.assets.path(manifest.DLIB_LANDMARKS)
    ),
    calibration=DLIB_KNOTS,
    source=SOURCE,
    tolerance_knots=DLIB_DISTANCE_KNOTS,
    asset_sets=("dlib",),
)
