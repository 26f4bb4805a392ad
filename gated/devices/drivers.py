"""Declare a driver: one value for each camera, door or card reader.

The program's own are named in `config.drivers`; other packages declare theirs as entry points
`gated.cameras`, `gated.doors` and `gated.readers`. docs/extending.md shows one. `devices.contract`
checks what is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from pydantic import ValidationError

from gated.config import (
    CameraSettings,
    CardOutputSettings,
    CredentialSettings,
    DoorSettings,
    Section,
    Settings,
)
from gated.config.drivers import BUILT_IN, KINDS, Group, load_driver
from gated.core.messages import Condition, DoorEvent
from gated.devices.header import DEV, SYS
from gated.errors import ConfigError, DeviceError, GatedError
from gated.ports import (
    Camera,
    CardOutput,
    CardReader,
    Clock,
    Door,
    EndOfStream,
    Frame,
    Indicators,
    KeyedPin,
)

if TYPE_CHECKING:
    from gated.devices.demo_scene import Portrait

T = TypeVar("T")
VIDEO = SYS / "class" / "video4linux"
"""Where the kernel describes its cameras."""


def _nobody(condition: Condition) -> None:
    """Nobody listens."""


class NoOptions(Section):
    """The options of a driver that has none."""


class Check(NamedTuple):
    """One thing that `gated doctor` found about a device; `advice` for `warn` and `fail`."""

    state: Literal["ok", "warn", "fail"]
    message: str
    advice: str = ""


@dataclass(frozen=True)
class CameraSetup:
    """Everything a camera is made of. `options` is the driver's own model, checked."""

    settings: CameraSettings
    options: Any
    clock: Clock
    demo: Sequence[Portrait] = ()
    video: Path = VIDEO


@dataclass(frozen=True)
class DoorSetup:
    """Everything a door is made of. `post` takes its events, from any thread, without blocking.

    note: told likewise of what began or ended on the way to the relay.
    pins: gpiozero's pin factory, in place of lgpio's. lgpio: what stands in for that module.
    """

    settings: DoorSettings
    options: Any
    post: Callable[[DoorEvent], None]
    clock: Clock
    pins: Any = None
    lgpio: Any = None
    dev: Path = DEV
    sys: Path = SYS
    note: Callable[[Condition], None] = _nobody


@dataclass(frozen=True)
class ReaderSetup:
    """Everything a card reader is made of. lgpio: as in DoorSetup."""

    settings: CredentialSettings
    options: Any
    lgpio: Any = None
    dev: Path = DEV


def _no_checks(setup: Any) -> Iterator[Check]:
    return iter(())


def _no_identity(setup: CameraSetup) -> str | None:
    return None


@dataclass(frozen=True)
class CardOutputSetup:
    """Everything a card output is made of. note: as in DoorSetup. lgpio: likewise."""

    settings: CardOutputSettings
    options: Any
    note: Callable[[Condition], None] = _nobody
    lgpio: Any = None
    dev: Path = DEV


@dataclass(frozen=True, kw_only=True)
class CardOutputDriver:
    """A way to a door controller that takes the gate for a card reader."""

    name: str
    make: Callable[[CardOutputSetup], CardOutput | None]
    """The output, which finds its controller itself; None for no output."""
    options: type[Section] = NoOptions
    """The model of `card_output.options`."""


@dataclass(frozen=True, kw_only=True)
class CameraDriver:
    """A kind of camera."""

    name: str
    make: Callable[[CameraSetup], Camera]
    """The camera, not yet open."""
    options: type[Section] = NoOptions
    """The model of `camera.options`."""
    identity: Callable[[CameraSetup], str | None] = _no_identity
    """What another camera in its place would not have; None where nothing is known. DeviceError."""
    check: Callable[[CameraSetup], Iterator[Check]] = _no_checks
    """What `gated doctor` looks at besides a first picture."""


@dataclass(frozen=True, kw_only=True)
class DoorDriver:
    """A kind of door."""

    name: str
    make: Callable[[DoorSetup], Door]
    """The door, locked."""
    options: type[Section] = NoOptions
    """The model of `door.options`."""
    lock: Callable[[DoorSetup], str] | None = None
    """Locks without the program, after a crash, and says in one line what was done. DeviceError."""
    indicators: Callable[[Settings, DoorSetup], Indicators] | None = None
    """Lamps and sounders on the same hardware; None: it has none."""
    check: Callable[[DoorSetup], Iterator[Check]] = _no_checks
    """What `gated doctor` looks at while the door that it made is open."""


@dataclass(frozen=True, kw_only=True)
class ReaderDriver:
    """A kind of card reader."""

    name: str
    make: Callable[[ReaderSetup], CardReader | None]
    """The reader, not yet open; None for no reader."""
    options: type[Section] = NoOptions
    """The model of `credentials.options`."""
    check: Callable[[ReaderSetup], Iterator[Check]] = _no_checks
    """What `gated doctor` looks at besides whether it can be opened."""


AnyDriver = CameraDriver | DoorDriver | ReaderDriver | CardOutputDriver


def camera_driver(
    settings: CameraSettings, clock: Clock, demo: Sequence[Portrait] = (), video: Path = VIDEO
) -> tuple[CameraDriver, CameraSetup]:
    """The driver that the settings name, and what it makes a camera of; ConfigError."""
    driver = load_driver("gated.cameras", settings.driver, CameraDriver)
    options = checked("camera.options", driver.options, settings.options)
    return driver, CameraSetup(settings, options, clock, demo, video)


def check_options(settings: Settings) -> None:
    """Look at the options of all drivers; ConfigError lists what is wrong with them.

    Drivers from outside are imported for it.
    """
    declarations: dict[Group, type[AnyDriver]] = {
        "gated.card_outputs": CardOutputDriver,
        "gated.cameras": CameraDriver,
        "gated.doors": DoorDriver,
        "gated.readers": ReaderDriver,
    }
    problems: list[str] = []
    for group, declaration in declarations.items():
        name, options = settings.drivers[group]
        if name in BUILT_IN[group] and not options:
            continue
        section = KINDS[group][1].split(".")[0]
        try:
            driver = load_driver(group, name, declaration)
            checked(f"{section}.options", driver.options, options)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(*problems)


@dataclass(frozen=True)
class DoorHardware:
    """Stands in for the machine's own pins, in tests and on a bench; `note` as in DoorSetup."""

    pins: Any = None
    lgpio: Any = None
    dev: Path = field(default=DEV)
    sys: Path = field(default=SYS)
    note: Callable[[Condition], None] = _nobody


def door_driver(
    settings: DoorSettings,
    post: Callable[[DoorEvent], None],
    clock: Clock,
    hardware: DoorHardware | None = None,
) -> tuple[DoorDriver, DoorSetup]:
    """The driver that the settings name, and what it makes a door of; ConfigError."""
    driver = load_driver("gated.doors", settings.driver, DoorDriver)
    options = checked("door.options", driver.options, settings.options)
    at = hardware or DoorHardware()
    return driver, DoorSetup(
        settings, options, post, clock, at.pins, at.lgpio, at.dev, at.sys, at.note
    )


def reader_driver(
    settings: CredentialSettings, hardware: DoorHardware | None = None
) -> tuple[ReaderDriver, ReaderSetup]:
    """The driver that the settings name, and what it makes a card reader of; ConfigError."""
    driver = load_driver("gated.readers", settings.reader, ReaderDriver)
    options = checked("credentials.options", driver.options, settings.options)
    at = hardware or DoorHardware()
    return driver, ReaderSetup(settings, options, at.lgpio, at.dev)


def card_output_driver(
    settings: CardOutputSettings, note: Callable[[Condition], None], hardware: DoorHardware
) -> tuple[CardOutputDriver, CardOutputSetup]:
    """The driver that the settings name, and what it makes a card output of; ConfigError."""
    driver = load_driver("gated.card_outputs", settings.driver, CardOutputDriver)
    options = checked("card_output.options", driver.options, settings.options)
    return driver, CardOutputSetup(settings, options, note, hardware.lgpio, hardware.dev)


def checked(key: str, model: type[Section], values: dict[str, Any]) -> Section:
    """The options of a driver as its model has them; ConfigError lists all that is wrong."""
    if model is NoOptions and values:
        raise ConfigError(f"{key}: this driver has no options: remove {', '.join(values)}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = (
            f"{'.'.join((key, *map(str, e['loc'])))}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise ConfigError(*problems) from None


def made_by(what: str, make: Callable[[Any], T], setup: Any) -> T:
    """Make a device; whatever a driver from outside raises is a DeviceError that names it."""
    try:
        return make(setup)
    except GatedError:
        raise
    except Exception as error:
        raise DeviceError(f"{what} failed: {type(error).__name__}: {error}") from error


class GuardedCamera:
    """A camera from outside: whatever it raises is a DeviceError, so that it is opened again."""

    def __init__(self, driver: str, camera: Camera) -> None:
        self.name = camera.name
        self._what = f"camera driver {driver}"
        self._camera = camera

    def open(self) -> None:
        """Start to deliver; DeviceError."""
        made_by(self._what, lambda camera: camera.open(), self._camera)

    def read(self) -> Frame:
        """Return the next frame; DeviceError, also for what is no BGR picture."""
        try:
            frame = self._camera.read()
        except EndOfStream:
            raise
        except GatedError:
            raise
        except Exception as error:
            raise DeviceError(f"{self._what} failed: {type(error).__name__}: {error}") from error
        image = frame.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype.name != "uint8":
            raise DeviceError(f"{self._what} gave no BGR picture: {image.shape} {image.dtype}")
        return frame

    def close(self) -> None:
        """Release the device; DeviceError."""
        made_by(self._what, lambda camera: camera.close(), self._camera)


class GuardedReader:
    """A card reader from outside: whatever it raises is a DeviceError."""

    def __init__(self, driver: str, reader: CardReader) -> None:
        self.name = reader.name
        self._what = f"card reader driver {driver}"
        self._reader = reader

    def open(self) -> None:
        """Take the reader; DeviceError."""
        made_by(self._what, lambda reader: reader.open(), self._reader)

    def read(self, timeout: float) -> str | KeyedPin | None:
        """Return the next number or PIN, or None; DeviceError."""
        number: str | KeyedPin | None = made_by(self._what, lambda r: r.read(timeout), self._reader)
        return number

    def close(self) -> None:
        """Let go of the reader; DeviceError."""
        made_by(self._what, lambda reader: reader.close(), self._reader)


def make_camera(driver: CameraDriver, setup: CameraSetup) -> Camera:
    """The camera, guarded when its driver is from outside."""
    if driver.name in BUILT_IN["gated.cameras"]:
        return driver.make(setup)
    made = made_by(f"camera driver {driver.name}", driver.make, setup)
    return GuardedCamera(driver.name, made)


def make_door(driver: DoorDriver, setup: DoorSetup) -> Door:
    """The door; whatever a driver from outside raises is a DeviceError."""
    return made_by(f"door driver {driver.name}", driver.make, setup)


def make_reader(driver: ReaderDriver, setup: ReaderSetup) -> CardReader | None:
    """The card reader, guarded when its driver is from outside."""
    if driver.name in BUILT_IN["gated.readers"]:
        return driver.make(setup)
    made = made_by(f"card reader driver {driver.name}", driver.make, setup)
    return GuardedReader(driver.name, made) if made is not None else None
