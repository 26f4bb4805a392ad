"""Looks at everything that the gate needs and says what is wrong and what to do about it.

Changes nothing, shows no secret, and is done within a bounded time whatever hangs: each probe runs
in a thread of its own and is given up when its time is over. The door's relay is driven to its
locked level, where it is already.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import itertools
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from gated.accounts import certificates
from gated.config import DoorSettings, Settings, exposed
from gated.config.drivers import KINDS, from_outside, package_of, shadowed
from gated.core.arithmetic import PRODUCTS, wrong_products
from gated.core.clock import ClockTrust
from gated.core.values import Image
from gated.database import spellings
from gated.database.engine import Database
from gated.database.state_lock import SERVICE, is_locked
from gated.delivery.deliveries import Deliveries
from gated.devices.bus_door import BusDoor
from gated.devices.cameras import open_camera
from gated.devices.card_output import open_card_output
from gated.devices.clock import SystemClock
from gated.devices.doors import open_door
from gated.devices.drivers import (
    DoorHardware,
    camera_driver,
    door_driver,
    make_reader,
    reader_driver,
)
from gated.devices.emergency import locked_level
from gated.devices.header import DEV, SYS
from gated.devices.timed_door import Input, TimedDoor
from gated.enrollment.models import asset_store
from gated.errors import AssetError, DeviceError, GatedError, HubError, ProviderFailed, SourceError
from gated.fleet.gate.client import HubAddress, HubClient
from gated.fleet.gate.membership import Membership, hub_address
from gated.journal import key_rotation
from gated.journal.journal import Journal
from gated.live.clock_trust import ADVICE, stored_trust
from gated.live.hub_contact import Contact
from gated.people import person_store
from gated.ports import Camera, Clock, Door
from gated.vault.files import KEPT
from gated.vault.sealing import load_keys
from gated.vision.assets import AssetStore
from gated.vision.detector import YuNetDetector
from gated.vision.engines import engine
from gated.vision.manifest import YUNET
from gated.vision.pad import is_grey
from gated.vision.uprightness import setting_for, turn_that_shows_faces
from gated.workspace import Workspace, has_database

State = Literal["ok", "warn", "fail", "skip"]

LOW_DISK, NO_DISK = 1 << 30, 100 << 20
LOW_MEMORY = 256 << 20
HOT_C = 80.0
"""A Raspberry Pi slows down from 80 degrees on."""
LIMIT_S = 5.0
MOST_FILES = 100_000
"""Of a folder whose owners are looked at."""
DOCTOR_ROWS = 20_000
"""Of the journal, beside its ends: the gate itself looks at all of them, some at a time."""
FLOATING_S, FLOATING_LOOKS = 0.2, 40
THROTTLING = {0: "the supply voltage is too low", 2: "the processor is slowed down", 3: "it is hot"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of a probe. advice: what to do, for `warn` and `fail`."""

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


def _turn_of(patient: DoctorContext, image: Image) -> int | None:
    """Degrees by which the picture has to be turned to show a face; None: by none, or unknown."""
    try:
        yunet = patient.assets(patient.settings).read(YUNET)
    except AssetError:
        return None
    detector = YuNetDetector(yunet, patient.settings.vision.detection_size)
    return turn_that_shows_faces(detector, image)


@dataclass(frozen=True)
class DoctorContext:
    """The installation to check. The machine's own files and devices, unless others are given."""

    settings: Settings
    clock: Clock = field(default_factory=SystemClock)
    proc: Path = Path("/proc")
    sys: Path = SYS
    dev: Path = DEV
    lgpio: Any = None
    """The substitute of the module; None: the module itself."""
    open_camera: Callable[[Settings, Clock], Camera | None] = _real_camera
    open_door: Callable[[Settings, Clock], Door] = _quiet_door
    assets: Callable[[Settings], AssetStore] = asset_store
    turn_of: Callable[[DoctorContext, Image], int | None] = _turn_of
    config: Path | None = None
    """The file that the settings are from."""
    package: Path = Path("/usr/lib/gated")
    """What the Debian package brings beside the program."""
    units: Path = Path("/etc/systemd/system")

    @property
    def running(self) -> bool:
        """True while a gate uses the state directory."""
        return is_locked(self.state_dir)

    @property
    def serving(self) -> bool:
        """True while a service uses the state directory; a hub serves by itself."""
        hub = self.settings.gate.role == "hub"
        return self.running if hub else is_locked(self.state_dir, SERVICE)

    @property
    def state_dir(self) -> Path:
        return self.settings.storage.state_dir


Probe = Callable[[DoctorContext], Iterator[Finding]]


def examine(settings: Settings, patient: DoctorContext | None = None) -> list[Finding]:
    """Everything that was found, in the order in which an installer should mend it."""
    patient = patient or DoctorContext(settings)
    camera = settings.camera
    second = settings.liveness.second_camera
    waits = LIMIT_S + max(c.open_timeout_s + c.read_timeout_s for c in (camera, second))
    probes: list[tuple[str, Probe, float]] = [
        ("configuration", _configuration, LIMIT_S),
        ("software", _software, LIMIT_S),
        ("drivers", _drivers, LIMIT_S),
        ("secrets", _secrets, LIMIT_S),
        ("state", _state, LIMIT_S),
        ("processes", _processes, LIMIT_S),
        ("owners", _owners, LIMIT_S),
        ("keys", _keys, LIMIT_S),
        ("models", _models, 2 * LIMIT_S),
        ("database", _database, 2 * LIMIT_S),
        ("names", _names, 2 * LIMIT_S),
        ("journal", _journal, 2 * LIMIT_S),
        ("camera", _camera, waits),
        ("second camera", _second_camera, waits),
        ("door", _door, LIMIT_S),
        ("reader", _reader, LIMIT_S),
        ("card output", _card_output, LIMIT_S),
        ("unit", _unit, LIMIT_S),
        ("clock", _clock, LIMIT_S),
        ("memory", _memory, LIMIT_S),
        ("temperature", _temperature, LIMIT_S),
        ("port", _port, LIMIT_S),
        ("certificate", _certificate, LIMIT_S),
        ("hub", _hub, 2 * LIMIT_S),
        ("mqtt", _mqtt, 3 * LIMIT_S),
        ("syslog", _syslog, 4 * LIMIT_S),
        ("oidc", _identity_provider, 4 * LIMIT_S),
        ("passkeys", _passkeys, 2 * LIMIT_S),
        ("directory", _directory, 4 * LIMIT_S),
    ]
    return [
        found for name, probe, limit in probes for found in bounded(name, probe, patient, limit)
    ]


def bounded(name: str, probe: Probe, patient: DoctorContext, limit_s: float) -> list[Finding]:
    """Return what the probe finds within the time; its own error or hang is a finding too."""
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


def _configuration(patient: DoctorContext) -> Iterator[Finding]:
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


def _software(patient: DoctorContext) -> Iterator[Finding]:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("gated", "opencv-python-headless", "numpy")
    )
    python = platform.python_version()
    yield Finding("software", "ok", f"{versions}, Python {python} on {platform.machine()}")
    if wrong := wrong_products():
        yield Finding(
            "software",
            "fail",
            f"NumPy multiplies {wrong} of {PRODUCTS} small matrices wrongly on this processor: no "
            "face is judged rightly",
            "set OPENBLAS_CORETYPE=ARMV8 in the environment of the units, and run this again",
        )


def _models(patient: DoctorContext) -> Iterator[Finding]:
    wanted = {"default"} if patient.settings.gate.role == "gate" else set()
    if wanted and patient.settings.liveness.level != "off":
        wanted.add("pad")
    if wanted and patient.settings.liveness.needs_mesh:
        wanted.add("mesh")
    if wanted:
        wanted |= set(engine(patient.settings.vision.engine).asset_sets)
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


def _secrets(patient: DoctorContext) -> Iterator[Finding]:
    """The configuration and `.env`; keys and state directory are looked at apart."""
    if patient.config is None:
        return
    apart = {*_key_files(patient), patient.state_dir}
    found = [e for e in exposed(patient.settings, patient.config) if e.path not in apart]
    for file in found:
        yield Finding("secrets", "fail", str(file), file.advice)
    if not found:
        yield Finding("secrets", "ok", f"others cannot read a secret in {patient.config}")


def _names(patient: DoctorContext) -> Iterator[Finding]:
    if not has_database(patient.settings):
        return
    with contextlib.closing(Database.open(patient.settings.storage.url)) as database:
        database.check_schema()
        with database.read() as session:
            pairs = person_store.alike(session)
            names = spellings.alike(session)
            site = patient.settings.gate.site
            known = spellings.site_of_gates(session, site)
    shown = ", ".join(f"{code!r} and {other!r}" for code, other in pairs[:5])
    if pairs:
        message = f"{len(pairs)} personnel codes differ from another in spelling alone: {shown}"
        yield Finding("names", "warn", message, "give one of each pair another code, or erase it")
    for kind, name, other in names[:5]:
        message = f"{kind} {name!r} differs from {other!r} in spelling alone"
        advice = (
            f"only the rules of {other!r} count: enter there what is missing"
            if kind == "site"
            else f"give one {kind} of the two another name"
        )
        yield Finding("names", "warn", message, advice)
    if known != site:
        message = f"gate.site is {site!r}, and the gates there have {known!r}: both are one site"
        yield Finding("names", "warn", message, f"write site: {known} in the configuration")


def _state(patient: DoctorContext) -> Iterator[Finding]:
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


def _owners(patient: DoctorContext) -> Iterator[Finding]:
    """Look for files of somebody else, as root leaves them, and such that others may read."""
    state = patient.state_dir
    if not state.is_dir():
        return
    owner, demo = state.stat(), patient.settings.gate.demo
    foreign, open_, looked = [], [], 0
    uploads = patient.settings.storage.uploads
    for folder in (state,) if uploads.is_relative_to(state) else (state, uploads):
        for path in itertools.islice(_below(folder), MOST_FILES):
            looked += 1
            found = path.lstat()
            if found.st_uid != owner.st_uid:
                foreign.append(path)
            elif stat.S_ISREG(found.st_mode) and found.st_mode & 0o077 and not demo:
                open_.append(path)
    if foreign:
        whose = f"{owner.st_uid}:{owner.st_gid}"
        message = f"{len(foreign)} belong to another user than {state}, such as {foreign[0]}"
        advice = f"sudo chown -Rh {whose} {_folder_of(foreign[0], patient)}"
        yield Finding("owners", "fail", message, advice)
    if open_:
        message = f"{len(open_)} files are open to others, such as {open_[0]}"
        yield Finding("owners", "warn", message, f"chmod -R go= {_folder_of(open_[0], patient)}")
    if not foreign and not open_:
        user = f"user {owner.st_uid}"
        yield Finding("owners", "ok", f"{looked} files and folders belong to {user} alone")


def _folder_of(path: Path, patient: DoctorContext) -> Path:
    state = patient.state_dir
    return state if path.is_relative_to(state) else patient.settings.storage.uploads


def _below(folder: Path) -> Iterator[Path]:
    """Give all that is in a folder, as far as it may be looked into."""
    for place, folders, files in os.walk(folder):
        yield from (Path(place) / name for name in (*folders, *files) if name != KEPT)


def _disk(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    message = f"{free / (1 << 30):.1f} GiB free"
    if free < NO_DISK:
        return Finding("disk", "fail", message, "make room: nothing can be logged soon")
    if free < LOW_DISK:
        return Finding("disk", "warn", message, "make room")
    return Finding("disk", "ok", message)


def _key_files(patient: DoctorContext) -> list[Path]:
    given = (patient.settings.storage.key_file, patient.settings.api.tls_key)
    made = sorted((patient.state_dir / "keys").glob("*.key"))
    return [*(path for path in given if path), *made]


def _keys(patient: DoctorContext) -> Iterator[Finding]:
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


def _database(patient: DoctorContext) -> Iterator[Finding]:
    if not has_database(patient.settings):
        yield Finding("database", "skip", "none yet: the first start makes it")
        return
    with contextlib.closing(Database.open(patient.settings.storage.url)) as database:
        database.check_schema()
        kind = "SQLite" if database.sqlite else "PostgreSQL"
    yield Finding("database", "ok", f"{kind} answers, its schema is this program's")


def _journal(patient: DoctorContext) -> Iterator[Finding]:
    signed = (patient.state_dir / "keys" / "journal.key").is_file()
    if not signed or not has_database(patient.settings):
        yield Finding("journal", "skip", "none yet")
        return
    keys = load_keys(patient.state_dir, patient.settings.storage.key_file)
    with contextlib.closing(Database.open(patient.settings.storage.url)) as database:
        database.check_schema()
        signer = key_rotation.in_force(database, patient.state_dir, keys.signer, complete=False)
        journal = Journal(database, signer, patient.state_dir / "journal.head")
        looked = journal.look(DOCTOR_ROWS, keep=False)
        result = looked.found
    if result.first_problem:
        advice = "keep a copy of the database and ask who had access"
        yield Finding("journal", "fail", str(result.first_problem), advice)
    else:
        more = "whole" if looked.whole else "so far whole; the rest: `gated journal verify`"
        yield Finding("journal", "ok", f"{result.rows} rows since the last look, {more}")
    for note in result.notes:
        yield Finding("journal", "warn", note, "see `gated journal verify`")


# --- devices --------------------------------------------------------------------------------------


def _camera(patient: DoctorContext) -> Iterator[Finding]:
    name = patient.settings.camera.driver
    if patient.running:
        yield Finding("camera", "skip", "the running gate uses it")
        return
    camera = patient.open_camera(patient.settings, patient.clock)
    if camera is None:
        yield Finding("camera", "skip", "the demo" if name == "replay" else "none is configured")
        return
    image, message = _picture_of(camera, name)
    if _is_dark(image):
        yield Finding("camera", "warn", f"{message}, all dark", "remove the cap; mend the light")
    elif (turn := patient.turn_of(patient, image)) is not None:
        rotate = setting_for(turn, patient.settings.camera.rotate, patient.settings.camera.mirror)
        advice = f"rotate: {rotate}? (camera.rotate; now {patient.settings.camera.rotate})"
        yield Finding("camera", "warn", f"{message}, faces show only when it is turned", advice)
    elif patient.settings.liveness.level != "off" and _is_infra_red(image):
        yield Finding(
            "camera",
            "ok" if patient.settings.liveness.infra_red == "challenge" else "warn",
            f"{message}, infra_red: without colour, in which no liveness can be judged",
            "light the gate, or set liveness.infra_red for a camera that sees near infra-red",
        )
    else:
        yield Finding("camera", "ok", message)
    driver, setup = camera_driver(patient.settings.camera, patient.clock)
    yield from (Finding("camera", *check) for check in driver.check(setup))


def _second_camera(patient: DoctorContext) -> Iterator[Finding]:
    settings, name = patient.settings.liveness.second_camera, "second camera"
    if not settings.is_there:
        return
    if patient.running:
        yield Finding(name, "skip", "the running gate uses it")
        return
    image, message = _picture_of(open_camera(settings, patient.clock), settings.driver)
    if _is_dark(image):
        yield Finding(name, "warn", f"{message}, all dark", "switch its infra-red lamp on")
    elif not _is_infra_red(image):
        advice = "set it to its night mode for good: nobody is let in by pictures with colour"
        yield Finding(name, "warn", f"{message} with colour, which shows screens", advice)
    else:
        yield Finding(name, "ok", f"{message}, infra-red")
    driver, setup = camera_driver(settings, patient.clock)
    yield from (Finding(name, *check) for check in driver.check(setup))


def _picture_of(camera: Camera, driver: str) -> tuple[Image, str]:
    """Return a picture of a camera, and a sentence about it. Raises: DeviceError."""
    began = time.monotonic()
    try:
        camera.open()
        image = camera.read().image
        took = time.monotonic() - began
    finally:
        camera.close()
    return image, f"{driver} gives {image.shape[1]}x{image.shape[0]} after {took:.1f} s"


def _is_dark(image: Image) -> bool:
    return float(image.mean()) < 8


def _is_infra_red(image: Image) -> bool:
    """Return whether there is something to be seen, and no colour in it."""
    return is_grey(image, below=1.0) and float(image.std()) > 8.0


def _reader(patient: DoctorContext) -> Iterator[Finding]:
    driver, setup = reader_driver(patient.settings.credentials)
    reader = make_reader(driver, setup)
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
    yield from (Finding("reader", *check) for check in driver.check(setup))


def _card_output(patient: DoctorContext) -> Iterator[Finding]:
    """Open the line to the door controller, and read the file of card numbers; send nothing."""
    settings = patient.settings.card_output
    if settings.driver == "none":
        return
    if patient.running:
        yield Finding("card output", "skip", "the running gate has taken it")
        return
    hardware = DoorHardware(lgpio=patient.lgpio, dev=patient.dev, sys=patient.sys)
    output = open_card_output(settings, lambda condition: None, hardware)
    if output is None:
        yield Finding("card output", "skip", f"{settings.driver} gives none")
        return
    output.close()
    yield Finding("card output", "ok", f"{settings.driver}: its line can be taken")


def _unit(patient: DoctorContext) -> Iterator[Finding]:
    """Check that the sandbox of the door's unit lets it open what the configuration names."""
    for name, allows, what in (
        ("serial-device", "DeviceAllow=char-tty", _serial_port(patient.settings)),
        ("network-camera", "AF_INET", _network_device(patient.settings)),
    ):
        file = patient.package / f"{name}.conf"
        if not what or not file.exists():
            continue
        folder = patient.units / "gated.service.d"
        if any(allows in conf.read_text() for conf in sorted(folder.glob("*.conf"))):
            yield Finding("unit", "ok", f"systemd lets the door open {what}")
            continue
        advice = (
            f"sudo install -D -m 0644 {file} {folder / file.name}; sudo systemctl daemon-reload; "
            "sudo systemctl restart gated"
        )
        yield Finding("unit", "fail", f"systemd does not let the door open {what}", advice)


def _serial_port(settings: Settings) -> str:
    """Return the first serial port that a driver of the door process names; empty for none."""
    named = itertools.chain.from_iterable(driver.options.values() for driver in settings.drivers)
    ports = (value for value in map(str, named) if value.startswith(("/dev/tty", "/dev/serial")))
    return next(ports, "")


def _network_device(settings: Settings) -> str:
    if "rtsp" in (settings.camera.driver, settings.liveness.second_camera.driver):
        return "its camera on the network"
    return "its relay on the network" if settings.door.options.get("host") else ""


def _drivers(patient: DoctorContext) -> Iterator[Finding]:
    """List the drivers that other packages bring, used or not; none is imported for this."""
    useless = [point for _, point in shadowed()]
    named = {(driver.group, driver.name) for driver in patient.settings.drivers}
    for group in KINDS:
        for point in from_outside(group):
            what = f"{KINDS[group][0]} driver {point.name} of {package_of(point)}"
            if point in useless:
                advice = f"{package_of(point)} has to call it otherwise, or be uninstalled"
                yield Finding("drivers", "warn", f"{what} is never used: gated has one", advice)
            else:
                used = "named in the configuration" if (group, point.name) in named else "not used"
                yield Finding("drivers", "ok", f"{what}: {used}")


def _door(patient: DoctorContext) -> Iterator[Finding]:
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
        if isinstance(door, BusDoor) and door.problem is not None:
            advice = "look at its plug, its power, its address, and docs/relays.md"
            yield Finding("door", "fail", f"{settings.driver}: {door.problem}", advice)
            return
        yield Finding("door", "ok", f"{settings.driver}: the relay is {_at_rest(settings)}")
        at = DoorHardware(lgpio=patient.lgpio, dev=patient.dev, sys=patient.sys)
        driver, setup = door_driver(settings, lambda event: None, patient.clock, at)
        yield from (Finding("relay", *check) for check in driver.check(setup))
        if isinstance(door, TimedDoor):
            yield from _inputs(door.inputs())
            yield from _floating(door)
        if settings.contact_pin is not None and settings.rex_pin is None:
            advice = "wire the exit button to door.rex_pin as well, or each exit is an alarm"
            yield Finding("contact", "warn", "a contact without an exit button", advice)
    finally:
        door.close()


def _at_rest(settings: DoorSettings) -> str:
    """Describe the relay at rest. Whether that level locks only the installer can see."""
    if not settings.is_on_pins:
        return "locked"
    level = "high" if locked_level(settings) else "low"
    line = settings.line(settings.relay_pin)
    return (
        f"locked ({line} {level}); if the door is free now, lock_type or relay_active_high is "
        " the wrong way round"
    )


def _why_no_pins(error: str) -> str:
    if "busy" in error.lower() or "in use" in error.lower():
        return "another program holds a pin: `gpioinfo` tells which, stop it or choose another pin"
    if "group gpio" in error or "ermission" in error:
        return "let the user have the pins: usermod -aG gpio, then sign in again"
    return ""


def _floating(door: TimedDoor) -> Iterator[Finding]:
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


def _clock(patient: DoctorContext) -> Iterator[Finding]:
    now = patient.clock.now()
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now.utc)) + " UTC"
    if not now.clock_ok:
        advice = "timedatectl status; without a network add a battery-backed clock"
        yield Finding("clock", "warn", f"{shown}, not synchronised", advice)
        return
    trust = _trust(patient)
    if trust.doubted:
        yield Finding("clock", "warn", f"{shown}: {trust}; nothing is erased", ADVICE)
    else:
        yield Finding("clock", "ok", shown)


def _trust(patient: DoctorContext) -> ClockTrust:
    """Return the trust in the clock, by what is stored."""
    stored = has_database(patient.settings)
    return stored_trust(patient.settings, patient.clock) if stored else ClockTrust()


def _memory(patient: DoctorContext) -> Iterator[Finding]:
    lines = dict(line.split(":", 1) for line in (patient.proc / "meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) << 10
    message = f"{available >> 20} MiB available"
    if available < LOW_MEMORY:
        yield Finding("memory", "warn", message, "stop other programs, or use a larger computer")
    else:
        yield Finding("memory", "ok", message)


def _temperature(patient: DoctorContext) -> Iterator[Finding]:
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


def _certificate(patient: DoctorContext) -> Iterator[Finding]:
    file, now = patient.settings.api.tls_certificate, patient.clock.now()
    if file is None:
        return
    until = certificates.ends(file)
    if not now.clock_ok or _trust(patient).doubted:
        message = f"it ends on {until:%Y-%m-%d}; whether that is soon this clock cannot tell"
        yield Finding("certificate", "skip", message)
        return
    soon = certificates.expiring(file, datetime.fromtimestamp(now.utc, UTC))
    if not soon:
        yield Finding("certificate", "ok", f"valid until {until:%Y-%m-%d}")
        return
    state: State = "fail" if until.timestamp() <= now.utc else "warn"
    advice = "renew it; one that gated has signed is renewed by the running program"
    yield Finding("certificate", state, soon, advice)


def _hub(patient: DoctorContext) -> Iterator[Finding]:
    """Check how a gate stands with its hub: as the running gate noted it, else by one question."""
    if not has_database(patient.settings) or not (patient.state_dir / "keys").is_dir():
        return
    with contextlib.closing(Database.open(patient.settings.storage.url)) as database:
        database.check_schema()  # a workspace would mend it
    with Workspace(patient.settings, create=False) as workspace:
        membership = Membership(workspace, patient.clock)
        standing = membership.standing()
        if standing is None:
            return
        if standing.revoked is not None:
            advice = "gated hub replace-gate NAME at the hub, then gated join HUB_URL CODE here"
            yield Finding("hub", "fail", standing.revoked.sentence(), advice)
            return
        contact = standing.contact
        if standing.running and contact is not None:
            yield _noted(contact)
            return
    yield _asked(
        hub_address(patient.settings, standing.member.url, standing.member.pin), standing.backlog
    )


def _mqtt(patient: DoctorContext) -> Iterator[Finding]:
    """Connect to the broker, as a client of its own beside the running gate."""
    settings = patient.settings.mqtt
    if settings.host is None:
        return
    from gated.mqtt.connection import try_broker

    host, port = settings.address
    problem = try_broker(settings)
    if problem is None:
        yield Finding("mqtt", "ok", f"{host}:{port} takes this gate{_delivered(patient, 'mqtt')}")
    else:
        yield Finding("mqtt", "fail", problem, "see docs/mqtt.md: settings, and the broker's log")
    if not settings.tls and host not in ("localhost", "127.0.0.1", "::1"):
        says = "without TLS: who listens on the network reads events and the password"
        yield Finding("mqtt", "warn", says, "set mqtt.tls: true")


def _syslog(patient: DoctorContext) -> Iterator[Finding]:
    """Connect to the collector and send nothing."""
    settings = patient.settings.syslog
    if settings.host is None:
        return
    from gated.syslog.sending import SyslogFailed, hand_over

    try:
        hand_over(settings, b"")
    except SyslogFailed as error:
        advice = "see docs/syslog.md: settings, and the collector's log"
        yield Finding("syslog", "fail", str(error), advice)
    else:
        yield Finding(
            "syslog",
            "ok",
            f"{settings.host}:{settings.port} takes messages{_delivered(patient, 'syslog')}",
        )


def _identity_provider(patient: DoctorContext) -> Iterator[Finding]:
    """Ask the company's identity provider for its addresses and keys; nobody signs in."""
    settings = patient.settings.oidc
    if settings.issuer is None:
        return
    from gated.oidc.provider import IdentityProvider

    try:
        IdentityProvider(settings, patient.clock).endpoints()
    except ProviderFailed as error:
        advice = "see docs/company-sign-in.md; local accounts still sign in"
        yield Finding("oidc", "fail", str(error), advice)
    else:
        yield Finding("oidc", "ok", f"{settings.issuer} answers as the configuration says")


def _passkeys(patient: DoctorContext) -> Iterator[Finding]:
    """Load the library that checks passkeys, where they are configured."""
    domain = patient.settings.passkeys.domain
    if domain is None:
        return
    try:
        version = importlib.metadata.version("webauthn")
        importlib.import_module("webauthn")
    except (ImportError, OSError) as error:
        says = f"no passkey signs in, as its library cannot be loaded: {error}"
        yield Finding("passkeys", "fail", says, "pip install 'gated[passkeys]'")
    else:
        yield Finding("passkeys", "ok", f"for {domain}, checked by webauthn {version}")


def _directory(patient: DoctorContext) -> Iterator[Finding]:
    """Sign in to the LDAP directory and read the first person; nobody is added or changed."""
    settings = patient.settings.directory
    if settings.url is None:
        return
    from gated.ldap.client import LdapClient

    code = settings.attributes["personnel_code"]
    try:
        with LdapClient(settings) as client:
            first = next(client.entries([code]), None)
    except SourceError as error:
        advice = "see docs/directory.md; people who are here already are not touched"
        yield Finding("directory", "fail", str(error), advice)
        return
    if first is None:
        says = f"{settings.url} shows nobody below {settings.base}"
        advice = "compare directory.base and directory.filter; may bind_dn read there?"
        yield Finding("directory", "warn", says, advice)
    elif first.first(code) is None:
        says = f"{settings.url} shows people, of whom the first has no {code}"
        advice = "compare directory.attributes; may bind_dn read that attribute?"
        yield Finding("directory", "warn", says, advice)
    else:
        yield Finding("directory", "ok", f"{settings.url} shows people below {settings.base}")


def _delivered(patient: DoctorContext, key: str) -> str:
    """Say how far a partner is, where the gate has run before; of a broker, name the topics."""
    if not has_database(patient.settings) or not (patient.state_dir / "keys").is_dir():
        return ""
    with Workspace(patient.settings, create=False) as workspace:
        view = Deliveries(workspace, patient.clock, keep_days=1).view(key)
        uid = workspace.journal.gate_uid()
    counts = (
        "{delivered} events delivered, {passed_over} passed over, {rows_behind} rows to look at"
    )
    topics = f"; its topics: {patient.settings.mqtt.topic}/{uid}" if key == "mqtt" else ""
    return f"; {counts.format(**view)}{topics}"


def _noted(contact: Contact) -> Finding:
    if contact.worst is None:
        return Finding("hub", "ok", f"connected, {contact.backlog or 0} rows wait to be sent")
    return Finding("hub", "fail", contact.sentence(), "see `gated sync status`")


def _asked(address: HubAddress, backlog: int) -> Finding:
    client = HubClient(address)
    try:
        client.get("/health", LIMIT_S)
    except HubError as error:
        return Finding(
            "hub", "fail", f"{error}; {backlog} rows wait here", "see docs/operations.md"
        )
    finally:
        client.close()
    return Finding("hub", "ok", f"{address.url} answers, {backlog} rows wait to be sent")


def _processes(patient: DoctorContext) -> Iterator[Finding]:
    """Tell which of the two processes of a gate run."""
    if patient.settings.gate.role == "hub":
        yield Finding("processes", "ok", "the hub runs" if patient.running else "nothing runs")
    elif patient.running and not patient.serving:
        advice = "systemctl restart gated-service; journalctl -u gated-service says why it ended"
        yield Finding("processes", "warn", "the door runs, its service does not", advice)
    elif patient.serving and not patient.running:
        advice = "systemctl restart gated; journalctl -u gated says why it ended"
        yield Finding("processes", "warn", "the service runs, the door does not", advice)
    else:
        runs = "door and service run" if patient.running else "nothing runs"
        yield Finding("processes", "ok", runs)


def _port(patient: DoctorContext) -> Iterator[Finding]:
    api = patient.settings.api
    if not api.enabled or patient.serving:
        why = "the running service listens there" if api.enabled else "the API is off"
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
