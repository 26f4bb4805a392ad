"""Sign-in with the company's account: who comes in, with which rights, and who does not."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from gated.accounts.accounts import FREE_COMPANY_SIGN_INS
from gated.config import OidcSettings
from gated.http.callers import SESSION
from gated.oidc.routes import BEGIN, COOKIE, RETURN
from tests.changes import done_by
from tests.fixtures.server import PASSWORD, Running
from tests.oidc.conftest import gate_of
from tests.oidc.providers import CLIENT, LyingProvider, lying_provider


def begun(browser: httpx.Client, provider: LyingProvider, **query: str) -> dict[str, str]:
    """Begin to sign in; what the gate asks the provider for."""
    answer = browser.get(BEGIN, params=query)
    assert answer.status_code == 303, answer.text
    place = urlsplit(answer.headers["location"])
    assert answer.headers["location"].startswith(f"{provider.address}/authorize?")
    asked = {name: value[0] for name, value in parse_qs(place.query).items()}
    provider.nonce = asked["nonce"]
    return asked


def back(browser: httpx.Client, asked: dict[str, str], **given: str) -> httpx.Response:
    """The browser comes back from the provider."""
    answer = browser.get(
        RETURN, params={"code": "c1", "state": asked["state"], "session_state": "x", **given}
    )
    assert answer.status_code == 303, answer.text
    return answer


def signed_in(browser: httpx.Client, provider: LyingProvider, **query: str) -> dict[str, Any]:
    """Sign in; the session that the pages see then."""
    answer = back(browser, begun(browser, provider, **query))
    assert answer.headers["location"] == "/ui/"
    session: dict[str, Any] = browser.get("/api/auth/session").json()
    return session


def refused(browser: httpx.Client, provider: LyingProvider) -> str:
    """Try to sign in, in vain; the code that the pages get."""
    return why(browser, back(browser, begun(browser, provider)))


def why(browser: httpx.Client, answer: httpx.Response) -> str:
    assert browser.cookies.get(SESSION) is None
    assert browser.get("/api/auth/session").status_code == 401
    place = urlsplit(answer.headers["location"])
    assert place.path == "/ui/"
    return parse_qs(place.query)["sign_in"][0]


def test_an_administrator_comes_in_with_the_role_that_the_claim_gives(
    browser: httpx.Client, provider: LyingProvider, shared_gate: Running
) -> None:
    asked = begun(browser, provider)
    assert asked["client_id"] == CLIENT
    assert asked["scope"] == "openid profile email"
    assert asked["redirect_uri"] == shared_gate.address + RETURN
    answer = back(browser, asked)
    (form,) = provider.forms
    verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(verifier).decode().rstrip("=") == asked["code_challenge"]
    assert (form["code"], form["redirect_uri"]) == ("c1", asked["redirect_uri"])
    kept = answer.headers.get_list("set-cookie")
    assert any(c.startswith(f"{SESSION}=") and "SameSite=strict" in c for c in kept)
    assert browser.cookies.get(COOKIE) is None
    session = browser.get("/api/auth/session").json()
    assert (session["username"], session["role"]) == ("anna", "admin")
    accounts = browser.get("/api/accounts").json()
    assert {a["username"] for a in accounts} == {"the-admin", "anna"}
    acts = [a["kind"] for a in browser.get("/api/audit").json()]
    assert "signed_in" in acts


def test_the_role_is_that_of_the_last_sign_in(
    browser: httpx.Client, provider: LyingProvider
) -> None:
    provider.claims = {"sub": "u2", "preferred_username": "ben"}
    assert signed_in(browser, provider)["role"] == "admin"
    earlier = dict(browser.cookies)
    provider.claims |= {"roles": "gate-viewers", "preferred_username": "ben.other"}
    session = signed_in(browser, provider)
    assert (session["username"], session["role"]) == ("ben", "viewer")
    again = browser.get("/api/auth/session", headers={"Cookie": f"{SESSION}={earlier[SESSION]}"})
    assert again.status_code == 401, "the session with the old role goes on"


@pytest.mark.parametrize("roles", [None, [], ["others"], "others", 7, {"gate-admins": 1}, [["x"]]])
def test_who_has_no_role_does_not_come_in(
    browser: httpx.Client, provider: LyingProvider, roles: object
) -> None:
    provider.claims = {"roles": roles}
    provider.userinfo = {"sub": "u1"}
    assert refused(browser, provider) == "sign_in_refused"


def test_roles_may_lie_deep_or_with_the_user(tmp_path: Path) -> None:
    with (
        lying_provider() as provider,
        gate_of(tmp_path, provider.address, roles_claim="realm_access.roles") as gate,
        httpx.Client(base_url=gate.address, timeout=60, trust_env=False) as browser,
    ):
        provider.claims = {"realm_access": {"roles": ["x", "gate-viewers"]}}
        assert signed_in(browser, provider)["role"] == "viewer"
        provider.claims = {}
        provider.userinfo = {"sub": "u1", "realm_access": {"roles": ["gate-admins"]}}
        assert signed_in(browser, provider)["role"] == "admin"
        browser.cookies.clear()
        provider.userinfo["sub"] = "u2"
        assert refused(browser, provider) == "sign_in_refused"


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "of another sign-in"}, {"nonce": None}, {"aud": "other"}, {"aud": None},
        {"aud": [CLIENT, "other"]}, {"azp": "other"}, {"iss": "https://evil.example"},
        {"exp": 1_700_000_000}, {"exp": None}, {"exp": "soon"}, {"iat": 4e9}, {"iat": None},
        {"sub": None}, {"sub": ""}, {"sub": "x" * 300}, {"preferred_username": None},
        {"preferred_username": "a\u200bb"}, {"preferred_username": 7}, {"exp": 1e400},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_that_is_not_for_this_sign_in_opens_nothing(
    browser: httpx.Client, provider: LyingProvider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    assert refused(browser, provider) in ("sign_in_refused", "provider_failed")


def test_many_that_are_wrong_have_to_wait(browser: httpx.Client, provider: LyingProvider) -> None:
    provider.claims = {"nonce": "wrong"}
    codes = {refused(browser, provider) for _ in range(FREE_COMPANY_SIGN_INS + 1)}
    assert codes == {"sign_in_refused", "throttled"}


def test_a_token_of_another_key_or_none_opens_nothing(
    browser: httpx.Client, provider: LyingProvider
) -> None:
    provider.signing = rsa.generate_private_key(65537, 2048)
    assert refused(browser, provider) == "sign_in_refused"
    provider.tell_the_truth()
    provider.algorithm, provider.signing = "none", ""
    assert refused(browser, provider) == "sign_in_refused"
    provider.algorithm = "HS256"
    # the published key as a shared one: what a library without a list of algorithms falls for
    provider.signing = json.dumps(jwt.algorithms.RSAAlgorithm.to_jwk(provider.key.public_key()))
    assert refused(browser, provider) == "sign_in_refused"
    provider.tell_the_truth()
    provider.head = {"kid": "another"}
    assert refused(browser, provider) == "sign_in_refused"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (
            (400, b'{"error": "invalid_grant", "error_description": "used\\nbefore"}'),
            "sign_in_refused",
        ),
        ((500, b"{}"), "provider_failed"),
        ((200, b"[]"), "provider_failed"),
        ((200, b"no JSON"), "provider_failed"),
        ((200, b"[" * 100_000), "provider_failed"),
        ((200, b"{}"), "sign_in_refused"),
        ((200, b'{"id_token": 7}'), "sign_in_refused"),
        ((200, b'{"id_token": "a.b.c"}'), "sign_in_refused"),
        ((200, b'{"a": "' + b"x" * 400_000 + b'"}'), "provider_failed"),
    ],
    ids=range(9),
)
def test_whatever_the_provider_answers_is_bounded_and_ends_at_the_sign_in_page(
    browser: httpx.Client, provider: LyingProvider, answer: tuple[int, bytes], code: str
) -> None:
    provider.token_answer = answer
    assert refused(browser, provider) == code


def test_only_the_browser_that_began_can_end_a_sign_in(
    browser: httpx.Client, provider: LyingProvider, shared_gate: Running
) -> None:
    """Else somebody could make another's browser act in the name of their own account."""
    asked = begun(browser, provider)
    with httpx.Client(base_url=shared_gate.address, timeout=60, trust_env=False) as other:
        assert why(other, back(other, asked)) == "sign_in_refused"
        begun(other, provider)
        assert why(other, back(other, asked)) == "sign_in_refused"
    assert not provider.forms
    asked = begun(browser, provider)
    assert why(browser, back(browser, asked, iss="https://evil.example")) == "sign_in_refused"
    asked = begun(browser, provider)
    assert why(browser, back(browser, asked, error="access_denied")) == "sign_in_refused"
    browser.cookies.set(COOKIE, "forged")
    assert why(browser, back(browser, asked)) == "sign_in_refused"
    assert not provider.forms


def test_no_provider_takes_over_an_account_with_a_password(
    browser: httpx.Client, provider: LyingProvider, shared_gate: Running
) -> None:
    provider.claims = {"sub": "u9", "preferred_username": "The-Admin"}
    assert refused(browser, provider) == "sign_in_refused"
    with shared_gate.client() as client:
        form = {"username": "the-admin", "password": PASSWORD}
        assert client.post("/api/auth/login", data=form).status_code == 200


def test_such_an_account_has_no_password_and_can_be_switched_off_and_removed(
    browser: httpx.Client, provider: LyingProvider, shared_gate: Running
) -> None:
    provider.claims = {"sub": "u3", "preferred_username": "cem"}
    signed_in(browser, provider)
    with shared_gate.client("admin") as admin:
        (cem,) = [a for a in admin.get("/api/accounts").json() if a["username"] == "cem"]
        here = f"/api/accounts/{cem['id']}"
        given = admin.put(f"{here}/password", json={"password": PASSWORD})
        assert (given.status_code, given.json()["code"]) == (409, "company_account")
        assert admin.patch(here, json={"is_active": False}).status_code == 200
        assert browser.get("/api/auth/session").status_code == 401
        browser.cookies.clear()
        assert refused(browser, provider) == "sign_in_refused"
        assert admin.delete(here).status_code == 204
    assert signed_in(browser, provider)["username"] == "cem"


def test_the_account_becomes_that_of_the_person_with_the_code(tmp_path: Path) -> None:
    with (
        lying_provider() as provider,
        gate_of(tmp_path, provider.address, person_claim="employee") as gate,
        httpx.Client(base_url=gate.address, timeout=60, trust_env=False) as browser,
    ):
        fields = {"personnel_code": "E17", "first_name": "Anna", "last_name": "Berg"}
        person = done_by("test", gate.services.people.create, fields)
        provider.claims = {"employee": "e17"}
        assert signed_in(browser, provider)["person_id"] == person.id


def test_a_gate_without_an_administrator_takes_none_from_the_provider(tmp_path: Path) -> None:
    with (
        lying_provider() as provider,
        gate_of(tmp_path, provider.address, first=False) as gate,
        httpx.Client(base_url=gate.address, timeout=60, trust_env=False) as browser,
    ):
        assert refused(browser, provider) == "sign_in_refused"
        assert gate.services.setup.is_open()


def test_the_door_wants_a_fresh_sign_in(browser: httpx.Client, provider: LyingProvider) -> None:
    """Who stays signed in at the provider proves nothing: `again` asks for the password there."""
    provider.claims = {"sub": "u4", "preferred_username": "dora", "auth_time": NOW - 3000}
    asked = begun(browser, provider)
    assert int(asked["max_age"]) == 12 * 3600
    back(browser, asked)
    token = browser.cookies[SESSION]
    assert jwt.decode(token, options={"verify_signature": False})["auth_time"] == NOW - 3000
    asked = begun(browser, provider, again="true")
    assert (asked["max_age"], asked["prompt"]) == ("0", "login")


def test_a_provider_that_is_away_or_is_another_leaves_the_passwords(
    tmp_path: Path, provider: LyingProvider
) -> None:
    with lying_provider() as gone:
        address = gone.address
    for n, issuer in enumerate((address, f"{provider.address}/elsewhere")):
        with gate_of(tmp_path / str(n), issuer) as gate, gate.client() as client:
            for _ in range(3):
                answer = client.get(BEGIN)
                assert answer.headers["location"] == "/ui/?sign_in=provider_failed"
            assert client.get("/api/meta").json()["company_sign_in"] == "Company account"
            form = {"username": "the-admin", "password": PASSWORD}
            assert client.post("/api/auth/login", data=form).status_code == 200


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "userinfo_endpoint"])
def test_addresses_that_are_not_safe_are_not_asked(tmp_path: Path, name: str) -> None:
    with lying_provider() as provider:
        provider.discovery = {name: "file:///etc/passwd"}
        with gate_of(tmp_path, provider.address) as gate, gate.client() as client:
            assert client.get(BEGIN).headers["location"].endswith("provider_failed")
            # and it is not asked again and again, whoever begins
            assert client.get(BEGIN).headers["location"].endswith("provider_failed")
        assert provider.asked == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"client_id": None}, "by a client_id"),
        ({"roles": {}}, "without roles nobody"),
        ({"roles": {"x": "owner"}}, "viewer"),
        ({"issuer": "http://login.example.org"}, "https"),
        ({"redirect_uri": "https:///x"}, "https"),
        ({"scopes": ["a b"]}, "pattern"),
    ],
    ids=range(6),
)
def test_settings_that_let_nobody_in_or_everybody_listen_are_refused(
    wrong: dict[str, Any], told: str
) -> None:
    right = {"issuer": "https://login.example.org", "client_id": "g", "roles": {"x": "viewer"}}
    OidcSettings.model_validate(right)
    with pytest.raises(ValidationError, match=told):
        OidcSettings.model_validate(right | wrong)


def test_a_gate_without_pages_sends_nobody_to_them(tmp_path: Path) -> None:
    with (
        lying_provider() as provider,
        gate_of(tmp_path, provider.address, pages=False) as gate,
        gate.client() as client,
    ):
        asked = begun(client, provider)
        assert (
            back(client, asked, error="denied").headers["location"] == "/?sign_in=sign_in_refused"
        )
        assert back(client, begun(client, provider)).headers["location"] == "/"


def test_without_a_provider_there_is_none(server: Running) -> None:
    with server.client() as client:
        assert client.get("/api/meta").json()["company_sign_in"] is None
        assert client.get(BEGIN).headers["location"] == "/ui/?sign_in=not_found"
