"""What every camera does, over the recorded, the made-up and the simulated ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gated.config import CameraSettings
from gated.devices.cameras import open_camera
from gated.devices.clock import ManualClock
from gated.devices.contract import CAMERA_CHECKS
from gated.devices.simulated import SimulatedCamera
from gated.ports import Camera, ContractBroken, Frame
from tests.devices.pictures import LEVELS, flat, folder, portrait, video

Maker = Callable[[Path], Camera]


def replay(source: Any) -> Camera:
    settings = CameraSettings(
        driver="replay", source=source, realtime=False, loop=True, width=320, height=240
    )
    return open_camera(settings, ManualClock(), demo=[portrait()])


def a_video(tmp_path: Path) -> Camera:
    return replay(video(tmp_path / "clip.avi"))


def a_folder(tmp_path: Path) -> Camera:
    return replay(folder(tmp_path / "pictures"))


def the_demo(tmp_path: Path) -> Camera:
    return replay("demo")


def the_fake(tmp_path: Path) -> Camera:
    return SimulatedCamera([flat(level) for level in LEVELS], ManualClock())


@pytest.mark.parametrize("check", CAMERA_CHECKS.values(), ids=list(CAMERA_CHECKS))
@pytest.mark.parametrize("maker", [a_video, a_folder, the_demo, the_fake])
def test_it_does_what_every_camera_does(
    maker: Maker, check: Callable[[Callable[[], Camera]], None], tmp_path: Path
) -> None:
    check(lambda: maker(tmp_path))


class Careless(SimulatedCamera):
    """A camera that does one thing wrong."""

    def __init__(self, fault: str) -> None:
        super().__init__([flat(level) for level in LEVELS], ManualClock())
        self._fault = fault
        self._buffer = flat(LEVELS[0])

    def open(self) -> None:
        super().open()
        if self._fault == "counts anew":
            self._number = 0

    def read(self) -> Frame:
        if self._fault == "raises what it likes" and not self._is_open:
            raise RuntimeError("no stream")
        frame = super().read()
        match self._fault:
            case "grey":
                return replace(frame, image=frame.image[:, :, 0])
            case "floats":
                return replace(frame, image=frame.image.astype(np.float32))
            case "goes back in time":
                return replace(frame, captured_at=-frame.number)
            case "one buffer":
                self._buffer[:] = frame.image
                return replace(frame, image=self._buffer)
            case "skips":
                return replace(frame, number=2 * frame.number)
            case "grows":
                return replace(frame, image=flat(9)[: frame.number + 1])
        return frame


@pytest.mark.parametrize(
    "fault",
    [
        *("grey", "floats", "goes back in time", "one buffer", "skips", "grows", "counts anew"),
        "raises what it likes",
    ],
)
def test_a_careless_driver_is_found(fault: str) -> None:
    def broken(check: Callable[[Callable[[], Camera]], None]) -> bool:
        try:
            check(lambda: Careless(fault))
        except (ContractBroken, IndexError):
            return True
        return False

    assert any(broken(check) for check in CAMERA_CHECKS.values())
