"""Accounts: who may sign in, and when a token ends."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import jwt
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from gated.accounts.accounts import Accounts
from gated.accounts.passwords import PasswordHasher
from gated.accounts.sign_in_throttle import STRANGERS_BURST
from gated.accounts.tokens import load_key
from gated.config import AuthSettings, Settings, StorageSettings
from gated.core.roles import Role
from gated.database import account_store as stored_accounts
from gated.database.tables import accounts as accounts_table
from gated.database.tables import new_uid
from gated.devices.clock import ManualClock
from gated.errors import (
    BadCredentials,
    ConfirmationNeeded,
    Conflict,
    NotFound,
    NotSignedIn,
    StorageError,
    Throttled,
    WeakPassword,
)
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by
from tests.fixtures.server import QUICK_HASHES
from tests.workspaces import open_workspace

PASSWORD = "Correct-horse-battery-9"
QUICK = AuthSettings(**QUICK_HASHES)


@dataclass
class World:
    workspace: Workspace
    clock: ManualClock
    accounts: Accounts

    def token(self, name: str = "anna") -> str:
        return self.accounts.sign_in(name, PASSWORD, "here")[0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = Settings(storage=StorageSettings(state_dir=tmp_path), auth=QUICK)
    clock = ManualClock()
    with open_workspace(settings) as workspace:
        accounts = Accounts(workspace, clock)
        accounts.create("anna", "admin", PASSWORD, actor="test")
        yield World(workspace, clock, accounts)


def journal_text(world: World) -> str:
    """All bodies of the journal: the part that never goes away."""
    with world.workspace.database.read() as session:
        connection = session.connection()
        return str(connection.exec_driver_sql("SELECT kind, body FROM journal").all())


def test_an_account_signs_in_by_its_name_in_any_case(world: World) -> None:
    principal = world.accounts.verify_token(world.token("ANNA"))
    assert (principal.username, principal.role, principal.person_id) == ("anna", "admin", None)


def test_a_person_signs_in_by_code_or_e_mail(world: World) -> None:
    people = People(world.workspace, world.clock)
    fields = {"first_name": "B", "last_name": "C", "personnel_code": "E7", "email": "b@c.org"}
    person = done_by("test", people.create, fields)
    world.accounts.create("bob", "self", PASSWORD, actor="test", person_id=person.id)
    for name in ("E7", "B@C.org", "bob"):
        assert world.accounts.authenticate(name, PASSWORD, "here").person_id == person.id
    token = world.token("bob")
    done_by("test", people.set_active, person.id, False)
    with pytest.raises(BadCredentials):
        world.token("E7")
    with pytest.raises(NotSignedIn):
        world.accounts.verify_token(token)
    done_by("test", people.set_active, person.id, True)
    assert world.accounts.verify_token(token).username == "bob"
    done_by("test", people.delete, person.id)
    with pytest.raises(NotSignedIn):
        world.accounts.verify_token(token)


def test_wrong_unknown_and_disabled_are_told_in_the_same_words(world: World) -> None:
    world.accounts.create("carl", "viewer", PASSWORD, actor="test")
    done_by("test", world.accounts.disable, "carl")
    said = set()
    for name, password in (("anna", "wrong"), ("nobody", PASSWORD), ("carl", PASSWORD)):
        with pytest.raises(BadCredentials) as caught:
            world.accounts.authenticate(name, password, "here")
        said.add(str(caught.value))
    assert len(said) == 1


def test_guessing_is_throttled_and_the_right_password_does_not_help(world: World) -> None:
    for _ in range(5):
        with pytest.raises(BadCredentials):
            world.accounts.authenticate("anna", "wrong", "there")
    with pytest.raises(Throttled) as caught:
        world.accounts.authenticate("anna", PASSWORD, "there")
    assert world.accounts.authenticate("anna", PASSWORD, "elsewhere").username == "anna"
    world.clock.advance(caught.value.retry_after)
    assert world.accounts.authenticate("anna", PASSWORD, "there").username == "anna"


def test_a_token_counts_in_its_own_installation_only(tmp_path: Path) -> None:
    """Two that share a SECRET_KEY, with accounts of the same number, name, uid and version."""
    key = SecretStr("one-secret-key-of-gate-and-hub-0123456789")
    tokens, uid = [], new_uid()
    with ExitStack() as opened:
        worlds = []
        for place, role in (("gate", "viewer"), ("hub", "admin")):
            settings = Settings(
                storage=StorageSettings(state_dir=tmp_path / place),
                auth=AuthSettings(secret_key=key, **QUICK_HASHES),
            )
            workspace = opened.enter_context(open_workspace(settings))
            hashed = PasswordHasher.of(settings.auth).hash(PASSWORD)
            with workspace.database.write() as session:
                stored_accounts.add(session, "anna", role, hashed, uid=uid)
            worlds.append(Accounts(workspace, ManualClock()))
            tokens.append(worlds[-1].sign_in("anna", PASSWORD, "here")[0])
        gate, hub = worlds
        assert gate.verify_token(tokens[0]).role == "viewer"
        assert hub.verify_token(tokens[1]).role == "admin"
        for accounts, token in ((hub, tokens[0]), (gate, tokens[1])):
            with pytest.raises(NotSignedIn):
                accounts.verify_token(token)
        with pytest.raises(NotSignedIn):
            hub.csrf_token(tokens[0])
        # another process of the same installation
        assert Accounts(worlds[0]._workspace, ManualClock()).verify_token(tokens[0])


def test_a_token_is_the_accounts_and_not_its_numbers(world: World) -> None:
    world.accounts.create("bert", "viewer", PASSWORD, actor="test")
    token = world.token("bert")
    (bert,) = (a for a in world.accounts.list_() if a.username == "bert")
    with world.workspace.database.write() as session:
        other = sa.update(accounts_table).where(accounts_table.c.id == bert.id)
        session.execute(other.values(uid=new_uid()))
    with pytest.raises(NotSignedIn):
        world.accounts.verify_token(token)


def test_no_stranger_keeps_the_owner_out(world: World) -> None:
    """Wrong passwords without end, each from another address, as the owner signs in."""
    world.accounts.sign_in("anna", PASSWORD, "192.0.2.1")
    tried = 0
    for n in range(2000):
        with suppress(Throttled, BadCredentials):
            world.accounts._sign_in_throttle.attempt("anna", f"10.{n % 250}.{n // 250}.7")
            tried += 1
        if n % 400 == 0:
            assert world.accounts.sign_in("anna", PASSWORD, "192.0.2.1")
    assert tried <= STRANGERS_BURST + 1, "guessing stays bounded"
    with pytest.raises(Throttled) as caught:
        world.accounts.sign_in("anna", PASSWORD, "203.0.113.5")  # was never there before
    assert caught.value.retry_after <= 1
    world.clock.advance(caught.value.retry_after)
    assert world.accounts.sign_in("anna", PASSWORD, "203.0.113.5")
    # wrong ones from the very network of the owner
    for n in range(2, 250):
        with suppress(Throttled):
            world.accounts._sign_in_throttle.attempt("anna", f"192.0.2.{n}")
    assert world.accounts.sign_in("anna", PASSWORD, "192.0.2.1")


def test_the_owner_gets_in_after_a_restart_too(world: World) -> None:
    world.accounts.sign_in("anna", PASSWORD, "192.0.2.1")
    restarted = Accounts(world.workspace, world.clock)
    for n in range(STRANGERS_BURST + 1):
        with suppress(Throttled):
            restarted._sign_in_throttle.attempt("anna", f"10.0.{n}.7")
    with pytest.raises(Throttled):
        restarted.sign_in("anna", PASSWORD, "203.0.113.5")
    assert restarted.sign_in("anna", PASSWORD, "192.0.2.1")


def test_one_network_of_ipv6_is_one_address(world: World) -> None:
    for n in range(20):
        with pytest.raises(BadCredentials):
            world.accounts.authenticate(f"nobody-{n}", "wrong", f"2001:db8::{n:x}")
    with pytest.raises(Throttled):
        world.accounts.authenticate("anna", PASSWORD, "2001:db8::ffff%eth0")
    assert world.accounts.authenticate("anna", PASSWORD, "2001:db8:0:1::1")


@pytest.mark.parametrize("change", ["password", "disable"])
def test_a_change_of_the_account_ends_its_tokens_at_once(world: World, change: str) -> None:
    world.accounts.create("dora", "admin", PASSWORD, actor="test")
    token, other = world.token("dora"), world.token("anna")
    if change == "password":
        world.accounts.set_password("dora", PASSWORD + "!", actor="test")
    else:
        done_by("test", world.accounts.disable, "dora")
    with pytest.raises(NotSignedIn):
        world.accounts.verify_token(token)
    assert world.accounts.verify_token(other).username == "anna"
    with pytest.raises(BadCredentials):
        world.token("dora")


def test_a_disabled_account_can_be_enabled_with_its_old_tokens_void(world: World) -> None:
    world.accounts.create("dora", "viewer", PASSWORD, actor="test")
    token = world.token("dora")
    done_by("test", world.accounts.disable, "dora")
    done_by("test", world.accounts.enable, "dora")
    with pytest.raises(NotSignedIn):
        world.accounts.verify_token(token)
    assert world.token("dora")


def test_a_token_expires(world: World) -> None:
    token = world.token()
    world.clock.advance(30 * 60 - 1)
    assert world.accounts.verify_token(token).username == "anna"
    world.clock.advance(1)
    with pytest.raises(NotSignedIn, match="expired"):
        world.accounts.verify_token(token)


def test_after_the_clock_was_set_back_a_token_lives_twice_as_long_at_most(world: World) -> None:
    token = world.token()
    world.clock.step_utc(-20 * 60)
    assert world.accounts.verify_token(token).username == "anna"
    world.clock.step_utc(-20 * 60)
    with pytest.raises(NotSignedIn):
        world.accounts.verify_token(token)


def forged(token: str, **changes: object) -> str:
    """The token with other claims, signed with nothing."""
    _, payload, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return jwt.encode(claims | changes, key="", algorithm="none")


def test_forged_tokens_are_refused(world: World, tmp_path: Path) -> None:
    token = world.token()
    head, payload, signature = token.split(".")
    key = load_key(None, tmp_path)
    claims = jwt.decode(
        token,
        key,
        algorithms=["HS256"],
        audience="gated-api",
        options={"verify_exp": False, "verify_iat": False},
    )
    fakes = [
        "",
        "x",
        token[:-4] + "AAAA",
        f"{head}.{payload}.",
        forged(token),
        jwt.encode(claims, "another key of at least 32 bytes length", "HS256"),
        jwt.encode(claims, key, "HS512"),
        *(jwt.encode(claims | {c: "other"}, key, "HS256") for c in ("iss", "aud", "sub", "ver")),
        *(
            jwt.encode({k: v for k, v in claims.items() if k != c}, key, "HS256")
            for c in ("iss", "aud", "sub", "ver", "exp", "iat", "jti")
        ),
        jwt.encode(claims | {"sub": "999"}, key, "HS256"),
        jwt.encode(claims | {"sub": str(10**30)}, key, "HS256"),
        jwt.encode(claims | {"exp": "never"}, key, "HS256"),
    ]
    for fake in fakes:
        with pytest.raises(NotSignedIn):
            world.accounts.verify_token(fake)
    assert world.accounts.verify_token(jwt.encode(claims, key, "HS256")).username == "anna"
    assert signature


def test_an_old_bcrypt_hash_is_upgraded_at_login_and_sessions_stay(world: World) -> None:
    before = world.token()
    old = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    with world.workspace.database.write() as session:
        account = stored_accounts.by_username(session, "anna")
        assert account is not None
        stored_accounts.set_password(session, account.id, old, ends_sessions=False)
    after = world.token()
    with world.workspace.database.read() as session:
        account = stored_accounts.by_username(session, "anna")
    assert account is not None
    assert account.password_hash.startswith("$argon2id$")
    for token in (before, after):
        assert world.accounts.verify_token(token).username == "anna"


def test_what_cannot_be_an_account(world: World) -> None:
    for name in ("", "two words", "a" * 101, "new\nline", "semi;colon"):
        with pytest.raises(Conflict):
            world.accounts.create(name, "viewer", PASSWORD, actor="test")
    with pytest.raises(Conflict):
        world.accounts.create("Anna", "viewer", PASSWORD, actor="test")
    with pytest.raises(WeakPassword):
        world.accounts.create("erik", "viewer", "short", actor="test")
    with pytest.raises(NotFound):
        world.accounts.create("erik", "self", PASSWORD, actor="test", person_id=77)
    with pytest.raises(NotFound):
        world.accounts.set_password("erik", PASSWORD, actor="test")
    assert [a.username for a in world.accounts.list_()] == ["anna"]


def test_the_last_admin_stays(world: World) -> None:
    with pytest.raises(Conflict):
        done_by("test", world.accounts.disable, "anna")
    assert world.token()


def test_changes_are_in_the_journal_without_names_and_it_verifies(world: World) -> None:
    world.accounts.set_password("anna", PASSWORD + "!", actor="somebody-known")
    text = journal_text(world)
    assert "account_created" in text
    assert "password_changed" in text
    assert "anna" not in text
    assert "somebody-known" not in text
    assert world.workspace.journal.verify().ok


def test_the_key_is_made_once_for_us_alone(tmp_path: Path) -> None:
    key = load_key(None, tmp_path)
    file = tmp_path / "keys" / "token.key"
    assert load_key(None, tmp_path) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert load_key("k" * 40, tmp_path) == "k" * 40
    file.chmod(0o644)
    with pytest.raises(StorageError, match="chmod"):
        load_key(None, tmp_path)
    file.write_text("short")
    file.chmod(0o600)
    with pytest.raises(StorageError, match="holds no key"):
        load_key(None, tmp_path)


def test_a_configured_key_and_life_are_used(tmp_path: Path) -> None:
    auth = AuthSettings(
        secret_key=SecretStr("0123456789abcdef0123456789abcdef!"), access_token_expire_minutes=2
    )
    settings = Settings(storage=StorageSettings(state_dir=tmp_path), auth=auth)
    with open_workspace(settings) as workspace:
        accounts = Accounts(workspace, ManualClock())
        accounts.create("anna", "admin", PASSWORD, actor="test")
        token, life = accounts.sign_in("anna", PASSWORD, "here")
    assert life == 120
    assert jwt.decode(
        token,
        "0123456789abcdef0123456789abcdef!",
        algorithms=["HS256"],
        audience="gated-api",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert not (tmp_path / "keys" / "token.key").exists()


def test_roles_include_each_other_as_defined() -> None:
    ladder = [Role.SELF, Role.VIEWER, Role.OPERATOR, Role.ADMIN]
    for i, role in enumerate(ladder):
        assert [role.includes(other) for other in ladder] == [j <= i for j in range(4)]
        assert not role.includes(Role.DEVICE)
    assert [r for r in Role if Role.AUDITOR.includes(r)] == [Role.SELF, Role.AUDITOR]
    assert [r for r in Role if Role.DEVICE.includes(r)] == [Role.DEVICE]
    assert Role.ADMIN.includes(Role.AUDITOR)
    assert not Role.OPERATOR.includes(Role.AUDITOR)


def test_a_session_that_is_used_goes_on_until_its_end(world: World) -> None:
    accounts = world.accounts
    accounts.create("guard", "operator", PASSWORD, actor="test")
    token, life = accounts.sign_in("guard", PASSWORD, "here")
    csrf, first = accounts.csrf_token(token), token
    for _ in range(24):  # a shift of nearly twelve hours
        world.clock.advance(life - 1)
        token = accounts.renew(token)
        assert accounts.csrf_token(token) == csrf, "other tabs need not be told"
    principal = accounts.verify_token(token)
    with pytest.raises(NotSignedIn):
        accounts.verify_token(first)
    with pytest.raises(ConfirmationNeeded):
        accounts.confirm(principal, token, None, "here")  # renewed, but the password is old
    world.clock.advance(life - 1)
    with pytest.raises(NotSignedIn, match="session is over"):
        accounts.renew(token)


def test_signing_out_ends_what_was_renewed_before(world: World) -> None:
    accounts = world.accounts
    accounts.create("guard", "operator", PASSWORD, actor="test")
    token, life = accounts.sign_in("guard", PASSWORD, "here")
    world.clock.advance(life / 2)
    copy = accounts.renew(token)
    accounts.sign_out(token, accounts.verify_token(token))
    world.clock.advance(life / 2 + 1)  # the first copy has ended by itself: this one has not
    with pytest.raises(NotSignedIn):
        accounts.verify_token(copy)
