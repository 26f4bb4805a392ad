"""Looks at everything that the gate needs and says what is wrong and what to do about it.

Changes nothing, shows no secret, and is done within a bounded time whatever hangs: each probe runs
in a thread of its own and is given up when its time is over. The door's relay is driven to its
locked level, where it is already.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gated.config import DoorSettings, Settings
from gated.devices.cameras import open_camera
from gated.devices.clock import SystemClock
from gated.devices.doors import open_door
from gated.devices.emergency import locked_level
from gated.devices.leased import Input, LeasedDoor
from gated.devices.readers import open_reader
from gated.errors import DeviceError, GatedError
from gated.ports import Camera, Clock, Door
from gated.services.models import asset_store
from gated.services.workspace import has_database
from gated.storage.engine import Database
from gated.storage.journal import Journal
from gated.storage.lock import is_locked
from gated.storage.sealing import load_keys
from gated.vision.assets import AssetStore

State = Literal["ok", "warn", "fail", "skip"]

LOW_DISK, NO_DISK = 1 << 30, 100 << 20
LOW_MEMORY = 256 << 20
HOT_C = 80.0
"""A Raspberry Pi slows down from 80 degrees on."""
LIMIT_S = 5.0
FLOATING_S, FLOATING_LOOKS = 0.2, 40
THROTTLING = {0: "the supply voltage is too low", 2: "the processor is slowed down", 3: "it is hot"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found. advice: what to do, for `warn` and `fail`."""

    name: str
    state: State
    message: str
    advice: str = ""


def _real_camera(settings: Settings, clock: Clock) -> Camera | None:
    if settings.camera.driver == "none" or settings.camera.source == "demo":
        return None
    return open_camera(settings.camera, clock)


def _quiet_door(settings: Settings, clock: Clock) -> Door:
    # whoever leans on the exit button while the doctor looks does not open the door
    door = settings.door.model_copy(update={"rex_releases": False})
    return open_door(door, lambda event: None, clock)


@dataclass(frozen=True)
class Patient:
    """What is looked at. The machine's own files and devices, unless others are given."""

    settings: Settings
    clock: Clock = field(default_factory=SystemClock)
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    open_camera: Callable[[Settings, Clock], Camera | None] = _real_camera
    open_door: Callable[[Settings, Clock], Door] = _quiet_door
    assets: Callable[[Settings], AssetStore] = asset_store

    @property
    def running(self) -> bool:
        """Whether a gate uses the state directory at this moment."""
        return is_locked(self.state_dir)

    @property
    def state_dir(self) -> Path:
        return self.settings.storage.state_dir


Probe = Callable[[Patient], Iterator[Finding]]


def examine(settings: Settings, patient: Patient | None = None) -> list[Finding]:
    """Everything that was found, in the order in which an installer should mend it."""
    patient = patient or Patient(settings)
    camera = settings.camera
    waits = LIMIT_S + camera.open_timeout_s + camera.read_timeout_s
    probes: list[tuple[str, Probe, float]] = [
        ("configuration", _configuration, LIMIT_S),
        ("software", _software, LIMIT_S),
        ("state", _state, LIMIT_S),
        ("keys", _keys, LIMIT_S),
        ("models", _models, 2 * LIMIT_S),
        ("database", _database, 2 * LIMIT_S),
        ("journal", _journal, 2 * LIMIT_S),
        ("camera", _camera, waits),
        ("door", _door, LIMIT_S),
        ("reader", _reader, LIMIT_S),
        ("clock", _clock, LIMIT_S),
        ("memory", _memory, LIMIT_S),
        ("temperature", _temperature, LIMIT_S),
        ("port", _port, LIMIT_S),
    ]
    return [
        found for name, probe, limit in probes for found in bounded(name, probe, patient, limit)
    ]


def bounded(name: str, probe: Probe, patient: Patient, limit_s: float) -> list[Finding]:
    """What the probe finds within the time; an error or a hang of its own is a finding too."""
    found: list[Finding] = []
    done = threading.Event()

    def work() -> None:
        try:
            found.extend(probe(patient))
        except GatedError as error:
            found.append(Finding(name, "fail", str(error).splitlines()[0]))
        except Exception as error:
            found.append(Finding(name, "fail", f"cannot be examined: {type(error).__name__}"))
        finally:
            done.set()

    threading.Thread(target=work, name=f"doctor-{name}", daemon=True).start()
    if not done.wait(limit_s):
        return [Finding(name, "fail", f"does not answer within {limit_s:.0f} s")]
    return found


# --- the program --------------------------------------------------------------------------------


def _configuration(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    gate = settings.gate
    yield Finding("configuration", "ok", f"{gate.role} {gate.name!r} at {gate.site!r}")
    if gate.role == "gate" and settings.liveness.level == "off":
        yield Finding(
            "liveness", "warn", "off: a photo opens the door", "set liveness: normal or above"
        )
    if settings.api.enabled and settings.api.insecure:
        yield Finding(
            "api",
            "warn",
            "reachable without TLS",
            "set tls_certificate and tls_key, or use a proxy",
        )


def _software(patient: Patient) -> Iterator[Finding]:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("gated", "opencv-python-headless", "numpy")
    )
    python = platform.python_version()
    yield Finding("software", "ok", f"{versions}, Python {python} on {platform.machine()}")


def _models(patient: Patient) -> Iterator[Finding]:
    wanted = {"default"} if patient.settings.gate.role == "gate" else set()
    if wanted and patient.settings.liveness.level != "off":
        wanted.add("pad")
    if wanted and patient.settings.liveness.level == "challenge":
        wanted.add("mesh")
    if wanted and patient.settings.vision.engine == "dlib":
        wanted.add("dlib")
    if wanted and patient.settings.camera.source == "demo":
        wanted.add("demo")
    status = patient.assets(patient.settings).status()
    for name in sorted(wanted):
        bad = [s for s in status if s.set == name and not s.verified]
        damaged = [s.name for s in bad if s.present]
        advice = f"gated assets install {name}"
        if not bad:
            yield Finding("models", "ok", f"set {name}: present and verified")
        elif damaged:
            yield Finding("models", "fail", f"set {name}: damaged: {', '.join(damaged)}", advice)
        else:
            yield Finding("models", "fail", f"set {name}: missing", advice)


# --- what is stored ------------------------------------------------------------------------------


def _state(patient: Patient) -> Iterator[Finding]:
    path = patient.state_dir
    if not path.is_dir():
        yield Finding("state", "warn", f"{path} does not exist yet", "the first start makes it")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        user = f"user {os.getuid()}"
        yield Finding("state", "fail", f"{path} cannot be written by {user}", _ownership(path))
    elif mode & 0o077 and not patient.settings.gate.demo:
        yield Finding("state", "warn", f"{path} is open to others", f"chmod 700 {path}")
    else:
        yield Finding("state", "ok", f"{path} is writable")
    yield _disk(path)


def _ownership(path: Path) -> str:
    return f"run as user {path.stat().st_uid}, or change the owner of {path}"


def _disk(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    message = f"{free / (1 << 30):.1f} GiB free"
    if free < NO_DISK:
        return Finding("disk", "fail", message, "make room: nothing can be logged soon")
    if free < LOW_DISK:
        return Finding("disk", "warn", message, "make room")
    return Finding("disk", "ok", message)


def _key_files(patient: Patient) -> list[Path]:
    given = (patient.settings.storage.key_file, patient.settings.api.tls_key)
    made = sorted((patient.state_dir / "keys").glob("*.key"))
    return [*(path for path in given if path), *made]


def _keys(patient: Patient) -> Iterator[Finding]:
    files = _key_files(patient)
    missing = [f for f in files if not f.is_file()]
    open_ = [f for f in files if f.is_file() and stat.S_IMODE(f.stat().st_mode) & 0o077]
    for path in missing:
        yield Finding("keys", "fail", f"{path} is missing", "put it back, or mend the path")
    for path in open_:
        yield Finding("keys", "fail", f"{path} is readable by others", f"chmod 600 {path}")
    if not files:
        yield Finding("keys", "skip", "none yet: the first start makes them")
    elif not missing and not open_:
        yield Finding("keys", "ok", f"{len(files)} keys, readable by the gate only")


def _database(patient: Patient) -> Iterator[Finding]:
    if not has_database(patient.settings):
        yield Finding("database", "skip", "none yet: the first start makes it")
        return
    with contextlib.closing(Database.open(patient.settings.storage.url)) as database:
        database.check_schema()
        kind = "SQLite" if database.sqlite else "PostgreSQL"
    yield Finding("database", "ok", f"{kind} answers, its schema is this program's")


def _journal(patient: Patient) -> Iterator[Finding]:
    signed = (patient.state_dir / "keys" / "journal.key").is_file()
    if not signed or not has_database(patient.settings):
        yield Finding("journal", "skip", "none yet")
        return
    keys = load_keys(patient.state_dir, patient.settings.storage.key_file)
    with contextlib.closing(Database.open(patient.settings.storage.url)) as database:
        database.check_schema()
        journal = Journal(database, keys.signer, patient.state_dir / "journal.head")
        result = journal.verify()
    if result.first_problem:
        advice = "keep a copy of the database and ask who had access"
        yield Finding("journal", "fail", str(result.first_problem), advice)
    else:
        yield Finding("journal", "ok", f"{result.rows} rows, whole")
    for note in result.notes:
        yield Finding("journal", "warn", note, "see `gated journal verify`")


# --- devices --------------------------------------------------------------------------------------


def _camera(patient: Patient) -> Iterator[Finding]:
    name = patient.settings.camera.driver
    if patient.running:
        yield Finding("camera", "skip", "the running gate uses it")
        return
    camera = patient.open_camera(patient.settings, patient.clock)
    if camera is None:
        yield Finding("camera", "skip", "the demo" if name == "replay" else "none is configured")
        return
    began = time.monotonic()
    try:
        camera.open()
        frame = camera.read()
        took = time.monotonic() - began
    finally:
        camera.close()
    height, width = frame.image.shape[:2]
    message = f"{name} gives {width}x{height} after {took:.1f} s"
    brightness = float(frame.image.mean())
    if brightness < 8:
        yield Finding("camera", "warn", f"{message}, all dark", "remove the cap; mend the light")
    else:
        yield Finding("camera", "ok", message)


def _reader(patient: Patient) -> Iterator[Finding]:
    reader = open_reader(patient.settings.credentials)
    if reader is None:
        return
    if patient.running:
        yield Finding("reader", "skip", "the running gate has taken it")
        return
    try:
        reader.open()
    finally:
        reader.close()
    yield Finding("reader", "ok", f"{reader.name} can be taken")


def _door(patient: Patient) -> Iterator[Finding]:
    if patient.running:
        yield Finding("door", "skip", "the running gate holds its pins")
        return
    if patient.settings.door.driver == "none":
        yield Finding("door", "skip", "none is configured")
        return
    settings = patient.settings.door
    try:
        door = patient.open_door(patient.settings, patient.clock)
    except DeviceError as error:
        yield Finding("door", "fail", str(error).splitlines()[0], _why_no_pins(str(error)))
        return
    try:
        yield Finding("door", "ok", f"{settings.driver}: the relay is {_at_rest(settings)}")
        if isinstance(door, LeasedDoor):
            yield from _inputs(door.inputs())
            yield from _floating(door)
        if settings.contact_pin is not None and settings.rex_pin is None:
            advice = "wire the exit button to door.rex_pin as well, or each exit is an alarm"
            yield Finding("contact", "warn", "a contact without an exit button", advice)
    finally:
        door.close()


def _at_rest(settings: DoorSettings) -> str:
    """What software cannot see: whether that level locks. The installer can."""
    if settings.driver != "gpiozero":
        return "locked"
    level = "high" if locked_level(settings) else "low"
    return (
        f"locked (GPIO{settings.relay_pin} {level}); if the door is free now, lock_type or "
        "relay_active_high is the wrong way round"
    )


def _why_no_pins(error: str) -> str:
    if "busy" in error.lower() or "in use" in error.lower():
        return "another program holds a pin: `gpioinfo` tells which, stop it or choose another pin"
    if "group gpio" in error or "ermission" in error:
        return "let the user have the pins: usermod -aG gpio, then sign in again"
    return ""


def _floating(door: LeasedDoor) -> Iterator[Finding]:
    """Inputs that nobody moves and that change all the same are wired to nothing, or to noise."""
    last, changes = door.inputs(), Counter[Input]()
    for _ in range(FLOATING_LOOKS):
        time.sleep(FLOATING_S / FLOATING_LOOKS)
        now = door.inputs()
        changes.update(name for name in now if now[name] != last[name])
        last = now
    for name, times in changes.items():
        if times > 2:
            text = f"the input changed {times} times in {FLOATING_S:g} s: it floats or chatters"
            yield Finding(name, "warn", text, "check the wire, its ground and its screening")


def _inputs(active: dict[Input, bool]) -> Iterator[Finding]:
    if active.get(Input.FIRE):
        advice = "close the loop of the fire alarm (it is closed while all is well)"
        yield Finding("fire", "fail", "the fire input is active: the door is released", advice)
    if active.get(Input.REX):
        advice = "is the button stuck, or does it open when pressed? It has to close"
        yield Finding("rex", "warn", "the request-to-exit button is pressed", advice)
    if Input.CONTACT in active:
        state = "open" if active[Input.CONTACT] else "shut"
        yield Finding("contact", "ok", f"the leaf is {state} (compare with the door)")


# --- the machine ----------------------------------------------------------------------------------


def _clock(patient: Patient) -> Iterator[Finding]:
    now = patient.clock.now()
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now.utc)) + " UTC"
    if now.clock_ok:
        yield Finding("clock", "ok", shown)
    else:
        advice = "timedatectl status; without a network add a battery-backed clock"
        yield Finding("clock", "warn", f"{shown}, not synchronised", advice)


def _memory(patient: Patient) -> Iterator[Finding]:
    lines = dict(line.split(":", 1) for line in (patient.proc / "meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) << 10
    message = f"{available >> 20} MiB available"
    if available < LOW_MEMORY:
        yield Finding("memory", "warn", message, "stop other programs, or use a larger computer")
    else:
        yield Finding("memory", "ok", message)


def _temperature(patient: Patient) -> Iterator[Finding]:
    zones = (patient.sys / "class" / "thermal").glob("thermal_zone*/temp")
    degrees = [int(zone.read_text()) / 1000 for zone in zones]
    if not degrees:
        yield Finding("temperature", "skip", "this machine does not tell")
    elif max(degrees) >= HOT_C:
        yield Finding("temperature", "warn", f"{max(degrees):.0f} degrees", "cool the computer")
    else:
        yield Finding("temperature", "ok", f"{max(degrees):.0f} degrees")
    yield from _throttling(patient.sys)


def _throttling(root: Path) -> Iterator[Finding]:
    for path in (root / "devices" / "platform" / "soc").glob("*firmware/get_throttled"):
        bits = int(path.read_text(), 16)
        now = [text for bit, text in THROTTLING.items() if bits >> bit & 1]
        past = [text for bit, text in THROTTLING.items() if bits >> (16 + bit) & 1]
        advice = "use the official power supply and a cooler"
        if now:
            yield Finding("power", "fail", "; ".join(now), advice)
        elif past:
            yield Finding("power", "warn", "since it was switched on: " + "; ".join(past), advice)
        else:
            yield Finding("power", "ok", "never throttled")


def _port(patient: Patient) -> Iterator[Finding]:
    api = patient.settings.api
    if not api.enabled or patient.running:
        why = "the running gate listens there" if api.enabled else "the API is off"
        yield Finding("port", "skip", why)
        return
    family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((api.host, api.port))
        except OSError as error:
            advice = f"stop what uses port {api.port}, or choose another api.port"
            message = f"{api.host}:{api.port}: {error.strerror}"
            yield Finding("port", "fail", message, advice)
        else:
            yield Finding("port", "ok", f"{api.host}:{api.port} is free")
