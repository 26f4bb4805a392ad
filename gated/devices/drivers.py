"""Declarations of drivers: one value for each kind of camera, door, card reader or card output.

The program's own are named in `config.drivers`; other packages declare theirs as entry points
`gated.cameras`, `gated.doors`, `gated.readers` and `gated.card_outputs`. docs/extending.md shows
one. `devices.contract` checks cameras, doors and readers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import ValidationError

from gated.config import (
    CameraSource,
    CardOutputSettings,
    CredentialSettings,
    DoorSettings,
    Section,
    Settings,
)
from gated.config.drivers import BUILT_IN, Group, load_driver
from gated.core.messages import Condition, DoorEvent
from gated.devices.guards import GuardedCamera, GuardedDoor, GuardedReader, made_by
from gated.devices.header import DEV, SYS
from gated.devices.timed_door import TimedDoor
from gated.errors import ConfigError
from gated.ports import Camera, CardOutput, CardReader, Clock, Door, Indicators

if TYPE_CHECKING:
    from gated.devices.demo_scene import Portrait

VIDEO = SYS / "class" / "video4linux"
"""Directory in which the kernel describes cameras."""


def _nobody(condition: Condition) -> None:
    """Ignore a condition."""


class NoOptions(Section):
    """The options of a driver that has none."""


class Check(NamedTuple):
    """One finding of `gated doctor` about a device. advice: for `warn` and `fail`."""

    state: Literal["ok", "warn", "fail"]
    message: str
    advice: str = ""


@dataclass(frozen=True)
class CameraSetup:
    """Arguments for making a camera. options: of the driver's own model, validated."""

    settings: CameraSource
    options: Any
    clock: Clock
    demo: Sequence[Portrait] = ()
    video: Path = VIDEO
    known: str | None = None
    """The identity of the camera that was accepted; None: none yet."""


@dataclass(frozen=True)
class DoorSetup:
    """Arguments for making a door. post: takes its events, from any thread, without blocking.

    note: takes conditions of the connection to the relay, likewise. pins: gpiozero's pin factory,
    instead of lgpio's. lgpio: replaces that module.
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
    """Arguments for making a card reader. lgpio: as in DoorSetup."""

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
    """Arguments for making a card output. note, lgpio: as in DoorSetup."""

    settings: CardOutputSettings
    options: Any
    note: Callable[[Condition], None] = _nobody
    lgpio: Any = None
    dev: Path = DEV


@dataclass(frozen=True, kw_only=True)
class CardOutputDriver:
    """A kind of connection to a door controller, which sees the gate as a card reader."""

    name: str
    make: Callable[[CardOutputSetup], CardOutput | None]
    """Makes the output, which connects by itself; None for no output."""
    options: type[Section] = NoOptions
    """The model of `card_output.options`."""


@dataclass(frozen=True, kw_only=True)
class CameraDriver:
    """A kind of camera."""

    name: str
    make: Callable[[CameraSetup], Camera]
    """Makes the camera, not yet open."""
    options: type[Section] = NoOptions
    """The model of `camera.options`."""
    identity: Callable[[CameraSetup], str | None] = _no_identity
    """Returns an identity that another camera in its place would not have, or None. DeviceError."""
    check: Callable[[CameraSetup], Iterator[Check]] = _no_checks
    """Checks of `gated doctor` besides a first picture."""


@dataclass(frozen=True, kw_only=True)
class DoorDriver:
    """A kind of door."""

    name: str
    make: Callable[[DoorSetup], Door]
    """Makes the door, locked."""
    options: type[Section] = NoOptions
    """The model of `door.options`."""
    lock: Callable[[DoorSetup], str] | None = None
    """Locks without the program, after a crash, and returns a line on what was done.

    DeviceError.
    """
    indicators: Callable[[Settings, DoorSetup], Indicators] | None = None
    """Makes lamps and sounders on the same hardware; None: it has none."""
    check: Callable[[DoorSetup], Iterator[Check]] = _no_checks
    """Checks of `gated doctor` while the door is open."""


@dataclass(frozen=True, kw_only=True)
class ReaderDriver:
    """A kind of card reader."""

    name: str
    make: Callable[[ReaderSetup], CardReader | None]
    """Makes the reader, not yet open; None for no reader."""
    options: type[Section] = NoOptions
    """The model of `credentials.options`."""
    check: Callable[[ReaderSetup], Iterator[Check]] = _no_checks
    """Checks of `gated doctor` besides opening the reader."""


AnyDriver = CameraDriver | DoorDriver | ReaderDriver | CardOutputDriver


def camera_driver(
    settings: CameraSource,
    clock: Clock,
    demo: Sequence[Portrait] = (),
    video: Path = VIDEO,
    known: str | None = None,
) -> tuple[CameraDriver, CameraSetup]:
    """Return the configured driver, and its arguments. Raises: ConfigError."""
    driver = load_driver("gated.cameras", settings.driver, CameraDriver)
    options = checked("camera.options", driver.options, settings.options)
    return driver, CameraSetup(settings, options, clock, demo, video, known)


def check_options(settings: Settings) -> None:
    """Validate the options of all drivers, importing those from outside.

    Raises: ConfigError with all problems.
    """
    declarations: dict[Group, type[AnyDriver]] = {
        "gated.card_outputs": CardOutputDriver,
        "gated.cameras": CameraDriver,
        "gated.doors": DoorDriver,
        "gated.readers": ReaderDriver,
    }
    problems: list[str] = []
    for section, group, name, options in settings.drivers:
        if group not in declarations or (name in BUILT_IN[group] and not options):
            continue
        try:
            driver = load_driver(group, name, declarations[group])
            checked(f"{section}.options", driver.options, options)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(*problems)


@dataclass(frozen=True)
class DoorHardware:
    """Replaces the machine's own pins, in tests and on a bench; fields as in DoorSetup."""

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
    """Return the configured driver, and its arguments. Raises: ConfigError."""
    driver = load_driver("gated.doors", settings.driver, DoorDriver)
    options = checked("door.options", driver.options, settings.options)
    at = hardware or DoorHardware()
    return driver, DoorSetup(
        settings, options, post, clock, at.pins, at.lgpio, at.dev, at.sys, at.note
    )


def reader_driver(
    settings: CredentialSettings, hardware: DoorHardware | None = None
) -> tuple[ReaderDriver, ReaderSetup]:
    """Return the configured driver, and its arguments. Raises: ConfigError."""
    driver = load_driver("gated.readers", settings.reader, ReaderDriver)
    options = checked("credentials.options", driver.options, settings.options)
    at = hardware or DoorHardware()
    return driver, ReaderSetup(settings, options, at.lgpio, at.dev)


def card_output_driver(
    settings: CardOutputSettings, note: Callable[[Condition], None], hardware: DoorHardware
) -> tuple[CardOutputDriver, CardOutputSetup]:
    """Return the configured driver, and its arguments. Raises: ConfigError."""
    driver = load_driver("gated.card_outputs", settings.driver, CardOutputDriver)
    options = checked("card_output.options", driver.options, settings.options)
    return driver, CardOutputSetup(settings, options, note, hardware.lgpio, hardware.dev)


def checked(key: str, model: type[Section], values: dict[str, Any]) -> Section:
    """Validate the options of a driver by its model. Raises: ConfigError with all problems."""
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


def make_camera(driver: CameraDriver, setup: CameraSetup) -> Camera:
    """Make the camera, guarded when its driver is from outside."""
    if driver.name in BUILT_IN["gated.cameras"]:
        return driver.make(setup)
    return made_by(
        f"camera driver {driver.name}", lambda s: GuardedCamera(driver.name, driver.make(s)), setup
    )


def make_door(driver: DoorDriver, setup: DoorSetup) -> Door:
    """Make the door, guarded when its driver is from outside.

    A `TimedDoor` guards itself, and is what the watchdog and the door test know.
    """
    made = made_by(f"door driver {driver.name}", driver.make, setup)
    if driver.name in BUILT_IN["gated.doors"] or isinstance(made, TimedDoor):
        return made
    return GuardedDoor(driver.name, made, setup.post)


def make_reader(driver: ReaderDriver, setup: ReaderSetup) -> CardReader | None:
    """Make the card reader, guarded when its driver is from outside."""
    if driver.name in BUILT_IN["gated.readers"]:
        return driver.make(setup)

    def make(setup: ReaderSetup) -> CardReader | None:
        made = driver.make(setup)
        return None if made is None else GuardedReader(driver.name, made)

    return made_by(f"card reader driver {driver.name}", make, setup)
