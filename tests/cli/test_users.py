"""gated user: accounts from the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gated.accounts.accounts import Accounts
from gated.accounts.setup import FirstAdmin
from gated.config import load
from gated.database import account_store, passkey_store
from gated.devices.clock import SystemClock
from gated.errors import BadCredentials
from tests.cli.conftest import Gated
from tests.workspaces import open_workspace

PASSWORD = "Correct-horse-battery-9"
OTHER = "Quite-another-staple-7"


def signs_in(config: Path, name: str, password: str) -> bool:
    with open_workspace(load(config, {})) as workspace:
        try:
            Accounts.of(workspace).authenticate(name, password, "test")
        except Exception:
            return False
    return True


def test_accounts_are_added_listed_changed_and_disabled(gated: Gated, config: Path) -> None:
    at = ("--config", config)
    assert "gated user add NAME" in gated("user", "list", *at).out
    for name, role in (("anna", "admin"), ("ben", "viewer")):
        args = ("user", "add", name, "--role", role, "--password-stdin", *at)
        result = gated(*args, stdin=PASSWORD + "\n")
        assert (result.code, result.out) == (0, f"account {name} created, role {role}\n")
    assert signs_in(config, "ben", PASSWORD)

    changed = gated("user", "passwd", "ben", "--password-stdin", *at, stdin=OTHER)
    assert changed.code == 0
    assert signs_in(config, "ben", OTHER)
    assert not signs_in(config, "ben", PASSWORD)

    assert gated("user", "disable", "ben", *at).code == 0
    assert not signs_in(config, "ben", OTHER)
    assert gated("user", "list", "--json", *at).json == [
        {"username": "anna", "role": "admin", "is_active": True},
        {"username": "ben", "role": "viewer", "is_active": False},
    ]
    assert "disabled" in gated("user", "list", *at).out


def test_the_last_admin_stays(gated: Gated, config: Path) -> None:
    at = ("--config", config)
    gated("user", "add", "anna", "--role", "admin", "--password-stdin", *at, stdin=PASSWORD)
    refused = gated("user", "disable", "anna", *at)
    assert refused.code == 1
    assert "last admin" in refused.err
    assert gated("user", "list", "--json", *at).json[0]["is_active"]


def test_what_is_refused_says_why(gated: Gated, config: Path) -> None:
    at = ("--config", config)
    add = ("user", "add", "anna", "--role", "admin", "--password-stdin", *at)
    assert gated(*add, stdin="short\n").code == 1
    assert gated(*add, stdin="").code == 1
    assert gated(*add, stdin=b"\xff\xfe no text").code == 2
    assert "--password-stdin" in gated("user", "add", "anna", "--role", "admin", *at).err
    assert gated("user", "add", "anna", "--role", "king", "--password-stdin", *at).code == 2
    assert gated("user", "list", "--json", *at).json == []
    assert gated(*add, stdin=PASSWORD).code == 0
    twice = gated(*add, stdin=PASSWORD)
    assert (twice.code, "anna" in twice.err) == (1, True)
    assert gated("user", "disable", os.fsdecode(b"\xff"), *at).code == 2
    for command in (("disable", "eve"), ("passwd", "eve", "--password-stdin")):
        missing = gated("user", *command, *at, stdin=PASSWORD)
        assert (missing.code, "no account eve" in missing.err) == (1, True)


def test_a_code_for_the_first_administrator_is_printed_until_there_is_one(
    gated: Gated, config: Path
) -> None:
    at = ("--config", config)
    first = gated("user", "setup-code", *at)
    code = gated("user", "setup-code", *at).out.strip()
    assert first.code == 0
    with open_workspace(load(config, {})) as workspace:
        admin = FirstAdmin(workspace, SystemClock())
        with pytest.raises(BadCredentials):
            admin.create(first.out.strip(), "anna", PASSWORD)
        assert admin.create(code, "anna", PASSWORD).role == "admin"
    refused = gated("user", "setup-code", *at)
    assert (refused.code, refused.out) == (1, "")
    assert "there is an account already" in refused.err


def test_passkeys_are_listed_and_removed_without_the_pages(gated: Gated, config: Path) -> None:
    at = ("--config", config)
    gated("user", "add", "anna", "--role", "admin", "--password-stdin", *at, stdin=PASSWORD)
    assert gated("user", "passkeys", "anna", *at).out == "the account anna has no passkeys\n"
    with open_workspace(load(config, {})) as workspace, workspace.database.write() as session:
        account = account_store.by_username(session, "anna")
        assert account is not None
        for name in ("phone", "key", "laptop"):
            passkey_store.add(
                session,
                account.id,
                name,
                credential_id=name,
                user_handle="h",
                public_key="k",
                sign_count=0,
            )
    listed = gated("user", "passkeys", "anna", "--json", *at).json
    assert [p["name"] for p in listed] == ["phone", "key", "laptop"]
    assert "never used" in gated("user", "passkeys", "anna", *at).out
    for words in ((), ("1", "--all")):
        assert gated("user", "remove-passkey", "anna", *words, *at).code == 2
    assert gated("user", "remove-passkey", "anna", "99", *at).code == 1
    one = gated("user", "remove-passkey", "anna", str(listed[0]["id"]), *at)
    assert (one.code, one.out) == (0, "passkeys of anna removed: 1\n")
    rest = gated("user", "remove-passkey", "anna", "--all", "--json", *at)
    assert rest.json == {"username": "anna", "removed": 2}
    assert gated("user", "passkeys", "anna", "--json", *at).json == []
    assert signs_in(config, "anna", PASSWORD)
