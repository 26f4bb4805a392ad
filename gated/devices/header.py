"""Finds the chip of the 40-pin header among the GPIO chips of the computer."""

from __future__ import annotations

import contextlib
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gated.errors import DeviceError

DEV = Path("/dev")
SYS = Path("/sys")
MEMORY = Path("/dev/shm")  # noqa: S108  # made there with a name of its own
PINCTRL = {"pinctrl-rp1": "pinctrl_rp1", "pinctrl-bcm2": "pinctrl_bcm2835"}
"""Kernel module by label of the chip that carries the header (Pi 5; Pi 4 and older)."""
HEADER_LABELS = tuple(PINCTRL)
KEEPS = "persist_gpio_outputs"
CMDLINE = "/boot/firmware/cmdline.txt"
LGPIO_ADVICE = (
    "install the extra `pi` (pip install 'gated[pi]'); from Python 3.13 on, for which lgpio has no "
    "wheel, the Debian package python3-lgpio and an environment made with --system-site-packages"
)


_first_import = threading.Lock()


def import_lgpio() -> Any:
    """Import lgpio. Raises: DeviceError with advice."""
    try:
        # on import it creates a pipe in the working directory, which may be anyone's. That folder
        # is the whole process's: it is left once, and by one thread
        with _first_import, contextlib.ExitStack() as left:
            if "lgpio" not in sys.modules:
                left.enter_context(contextlib.chdir(left.enter_context(_scratch())))
            import lgpio
    except ImportError as error:
        raise DeviceError(f"the door's driver needs lgpio: {LGPIO_ADVICE} ({error})") from error
    except Exception as error:
        raise DeviceError(f"lgpio cannot be started: {error}") from error
    return lgpio


def _scratch() -> TemporaryDirectory[str]:
    """Make a folder in memory: the door is locked as well when its disk is full or read-only."""
    try:
        return TemporaryDirectory(prefix="gated-lgpio-", dir=MEMORY)
    except OSError:
        return TemporaryDirectory(prefix="gated-lgpio-")


@dataclass(frozen=True, slots=True)
class Header:
    """The chip of the 40-pin header: its gpiochip number, which varies by model, and its label."""

    chip: int
    label: str

    def keeps_outputs(self, sys: Path = SYS) -> bool | None:
        """Return whether outputs stay driven when their program ends; None: unknown."""
        try:
            text = (sys / "module" / self._driver / "parameters" / KEEPS).read_text()
        except OSError:
            return None
        return text.strip().upper() in {"Y", "1"}

    @property
    def advice(self) -> str:
        """The setting that makes the kernel keep its outputs."""
        return f"add {self._driver}.{KEEPS}=y to the one line of {CMDLINE} and restart the computer"

    @property
    def _driver(self) -> str:
        return next(name for label, name in PINCTRL.items() if self.label.startswith(label))


def labels_of_chips(lgpio: Any, dev: Path = DEV) -> tuple[dict[int, str], list[str]]:
    """Return the labels of accessible chips by number, and problems of the others."""
    numbers = sorted(int(p.name[8:]) for p in dev.glob("gpiochip*") if p.name[8:].isdigit())
    labels, problems = {}, []
    for number in numbers:
        try:
            handle = lgpio.gpiochip_open(number)
            try:
                labels[number] = str(lgpio.gpio_get_chip_info(handle)[3])
            finally:
                lgpio.gpiochip_close(handle)
        except Exception as error:  # of one that is being unplugged: it hides no other
            problems.append(f"/dev/gpiochip{number}: {error}")
    return labels, problems


def find_header(lgpio: Any, dev: Path = DEV) -> Header:
    """Find the chip of the 40-pin header. Raises: DeviceError when there is none to be used."""
    labels, problems = labels_of_chips(lgpio, dev)
    for number, label in labels.items():
        if label.startswith(HEADER_LABELS):
            return Header(number, label)
    if problems:
        raise DeviceError(f"{'; '.join(problems)} (is the user in the group gpio?)")
    raise DeviceError("this computer has no GPIO header: door.driver: gpiochip, simulated or none")


def find_chip(lgpio: Any, wanted: str, dev: Path = DEV) -> int:
    """Return the number of the chip with this path or label.

    Raises: DeviceError when there is none, more than one, or none that is accessible.
    """
    if wanted.startswith("/"):
        name = (dev / Path(wanted).relative_to("/dev")).resolve().name if _in_dev(wanted) else ""
        if not (name.startswith("gpiochip") and name[8:].isdigit()):
            raise DeviceError(f"door.chip: {wanted} is no GPIO chip (`gpiodetect` lists them)")
        return int(name[8:])
    labels, problems = labels_of_chips(lgpio, dev)
    found = [number for number, label in labels.items() if label == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        paths = " and ".join(f"/dev/gpiochip{number}" for number in found)
        raise DeviceError(f"door.chip: {paths} are both called {wanted}: give the path of one")
    if problems:
        raise DeviceError(f"{'; '.join(problems)} (is the user in the group gpio?)")
    present = ", ".join(labels.values()) or "none at all"
    raise DeviceError(f"door.chip: no GPIO chip is called {wanted}; there are: {present}")


def _in_dev(path: str) -> bool:
    return Path(path).is_relative_to("/dev")
