"""gated hub, gated join and gated sync."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.conftest import Gated
from tests.services.sync.world import hub_in

HUB = """
gate: {{name: hub}}
storage: {{state_dir: {state}}}
"""


def test_a_gate_joins_is_listed_replaced_and_revoked(
    gated: Gated, config: Path, tmp_path: Path
) -> None:
    with hub_in(tmp_path, None) as hub:
        hub_config = tmp_path / "hub.yaml"
        hub_config.write_text(HUB.format(state=tmp_path / "hub"))
        on_hub = ("--config", hub_config)
        assert "no gates yet" in gated("hub", "gates", *on_hub).out
        shown = gated("hub", "invite", "north", "--site", "works", "--everyone", *on_hub).out
        found = re.search(r"gated join HUB_URL (\S+)", shown)
        assert found
        joined = gated("join", hub.url, found[1], "--config", config)
        assert joined.code == 0, joined.err
        assert "north at works" in joined.out
        again = gated("join", hub.url, found[1], "--config", config)
        assert (again.code, "gated sync leave" in again.err) == (1, True)
        (row,) = gated("hub", "gates", "--json", *on_hub).json
        assert (row["name"], row["state"], row["everyone"]) == ("north", "joined", True)
        assert "north" in gated("hub", "gates", *on_hub).out
        assert hub.url in gated("sync", "status", "--config", config).out
        assert "gated join" in gated("hub", "replace-gate", "north", *on_hub).out
        assert "rotate-credential-keys" in gated("hub", "revoke", "north", *on_hub).out
        rotated = gated("hub", "rotate-credential-keys", "--json", *on_hub).json
        assert rotated == {"keys": 2, "cards": 0, "pins": 0}
        assert "key 3" in gated("hub", "rotate-credential-keys", *on_hub).out
        (row,) = gated("hub", "gates", "--json", *on_hub).json
        assert row["state"] == "revoked"
        assert gated("hub", "resync", *on_hub).code == 0
        assert gated("hub", "revoke", "nobody", *on_hub).code == 1
    assert gated("sync", "leave", "--config", config).code == 0
    assert "no hub" in gated("sync", "status", "--config", config).out
    assert gated("sync", "leave", "--config", config).code == 1


def test_a_code_that_is_none_and_a_hub_that_is_none_are_said(gated: Gated, config: Path) -> None:
    assert gated("join", "http://127.0.0.1:9", "ABCD", "--config", config).code == 2
    code = "-".join(["ABCD"] * 8)
    refused = gated("join", "http://127.0.0.1:9", code, "--config", config)
    assert (refused.code, "no answer" in refused.err) == (1, True)
    refused = gated("join", "http://hub.example.org", code, "--config", config)
    assert (refused.code, "https" in refused.err) == (3, True)
