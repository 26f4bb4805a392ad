"""Reads the state of the machine from the kernel: temperature, voltage, throttling, card wear.

Values that the kernel does not report, as on a virtual machine, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SYS = Path("/sys")

THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
"""File of a Raspberry Pi's firmware: hexadecimal, see BITS."""
BITS = {"undervoltage": 0, "frequency_capped": 1, "throttled": 2, "temperature_limit": 3}
"""Bit of the present state; SINCE_START higher, of any time since the machine was started."""
SINCE_START = 16

WEAR_STEP = 0.1
"""eMMC 5.0 reports wear in tenths of the expected life (JESD84-B51, EXT_CSD)."""


def temperatures(root: Path = SYS) -> Iterator[tuple[str, float]]:
    """Read the thermal zones: (name, degrees Celsius)."""
    for zone in sorted((root / "class/thermal").glob("thermal_zone*")):
        milli = _number(zone / "temp")
        if milli is not None and -100_000 < milli < 200_000:
            yield _text(zone / "type") or zone.name, milli / 1000


def power(root: Path = SYS) -> dict[tuple[str, str], bool]:
    """Read a Raspberry Pi's power problems, by (name, `now` or `since_start`)."""
    flags = _number(root / THROTTLED, 16)
    if flags is None:
        return {}
    return {
        (name, when): bool(flags >> (bit + shift) & 1)
        for name, bit in BITS.items()
        for when, shift in (("now", 0), ("since_start", SINCE_START))
    }


def card_wear(root: Path = SYS) -> Iterator[tuple[str, float]]:
    """Read the used share of the life of cards: (device, 0 to 1), the worse of two areas."""
    for file in sorted((root / "block").glob("mmcblk*/device/life_time")):
        steps = [_hexadecimal(word) for word in (_text(file) or "").split()]
        known = [step for step in steps if step is not None and 0 < step <= 11]
        if known:
            yield file.parents[1].name, round(min(1.0, max(known) * WEAR_STEP), 1)


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii").strip()[:200]
    except (OSError, ValueError):
        return None


def _number(file: Path, base: int = 10) -> int | None:
    try:
        return int(_text(file) or "", base)
    except ValueError:
        return None


def _hexadecimal(word: str) -> int | None:
    try:
        return int(word, 16)
    except ValueError:
        return None
