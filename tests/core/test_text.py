"""Text that people type: refused, compared, searched and sorted."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.text import (
    clean_code,
    clean_text,
    code_key,
    is_hidden,
    scrubbed,
    search_key,
    sort_key,
)
from gated.errors import TextRefused

anything = st.text(max_size=30)
SPELLINGS = ("K01", "k01", "Ｋ０１", "\u212a01", " K01 ", "K０1")
HIDDEN = (
    "\u202e\u202d\u202a\u2066\u2069\u200e\u200f\u061c"  # direction
    "\u200b\u2060\ufeff\u00ad\u180e\u034f\u2063\U000e0041"  # no width
    "\u3164\u2800\u115f\u0007\u0085\u2028\ufffe"
)


@pytest.mark.parametrize("char", HIDDEN, ids=lambda c: f"U+{ord(c):04X}")
@pytest.mark.parametrize("clean", [clean_text, clean_code])
def test_a_character_that_nobody_sees_is_refused_with_its_name_and_place(
    char: str, clean: Callable[[str, str], str]
) -> None:
    with pytest.raises(TextRefused) as refused:
        clean(f"An{char}na", "first_name")
    said = str(refused.value)
    assert "first_name" in said
    assert f"U+{ord(char):04X}" in said
    assert "the 3rd of 5" in said
    assert char not in said
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("at_the_edge", ["\ufeffAnna", "Anna\u200b", "\u200dAnna", "Anna\u200c"])
def test_it_is_refused_at_the_edges_too(at_the_edge: str) -> None:
    with pytest.raises(TextRefused):
        clean_text(at_the_edge, "first_name")


@pytest.mark.parametrize(
    "name",
    [
        "علی\u200cرضا",
        "क्\u200dष",
        "ද්\u200dය",
        "င်္\u200cက",
        "ߒ\u200dߒ",
        "خانه\u200cای",
        "葛\U000e0100",
        "O’Neill-Ærø",
        "Nguyễn",
        "田中 太郎",
        "د. سارة",
    ],
)
def test_names_of_many_scripts_stay_as_they_are(name: str) -> None:
    assert clean_text(name, "name") == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "joined",
    [
        "A\u200dB",
        "علی\u200c",
        "\u200cعلی",
        "علی\u200c رضا",
        "علی\u200c\u200cرضا",
        "👨\u200d👩",
        "ก\u200cข",
        "葛 \U000e0100",
    ],
)
def test_a_joiner_counts_only_where_it_joins(joined: str) -> None:
    with pytest.raises(TextRefused):
        clean_text(joined, "name")


def test_codes_have_no_joiners_at_all() -> None:
    with pytest.raises(TextRefused):
        clean_code("علی\u200cرضا", "personnel_code")


@pytest.mark.parametrize("typed", ["  Anna ", "Anna\u00a0", "\u2003Anna"])
def test_text_is_trimmed(typed: str) -> None:
    assert clean_text(typed, "name") == "Anna"
    assert clean_text("Anna\u00a0Maria", "name") == "Anna Maria"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_code_has_one_key_however_it_is_typed(spelling: str) -> None:
    assert code_key(spelling) == code_key("K01")


def test_composed_and_decomposed_are_one() -> None:
    assert clean_text("Jose\u0301", "name") == "Jos\u00e9"
    assert code_key("Jose\u0301") == code_key("JOS\u00c9")
    assert code_key("e17") != code_key("é17")


def test_search_goes_without_accents_and_case() -> None:
    for name in ("José", "JOSE", "jose\u0301", "ｊｏｓé"):
        assert search_key(name) == "jose"
    assert search_key("Łukasz Ørsted Straße") == "lukasz orsted strasse"
    assert search_key("علي\u200cرضا") == search_key("علیرضا")


def test_names_are_sorted_as_in_a_dictionary() -> None:
    names = [
        "Zoe",
        "Ärger",
        "apfel",
        "Apfelbaum",
        "Öl",
        "ozean",
        "Émile",
        "Emil",
        "de Vries",
        "Devos",
    ]
    assert sorted(names, key=sort_key) == [
        *("apfel", "Apfelbaum", "Ärger", "de Vries", "Devos", "Emil", "Émile", "Öl", "ozean"),
        "Zoe",
    ]


@given(anything)
def test_what_is_clean_stays_and_shows_everything(text: str) -> None:
    try:
        clean = clean_text(text, "name")
    except TextRefused:
        assert any(is_hidden(text.replace("\u00a0", " "), i) for i in range(len(text)))
        return
    assert clean_text(clean, "name") == clean == unicodedata.normalize("NFC", clean)
    assert code_key(clean) == code_key(text)


@given(anything)
def test_a_key_is_a_key_of_itself_and_of_every_form(text: str) -> None:
    key = code_key(text)
    assert code_key(key) == key
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert code_key(unicodedata.normalize(form, text)) == key
    assert code_key(f"  {text}\u200b ") == key


@given(anything)
def test_whatever_was_told_can_be_stored(text: str) -> None:
    kept = scrubbed(text)
    assert clean_text(kept, "name") == kept
    key = code_key(kept)
    assert key == code_key(text)
    search_key(text).encode()
    sort_key(text).encode()


@given(anything, anything)
def test_equal_codes_are_found_and_sorted_alike(one: str, other: str) -> None:
    if code_key(one) == code_key(other):
        assert search_key(one) == search_key(other)
        assert sort_key(one) == sort_key(other)


def test_half_a_character_is_never_kept() -> None:
    assert scrubbed("An\ud800na\u200c\udfff") == "Anna"
    with pytest.raises(TextRefused):
        clean_text("An\ud800na", "name")
