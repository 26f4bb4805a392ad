"""The bar on a terminal, and nothing anywhere else."""

from __future__ import annotations

import io
import sys

import pytest

from gated.cli.common import progress_bar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("people") as progress:
        assert list(progress("abc")) == ["a", "b", "c"]
    assert "people" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_no_terminal_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with progress_bar("people") as progress:
        assert list(progress([1, 2])) == [1, 2]
        progress.show(5, 0)
    assert said.getvalue() == ""
