"""Opens the configured camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gated.config import CameraSource
from gated.core.values import Image
from gated.devices.demo_scene import Portrait, walk_ups
from gated.devices.drivers import CameraDriver, CameraSetup, camera_driver, make_camera
from gated.devices.recorded import RecordedCamera, Source, recording
from gated.devices.turning import turned
from gated.errors import ConfigError
from gated.ports import Camera, Clock


def open_camera(
    settings: CameraSource,
    clock: Clock,
    demo: Sequence[Portrait] = (),
    known: str | None = None,
) -> Camera:
    """Make the configured camera, not yet open.

    demo: the people shown when the source is `demo`. known: the identity of the accepted camera.
    Raises: SourceError when a recording cannot be read, ConfigError without a camera or driver.
    """
    driver, setup = camera_driver(settings, clock, demo, known=known)
    return make_camera(driver, setup)


def _replay(setup: CameraSetup) -> Camera:
    settings = setup.settings
    source: Source
    fps = settings.fps
    if settings.source == "demo":
        size = (settings.width, settings.height)

        def source() -> Iterator[Image]:
            return walk_ups(setup.demo, size, settings.fps)

    else:
        source, fps = recording(Path(settings.source or ""), settings.fps)
    turn = turned(settings)
    return RecordedCamera(
        settings.name,
        lambda: map(turn, source()),
        fps,
        setup.clock,
        loop=settings.loop,
        realtime=settings.realtime,
    )


def _none(setup: CameraSetup) -> Camera:
    raise ConfigError("camera.driver: none: this program has no camera")


REPLAY = CameraDriver(name="replay", make=_replay)
NONE = CameraDriver(name="none", make=_none)
