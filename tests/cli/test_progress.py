"""The bar on a terminal, and nothing anywhere else."""

from __future__ import annotations

import io
import os
import pty
import sys

import pytest

from gated.cli.common import progress_bar


def test_a_terminal_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress_bar("people") as progress:
            assert list(progress("abc")) == ["a", "b", "c"]
        terminal.flush()
        seen = os.read(ours, 65536).decode()
    os.close(ours)
    assert "people" in seen
    assert "3/3" in seen


def test_no_terminal_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with progress_bar("people") as progress:
        assert list(progress([1, 2])) == [1, 2]
        progress.show(5, 0)
    assert said.getvalue() == ""
