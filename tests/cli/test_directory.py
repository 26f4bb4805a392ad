"""gated directory: people read by LDAP, and tokens for SCIM, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.accounts.accounts import Accounts
from gated.config import load
from gated.errors import NotSignedIn
from gated.ldap import ber
from tests.cli.conftest import Gated
from tests.ldap.directories import liar
from tests.workspaces import open_workspace


def test_a_token_is_created_listed_and_revoked(gated: Gated, config: Path) -> None:
    at = ("--config", config)
    with open_workspace(load(config, {})):
        pass  # the state is there
    made = gated("directory", "token", "create", "entra", "--json", *at)
    token = made.json["token"]
    with open_workspace(load(config, {})) as workspace:
        assert Accounts.of(workspace).verify_token(token).role == "directory"
    listed = gated("directory", "token", "list", "--json", *at)
    assert [one["username"] for one in listed.json] == ["entra"]
    assert token not in listed.out
    assert gated("directory", "token", "create", "entra", *at).code == 1  # there is one
    assert gated("directory", "token", "revoke", "Entra", *at).code == 0
    assert gated("directory", "token", "revoke", "entra", *at).code == 1
    with open_workspace(load(config, {})) as workspace, pytest.raises(NotSignedIn):
        Accounts.of(workspace).verify_token(token)


def entry(code: str) -> bytes:
    """An entry of somebody with this number and name."""
    values = {"employeeNumber": code, "sn": "Berg"}
    pairs = (
        ber.tlv(ber.SEQUENCE, ber.text(name), ber.tlv(ber.SET, ber.text(value)))
        for name, value in values.items()
    )
    return ber.tlv(0x64, ber.text(f"cn={code}"), ber.tlv(ber.SEQUENCE, *pairs))


def message(number: int, operation: bytes) -> bytes:
    return ber.tlv(ber.SEQUENCE, ber.integer(number), operation)


def test_people_are_tried_and_read(gated: Gated, config: Path) -> None:
    at = ("--config", config)
    with open_workspace(load(config, {})):
        pass
    assert gated("directory", "import", *at).code == 1  # no directory is set up
    plain = config.read_text()
    done = ber.integer(0, ber.ENUMERATED) + ber.text("") + ber.text("")
    found = message(2, entry("E1")) + message(2, entry("E 2")) + message(2, ber.tlv(0x65, done))
    answers = (message(1, ber.tlv(0x61, done)), found)

    def read(*options: str) -> tuple[int, dict[str, object]]:
        with liar(*answers) as url:
            config.write_text(plain + f"directory: {{url: '{url}', base: 'dc=works'}}\n")
            ended = gated("directory", "import", "--json", *options, *at)
        return ended.code, ended.json

    code, report = read("--dry-run")
    assert (code, report["added"], report["counts"]) == (1, ["E1"], {"added": 1, "refused": 1})
    assert gated("persons", "list", "--json", *at).json == []
    code, again = read()
    assert (code, again) == (1, {**report, "dry_run": False})
    people = gated("persons", "list", "--json", *at).json
    assert [one["personnel_code"] for one in people] == ["E1"]
    with liar(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        config.write_text(plain + f"directory: {{url: '{url}', base: 'dc=works'}}\n")
        refused = gated("directory", "import", *at)
    assert (refused.code, "no LDAP" in refused.err) == (SOURCE_EXIT, True)


SOURCE_EXIT = 2
