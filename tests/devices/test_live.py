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
from gated.config.addresses import shown
from gated.core.messages import CameraEvent
from gated.core.values import CameraEventKind
from gated.devices.cameras import open_camera
from gated.devices.clock import ManualClock, SystemClock
from gated.devices.live import MOST_BROKEN, CaptureCamera, RtspCamera, V4l2Camera
from gated.devices.picamera import PiCamera
from gated.devices.supervised import SupervisedCamera
from gated.errors import DeviceError
from gated.ports import EndOfStream
from tests.devices.pictures import flat

RTSP = {"driver": "rtsp", "url": "rtsp://admin:hunter2@127.0.0.1:9/live/hunter2?key=hunter2"}


BROKEN = object()


class Capture:
    """As cv2.VideoCapture: `answers` are what is grabbed, `takes` what time that takes.

    None: nothing comes. BROKEN: something comes that is no picture.
    """

    def __init__(self, clock: ManualClock, answers: list[Any], takes: float = 0.01) -> None:
        self.clock, self.answers, self.takes = clock, answers, takes
        self.released = False
        self.grabbed: Any = None

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def grab(self) -> bool:
        self.clock.advance(self.takes)
        self.grabbed = self.answers.pop(0)
        if isinstance(self.grabbed, Exception):
            raise self.grabbed
        return self.grabbed is not None

    def retrieve(self) -> tuple[bool, Any]:
        return (False, None) if self.grabbed is BROKEN else (True, self.grabbed)

    def release(self) -> None:
        self.released = True


class Plugged(CaptureCamera):
    """A camera whose capture is given."""

    _where = "the camera"

    def __init__(self, capture: Capture, **changes: Any) -> None:
        settings = CameraSettings(source="demo", read_timeout_s=2.0, **changes)
        super().__init__(settings, capture.clock)
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


def test_broken_pictures_are_passed_over() -> None:
    """A bad cable spoils one now and then; nothing but spoiled ones is a lost camera."""
    camera = plugged([flat(1), BROKEN, BROKEN, flat(2)])
    assert [camera.read().image[0, 0, 0] for _ in range(2)] == [1, 2]
    with pytest.raises(DeviceError, match="broken pictures"):
        plugged([BROKEN] * MOST_BROKEN).read()
    slow = plugged([BROKEN] * MOST_BROKEN, takes=0.9)
    with pytest.raises(DeviceError, match="broken pictures"):
        slow.read()
    assert len(slow.given.answers) == MOST_BROKEN - 2  # within its time-out


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
        ("rtsp://u:p@hunter2@cam/", "the RTSP address"),
        ("rtsp://admin:24#hunter2@cam/ch0", "the RTSP address"),
        ("rtsp://admin:24?hunter2@cam/ch0", "the RTSP address"),
        ("rtsp://admin:24/hunter2@cam/ch0", "the RTSP address"),
        ("rtsp://u:p@hunter2/more@cam/ch0", "the RTSP address"),
        ("rtsp://[hunter2/", "the RTSP address"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, safe: str) -> None:
    settings = CameraSettings.model_construct(driver="rtsp", url=url)
    assert RtspCamera(settings, SystemClock())._where == safe
    assert "hunter2" not in shown(url)


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
        self.held = 0
        self.metadata: dict[str, Any] = {}
        type(self).made.append(self)

    def create_video_configuration(self, **wanted: Any) -> dict[str, Any]:
        return wanted

    def configure(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration

    def start(self) -> None:
        self.running = True

    def capture_request(self, wait: bool) -> Picamera2:
        assert not wait
        return self

    def get_result(self, timeout: float) -> Picamera2:
        """The frame that is asked for; here the camera stands for it itself."""
        if self.hangs:
            raise TimeoutError
        self.held += 1
        return self

    def make_array(self, stream: str) -> Any:
        if stream == "lores":
            width, height = self.configuration["lores"]["size"]
            bgr = cv2.resize(self.picture(), (width, height))
            return cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
        return np.dstack([self.picture(), flat(9)[:, :, :1]])

    def picture(self) -> Any:
        return flat(7)

    def get_metadata(self) -> dict[str, Any]:
        return self.metadata

    def release(self) -> None:
        self.held -= 1

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


def test_a_frame_of_the_pi_camera_counts_from_when_the_sensor_read_it() -> None:
    library, clock = Library(), ManualClock(mono=100.0)
    settings = CameraSettings(driver="picamera2")
    camera = PiCamera(settings, clock, library, sensor_clock=lambda: 7_000_000_000)
    camera.open()
    device = library.Picamera2.made[0]
    for stamp, at in (
        (6_950_000_000, 99.95),
        (None, 100.0),
        (8_000_000_000, 100.0),
        (1_000_000_000, 100.0),
    ):
        device.metadata = {"SensorTimestamp": stamp}
        assert camera.read().captured_at == pytest.approx(at)
    assert device.held == 0, "each frame goes back to the camera, which has only a few"
    camera.close()


@pytest.mark.parametrize(
    ("width", "height", "small"),
    [(640, 480, None), (1280, 720, (640, 360)), (1920, 1080, (640, 360)), (1296, 972, (640, 480))],
)
def test_a_large_picture_comes_with_a_small_one(width: int, height: int, small: Any) -> None:
    class Large(Library):
        def __init__(self) -> None:
            super().__init__()

            def picture(device: Picamera2) -> Any:
                image = np.zeros((height, width, 3), np.uint8)
                image[: height // 2, : width // 2] = (200, 40, 90)
                return image

            self.Picamera2.picture = picture  # type: ignore[method-assign, assignment]
            self.Picamera2.make_array = make_array  # type: ignore[method-assign, assignment]

    def make_array(device: Picamera2, stream: str) -> Any:
        if stream == "main":
            return device.picture()
        bgr = cv2.resize(device.picture(), device.configuration["lores"]["size"])
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)

    library = Large()
    settings = CameraSettings(driver="picamera2", width=width, height=height)
    camera = PiCamera(settings, SystemClock(), library)
    camera.open()
    frame = camera.read()
    assert frame.image.shape == (height, width, 3)
    assert ("lores" in library.Picamera2.made[0].configuration) == (small is not None)
    if small is None:
        assert frame.small is None
        return
    assert frame.small is not None
    assert frame.small.shape == (small[1], small[0], 3)
    seen = [int(v) for v in frame.small[10, 10]]
    assert seen == pytest.approx([200, 40, 90], abs=6), "blue, green, red as in the large one"
    assert frame.small[-10, -10].max() < 6


def test_a_small_picture_with_padded_rows_is_not_used() -> None:
    library = Library()
    camera = PiCamera(CameraSettings(driver="picamera2", width=1280), SystemClock(), library)
    camera.open()
    device = library.Picamera2.made[0]
    device.make_array = lambda stream: (  # type: ignore[method-assign]
        flat(7) if stream == "main" else np.zeros((360, 704), np.uint8)
    )
    assert camera.read().small is None


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


def corner(level: int = 200) -> Any:
    """A picture that is lit in its upper left corner."""
    image = flat(0)
    image[:40, :40] = level
    return image


def lit_corner(image: Any) -> str:
    """Where it is lit: upper or lower, left or right."""
    y, x = (int(v.mean()) for v in np.nonzero(image[:, :, 0]))
    height, width = image.shape[:2]
    return f"{'lower' if y > height / 2 else 'upper'} {'right' if x > width / 2 else 'left'}"


TURNS = [
    (0, False, "upper left"),
    (0, True, "upper right"),
    (90, False, "upper right"),
    (90, True, "upper left"),
    (180, False, "lower right"),
    (180, True, "lower left"),
    (270, False, "lower left"),
    (270, True, "lower right"),
]


@pytest.mark.parametrize(("rotate", "mirror", "where"), TURNS)
def test_the_pictures_of_usb_and_network_cameras_are_turned(
    rotate: Any, mirror: bool, where: str
) -> None:
    camera = Plugged(Capture(ManualClock(), [corner()]), rotate=rotate, mirror=mirror)
    camera.open()
    image = camera.read().image
    assert lit_corner(image) == where
    assert image.shape[:2] == ((160, 120) if rotate in {90, 270} else (120, 160))


class Libcamera:
    """As the module libcamera."""

    class Transform:
        def __init__(self, hflip: int = 0, vflip: int = 0) -> None:
            self.hflip, self.vflip = hflip, vflip


class Turning(Library):
    """A Pi camera that shows the corner, turned as it was asked to."""

    def __init__(self) -> None:
        super().__init__()

        def make_array(device: Picamera2, stream: str) -> Any:
            image, wanted = corner(), device.configuration.get("transform")
            if wanted is not None:
                image = image[::-1] if wanted.vflip else image
                image = image[:, ::-1] if wanted.hflip else image
            return image

        self.Picamera2.make_array = make_array  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize(("rotate", "mirror", "where"), TURNS)
def test_the_pictures_of_the_pi_camera_are_turned_by_libcamera_where_it_can(
    rotate: Any, mirror: bool, where: str
) -> None:
    library = Turning()
    settings = CameraSettings(driver="picamera2", rotate=rotate, mirror=mirror)
    camera = PiCamera(settings, SystemClock(), library, Libcamera)
    camera.open()
    assert lit_corner(camera.read().image) == where
    configured = "transform" in library.Picamera2.made[0].configuration
    assert configured == (rotate == 180 or (rotate == 0 and mirror))


@pytest.mark.parametrize(
    "fault",
    [
        "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')",
        "raise OSError('libcamera.so.0.4: cannot open shared object file')",
        "raise RuntimeError('no event loop')",
        "import nothing_of_this_name",
    ],
)
def test_a_library_that_does_not_start_is_a_lost_camera_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    (tmp_path / "picamera2.py").write_text(fault)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    clock, events = ManualClock(), list[CameraEvent]()

    def told(event: CameraEvent) -> None:
        events.append(event)
        watched.stop()

    camera = open_camera(CameraSettings(driver="picamera2"), clock)
    watched = SupervisedCamera(camera, clock, told, 10.0)
    with pytest.raises(EndOfStream):
        watched.read()
    (lost,) = events
    assert lost.kind is CameraEventKind.LOST
    assert "apt full-upgrade" in lost.detail or "python3-picamera2" in lost.detail
