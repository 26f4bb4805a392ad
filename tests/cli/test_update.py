"""gated update, as it is typed where it cannot be done."""

from __future__ import annotations

import os
from pathlib import Path

from gated.cli.update import state_since
from tests.cli.conftest import Gated


def test_the_command_says_what_it_needs(gated: Gated) -> None:
    assert gated("update").code == 2
    assert gated("update", "x.deb", "--back").code == 2
    refused = gated("update", "x.deb")
    assert refused.code == 1
    assert "sudo" in refused.err or "package" in refused.err


def test_an_update_is_shown_also_when_the_clock_is_set_back_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    assert state_since(None, file) == {}
    file.write_text('{"phase": "updated"}')
    before = file.stat().st_mtime_ns
    assert state_since(before, file) == {}, "that of the update before"
    file.write_text('{"phase": "watching"}')
    os.utime(file, ns=(before - 10**13, before - 10**13))
    assert state_since(before, file) == {"phase": "watching"}
