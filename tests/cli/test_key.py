"""gated key, where there are no units of the package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gated.cli.key import PLACES
from gated.vault.sealing import load_keys
from tests.cli.conftest import Gated

needs_none = pytest.mark.skipif(
    any((place / "gated.service").exists() for place in PLACES), reason="gated is installed here"
)


@needs_none
def test_the_status_names_the_file_that_has_the_key(gated: Gated, config: Path) -> None:
    assert gated("key", "status", "--json", "--config", config).json["kept"] == "none"
    load_keys(config.parent / "state", environ={})
    said = gated("key", "status", "--config", config)
    assert "keys/seal.key" in said.out
    assert "can read it" in said.out


@needs_none
def test_a_key_is_not_protected_without_units_that_would_start_with_it(
    gated: Gated, config: Path
) -> None:
    refused = gated("key", "protect", "--config", config)
    assert refused.code == (1 if os.geteuid() == 0 else 5)
    assert ("install its package" if os.geteuid() == 0 else "sudo") in refused.err
