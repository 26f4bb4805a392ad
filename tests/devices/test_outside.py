"""Drivers that other packages bring: the example of the docs for real, and what can go wrong."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest

from gated.config import (
    CameraSettings,
    CredentialSettings,
    DoorSettings,
    Settings,
    VisionSettings,
    effective,
    load,
)
from gated.config.drivers import BUILT_IN, Group, load_driver, shadowed
from gated.core.messages import Condition, DoorEvent
from gated.core.values import DoorEventKind, Image, Light
from gated.devices.cameras import open_camera
from gated.devices.clock import ManualClock, SystemClock
from gated.devices.contract import CAMERA_CHECKS
from gated.devices.doors import open_door, open_indicators
from gated.devices.drivers import (
    CameraDriver,
    CardOutputDriver,
    DoorDriver,
    ReaderDriver,
    check_options,
)
from gated.devices.emergency import lock_door
from gated.devices.identity import identity_of
from gated.devices.readers import open_reader
from gated.devices.simulated import SimulatedDoor
from gated.doctor import Finding, examine
from gated.enrollment import enrollment_store
from gated.enrollment.models import INSTALLED, read_calibration
from gated.enrollment.photo_doubts import PhotoDoubts
from gated.errors import ConfigError, DeviceError
from gated.ports import Camera
from gated.vision.assets import AssetStore
from gated.vision.engines import Engine, calibration_for, embedder_of, engine
from tests.assets import require_assets
from tests.devices.pictures import LEVELS, flat
from tests.devices.waiting import eventually
from tests.e2e.process import Process
from tests.enrollment.offices import settings_in
from tests.enrollment.test_gallery_check import axis, enrol
from tests.workspaces import open_workspace

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")


def example(name: str) -> str:
    """A block of docs/extending.md."""
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"docs/extending.md shows no {name}"
    return found[1]


class Site:
    """A folder on the path with packages as pip leaves them there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, package: str, group: str, points: dict[str, str], code: str = "") -> None:
        about = self.folder / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
        (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
        if code:
            (self.folder / f"{package}.py").write_text(code)
        importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(folder / f"{name}.py"):
            del sys.modules[name]


@pytest.fixture
def address() -> Iterator[str]:
    """A host that answers each request with another picture."""

    class Host(BaseHTTPRequestHandler):
        shown = 0

        def do_GET(self) -> None:
            Host.shown += 1
            image: Image = flat(LEVELS[Host.shown % len(LEVELS)])
            image[:8, Host.shown % 64] = 255
            data = cv2.imencode(".jpg", image)[1].tobytes()
            self.send_response(200 if self.path == "/picture.jpg" else 404)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    host = HTTPServer(("127.0.0.1", 0), Host)
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{host.server_port}/picture.jpg"
    host.shutdown()
    thread.join()
    host.server_close()


@pytest.fixture
def snapshot(site: Site) -> Site:
    """The package of the example, installed."""
    points = re.findall(r'^(\w+) = "(.+)"$', example("entry_points.txt"), re.MULTILINE)
    group = re.search(r'entry-points\."(.+)"', example("entry_points.txt"))
    assert group
    site.install("gated_snapshot", group[1], dict(points), example("gated_snapshot.py"))
    return site


# --- the example ----------------------------------------------------------------------------------


@pytest.mark.parametrize("check", CAMERA_CHECKS.values(), ids=list(CAMERA_CHECKS))
def test_the_camera_of_the_docs_is_a_camera(
    snapshot: Site, address: str, check: Callable[[Callable[[], Camera]], None]
) -> None:
    settings = CameraSettings(driver="snapshot", options={"address": address})
    check(lambda: open_camera(settings, SystemClock()))
    assert identity_of(settings) == f"snapshot {address}"


def test_it_has_forty_lines() -> None:
    lines = [line for line in example("gated_snapshot.py").splitlines() if line.strip()]
    assert len(lines) <= 40
    assert example("test_snapshot.py")


def test_a_gate_runs_with_it(snapshot: Site, address: str, tmp_path: Path) -> None:
    require_assets("default")
    config = tmp_path / "gate.yaml"
    shown = example("gate.yaml").replace("http://192.0.2.10/picture.jpg", address)
    config.write_text(
        f"{shown}\nstorage: {{state_dir: {tmp_path / 'state'}}}\napi: {{port: 0}}\n"
        f"vision: {{assets_dir: {INSTALLED}}}\n"
    )
    path = os.pathsep.join([str(snapshot.folder), os.environ.get("PYTHONPATH", "")])
    with Process("--config", config, PYTHONPATH=path) as gate:
        gate.wait_for("camera", "delivers")
        assert gate.end() == 0


def test_the_doctor_lists_what_is_installed_and_imports_nothing(
    snapshot: Site, address: str
) -> None:
    settings = Settings(camera=CameraSettings(source="demo"))
    said = [f.message for f in of_drivers(examine(settings))]
    assert said == ["camera driver snapshot of gated_snapshot 1.0: not used"]
    assert "gated_snapshot" not in sys.modules
    used = Settings(camera=CameraSettings(driver="snapshot", options={"address": address}))
    findings = examine(used)
    assert "named in the configuration" in of_drivers(findings)[0].message
    assert next(f.state for f in findings if f.name == "camera") == "ok"


def of_drivers(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if f.name == "drivers"]


# --- what can go wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, r"camera\.options\.address: Field required"),
        ({"address": "http://x", "adress": 1}, r"camera\.options\.adress: Extra inputs"),
        ({"address": 5}, r"camera\.options\.address: Input should be a valid string"),
    ],
)
def test_wrong_options_are_named(snapshot: Site, options: dict[str, Any], says: str) -> None:
    settings = CameraSettings(driver="snapshot", options=options)
    with pytest.raises(ConfigError, match=says):
        open_camera(settings, ManualClock())


def test_the_check_of_a_configuration_names_all_wrong_options(snapshot: Site) -> None:
    snapshot.install("bolt", "gated.doors", {"bolt": "bolt:DRIVER"}, BOLT)
    wrong = Settings(
        camera=CameraSettings(driver="snapshot"), door=DoorSettings(driver="bolt", options={"a": 1})
    )
    with pytest.raises(ConfigError) as error:
        check_options(wrong)
    for said in (
        "camera.options.address: Field required",
        "door.options.password",
        "door.options.a",
    ):
        assert said in str(error.value)
    check_options(Settings(camera=CameraSettings(source="demo")))


def test_options_of_a_driver_that_has_none_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"camera\.options: this driver has no options"):
        open_camera(CameraSettings(driver="v4l2", options={"gain": 3}), ManualClock())


def problems(tmp_path: Path, text: str) -> str:
    file = tmp_path / "gate.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file, {})
    return str(error.value)


def test_a_name_that_nobody_brings_is_a_mistake_with_its_line(site: Site, tmp_path: Path) -> None:
    site.install("a_brand", "gated.cameras", {"a-brand": "a_brand:DRIVER"})
    said = problems(tmp_path, "camera:\n  name: x\n  driver: a-brnd\n")
    assert re.search(r"gate\.yaml:3: camera\.driver: there is no camera driver a-brnd", said)
    assert "v4l2" in said, "what there is is listed"
    assert "a-brand" in said
    assert "entry point gated.cameras" in said
    assert "a_brand" not in sys.modules


def test_two_packages_with_the_same_name_are_both_named(site: Site, tmp_path: Path) -> None:
    for package in ("one", "two"):
        site.install(package, "gated.doors", {"bolt": f"{package}:DRIVER"})
    said = problems(tmp_path, "camera: {driver: v4l2}\ndoor: {driver: bolt}\n")
    assert "one 1.0 and two 1.0 both declare the door driver bolt: uninstall one" in said


def test_the_names_of_the_program_cannot_be_taken(site: Site) -> None:
    site.install("thief", "gated.doors", {"simulated": "thief:DRIVER"}, "raise SystemExit(1)")
    door = open_door(DoorSettings(), lambda event: None, SystemClock())
    assert isinstance(door, SimulatedDoor)
    door.close()
    assert [(group, point.name) for group, point in shadowed()] == [("gated.doors", "simulated")]
    [finding] = of_drivers(examine(Settings(camera=CameraSettings(source="demo"))))
    assert (finding.state, "never used" in finding.message) == ("warn", True)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import a_module_that_is_not_there", "cannot be imported .*ModuleNotFoundError"),
        ("raise RuntimeError('no licence')", "cannot be imported .*no licence"),
        ("", "cannot be imported .*"),
        ("DRIVER = 'a string'", "is a str and should be a CameraDriver"),
        ("DRIVER = print", "should be a CameraDriver"),
    ],
)
def test_a_package_that_does_not_work_says_so_with_advice(site: Site, code: str, says: str) -> None:
    site.install("broken", "gated.cameras", {"broken": "broken:DRIVER"}, code or "pass")
    with pytest.raises(ConfigError, match=rf"camera driver broken of broken 1\.0.*{says}"):
        open_camera(CameraSettings(driver="broken"), ManualClock())


FAULTY = """
from gated.devices.drivers import CameraDriver

class Faulty:
    name = "faulty"
    def open(self): pass
    def read(self): raise RuntimeError("what a library raises")
    def close(self): raise OSError("gone")

DRIVER = CameraDriver(name="faulty", make=lambda setup: Faulty())
"""


def test_whatever_a_camera_raises_is_a_failed_device(site: Site) -> None:
    site.install("faulty", "gated.cameras", {"faulty": "faulty:DRIVER"}, FAULTY)
    camera = open_camera(CameraSettings(driver="faulty"), ManualClock())
    camera.open()
    with pytest.raises(DeviceError, match="camera driver faulty failed: RuntimeError"):
        camera.read()
    with pytest.raises(DeviceError, match="OSError"):
        camera.close()


NOTHING = """
from gated.devices.drivers import CameraDriver, ReaderDriver

class Empty:
    name = "empty"
    def open(self): pass
    def read(self): return None
    def close(self): pass

class Number(Empty):
    def read(self, timeout): return 4711

CAMERA = CameraDriver(name="empty", make=lambda setup: Empty())
READER = ReaderDriver(name="number", make=lambda setup: Number())
"""


def test_what_is_no_frame_and_no_number_is_a_failed_device(site: Site) -> None:
    site.install("nothing", "gated.cameras", {"empty": "nothing:CAMERA"}, NOTHING)
    camera = open_camera(CameraSettings(driver="empty"), ManualClock())
    with pytest.raises(DeviceError, match="camera driver empty failed"):
        camera.read()
    site.install("nothing2", "gated.readers", {"number": "nothing:READER"})
    reader = open_reader(CredentialSettings(reader="number"))
    assert reader is not None
    with pytest.raises(DeviceError, match="gave a card as int"):
        reader.read(0.0)


BOLT = """
from gated.config import Section
from gated.devices.drivers import DoorDriver
from gated.devices.simulated import SimulatedDoor

class Options(Section):
    address: str
    password: str

DRIVER = DoorDriver(
    name="bolt",
    make=lambda setup: SimulatedDoor(setup.settings, setup.post, setup.clock),
    options=Options,
    lock=lambda setup: f"locked: the bolt at {setup.options.address}",
)
"""
BOLT_OPTIONS = {"address": "10.0.0.7", "password": "s3cret"}


def test_a_door_from_outside_is_a_real_one(site: Site, tmp_path: Path) -> None:
    site.install("bolt", "gated.doors", {"bolt": "bolt:DRIVER"}, BOLT)
    said = problems(tmp_path, "camera: {source: demo}\ndoor: {driver: bolt}\n")
    assert "a replay never drives a real door (door.driver: bolt)" in said
    settings = DoorSettings(driver="bolt", options=BOLT_OPTIONS)
    door = open_door(settings, lambda event: None, SystemClock())
    door.close()
    assert lock_door(settings) == "locked: the bolt at 10.0.0.7"


def test_its_secrets_are_not_shown(site: Site) -> None:
    site.install("bolt", "gated.doors", {"bolt": "bolt:DRIVER"}, BOLT)
    settings = Settings(
        camera=CameraSettings(driver="v4l2"), door=DoorSettings(driver="bolt", options=BOLT_OPTIONS)
    )
    shown = effective(settings)["door"]["options"]
    assert shown == {"address": "10.0.0.7", "password": "***"}
    assert "s3cret" not in repr(settings)


def test_a_door_that_cannot_lock_alone_says_so(site: Site) -> None:
    code = BOLT.replace('lock=lambda setup: f"locked: the bolt at {setup.options.address}",', "")
    site.install("bolt", "gated.doors", {"bolt": "bolt:DRIVER"}, code)
    with pytest.raises(DeviceError, match="cannot lock without the program"):
        lock_door(DoorSettings(driver="bolt", options=BOLT_OPTIONS))


LATCH = """
from gated.devices.drivers import DoorDriver

class Latch:
    works = True
    def _do(self):
        if not self.works:
            raise OSError("the library fails")
    def unlock(self, for_s): self._do()
    def lock(self): self._do()
    def reset_fire(self): self._do(); return True
    @property
    def unlocked(self): self._do(); return False
    @property
    def contact_open(self): self._do(); return None
    def close(self): self._do()

class Lamps(Latch):
    def show(self, lights): self._do()
    def flash(self, granted): self._do()

def lock(setup):
    raise OSError("the library fails")

DRIVER = DoorDriver(
    name="latch", make=lambda setup: Latch(), lock=lock, indicators=lambda settings, setup: Lamps()
)
"""


def test_whatever_a_door_raises_is_its_fault_until_it_obeys(site: Site) -> None:
    site.install("latch", "gated.doors", {"latch": "latch:DRIVER"}, LATCH)
    events: list[DoorEvent] = []
    door = open_door(DoorSettings(driver="latch"), events.append, SystemClock())
    door.unlock(1.0)
    latch = importlib.import_module("latch").Latch
    latch.works = False
    for call in (lambda: door.unlock(1.0), door.lock, door.reset_fire):
        with pytest.raises(DeviceError, match="door driver latch failed: OSError: the library"):
            call()
    assert (door.unlocked, door.contact_open) == (True, None), "not known to be locked"
    latch.works = True
    assert eventually(lambda: [e.kind for e in events] == [DoorEventKind.FAULT_OVER])
    door.lock()
    latch.works = False
    with pytest.raises(DeviceError):
        door.close()
    with pytest.raises(DeviceError, match="door driver latch failed: OSError"):
        lock_door(DoorSettings(driver="latch"))


def test_whatever_lamps_raise_is_a_condition_until_they_obey(site: Site) -> None:
    site.install("latch", "gated.doors", {"latch": "latch:DRIVER"}, LATCH)
    settings = Settings(camera=CameraSettings(driver="v4l2"), door=DoorSettings(driver="latch"))
    noted: list[Condition] = []
    lamps = open_indicators(settings, note=noted.append)
    latch = importlib.import_module("latch").Lamps
    latch.works = False
    lamps.show(frozenset({Light.IDLE}))
    lamps.flash(granted=True)
    lamps.close()
    latch.works = True
    lamps.flash(granted=False)
    assert [(c.name, c.present, c.severity) for c in noted] == [
        ("indicator_lost", True, "alarm"),
        ("indicator_lost", False, "warning"),
    ]


def test_the_identity_of_a_camera_that_cannot_be_read_is_a_failed_device(site: Site) -> None:
    code = FAULTY.replace("make=", "identity=lambda setup: 1 / 0, make=")
    site.install("faulty", "gated.cameras", {"faulty": "faulty:DRIVER"}, code)
    with pytest.raises(DeviceError, match="camera driver faulty failed: ZeroDivisionError"):
        identity_of(CameraSettings(driver="faulty"))


def test_another_error_of_gated_from_a_driver_is_a_failed_device(site: Site) -> None:
    code = FAULTY.replace("RuntimeError(", "ConfigError(")
    code = f"from gated.errors import ConfigError\n{code}"
    site.install("faulty", "gated.cameras", {"faulty": "faulty:DRIVER"}, code)
    camera = open_camera(CameraSettings(driver="faulty"), ManualClock())
    with pytest.raises(DeviceError, match="ConfigError"):
        camera.read()


READER = """
from gated.devices.drivers import ReaderDriver

class Reader:
    name = "wand"
    def open(self): pass
    def read(self, timeout): return [1][5]
    def close(self): pass

DRIVER = ReaderDriver(name="wand", make=lambda setup: Reader())
"""


def test_a_card_reader_from_outside_needs_no_device(site: Site) -> None:
    site.install("wand", "gated.readers", {"wand": "wand:DRIVER"}, READER)
    reader = open_reader(CredentialSettings(reader="wand"))
    assert reader is not None
    reader.open()
    with pytest.raises(DeviceError, match="IndexError"):
        reader.read(0.1)


ARC = """
from gated.vision.engines import Engine

DRIVER = Engine(
    name="arc",
    model="arc-1",
    make=lambda setup: None,
    source="a test",
    calibration=((0.1, -0.3), (0.5, -5.0)),
    pools=2.0,
)
"""


def test_an_engine_from_outside_brings_its_own_error_rates(site: Site, tmp_path: Path) -> None:
    site.install("arc", "gated.engines", {"arc": "arc:DRIVER"}, ARC)
    assert VisionSettings(engine="arc").engine == "arc"
    assert engine("arc").model == "arc-1"
    measured = calibration_for("arc-1/r1", "arc")
    assert measured.source == "a test"
    own = tmp_path / "calibration.json"
    own.write_text(json.dumps(replace(measured, source="ours", pools=None).as_dict()))
    assert read_calibration(own, "arc-1/r1", "arc").pools == 2.0


def test_an_engine_that_cannot_be_made_says_so(site: Site, tmp_path: Path) -> None:
    site.install("arc", "gated.engines", {"arc": "arc:DRIVER"}, ARC.replace("None", "1 / 0"))
    with pytest.raises(ConfigError, match=r"vision\.engine: arc failed: ZeroDivisionError"):
        embedder_of(VisionSettings(engine="arc"), AssetStore([tmp_path]))


def test_photos_of_an_engine_from_outside_are_looked_through(site: Site, tmp_path: Path) -> None:
    site.install("arc", "gated.engines", {"arc": "arc:DRIVER"}, ARC)
    vision = VisionSettings(engine="arc")
    settings = settings_in(tmp_path / "state").model_copy(update={"vision": vision})
    with open_workspace(settings) as workspace:
        with workspace.database.write() as session:
            ids = enrol(workspace, session, "A", axis(0), axis(2), axis(0), model="arc-1/r1")
            person_id = enrollment_store.get(session, ids[0]).person_id
        (doubt,) = PhotoDoubts.of(workspace).of_person(person_id)
    assert (doubt.enrollment_id, doubt.reason) == (ids[1], "unlike")


# --- the program's own ----------------------------------------------------------------------------

DECLARATIONS: dict[Group, type] = {
    "gated.cameras": CameraDriver,
    "gated.doors": DoorDriver,
    "gated.readers": ReaderDriver,
    "gated.card_outputs": CardOutputDriver,
    "gated.engines": Engine,
}


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, names in BUILT_IN.items() for name in names]
)
def test_each_of_the_programs_own_is_declared_under_its_name(group: Group, name: str) -> None:
    if (group, name) == ("gated.doors", "gpiozero"):
        pytest.importorskip("gpiozero", reason="gpiozero (extra pi) is missing")
    found: Any = load_driver(group, name, DECLARATIONS[group])
    assert found.name == name


def test_a_camera_of_the_program_is_not_wrapped() -> None:
    assert type(open_camera(CameraSettings(driver="v4l2"), ManualClock())).__name__ == "V4l2Camera"
