"""Parts of passkeys alone: time, settings, harmed answers, backups, and what is told of them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gated.accounts.accounts import RECENT_S, Accounts
from gated.backup.backup import make_backup
from gated.backup.restore import RestoreOptions, restore
from gated.backup.sealed_stream import PrivateKey, PublicKey
from gated.config import ApiSettings, PasskeySettings, Settings, StorageSettings
from gated.core.roles import Principal
from gated.database import account_store, passkey_store
from gated.devices.clock import ManualClock
from gated.errors import ConfirmationNeeded, PasskeyRefused
from gated.passkeys.challenges import LASTS_S, Challenges
from gated.passkeys.passkeys import Passkeys
from gated.passkeys.relying_party import NotVerified, RelyingParty
from gated.people.people import People
from gated.privacy.export import archive_of
from gated.workspace import Workspace
from tests.changes import done_by
from tests.fixtures.server import PASSWORD, QUICK_HASHES
from tests.passkeys.authenticator import Authenticator, raw, text
from tests.passkeys.conftest import DOMAIN, ORIGIN
from tests.workspaces import open_workspace

HERE = "192.0.2.1"


def settings_of(state: Path) -> Settings:
    return Settings.model_validate(
        {
            "storage": StorageSettings(state_dir=state),
            "auth": QUICK_HASHES,
            "passkeys": {"domain": DOMAIN},
        }
    )


def registered(workspace: Workspace, authenticator: Authenticator, **account: Any) -> Passkeys:
    """Make the account anna with a passkey; the service."""
    pytest.importorskip("webauthn", reason="the extra `passkeys` is not installed")
    accounts = Accounts.of(workspace)
    accounts.create("anna", "admin", PASSWORD, actor="test", **account)
    service = Passkeys(workspace, accounts)
    token, _ = accounts.sign_in("anna", PASSWORD, HERE)
    anna = accounts.verify_token(token)
    asked = service.begin_registration(anna, token)
    made = authenticator.create(_creation(asked.challenge))
    service.register(anna, "phone", made, asked.cookie)
    return service


def _creation(challenge: Any) -> dict[str, Any]:
    return {
        "challenge": challenge.challenge,
        "rp": {"id": DOMAIN},
        "user": {"id": challenge.user_handle},
    }


def signed_in(service: Passkeys, authenticator: Authenticator) -> Principal:
    asked = service.begin_sign_in()
    answer = authenticator.sign({"challenge": asked.challenge.challenge, "rpId": DOMAIN})
    token, _ = service.sign_in(answer, asked.cookie, HERE)
    return service._accounts.verify_token(token)


def test_a_challenge_is_over_after_five_minutes_and_for_one_thing() -> None:
    clock = ManualClock()
    challenges = Challenges(bytes(32), clock)
    asked, cookie = challenges.new("register", "uid-1", "handle")
    assert challenges.opened(cookie, "register", "uid-1") == asked
    assert challenges.opened(cookie, "register", "uid-2") is None
    assert challenges.opened(cookie, "sign_in") is None
    assert challenges.opened(cookie[:-2] + "AA", "register", "uid-1") is None
    assert challenges.opened("", "register", "uid-1") is None
    assert Challenges(bytes(31) + b"x", clock).opened(cookie, "register", "uid-1") is None
    clock.advance(LASTS_S - 1)
    assert challenges.opened(cookie, "register", "uid-1") == asked
    clock.advance(1)
    assert challenges.opened(cookie, "register", "uid-1") is None
    clock.step_utc(-LASTS_S - 1)  # a clock that goes back makes none younger than it is
    assert challenges.opened(cookie, "register", "uid-1") is None


def test_a_sign_in_is_recent_for_five_minutes(tmp_path: Path) -> None:
    clock = ManualClock()
    with open_workspace(settings_of(tmp_path), clock=clock) as workspace:
        accounts = Accounts(workspace, clock)
        accounts.create("anna", "admin", PASSWORD, actor="test")
        token, _ = accounts.sign_in("anna", PASSWORD, HERE)
        clock.advance(RECENT_S - 1)
        accounts.require_recent(token)
        clock.advance(1)
        with pytest.raises(ConfirmationNeeded):
            accounts.require_recent(accounts.renew(token))


def test_a_sign_in_of_a_clock_that_was_ahead_is_not_recent(tmp_path: Path) -> None:
    """Else it would count as fresh, for door and passkeys, until the time of then is reached."""
    clock = ManualClock()
    with open_workspace(settings_of(tmp_path), clock=clock) as workspace:
        accounts = Accounts(workspace, clock)
        accounts.create("anna", "admin", PASSWORD, actor="test")
        token, _ = accounts.sign_in("anna", PASSWORD, HERE)
        principal = accounts.verify_token(token)
        accounts.confirm(principal, token, None, HERE)
        clock.step_utc(-600)
        clock.advance(500)
        with pytest.raises(ConfirmationNeeded):
            accounts.require_recent(token)
        with pytest.raises(ConfirmationNeeded):
            accounts.confirm(principal, token, None, HERE)


def test_spent_challenges_are_forgotten_when_they_are_over(tmp_path: Path) -> None:
    clock, authenticator = ManualClock(), Authenticator(ORIGIN)
    with open_workspace(settings_of(tmp_path), clock=clock) as workspace:
        service = registered(workspace, authenticator)
        for _ in range(3):
            clock.advance(LASTS_S)
            signed_in(service, authenticator)
        with workspace.database.read() as session:
            kept = session.connection().exec_driver_sql("SELECT count(*) FROM spent_challenges")
            assert kept.scalar_one() == 1


def test_a_backup_carries_passkeys_and_what_was_asked_before_counts_nowhere(
    tmp_path: Path,
) -> None:
    authenticator = Authenticator(ORIGIN)
    key, copy = PrivateKey.make(), io.BytesIO()
    with open_workspace(settings_of(tmp_path / "a")) as workspace:
        service = registered(workspace, authenticator)
        make_backup(workspace.settings, copy, PublicKey(key.key.public_key()))
        signed_in(service, authenticator)
    restore(settings_of(tmp_path / "b"), io.BytesIO(copy.getvalue()), key, RestoreOptions())
    with open_workspace(settings_of(tmp_path / "b")) as workspace:
        there = Passkeys(workspace, Accounts.of(workspace))
        assert signed_in(there, authenticator).username == "anna"
    with open_workspace(settings_of(tmp_path / "c")) as workspace:
        stranger = Passkeys(workspace, Accounts.of(workspace))
        with pytest.raises(PasskeyRefused):
            signed_in(stranger, authenticator)


def test_a_persons_copy_names_passkeys_and_an_erasure_takes_them(tmp_path: Path) -> None:
    authenticator = Authenticator(ORIGIN)
    with open_workspace(settings_of(tmp_path)) as workspace:
        Accounts.of(workspace).create("the-admin", "admin", PASSWORD, actor="test")
        people = People.of(workspace)
        fields = {"first_name": "Anna", "last_name": "A", "personnel_code": "A1"}
        person = done_by("test", people.create, fields)
        registered(workspace, authenticator, person_id=person.id)
        with zipfile.ZipFile(io.BytesIO(archive_of(workspace, person))) as archive:
            (account,) = json.loads(archive.read("accounts.json"))
        assert [p["name"] for p in account["passkeys"]] == ["phone"]
        with workspace.database.write() as session:
            account_store.delete(session, account["id"])
        with workspace.database.read() as session:
            assert passkey_store.find(session, text(authenticator.passkeys[0].id)) is None


@pytest.mark.parametrize(
    ("passkeys", "port", "origins"),
    [
        ({"domain": DOMAIN}, 8000, (f"https://{DOMAIN}", f"https://{DOMAIN}:8000")),
        ({"domain": DOMAIN}, 443, (f"https://{DOMAIN}",)),
        (
            {"domain": "example.org", "origins": (ORIGIN, "https://example.org:8443")},
            8000,
            (ORIGIN, "https://example.org:8443"),
        ),
        (
            {"domain": "localhost"},
            8000,
            (
                *("https://localhost", "https://localhost:8000"),
                *("http://localhost", "http://localhost:8000"),
            ),
        ),
    ],
    ids=["at the port", "at the usual port", "named", "this machine"],
)
def test_where_the_pages_are(passkeys: Any, port: int, origins: tuple[str, ...]) -> None:
    pytest.importorskip("webauthn", reason="the extra `passkeys` is not installed")
    settings = Settings(api=ApiSettings(port=port), passkeys=PasskeySettings(**passkeys))
    party = RelyingParty.of(settings)
    assert party is not None
    assert party.origins == origins


@pytest.mark.parametrize(
    "wrong",
    [
        {"domain": "192.168.1.20"},
        {"domain": "https://gate.example.org"},
        {"domain": "Gate.example.org"},
        {"domain": "gate.example.org:8000"},
        {"domain": ""},
        {"origins": (ORIGIN,)},
        {"domain": DOMAIN, "origins": ("https://evil.example",)},
        {"domain": DOMAIN, "origins": (f"https://not{DOMAIN}",)},
        {"domain": DOMAIN, "origins": (f"http://{DOMAIN}",)},
        {"domain": DOMAIN, "origins": (f"{ORIGIN}/",)},
        {"domain": DOMAIN, "origins": ("*",)},
    ],
)
def test_settings_that_could_not_work_are_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        PasskeySettings(**wrong)


PARTY = RelyingParty(DOMAIN, (ORIGIN,), "gate")
DEVICE = Authenticator(ORIGIN)
CHALLENGE = text(bytes(range(32)))
MADE = DEVICE.create(
    {"challenge": CHALLENGE, "rp": {"id": DOMAIN}, "user": {"id": text(bytes(32))}}
)
SIGNED = DEVICE.sign({"challenge": CHALLENGE, "rpId": DOMAIN})
PARTS = ("clientDataJSON", "attestationObject", "authenticatorData", "signature")

harmed = st.tuples(
    st.sampled_from(PARTS), st.integers(0, 400), st.integers(0, 255), st.integers(0, 3)
)


@given(harm=harmed)
def test_a_harmed_answer_is_not_verified_and_nothing_else(harm: tuple[str, int, int, int]) -> None:
    pytest.importorskip("webauthn", reason="the extra `passkeys` is not installed")
    part, at, byte, kind = harm
    whole = MADE if part == "attestationObject" else SIGNED
    right = raw(whole["response"][part])
    at %= len(right)
    told = [
        right[:at] + bytes([byte]) + right[at + 1 :],
        right[:at],
        right[:at] + right[at + 1 :],
        right[:at] + bytes([byte]) * 40 + right[at:],
    ][kind]
    given = {**whole, "response": {**whole["response"], part: text(told)}}
    problem = _why_not(given)
    assert problem is None or (len(problem) < 300 and "\n" not in problem)
    # without attestation the rest of what was made proves itself only when it signs
    assert problem is not None or whole is MADE or told == right


def _why_not(given: dict[str, Any]) -> str | None:
    try:
        if "attestationObject" in given["response"]:
            PARTY.verify_registration(given, CHALLENGE)
        else:
            PARTY.verify_assertion(given, CHALLENGE, text(DEVICE.passkeys[0].cose()))
    except NotVerified as error:
        return str(error)
    return None
