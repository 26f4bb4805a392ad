"""USB, network and ribbon cameras: what can be shown without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from gated.config import CameraSettings
from gated.devices.cameras import open_camera
from gated.devices.clock import ManualClock, SystemClock
from gated.devices.live import CaptureCamera, V4l2Camera, shown
from gated.devices.picamera import PiCamera
from gated.errors import DeviceError
from tests.devices.pictures import flat

RTSP = {"driver": "rtsp", "url": "rtsp://admin:hunter2@127.0.0.1:9/live/hunter2?key=hunter2"}


class Capture:
    """As cv2.VideoCapture: `answers` are what the reads give, `takes` what time they take."""

    def __init__(self, clock: ManualClock, answers: list[Any], takes: float = 0.01) -> None:
        self.clock, self.answers, self.takes = clock, answers, takes
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, Any]:
        self.clock.advance(self.takes)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer is not None, answer

    def release(self) -> None:
        self.released = True


class Plugged(CaptureCamera):
    """A camera whose capture is given."""

    _where = "the camera"

    def __init__(self, capture: Capture) -> None:
        super().__init__(CameraSettings(source="demo", read_timeout_s=2.0), capture.clock)
        self.given = capture

    def _connect(self) -> cv2.VideoCapture:
        return cast(cv2.VideoCapture, self.given)


def plugged(answers: list[Any], takes: float = 0.01) -> Plugged:
    camera = Plugged(Capture(ManualClock(), answers, takes))
    camera.open()
    return camera


def test_frames_are_stamped_when_they_arrive() -> None:
    camera = plugged([flat(1), flat(2)], takes=0.25)
    frames = [camera.read(), camera.read()]
    assert [f.captured_at for f in frames] == [1000.25, 1000.5]
    assert [f.number for f in frames] == [1, 2]
    camera.close()
    assert camera.given.released


@pytest.mark.parametrize("answer", [None, cv2.error("driver")])
def test_no_picture_is_a_device_error(answer: Any) -> None:
    with pytest.raises(DeviceError, match="no picture"):
        plugged([answer]).read()


@pytest.mark.parametrize(("takes", "stalls"), [(1.5, False), (1.7, True)])
def test_a_read_that_took_nearly_the_time_out_came_from_a_stalled_stream(
    takes: float, stalls: bool
) -> None:
    camera = plugged([flat(1)], takes)
    if not stalls:
        assert camera.read().number == 1
        return
    with pytest.raises(DeviceError, match=r"stalled for 1\.7 s"):
        camera.read()


def test_a_camera_that_is_not_open_says_so() -> None:
    camera = plugged([flat(1)])
    camera.close()
    with pytest.raises(DeviceError, match="not open"):
        camera.read()


def test_an_unplugged_usb_camera_is_named(tmp_path: Path) -> None:
    nothing = tmp_path / "video9"
    settings = CameraSettings(driver="v4l2", device=str(nothing))
    with pytest.raises(DeviceError, match=rf"{nothing} cannot be opened: no such device"):
        open_camera(settings, SystemClock()).open()
    nothing.touch()
    with pytest.raises(DeviceError, match="or not a camera"):
        open_camera(settings, SystemClock()).open()


def test_a_usb_camera_by_number_is_a_path() -> None:
    camera = V4l2Camera(CameraSettings(driver="v4l2", device=3), SystemClock())
    assert camera._where == "/dev/video3"


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("rtsp://admin:hunter2@cam.lan:554/s?token=hunter2", "rtsp://cam.lan:554"),
        ("rtsps://cam/hunter2", "rtsps://cam"),
        ("rtsp://u:hunter2@cam:notaport/", "the RTSP address"),
        ("rtsp://u:p@hunter2@cam/", "rtsp://cam"),
        ("rtsp://[hunter2/", "the RTSP address"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, safe: str) -> None:
    assert shown(url) == safe


def test_the_password_of_a_network_camera_appears_nowhere() -> None:
    code = (
        "import logging, sys, cv2; logging.basicConfig(level=logging.DEBUG)\n"
        "from gated.config import CameraSettings\n"
        "from gated.devices.cameras import open_camera\n"
        "from gated.devices.clock import SystemClock\n"
        "from gated.devices.supervised import SupervisedCamera\n"
        f"camera = open_camera(CameraSettings(**{RTSP!r}), SystemClock())\n"
        "events = []\n"
        "def told(event):\n"
        "    events.append(event); watched.stop()\n"
        "watched = SupervisedCamera(camera, SystemClock(), told, 10.0)\n"
        "try: watched.read()\n"
        "except Exception as end: print(type(end).__name__, events)\n"
        "camera.open()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "DeviceError: rtsp://127.0.0.1:9 cannot be opened" in run.stderr
    assert "EndOfStream [CameraEvent(kind=<CameraEventKind.LOST" in run.stdout
    assert "hunter2" not in run.stdout + run.stderr
    assert "tcp @" not in run.stderr, "FFmpeg is silent"
    assert "cap.cpp" not in run.stderr, "OpenCV is silent"


class Picamera2:
    """As picamera2.Picamera2, for one camera."""

    made: list[Picamera2]

    def __init__(self, index: int) -> None:
        if index > 0:
            raise IndexError("list index out of range")
        self.configuration: dict[str, Any] = {}
        self.running = self.closed = False
        self.hangs = False
        type(self).made.append(self)

    def create_video_configuration(self, **wanted: Any) -> dict[str, Any]:
        return wanted

    def configure(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration

    def start(self) -> None:
        self.running = True

    def capture_array(self, stream: str, wait: bool) -> Picamera2:
        assert stream == "main"
        assert not wait
        return self

    def get_result(self, timeout: float) -> Any:
        if self.hangs:
            raise TimeoutError
        return np.dstack([flat(7), flat(9)[:, :, :1]])

    def close(self) -> None:
        self.closed = True


class Library:
    """As the module picamera2."""

    def __init__(self) -> None:
        class Camera(Picamera2):
            made: list[Picamera2] = []  # noqa: RUF012 - one list per library

        self.Picamera2 = Camera


def test_the_pi_camera_gives_bgr_frames_of_the_size_asked_for() -> None:
    library = Library()
    camera = PiCamera(CameraSettings(driver="picamera2", fps=12), SystemClock(), library)
    camera.open()
    frame = camera.read()
    assert frame.image.shape[2] == 3
    assert frame.image.flags.c_contiguous
    device = library.Picamera2.made[0]
    # what libcamera calls RGB888 lies in memory as B, G, R
    assert device.configuration["main"] == {"size": (640, 480), "format": "RGB888"}
    assert device.configuration["controls"] == {"FrameRate": 12}
    camera.close()
    camera.close()
    assert device.closed


def test_a_pi_camera_that_hangs_is_a_device_error() -> None:
    library = Library()
    camera = PiCamera(CameraSettings(driver="picamera2"), SystemClock(), library)
    camera.open()
    library.Picamera2.made[0].hangs = True
    with pytest.raises(DeviceError, match="no picture"):
        camera.read()


def test_a_missing_pi_camera_is_a_device_error() -> None:
    camera = PiCamera(CameraSettings(driver="picamera2", device=1), SystemClock(), Library())
    with pytest.raises(DeviceError, match="Pi camera 1 cannot be opened"):
        camera.open()


def test_without_picamera2_the_debian_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(DeviceError, match="python3-picamera2"):
        open_camera(CameraSettings(driver="picamera2"), SystemClock()).open()
