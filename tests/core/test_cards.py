"""Numbers of cards: which of them are one, and which are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.cards import CardFormat, card_number, card_numbers, require_card
from gated.errors import CardRefused

FACILITY = st.integers(0, 255)
NUMBER = st.integers(0, 65535)


@given(FACILITY, NUMBER, FACILITY, NUMBER, st.sampled_from("-:/., "))
def test_two_cards_are_never_one(f: int, n: int, g: int, m: int, separator: str) -> None:
    formats: tuple[CardFormat, ...] = ("plain", "facility_digits", "facility_bits")
    for format_ in formats:
        one = card_number(f"{f}{separator}{n:05}", format_)
        assert (one == card_number(f"{g}-{m}", format_)) == ((f, n) == (g, m))


@given(FACILITY, NUMBER)
def test_print_and_reader_agree(facility: int, number: int) -> None:
    written = f"{facility:03}-{number:05}"
    assert card_number(f"{facility:03}{number:05}", "facility_digits") == card_number(
        written, "facility_digits"
    )
    typed = f"{(facility << 16) + number:010}"
    for told in (written, f"{typed} {facility},{number}"):
        assert card_number(typed, "facility_bits") == card_number(told, "facility_bits")


@given(st.text(), st.sampled_from(["plain", "hex", "facility_digits", "facility_bits"]))
def test_any_text_has_a_number_that_stays(text: str, format_: CardFormat) -> None:
    number = card_number(text, format_)
    assert number
    if text.isascii():
        assert card_number(text.upper(), format_) == number
    assert card_numbers(text, format_, 5)[0] == number


def test_separators_of_a_serial_number_do_not_count() -> None:
    written = ("04:A3:2B:11", "04-a3-2b-11", "04 A3 2B 11", "04A32B11", "4a32b11")
    assert {card_number(text, "hex") for text in written} == {"4a32b11"}
    assert len({card_number(text) for text in written}) == 2


@pytest.mark.parametrize(
    ("format_", "good", "bad"),
    [
        ("plain", ["4711", "1-23456", "0A3F", "1212"], ["471", "0000", "1234", "4" * 9, "9" * 33]),
        ("hex", ["04:A3:2B:11", "04A3"], ["04:G3", "FFFF", "0000"]),
        (
            "facility_digits",
            ["1-1", "001-00001", "00123456"],
            ["0-0", "1-234567", "12A45", "1-2-3"],
        ),
        ("facility_bits", ["255-65535", "0012345678"], ["256-1", "1-65536", "4294967295", "0000"]),
    ],
)
def test_what_no_reader_could_tell_is_refused(
    format_: CardFormat, good: list[str], bad: list[str]
) -> None:
    for text in good:
        require_card(text, format_, 5, 32)
    for text in bad:
        with pytest.raises(CardRefused):
            require_card(text, format_, 5, 32)
