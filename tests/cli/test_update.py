"""gated update, as it is typed where it cannot be done."""

from __future__ import annotations

from tests.cli.conftest import Gated


def test_the_command_says_what_it_needs(gated: Gated) -> None:
    assert gated("update").code == 2
    assert gated("update", "x.deb", "--back").code == 2
    refused = gated("update", "x.deb")
    assert refused.code == 1
    assert "sudo" in refused.err or "package" in refused.err
