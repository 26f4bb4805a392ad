"""gated hub, gated join and gated sync."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

from tests.cli.conftest import Gated
from tests.fleet.sync.test_down import pull_all
from tests.fleet.sync.test_edits import PASSWORD, edged
from tests.fleet.sync.world import World, hub_in

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


def test_settings_are_rolled_out_from_the_command_line(gated: Gated, tmp_path: Path) -> None:
    with hub_in(tmp_path, None) as hub:
        hub_config = tmp_path / "hub.yaml"
        hub_config.write_text(HUB.format(state=tmp_path / "hub"))
        on_hub = ("--config", hub_config)
        file = tmp_path / "strict.yaml"
        file.write_text("liveness: strict\ndoor:\n  unlock_s: 4\n  relay_pin: 5\n")
        configure = ("hub", "configure", file, *on_hub)
        refused = gated(*configure)
        assert (refused.code, "strict.yaml:4: door.relay_pin" in refused.err) == (3, True)
        file.write_text("liveness: strict\ndoor:\n  unlock_s: 4\n")
        assert gated("hub", "rollout", "status", *on_hub).code == 1
        assert gated(*configure).out == "revision 1\n"
        hub.invite("north")
        stages = ("--stage", "north,site:docks", "--stage", "everyone", "--by-hand")
        made = gated(*configure, *stages, "--json").json
        assert made["revision"] == 2
        assert made["rollout"]["stages"] == [
            {"gates": ["north"], "sites": ["docks"], "everyone": False},
            {"gates": [], "sites": [], "everyone": True},
        ]
        assert "running, stage 1 of 2" in gated("hub", "rollout", "status", *on_hub).out
        assert gated("hub", "rollout", "start", "1", "--stage", "everyone", *on_hub).code == 1
        assert gated("hub", "rollout", "advance", "--json", *on_hub).json["stage"] == 2
        assert "halted" in gated("hub", "rollout", "halt", *on_hub).out
        assert "rolled_back" in gated("hub", "rollout", "rollback", *on_hub).out
        assert gated("hub", "rollout", "start", "1", *on_hub).code == 2
        again = gated("hub", "rollout", "start", "1", "--stage", "everyone", *on_hub)
        assert "roll-out 2 of revision 1: running" in again.out


def test_edits_are_listed_accepted_and_refused(gated: Gated, tmp_path: Path) -> None:
    with hub_in(tmp_path, None) as hub, ExitStack() as stack:
        config = tmp_path / "hub.yaml"
        config.write_text(HUB.format(state=tmp_path / "hub"))
        on_hub = ("--config", config)
        hub.services.accounts.create("olga", "viewer", PASSWORD, actor="test")
        assert gated("hub", "operator", "olga", *on_hub).code == 2
        allowed = gated("hub", "operator", "olga", "--everyone", *on_hub)
        assert "sign in here once" in allowed.out, allowed.err
        hub.services.accounts.sign_in("olga", PASSWORD, "desk")
        at = edged(World(tmp_path, hub, stack))
        at.create(), at.create(personnel_code="E2")
        at.send()
        first, second = gated("hub", "edits", "--json", *on_hub).json
        assert (first["kind"], first["gate"], first["operator"]) == ("create", "north", "olga")
        assert "somebody new" in gated("hub", "edits", *on_hub).out
        assert gated("hub", "accept", str(first["id"]), *on_hub).code == 0
        refused = gated("hub", "refuse", str(second["id"]), "--reason", "a double", *on_hub)
        assert refused.code == 0
        assert "no edits" in gated("hub", "edits", *on_hub).out
        assert "accepted" in gated("hub", "edits", "--all", *on_hub).out
        assert gated("hub", "accept", str(second["id"]), *on_hub).code == 1
        assert gated("hub", "operator", "olga", "--forbid", *on_hub).code == 0
        pull_all(at.gate)
        assert at.verdicts() == [("create", "accepted", None), ("create", "refused", "a double")]
