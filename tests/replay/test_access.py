"""The access rules, told as scenarios that need no programmer to be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.scenario import Scenario

FILES = sorted((Path(__file__).parent / "access").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scenario(file: Path) -> None:
    played = 0
    for step, expected, said in Scenario(file).play():
        assert said == expected, step
        played += 1
    assert played, "nothing happens in it"


def test_a_wrong_expectation_is_noticed(tmp_path: Path) -> None:
    """They would be worth nothing if any of them passed."""
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "title: wrong\npeople: {Ann: {}}\nsteps:\n"
        "  - {at: 2026-11-23 08:00, face: Ann, then: 'Ann: exit by face'}\n"
    )
    ((_, expected, said),) = Scenario(file).play()
    assert said == ["Ann: entry by face"] != expected
