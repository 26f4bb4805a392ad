"""The drivers: those of the program, and those that other packages bring.

A driver is one declaration (`devices.drivers`, `vision.engines`). Those of the program stand in
`BUILT_IN`; another package declares its own as an entry point of the same group. Both are looked up
by the name in the configuration, and only what is named there is ever imported. A name of the
program's own cannot be taken by a package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, TypeVar

from gated.errors import ConfigError

D = TypeVar("D")
Group = Literal[
    "gated.cameras", "gated.doors", "gated.readers", "gated.card_outputs", "gated.engines"
]

BUILT_IN: Mapping[Group, Mapping[str, str]] = {
    "gated.cameras": {
        "picamera2": "gated.devices.picamera:DRIVER",
        "v4l2": "gated.devices.live:V4L2",
        "rtsp": "gated.devices.live:RTSP",
        "replay": "gated.devices.cameras:REPLAY",
        "none": "gated.devices.cameras:NONE",
    },
    "gated.doors": {
        "gpiozero": "gated.devices.gpio:DRIVER",
        "gpiochip": "gated.devices.gpiochip:DRIVER",
        "usb-relay": "gated.relays.usb_serial:DRIVER",
        "modbus": "gated.relays.modbus:DRIVER",
        "osdp": "gated.osdp.relay:DRIVER",
        "simulated": "gated.devices.simulated:DOOR",
        "none": "gated.devices.doors:NONE",
    },
    "gated.readers": {
        "keyboard": "gated.devices.readers:KEYBOARD",
        "simulated": "gated.devices.readers:SIMULATED",
        "osdp": "gated.osdp.reader:DRIVER",
        "wiegand": "gated.wiegand.reader:DRIVER",
        "none": "gated.devices.readers:NONE",
    },
    "gated.card_outputs": {
        "osdp": "gated.osdp.peripheral:DRIVER",
        "wiegand": "gated.wiegand.output:DRIVER",
        "none": "gated.devices.card_output:NONE",
    },
    "gated.engines": {
        "sface": "gated.vision.engines:SFACE",
        "dlib": "gated.vision.engines:DLIB",
    },
}
"""Group -> name in the configuration -> where its declaration stands, as an entry point has it."""

KINDS: Mapping[Group, tuple[str, str]] = {
    "gated.cameras": ("camera", "camera.driver"),
    "gated.doors": ("door", "door.driver"),
    "gated.readers": ("card reader", "credentials.reader"),
    "gated.card_outputs": ("card output", "card_output.driver"),
    "gated.engines": ("engine", "vision.engine"),
}
"""Group -> what it drives, and the setting that names it."""


def from_outside(group: Group) -> list[EntryPoint]:
    """Return what installed packages declare, by name; imports none of it."""
    return sorted(entry_points(group=group), key=lambda point: point.name)


def package_of(point: EntryPoint) -> str:
    """Name the package that an entry point came with, and its version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "a package"


def problem_of_name(group: Group, name: str) -> str | None:
    """Say why no driver can be had by this name and what to do; None when there is one."""
    if name in BUILT_IN[group]:
        return None
    points = [point for point in from_outside(group) if point.name == name]
    if len(points) == 1:
        return None
    kind, _ = KINDS[group]
    if points:
        packages = " and ".join(sorted(map(package_of, points)))
        return f"{packages} both declare the {kind} driver {name}: uninstall one of them"
    installed = sorted({point.name for point in from_outside(group)} - BUILT_IN[group].keys())
    names = ", ".join([*BUILT_IN[group], *installed])
    return (
        f"there is no {kind} driver {name}: there are {names}; others come with a package that "
        f"declares the entry point {group}"
    )


def load_driver(group: Group, name: str, declaration: type[D]) -> D:
    """Import the declaration of the driver with this name.

    Raises: ConfigError when there is none, or two, or its package cannot be used.
    """
    kind, setting = KINDS[group]
    if problem := problem_of_name(group, name):
        raise ConfigError(f"{setting}: {problem}")
    if name in BUILT_IN[group]:
        found = EntryPoint(name, BUILT_IN[group][name], group).load()
        assert isinstance(found, declaration)  # noqa: S101 - our own table
        return found
    [point] = (p for p in from_outside(group) if p.name == name)
    return _loaded(
        point, f"{setting}: the {kind} driver {name} of {package_of(point)}", declaration
    )


def _loaded(point: EntryPoint, which: str, declaration: type[D]) -> D:
    try:
        found = point.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"{which} cannot be imported ({reason}): bring the package up to date, or name another "
            "driver"
        ) from error
    if not isinstance(found, declaration):
        raise ConfigError(
            f"{which}: {point.value} is a {type(found).__name__} and should be a "
            f"{declaration.__name__} (docs/extending.md): ask who made the package"
        )
    return found


def shadowed() -> Iterator[tuple[Group, EntryPoint]]:
    """Find what packages declare under a name of the program's own; it is never used."""
    for group in BUILT_IN:
        for point in from_outside(group):
            if point.name in BUILT_IN[group]:
                yield group, point
