"""Compares card numbers as readers, people and prints write them, and refuses implausible ones."""

from __future__ import annotations

import itertools
import re
from typing import Literal

from gated.errors import CardRefused

CardFormat = Literal["plain", "hex", "facility_digits", "facility_bits"]
"""plain: as typed, with separators. hex: separators are ignored. facility_digits: a facility code
and a number, which readers type one after the other. facility_bits: the same, typed as one decimal
number of 24 bits (26-bit Wiegand)."""

SHORTEST = 4
"""Least characters of a number, as a reader types it."""

LONG = 6
"""Sequences such as 123456 are refused up to this many digits: real cards have more."""

_NUMBER_BITS = 16
_FACILITY_BITS = 8
_SEPARATORS = re.compile(r"[^0-9a-z]+")


def card_number(text: str, format_: CardFormat = "plain", digits: int = 5) -> str:
    """Normalise a card's number for comparison: ignore case and leading zeros of each part.

    digits: of the number after a facility code, for `facility_digits`. A number that does not fit
    the format is compared as typed.
    """
    parts = [p.lstrip("0") or "0" for p in _SEPARATORS.split(text.casefold()) if p] or ["0"]
    if format_ == "hex":
        return _SEPARATORS.sub("", text.casefold()).lstrip("0") or "0"
    if format_ != "plain" and all(p.isascii() and p.isdigit() for p in parts):
        numbers = [int(p) for p in parts]
        if len(numbers) == 1:
            numbers = _parted(numbers[0], format_, digits)
        if len(numbers) == 3 and numbers[0] == (numbers[1] << _NUMBER_BITS) + numbers[2]:
            numbers = numbers[1:]  # as on many cards: 0012345678 188,24910
        parts = [str(n) for n in numbers]
    return "-".join(parts)


CARD_RULES = (
    *("card_length", "card_hex", "card_easy"),
    *("card_facility", "facility_code", "card_nobodys"),
)
"""Names of the rules that a number may break; pages have words for each."""


def card_numbers(text: str, format_: CardFormat, digits: int) -> list[str]:
    """List the forms in which a card may be stored: in the present format, and as plain."""
    return list(dict.fromkeys((card_number(text, format_, digits), card_number(text))))


def require_card(text: str, format_: CardFormat, digits: int, longest: int) -> None:
    """Refuse a number that readers with these settings cannot send, or that is easy to guess.

    longest: characters that the reader accepts. Raises: CardRefused.
    """
    shortest = 1 if format_.startswith("facility") else SHORTEST  # a reader types more of these
    if not shortest <= len(text) <= longest:
        raise CardRefused(
            f"a card's number has {shortest} to {longest} characters (credentials.card_length), as "
            "the reader types it",
            "card_length",
            f"{shortest}–{longest}",
        )
    number = card_number(text, format_, digits)
    if format_ == "hex" and not re.fullmatch("[0-9a-f]+", number):
        raise CardRefused(
            "a number of this format has the characters 0 to 9 and A to F", "card_hex"
        )
    if format_.startswith("facility"):
        _require_facility(number, format_, digits)
    elif _is_easy(number):
        raise CardRefused("this number is easy to guess, and no real card has it", "card_easy")


def _parted(number: int, format_: CardFormat, digits: int) -> list[int]:
    if format_ == "facility_bits":
        return [number >> _NUMBER_BITS, number & ((1 << _NUMBER_BITS) - 1)]
    return list(divmod(number, 10**digits))


def _require_facility(number: str, format_: CardFormat, digits: int) -> None:
    found = re.fullmatch(r"([0-9]{1,20})-([0-9]{1,20})", number)
    most = (1 << _NUMBER_BITS) - 1 if format_ == "facility_bits" else 10**digits - 1
    if found is None or int(found[2]) > most:
        raise CardRefused(
            f"write facility code and number, such as 12-3456; the number is at most {most}",
            "card_facility",
            str(most),
        )
    if format_ == "facility_bits" and int(found[1]) >= 1 << _FACILITY_BITS:
        most = (1 << _FACILITY_BITS) - 1
        message = f"a facility code of this format is at most {most}"
        raise CardRefused(message, "facility_code", str(most))
    if int(found[1]) == int(found[2]) == 0:
        raise CardRefused("no real card has this number", "card_nobodys")


def _is_easy(number: str) -> bool:
    """Return whether all characters are the same, or a few digits count up or down."""
    if len(set(number)) == 1 or set(number) <= {"0", "-"}:
        return True
    if not number.isdigit() or len(number) > LONG:
        return False
    steps = {(int(b) - int(a)) % 10 for a, b in itertools.pairwise(number)}
    return steps in ({1}, {9})
