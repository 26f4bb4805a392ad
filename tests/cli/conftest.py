"""The command line in this process, with the environment of a fresh machine."""

from __future__ import annotations

import gc
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gated.cli.main import main
from gated.config import ENVIRONMENT
from gated.enrollment.models import INSTALLED

GATE = """
camera: {{driver: replay, source: demo}}
door: {{driver: simulated}}
liveness: "off"
vision: {{assets_dir: {assets}}}
storage: {{state_dir: {state}}}
"""


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Gated = Callable[..., Result]


@pytest.fixture
def gated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Gated:
    """Runs one command and returns how it ended; the working directory is empty."""
    for name in (*ENVIRONMENT, "GATED_CONFIG", "GATED_SEAL_KEY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")

    def run(*args: str | Path, stdin: str | bytes = "") -> Result:
        given = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        monkeypatch.setattr(sys, "argv", ["gated", *map(str, args)])
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as end:
                main()
        finally:
            gc.enable()  # a run that ends before it serves leaves the collector switched off
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert isinstance(end.value.code, int)
        return Result(end.value.code, said.out, said.err)

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a state directory of its own, which is not made yet."""
    file = tmp_path / "gate.yaml"
    file.write_text(GATE.format(assets=INSTALLED, state=tmp_path / "state"))
    return file
