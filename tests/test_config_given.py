"""What a hub may set, and that environment and file come first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gated.config import SCOPES, SECTIONS, Settings, ValueOrigin, check_given, load_with
from gated.config.settings import HubMaySet
from gated.errors import ConfigError

REFERENCE = Path(__file__).parent.parent / "config" / "gate.reference.yaml"

EVERY_KEY = {(name, key) for name, section in SECTIONS.items() for key in section.model_fields}


def written(folder: Path, text: str) -> Path:
    file = folder / "gate.yaml"
    file.write_text(text)
    return file


def test_a_key_is_set_in_the_file_alone_unless_it_is_marked() -> None:
    """The mark counts at the key itself: one that is buried in a part of the type is a mistake."""
    assert set(SCOPES) == EVERY_KEY
    for (name, key), scope in SCOPES.items():
        info = SECTIONS[name].model_fields[key]
        marks = sum(isinstance(m, HubMaySet) for m in info.metadata)
        assert marks == (scope == "runtime"), key
        assert "HubMaySet" not in repr(info.annotation), key
    assert "file beside the gate alone" in (HubMaySet.__doc__ or "")


def test_the_reference_shows_which_keys_a_hub_may_set() -> None:
    section, starred = "", set()
    for line in REFERENCE.read_text().splitlines():
        if found := re.match(r"(\w+):", line):
            section = found[1]
        elif (found := re.match(r"  (\w+):", line)) and "#*" in line:
            starred.add((section, found[1]))
    assert starred == {key for key, scope in SCOPES.items() if scope == "runtime"}


def test_a_hub_cannot_take_the_door_or_the_machine_away() -> None:
    """Whole sections, and any kind of value that names a device, a place, a key or a person."""
    for (section, key), scope in SCOPES.items():
        annotation = str(SECTIONS[section].model_fields[key].annotation)
        if section in {"gate", "camera", "indicators", "api", "ui"}:
            assert scope == "file", key
        if re.search(r"Path|SecretStr|_pin|driver|url|accept_|insecure", f"{annotation} {key}"):
            assert scope == "file", key
    assert SCOPES["door", "max_unlock_s"] == "file"


def test_environment_and_file_come_before_the_hub(tmp_path: Path) -> None:
    file = written(tmp_path, "recognition:\n  frames: 4\nliveness: strict\nprivacy:\n")
    given: dict[str, dict[str, Any]] = {
        "recognition": {"frames": 9, "fpir": 0.01, "face_tolerance": 0.5},
        "liveness": {"level": "normal", "lockout_s": 60},
        "privacy": {"photos_days": 30},
    }
    found = load_with(file, {"FACE_TOLERANCE": "0.4"}, given, "revision 7")
    settings = found.settings
    assert (settings.recognition.frames, settings.recognition.fpir) == (4, 0.01)
    assert settings.recognition.face_tolerance == 0.4
    assert (settings.liveness.level, settings.liveness.lockout_s) == ("strict", 60)
    assert settings.privacy.photos_days == 30
    assert found.overruled == (
        "recognition.frames",
        "recognition.face_tolerance",
        "liveness.level",
    )
    assert found.origin(("recognition", "frames")) == ValueOrigin("file", f"{file}:2")
    assert found.origin(("liveness", "level")) == ValueOrigin("file", f"{file}:3")
    assert found.origin(("recognition", "face_tolerance")) == ValueOrigin(
        "environment", "FACE_TOLERANCE"
    )
    assert found.origin(("privacy", "photos_days")) == ValueOrigin("hub", "revision 7")
    assert found.origin(("door", "unlock_s")) == ValueOrigin("default")
    assert load_with(file, {}).settings.privacy.photos_days is None


@pytest.mark.parametrize(
    ("text", "given", "told"),
    [
        ("gate: {name: x}", {"door": {"relay_pin": 4}}, "door.relay_pin: is set in the file"),
        ("gate: {name: x}", {"recognition": {"frames": 0}}, "revision 7: recognition.frames: "),
        (
            "privacy: {hold_days: 90}",
            {"privacy": {"attendance_days": 30}},
            "privacy.attendance_days: the attendance record",
        ),
        (
            "camera: {driver: rtsp, url: 'rtsp://cam/1'}",
            {"liveness": {"level": "strict"}},
            "liveness strict needs rtsps",
        ),
    ],
)
def test_what_does_not_fit_the_gate_is_refused(
    tmp_path: Path, text: str, given: dict[str, Any], told: str
) -> None:
    file = written(tmp_path, text)
    load_with(file, {})
    with pytest.raises(ConfigError, match=re.escape(told)):
        load_with(file, {}, given, "revision 7")


def test_each_wrong_or_forbidden_key_is_named() -> None:
    found = check_given(
        {
            "door": {"relay_pin": 17, "unlock_s": 5, "unlok_s": 5},
            "recognition": {"frames": "three", "fpir": 0.01},
            "privacy": {"attendance_days": 10, "hold_days": 20},
            "liveness": {"level": "strict"},
            "dor": {},
            "ui": 5,
        }
    )
    assert set(found) == {
        "door.relay_pin",
        "door.unlok_s",
        "recognition.frames",
        "privacy.attendance_days",
        "dor",
        "ui",
    }
    assert "file of the gate" in found["door.relay_pin"].detail
    assert "did you mean unlock_s" in found["door.unlok_s"].detail


def test_what_depends_on_the_gate_is_left_to_the_gate() -> None:
    assert check_given({"storage": {"keep_stranger_pictures": True}}) == {}
    assert check_given({}) == {}


def test_the_defaults_themselves_may_be_given() -> None:
    plain = Settings().model_dump(mode="json")
    given: dict[str, dict[str, Any]] = {}
    for (section, key), scope in SCOPES.items():
        if scope == "runtime":
            given.setdefault(section, {})[key] = plain[section][key]
    assert check_given(given) == {}
