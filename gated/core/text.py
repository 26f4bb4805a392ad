"""Cleans, compares, searches and sorts text that people type.

Two names that look the same are the same: invisible characters are refused (`clean_text`), and
ignored where texts are compared (`code_key`) or searched (`search_key`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from gated.errors import TextRefused

_JOINERS = {"\u200c", "\u200d"}
"""Names in Persian, Urdu and scripts of India are written with them."""
_JOINING = (
    *(range(0x0620, 0x0870), range(0x08A0, 0x0E00), range(0x1800, 0x18B0)),
    *(range(0xA840, 0xA880), range(0x10AC0, 0x10B00), range(0x10D00, 0x10D40)),
    *(range(0x11000, 0x11D60), range(0x1E900, 0x1E960)),
)
"""Scripts whose letters join each other."""
_VIRAMA = 9
"""The combining class of marks that take a vowel away, after which any script has joiners."""
_IDEOGRAPHS = (range(0x3400, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x32000))
_VARIANTS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
"""Variation selectors: choose a form of the ideograph before them, as in Japanese names."""

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u180b\u180c\u180d\u180f")
"""Invisible letters and marks."""

_LIKE = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
    | {"ŧ": "t", "ɨ": "i", "ي": "ی", "ى": "ی", "ك": "ک", "ə": "e"}
)
"""Letters that Unicode does not decompose."""

_SPACES = re.compile(r"\s+")


def clean_text(value: str, what: str) -> str:
    """Return a text as it is stored: trimmed, with plain spaces, in NFC.

    what: names the text in the message. Raises: TextRefused for an invisible character, or one that
    changes the direction of writing, with its name and position.
    """
    plain = "".join(" " if unicodedata.category(c) == "Zs" else c for c in value)
    for place, char in enumerate(plain, 1):
        if is_hidden(plain, place - 1):
            raise TextRefused(
                f"{what} has a character that cannot be seen: {_named(char)}, the "
                f"{_ordinal(place)} of {len(plain)}; type it again without"
            )
    return unicodedata.normalize("NFC", plain.strip())


def clean_code(value: str, what: str) -> str:
    """Return a code as it is stored: as `clean_text`, and without joiners and variants.

    Raises: TextRefused.
    """
    cleaned = clean_text(value, what)
    for place, char in enumerate(cleaned, 1):
        if _ignored(char):
            raise TextRefused(
                f"{what} has a character that cannot be seen: {_named(char)}, the "
                f"{_ordinal(place)} of {len(cleaned)}; type it again without"
            )
    return cleaned


def scrubbed(value: str) -> str:
    """Clean a text as `clean_text` does, but drop the characters that it refuses.

    For texts that are stored already or come from a hub, which must not be lost for one character.
    """
    if value.isascii() and value.isprintable():
        return value.strip()
    whole = (c for c in value if unicodedata.category(c) != "Cs")
    spaced = "".join(" " if c.isspace() else c for c in whole)
    seen = "".join(c for i, c in enumerate(spaced) if not is_hidden(spaced, i))
    return clean_text(seen if _clean(seen) else _bare(spaced), "text")


@lru_cache(4096)
def code_key(value: str) -> str:
    """Return a key that is equal for two spellings of one code or name; accents count.

    Unicode's compatibility caseless match (NFKC, full case folding), without invisible characters
    and surrounding white space; white space within counts as one space.
    """
    key = _bare(value)
    for _ in range(4):  # folding may undo the normalisation, and vice versa
        folded = unicodedata.normalize("NFKC", _bare(unicodedata.normalize("NFKC", key).casefold()))
        if folded == key:
            break
        key = folded
    return _SPACES.sub(" ", key).strip()


def is_same(one: str, other: str) -> bool:
    """Return whether two codes or names are equal in any spelling."""
    return one == other or code_key(one) == code_key(other)


def search_key(value: str) -> str:
    """Return a key for searching: without case, accents, width and invisible characters."""
    parts = unicodedata.normalize("NFKD", code_key(value))
    bare = "".join(c for c in parts if not unicodedata.combining(c)).translate(_LIKE)
    return unicodedata.normalize("NFC", bare)


def sort_key(value: str) -> str:
    """Return a key that sorts texts as a dictionary does.

    Letters count first, without accents and case, then accents; punctuation and spaces count less
    than letters, digits come before letters. Letters of one script stay together. Alphabets that
    sort an accented letter separately (such as Swedish) are not supported.
    """
    plain = search_key(value)
    letters = "".join(c for c in plain if c.isalnum() or c == " ")
    return "\x01".join((_SPACES.sub(" ", letters).strip() or plain, code_key(value)))


def is_hidden(text: str, at: int) -> bool:
    """Return whether `clean_text` refuses the character at this index."""
    char = text[at]
    if char == " " or "!" <= char <= "~":
        return False
    before = ord(text[at - 1]) if at else 0
    if char in _JOINERS:
        return not _joins(text, at)
    if _within(ord(char), _VARIANTS):
        return not _within(before, _IDEOGRAPHS)
    category = unicodedata.category(char)
    return category in ("Cc", "Cf", "Cs", "Zl", "Zp") or char in _BLANK or _is_no_character(char)


def _joins(text: str, at: int) -> bool:
    """Tell whether a joiner stands where letters need it, as CONTEXTJ of RFC 5892 has it.

    That is behind a virama, or between letters of a script that joins them; always before a letter.
    """
    if not 0 < at < len(text) - 1:
        return False
    before, after = text[at - 1], text[at + 1]
    if not unicodedata.category(after).startswith(("L", "M")):
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return True
    letters = unicodedata.category(before).startswith(("L", "M"))
    return letters and _within(ord(before), _JOINING) and _within(ord(after), _JOINING)


def _clean(text: str) -> bool:
    return not any(is_hidden(text, i) for i in range(len(text)))


def _ignored(char: str) -> bool:
    """Return whether a character is invisible by itself in any position."""
    category = unicodedata.category(char)
    shows_nothing = category == "Cf" or (category == "Cc" and not char.isspace())
    return (
        shows_nothing or char in _BLANK or _within(ord(char), _VARIANTS) or _is_no_character(char)
    )


def _bare(text: str) -> str:
    return "".join(c for c in text if not _ignored(c))


def _is_no_character(char: str) -> bool:
    point = ord(char)
    return (
        point & 0xFFFE == 0xFFFE or 0xFDD0 <= point <= 0xFDEF or 0xE0000 <= point <= 0xE0FFF
    ) and not _within(point, _VARIANTS)


def _within(point: int, ranges: tuple[range, ...]) -> bool:
    return any(point in r for r in ranges)


def _named(char: str) -> str:
    name = unicodedata.name(char, "").lower()
    return f"U+{ord(char):04X}" + (f" ({name})" if name else "")


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 <= number % 100 <= 20 else ending}"
