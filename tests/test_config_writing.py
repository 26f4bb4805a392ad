"""Values that are put into gate.yaml: what somebody wrote there stays, and nothing is half done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.config import load
from gated.config.writing import with_values
from gated.config.yaml_locations import parse
from gated.errors import ConfigError
from gated.fleet.gate.settings_file import write_values

FILE = """\
# the gate in the yard
gate:
  name: yard   # as it is called
  # no demo here

camera: {driver: replay, source: demo}

liveness: normal  # see the manual

attendance:
door:
  driver: simulated
  # the lock
  unlock_s: 3
# the end
"""


def test_a_value_is_replaced_and_its_comment_stays() -> None:
    text = with_values(FILE, {"gate": {"name": "Nord tor: 2"}})
    assert text == FILE.replace("name: yard ", 'name: "Nord tor: 2" ')


def test_new_keys_stand_in_their_sections() -> None:
    values: dict[str, dict[str, Any]] = {
        "gate": {"timezone": "Europe/Berlin"},
        "camera": {"rotate": 180},
        "attendance": {"direction": "entry"},
        "door": {"held_open_s": 45.5},
        "ui": {"kiosk_names": True},
    }
    wanted = FILE
    for before, after in (
        ("called\n", "called\n  timezone: Europe/Berlin\n"),
        ("source: demo}", "source: demo, rotate: 180}"),
        ("attendance:\n", "attendance:\n  direction: entry\n"),
        ("unlock_s: 3\n", "unlock_s: 3\n  held_open_s: 45.5\n"),
    ):
        wanted = wanted.replace(before, after)
    assert with_values(FILE, values) == wanted + "ui:\n  kiosk_names: true\n"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"level": "strict"}, "liveness: strict  # see the manual"),
        ({"movements": 3}, "liveness: {level: normal, movements: 3}  # see the manual"),
    ],
)
def test_a_word_in_place_of_a_section_is_understood(values: dict[str, Any], line: str) -> None:
    assert line in with_values(FILE, {"liveness": values}).splitlines()


@pytest.mark.parametrize("text", ["{gate: {name: a}}", "- a\n- b\n"])
def test_a_form_that_leaves_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        with_values(text, {"ui": {"kiosk_names": True}})


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
    st.sampled_from(["gate", "door", "camera", "ui"]),
)
def test_any_text_is_read_as_it_was_written(value: str, section: str) -> None:
    found = parse(with_values(FILE, {section: {"name": value}}), "it").values
    assert found[section]["name"] == value


def test_the_file_keeps_its_mode_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(FILE)
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    write_values(link, {"gate": {"name": "west"}})
    assert load(link, {}).gate.name == "west"
    assert link.is_symlink()
    assert (file.stat().st_mode & 0o777, sorted(os.listdir(tmp_path))) == (
        0o640,
        ["gate.yaml", "link.yaml"],
    )


def test_windows_line_ends_and_a_missing_last_one_do_no_harm() -> None:
    text = "gate:\r\n  name: yard\r\ndoor:\r\n  driver: simulated"
    found = parse(with_values(text, {"gate": {"timezone": "UTC"}, "door": {"unlock_s": 4}}), "it")
    assert found.values == {
        "gate": {"name": "yard", "timezone": "UTC"},
        "door": {"driver": "simulated", "unlock_s": 4},
    }
