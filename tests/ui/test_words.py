"""Six languages, each complete: every code that the API may send has its words."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

import gated
from gated.access.access_plan import ONE_DIRECTION
from gated.attendance.attendance_store import BY_HAND
from gated.config import ON_PAGES, settings
from gated.config.explained import explained
from gated.config.settings import SETTING_RULES
from gated.core.access import RULES, Need
from gated.core.alarms import DETAILS
from gated.core.cards import CARD_RULES
from gated.core.clock import ClockStanding, Doubt
from gated.core.door import DoorState
from gated.core.plain_words import OWN_RULES
from gated.core.plain_words import RULES as BROKEN_RULES
from gated.core.roles import Role
from gated.core.values import (
    CameraEventKind,
    Direction,
    DoorMode,
    Method,
    Outcome,
    Reason,
)
from gated.daemon import door_process, gate_runtime
from gated.http.codes import CODES as PROBLEMS
from gated.link import remote_board
from gated.link.status_board import ERASURE_PENDING, MISSING_MODELS, ROOM_PROBLEMS
from gated.live import certificate_watch, damage_watch, file_sweep, hub_contact
from gated.live.kiosk import HINTS, NEEDS
from gated.mqtt import bridge as mqtt
from gated.syslog import syslog
from gated.ui import pages
from gated.vision.photo import NEARER, REFUSALS, SEVERAL, SHARPER, STRAIGHT
from gated.webhooks import webhooks

STATIC = Path(pages.__file__).parent / "static"
ROOMS = Path(gated.__file__).parent
LANGUAGES = ("en", "de", "fr", "es", "ar", "fa")
PARTS = ("", "more/", "codes/", "screens/", "settings/")
"""All screens load the first; the others come with the screens, or the error, that need them."""


def _words(code: str) -> dict[str, str | dict[str, str]]:
    found: dict[str, str | dict[str, str]] = {}
    for part in PARTS:
        words = json.loads((STATIC / f"i18n/{part}{code}.json").read_text(encoding="utf-8"))
        assert not found.keys() & words.keys()
        found |= words
    return found


WORDS = {code: _words(code) for code in LANGUAGES}
EVERYTHING = "\n".join(p.read_text(encoding="utf-8") for p in STATIC.rglob("*.js"))

TROUBLES = (
    *("vision_starved", "controller_late", "hub_unreachable", "hub_revoked"),
    *(door_process.AWAY, gate_runtime.UNREADABLE, remote_board.GATE_UNAVAILABLE),
    *(mqtt.FAILING, syslog.FAILING, webhooks.FAILING, file_sweep.UNREADABLE),
    *(hub_contact.EXPIRES, certificate_watch.EXPIRES, damage_watch.DAMAGED),
)
"""What a part of the program may say of itself."""

ENUMS: dict[str, type[StrEnum]] = {
    "direction": Direction,
    "method": Method,
    "outcome": Outcome,
    "role": Role,
    "mode": DoorMode,
    "door": DoorState,
    "camera": CameraEventKind,
}
EXPLAINED = {
    f"{section}.{key}": text
    for section in settings.SECTIONS
    for key, text in explained(section).items()
}
"""What each setting is for, by its key."""
FIGURE = re.compile(r"[0-9](?:[0-9.,e-]*[0-9])?")
CODES = {
    "explain": list(EXPLAINED),
    **{kind: [str(member) for member in of] for kind, of in ENUMS.items()},
    "reason": [*Reason, *BY_HAND],
    "rule": [name for name, _ in RULES],
    "refusal": [
        *(code for code, _ in REFUSALS.values()),
        *("multiple_faces", "occluded", "not_same_person", "unreadable_image", "no_good_frame"),
    ],
    "problem": [ERASURE_PENDING, MISSING_MODELS, *ROOM_PROBLEMS.values(), *TROUBLES],
    "hint": [*HINTS, *(f"{NEEDS}{need}" for need in Need)],
    "clock": [*ClockStanding, *Doubt],
    "better": [NEARER.code, STRAIGHT.code, SHARPER.code, SEVERAL],
    "detail": list(DETAILS),
    "unfit": [*BROKEN_RULES, *OWN_RULES, *CARD_RULES, ONE_DIRECTION, *SETTING_RULES],
}


def test_every_code_of_a_problem_has_words() -> None:
    wordless = [
        code for code in PROBLEMS if not {f"error.{code}", f"refusal.{code}"} & WORDS["en"].keys()
    ]
    assert wordless == []
    told = {key.partition(".")[2] for key in WORDS["en"] if key.startswith("error.")}
    assert told - PROBLEMS.keys() == set()


@pytest.mark.parametrize("kind", CODES)
def test_every_code_has_words(kind: str) -> None:
    assert [c for c in CODES[kind] if f"{kind}.{c}" not in WORDS["en"]] == []


def test_what_is_impossible_with_a_setting_of_the_pages_has_a_name() -> None:
    """Whoever sets it there reads why not in their own language."""
    misfits = list(_misfits(Path(settings.__file__)))
    assert len(misfits) > 60
    on_pages = {key for section, key in ON_PAGES}
    nameless = [(keys, text) for keys, text, names in misfits if keys & on_pages and names == set()]
    assert nameless == []
    assert {name for _, _, names in misfits for name in names} <= set(SETTING_RULES)


def _misfits(source: Path) -> Iterator[tuple[set[str], str, set[str]]]:
    """The last parts of the keys of each misfit, its text, and its name."""
    for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Misfit":
            keys, text, *name = call.args
            yield _texts(keys), ast.unparse(text), {t for n in name[:1] for t in _texts(n)}


def _texts(node: ast.AST) -> set[str]:
    found = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
    return {str(text).rpartition(".")[2] for text in found}


def test_every_name_of_a_reason_has_words() -> None:
    """What is named where it is refused, as in `raise Refused(...).named("unusable", field)`."""
    named = {name for source in ROOMS.rglob("*.py") for name in _reasons(source)}
    assert len(named) > 40
    known = {*CODES["unfit"], *named}
    told = {key.partition(".")[2] for key in WORDS["en"] if key.startswith("unfit.")}
    assert (known - told, told - known) == (set(), set())


def _reasons(source: Path) -> Iterator[str]:
    for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        given = call.args[:1] if name in ("named", "Broken") else []
        if name in ("RowProblem", "problem_row"):
            given = [k.value for k in call.keywords if k.arg == "rule"]
        yield from (str(g.value) for g in given if isinstance(g, ast.Constant) and g.value)


def test_what_a_setting_is_for_is_said_as_the_configuration_says_it() -> None:
    """Whoever changes an explanation looks at its words in the other languages, too."""
    told = {k.partition(".")[2]: w for k, w in WORDS["en"].items() if k.startswith("explain.")}
    assert told == EXPLAINED


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_the_words_of_a_setting_name_the_same_keys_and_figures(language: str) -> None:
    for key, english in EXPLAINED.items():
        words = str(WORDS[language][f"explain.{key}"])
        assert words != english, key
        assert set(re.findall(r"`[^`]+`", english)) <= set(re.findall(r"`[^`]+`", words)), key
        assert sorted(FIGURE.findall(words)) == sorted(FIGURE.findall(english)), key


@pytest.mark.parametrize("alarm", DETAILS)
def test_the_words_of_an_alarm_have_its_values(alarm: str) -> None:
    assert _places(WORDS["en"][f"detail.{alarm}"]) == set(DETAILS[alarm])


SAID_BY_DEVICES = {
    "runtime/card_reading.py": 1,
    "osdp/peripheral.py": 1,
    "devices/bus_door.py": 1,
    "devices/guards.py": 1,
    "daemon/gate_runtime.py": 2,  # cameras
    "daemon/door_process.py": 1,  # always the same
}
"""Alarms whose detail has no values: what a device or a library says, for which there are no words.
"""


def test_what_the_program_says_itself_of_an_alarm_has_values() -> None:
    """Whoever adds one gives its values to `DETAILS`, for words in every language."""
    found = Counter(
        str(source.relative_to(ROOMS))
        for source in ROOMS.rglob("*.py")
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and _is_without_values(call)
    )
    assert found == SAID_BY_DEVICES


def _is_without_values(call: ast.Call) -> bool:
    if getattr(call.func, "id", "") != "Condition" or not 3 <= len(call.args) < 5:
        return False
    ended = isinstance(call.args[1], ast.Constant) and call.args[1].value is False
    return not ended and not any(k.arg == "values" for k in call.keywords)


def test_every_act_that_the_audit_shows_has_words() -> None:
    acts = {act for source in ROOMS.rglob("*.py") for act in _recorded(source)}
    assert len(acts) > 80
    assert sorted(a for a in acts if f"event.{a}" not in WORDS["en"]) == []


def _recorded(source: Path) -> Iterator[str]:
    """The kinds that calls which write the journal name, such as `change.record("signed_in")`."""
    for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if "record" in name or name in ("Entry", "_with_token", "_set_active"):
            given = [a.value for a in call.args if isinstance(a, ast.Constant)]
            yield from (
                g for g in given if isinstance(g, str) and re.fullmatch(r"[a-z]+(_[a-z]+)+", g)
            )


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_a_language_has_the_same_keys_and_places(language: str) -> None:
    theirs = WORDS[language]
    assert theirs.keys() == WORDS["en"].keys()
    for key, english in WORDS["en"].items():
        assert _places(theirs[key]) == _places(english), key
        assert theirs[key], key


@pytest.mark.parametrize(
    ("language", "other"),
    [("fr", "portail"), ("de", "backup"), ("de", "gate"), ("fa", "گیت"), ("fa", "درگاه")],
)
def test_a_thing_has_one_word_in_a_language(language: str, other: str) -> None:
    for key, words in WORDS[language].items():
        text = words if isinstance(words, str) else " ".join(words.values())
        said = re.sub(r"`[^`]*`|\S+\.yaml", "", text)  # commands and files keep their names
        assert re.search(rf"\b{other}s?\b", said, re.IGNORECASE) is None, key


def _places(words: str | dict[str, str]) -> set[str]:
    text = words if isinstance(words, str) else " ".join(words.values())
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_plurals_have_what_is_said_otherwise(language: str) -> None:
    for key, words in WORDS[language].items():
        assert isinstance(words, str) or "other" in words, key


def test_every_key_that_is_used_is_there_and_every_other_is_gone() -> None:
    used = set(re.findall(r"\bt\(\s*\"([^\"]+)\"", EVERYTHING))
    assert used - WORDS["en"].keys() == set()
    made = [
        re.compile(re.sub(r"\\\$\\\{.*?\\\}", r"[\\w-]+", re.escape(found)) + r"\Z")
        for found in re.findall(r"\bt\(\s*`([^`]+)`", EVERYTHING)
    ]
    kinds = set(re.findall(r"\bword\(\s*\"(\w+)\"", EVERYTHING)) | CODES.keys()
    mentioned = set(re.findall(r"\"([\w.]+)\"", EVERYTHING))
    idle = [
        key
        for key in WORDS["en"]
        if key not in used | mentioned
        and key.split(".")[0] not in kinds
        and not any(pattern.match(key) for pattern in made)
    ]
    assert idle == []
