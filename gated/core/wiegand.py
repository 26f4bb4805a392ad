"""Encodes and decodes the bits of a card from Wiegand readers: 26, 34 and 37, with parities.

H10301 (26), H10302 and H10304 (37) as HID publishes them; 34 bits are 16 of facility and 16 of
number, as most readers of serial numbers send them. Every other length is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gated.errors import CardRefused

FormatName = Literal["26", "34", "37", "37-facility"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A format: an even parity bit, the facility code, the number, an odd parity bit.

    The even parity covers the bits 1 to `even_to`, the odd one those from `odd_from` on.
    """

    length: int
    facility: int
    number: int
    even_to: int
    odd_from: int


LAYOUTS: dict[FormatName, Layout] = {
    "26": Layout(26, 8, 16, 12, 13),
    "34": Layout(34, 16, 16, 16, 17),
    "37": Layout(37, 0, 35, 18, 18),
    "37-facility": Layout(37, 16, 19, 18, 18),
}


def encode(name: FormatName, facility: int, number: int) -> str:
    """Return the bits of a card as 0 and 1, the first one first. Raises: CardRefused."""
    layout = LAYOUTS[name]
    if not 0 <= facility < 1 << layout.facility:
        raise CardRefused(f"{name} bits hold no facility code {facility}")
    if not 0 <= number < 1 << layout.number:
        raise CardRefused(f"{name} bits hold no number {number}")
    inner = f"{(facility << layout.number) + number:0{layout.length - 2}b}"
    even = inner[: layout.even_to].count("1") % 2
    odd = 1 - inner[layout.odd_from - 1 :].count("1") % 2
    return f"{even}{inner}{odd}"


def decode(bits: str, facility_of_37: bool = False) -> str:
    """Return `facility-number`, or the number alone in formats without a facility code.

    Raises: CardRefused for another length and for a wrong parity.
    """
    name = "37-facility" if facility_of_37 and len(bits) == 37 else str(len(bits))
    layout = next((known for key, known in LAYOUTS.items() if key == name), None)
    if layout is None:
        raise CardRefused(f"a card of {len(bits)} bits is none of 26, 34 or 37")
    inner = bits[1:-1]
    facility = int(inner[: layout.facility] or "0", 2)
    number = int(inner[layout.facility :], 2)
    if encode(name, facility, number) != bits:  # type: ignore[arg-type]
        raise CardRefused("the parity of a card's bits is wrong")
    return f"{facility}-{number}" if layout.facility else str(number)
