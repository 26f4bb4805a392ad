"""Passkeys over the API: registered, signed in with, removed, and everything that is refused."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from gated.accounts.accounts import FREE_COMPANY_SIGN_INS, RECENT_S
from gated.accounts.devices import Devices
from gated.accounts.external import ProvenSubject
from gated.accounts.tokens import load_key
from gated.core.roles import Role
from gated.database import account_store, passkey_store
from gated.passkeys.passkeys import MOST
from gated.passkeys.routes import CHALLENGE, COOKIE, HERE, SIGN_IN
from gated.people.people import People
from tests.changes import done_by
from tests.fixtures.server import PASSWORD, Running
from tests.passkeys.authenticator import (
    BACKED_UP,
    UP,
    UV,
    Authenticator,
    Key,
    es256,
    raw,
    text,
)
from tests.passkeys.conftest import DOMAIN, ORIGIN, Browser, browser_of, gate_of


def refused(answer: httpx.Response) -> None:
    """Nobody is signed in, and nothing says why."""
    assert answer.status_code == 401, answer.text
    told = answer.json()
    assert (told["code"], told["detail"]) == (
        "passkey_refused",
        "this passkey does not sign in here",
    )
    assert "gated_session" not in answer.headers.get("set-cookie", "")


def acts(gate: Running, kind: str) -> list[Any]:
    with gate.client("admin") as admin:
        return list(admin.get("/api/audit", params={"kind": kind}).json())


def test_a_passkey_signs_in_beside_the_password(owner: Browser, gate: Running) -> None:
    (listed,) = owner.passkeys()
    assert (listed["name"], listed["last_used_at"]) == ("phone", None)
    owner.client.cookies.clear()
    answer = owner.by_passkey()
    assert answer.status_code == 200, answer.text
    kept = answer.headers.get_list("set-cookie")
    assert any(c.startswith("gated_session=") and "SameSite=strict" in c for c in kept)
    assert any(c.startswith("gated_session=") and "HttpOnly" in c for c in kept)
    assert (answer.json()["username"], answer.json()["role"]) == ("the-viewer", "viewer")
    assert owner.who() == "the-viewer"
    assert owner.passkeys()[0]["last_used_at"] is not None
    owner.client.cookies.clear()
    owner.sign_in()
    (added, *_) = acts(gate, "passkey_added")
    assert added["subject"] == {"username": "the-viewer", "passkey": "phone"}
    assert added["actor"]["name"] == "the-viewer"
    assert acts(gate, "signed_in")


def test_an_account_has_several_and_any_of_them_signs_in(owner: Browser) -> None:
    assert owner.add("key").status_code == 201
    assert [p["name"] for p in owner.passkeys()] == ["phone", "key"]
    for passkey in owner.authenticator.passkeys:
        owner.client.cookies.clear()
        assert owner.by_passkey(passkey=passkey).status_code == 200
    assert all(p["last_used_at"] for p in owner.passkeys())


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(es256(), id="ES256"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="EdDSA"),
        pytest.param(rsa.generate_private_key(65537, 2048), id="RS256"),
    ],
)
def test_every_algorithm_that_is_offered_works(owner: Browser, key: Key) -> None:
    assert owner.add("other", key=key).status_code == 201
    owner.client.cookies.clear()
    assert owner.by_passkey().status_code == 200


def test_what_is_asked_for_tells_nobody_whose_account_it_is(owner: Browser, gate: Running) -> None:
    options = owner.options()
    assert options["rp"] == {"id": DOMAIN, "name": "gate"}
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert options["attestation"] == "none"
    assert {p["alg"] for p in options["pubKeyCredParams"]} == {-8, -7, -257}
    assert [c["id"] for c in options["excludeCredentials"]] == [
        text(p.id) for p in owner.authenticator.passkeys
    ]
    # random, and the same for all passkeys of the account: an authenticator keeps one
    assert len(raw(options["user"]["id"])) == 32
    assert options["user"]["id"] == owner.authenticator.passkeys[0].user_handle
    with browser_of(gate) as other:
        asked = other.challenge()
        assert asked.pop("challenge") != other.challenge()["challenge"]
        assert asked == {
            "rpId": DOMAIN,
            "userVerification": "required",
            "allowCredentials": [],
            "timeout": 300_000,
        }
        other.sign_in("operator")
        assert other.options()["user"]["id"] != options["user"]["id"]


@pytest.mark.parametrize(
    "lies",
    [
        pytest.param({"origin": "https://evil.example"}, id="another site"),
        pytest.param({"origin": f"http://{DOMAIN}"}, id="without TLS"),
        pytest.param({"origin": f"{ORIGIN}:8443"}, id="another port"),
        pytest.param({"origin": f"https://sub.{DOMAIN}"}, id="a name below"),
        pytest.param({"origin": f"{ORIGIN}.evil.example"}, id="a name that begins so"),
        pytest.param({"origin": "null"}, id="no origin"),
        pytest.param({"origin": 7}, id="an origin that is no text"),
        pytest.param({"cross_origin": True}, id="inside another page"),
        pytest.param({"rp_id": "evil.example"}, id="for another site"),
        pytest.param({"flags": UP}, id="nobody was verified"),
        pytest.param({"flags": UV}, id="nobody was present"),
        pytest.param({"type": "webauthn.create"}, id="made, not signed"),
        pytest.param({"challenge": text(bytes(32))}, id="another challenge"),
        pytest.param({"challenge": "%"}, id="no challenge"),
        pytest.param({"signature": bytes(70)}, id="no signature"),
        pytest.param({"user_handle": None}, id="no account"),
        pytest.param({"user_handle": text(bytes(32))}, id="another account"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(
    owner: Browser, lies: dict[str, Any]
) -> None:
    owner.client.cookies.clear()
    refused(owner.by_passkey(**lies))
    # its number counts for nothing, and the passkey works on
    assert owner.by_passkey().status_code == 200


def test_a_forged_host_makes_no_other_origin_right(owner: Browser) -> None:
    owner.client.cookies.clear()
    for origin, host in (
        (f"{ORIGIN}:8443", f"{DOMAIN}:8443"),
        ("https://localhost", "localhost"),
        ("https://127.0.0.1:9", "127.0.0.1:9"),
    ):
        owner.client.headers["Host"] = host
        refused(owner.by_passkey(origin=origin))
        del owner.client.headers["Host"]
    owner.client.headers["Host"] = "evil.example"
    assert owner.client.post(CHALLENGE).json()["code"] == "wrong_host"
    del owner.client.headers["Host"]


def test_an_answer_counts_once(owner: Browser, gate: Running) -> None:
    owner.authenticator.counts = False
    assert owner.add("counts nothing").status_code == 201
    owner.client.cookies.clear()
    answer = owner.authenticator.sign(owner.challenge())
    cookie = owner.client.cookies[COOKIE]
    assert owner.send(answer).status_code == 200
    assert COOKIE not in owner.client.cookies
    owner.client.cookies.clear()
    refused(owner.send(answer))
    owner.client.cookies.set(COOKIE, cookie, path=HERE)
    refused(owner.send(answer))
    with browser_of(gate) as other:
        other.client.cookies.set(COOKIE, cookie, path=HERE)
        refused(other.send(answer))


def test_of_many_at_once_one_counts(owner: Browser, gate: Running) -> None:
    owner.authenticator.counts = False
    assert owner.add("counts nothing").status_code == 201
    owner.client.cookies.clear()
    answer = owner.authenticator.sign(owner.challenge())
    header = {"Cookie": f"{COOKIE}={owner.client.cookies[COOKIE]}"}

    def send(_: int) -> int:
        return httpx.post(
            gate.address + SIGN_IN, json=answer, headers=header, timeout=60, trust_env=False
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(send, range(8))) == [200] + [401] * 7


def test_an_answer_counts_in_the_browser_that_was_asked_only(owner: Browser, gate: Running) -> None:
    owner.client.cookies.clear()
    with browser_of(gate) as other:
        answer = owner.authenticator.sign(other.challenge())
        refused(owner.send(answer))  # asked nothing
        owner.challenge()
        refused(owner.send(answer))  # asked something else
        assert other.send(answer).status_code == 200


def test_what_was_asked_for_a_registration_signs_nobody_in(owner: Browser) -> None:
    challenge = owner.options()["challenge"]
    refused(owner.send(owner.authenticator.sign({"challenge": challenge, "rpId": DOMAIN})))


def test_a_count_that_goes_back_is_refused_and_told(owner: Browser, gate: Running) -> None:
    owner.client.cookies.clear()
    assert owner.by_passkey(count=5).status_code == 200
    for count in (5, 4, 0):
        owner.client.cookies.clear()
        refused(owner.by_passkey(count=count))
    (told, *_) = found = acts(gate, "passkey_suspect")
    assert len(found) == 3
    assert told["subject"] == {"username": "the-viewer", "passkey": "phone"}
    assert owner.by_passkey(count=6).status_code == 200


def test_an_authenticator_that_does_not_count_signs_in_again_and_again(browser: Browser) -> None:
    browser.authenticator = Authenticator(ORIGIN, counts=False)
    browser.sign_in("auditor")
    # one that is kept at several devices says so, and never counts
    assert browser.add(flags=UP | UV | BACKED_UP).status_code == 201
    for _ in range(3):
        browser.client.cookies.clear()
        assert browser.by_passkey(flags=UP | UV | BACKED_UP).status_code == 200


def test_unknown_and_known_passkeys_are_refused_alike(owner: Browser) -> None:
    owner.client.cookies.clear()
    answer = owner.authenticator.sign(owner.challenge())
    stranger = text(secrets.token_bytes(32))
    unknown = owner.send({**answer, "id": stranger, "rawId": stranger})
    wrong = owner.by_passkey(signature=bytes(70))
    for told in (unknown, wrong):
        refused(told)
        assert told.elapsed.total_seconds() >= 1.0
    same = [{k: v for k, v in t.headers.items() if k not in VARIES} for t in (unknown, wrong)]
    assert same[0] == same[1]


VARIES = ("date", "x-request-id")


def test_a_removed_passkey_signs_in_no_more_and_sessions_end(owner: Browser, gate: Running) -> None:
    with gate.client("viewer") as elsewhere:
        assert elsewhere.get("/api/auth/me").status_code == 200
        (passkey,) = owner.passkeys()
        assert owner.client.delete(f"{HERE}/{passkey['id']}").status_code == 204
        assert elsewhere.get("/api/auth/me").status_code == 401
    assert owner.who() is None
    owner.client.cookies.clear()
    refused(owner.by_passkey())
    owner.sign_in()
    assert owner.passkeys() == []
    (removed, *_) = acts(gate, "passkey_removed")
    assert removed["subject"]["passkey"] == "phone"


def test_nobody_removes_a_passkey_of_somebody_else(owner: Browser, gate: Running) -> None:
    (passkey,) = owner.passkeys()
    with browser_of(gate) as other:
        other.sign_in("operator")
        assert other.passkeys() == []
        assert other.client.delete(f"{HERE}/{passkey['id']}").status_code == 404
        # an answer to somebody else's question makes no passkey either
        made = other.authenticator.create(owner.options())
        told = other.client.post(HERE, json={"name": "mine", "credential": made})
        assert (told.status_code, told.json()["code"]) == (409, "passkey_unusable")
    assert owner.passkeys() == [passkey]


def test_its_owner_gives_a_passkey_another_name(owner: Browser, gate: Running) -> None:
    (mine,) = owner.passkeys()
    here = f"{HERE}/{mine['id']}"
    named = owner.client.patch(here, json={"name": "old phone"})
    assert (named.status_code, named.json()["name"]) == (200, "old phone")
    assert [p["name"] for p in owner.passkeys()] == ["old phone"]
    (renamed, *_) = acts(gate, "passkey_renamed")
    assert renamed["subject"] == {"username": "the-viewer", "passkey": "old phone"}
    for wrong in ("", "n" * 101):
        assert owner.client.patch(here, json={"name": wrong}).status_code == 422
    with gate.client("admin") as other:
        assert other.patch(here, json={"name": "mine"}).status_code == 404
    assert owner.who() == "the-viewer", "no session ends by it"


def test_an_administrator_sees_and_removes_those_of_an_account(
    owner: Browser, gate: Running
) -> None:
    with gate.client("admin") as admin:
        (found,) = [a for a in admin.get("/api/accounts").json() if a["username"] == "the-viewer"]
        path = f"/api/accounts/{found['id']}/passkeys"
        assert [p["name"] for p in admin.get(path).json()] == ["phone"]
        assert admin.delete(path).status_code == 204
        assert admin.get(path).json() == []
    assert owner.who() is None
    refused(owner.by_passkey())


def test_who_is_switched_off_does_not_come_in(browser: Browser, gate: Running) -> None:
    accounts = gate.services.accounts
    accounts.create("anna", "viewer", PASSWORD, actor="test")
    person = done_by(
        "test",
        People.of(gate.services.workspace).create,
        {"first_name": "B", "last_name": "B", "personnel_code": "B1"},
    )
    accounts.create("ben", "self", PASSWORD, actor="test", person_id=person.id)
    for name in ("anna", "ben"):
        browser.client.cookies.clear()
        given = {"username": name, "password": PASSWORD}
        answer = browser.client.post("/api/auth/sign-in", json=given).json()
        browser.client.headers["X-CSRF-Token"] = answer["csrf_token"]
        assert browser.add(name).status_code == 201
    anna, ben = browser.authenticator.passkeys
    done_by("test", accounts.disable, "anna")
    with gate.client("admin") as admin:
        told = admin.put(f"/api/persons/{person.id}", json={"is_active": False})
        assert told.status_code == 200, told.text
    browser.client.cookies.clear()
    refused(browser.by_passkey(passkey=anna))
    refused(browser.by_passkey(passkey=ben))
    done_by("test", accounts.enable, "anna")
    assert browser.by_passkey(passkey=anna).status_code == 200
    done_by("test", accounts.delete, "anna")
    assert browser.who() is None
    refused(browser.by_passkey(passkey=anna))
    with gate.services.workspace.database.read() as session:
        assert passkey_store.find(session, text(anna.id)) is None


def test_an_old_sign_in_is_not_enough_to_change_passkeys(owner: Browser, gate: Running) -> None:
    key = load_key(None, gate.services.settings.storage.state_dir)
    now = owner.client.cookies["gated_session"]
    claims = jwt.decode(now, key, algorithms=["HS256"], audience="gated-api")
    old = jwt.encode(claims | {"auth_time": claims["iat"] - RECENT_S}, key, "HS256")
    (passkey,) = owner.passkeys()
    with httpx.Client(
        base_url=gate.address, headers={"Authorization": f"Bearer {old}"}, trust_env=False
    ) as late:
        for answer in (
            late.post(f"{HERE}/registration"),
            late.delete(f"{HERE}/{passkey['id']}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "confirmation_required")
        assert late.get(HERE).json() == [passkey]
    # a passkey is as good as the password for that
    owner.client.cookies.clear()
    assert owner.by_passkey().status_code == 200
    assert owner.add("second").status_code == 201


def test_another_sites_page_gets_nothing(owner: Browser) -> None:
    answer = owner.authenticator.sign(owner.challenge())
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        for path, body in ((CHALLENGE, None), (SIGN_IN, answer)):
            told = owner.client.post(path, json=body, headers=headers)
            assert (told.status_code, told.json()["code"]) == (403, "foreign_origin")
    del owner.client.headers["X-CSRF-Token"]
    assert owner.client.post(f"{HERE}/registration").json()["code"] == "csrf"
    owner.sign_in()


@pytest.mark.parametrize(
    "lies",
    [
        pytest.param({"origin": "https://evil.example"}, id="another site"),
        pytest.param({"rp_id": "evil.example"}, id="for another site"),
        pytest.param({"flags": UP}, id="nobody was verified"),
        pytest.param({"type": "webauthn.get"}, id="signed, not made"),
        pytest.param({"challenge": text(bytes(32))}, id="another challenge"),
        pytest.param({"statement": {"fmt": "tpm"}}, id="an attestation nobody asked for"),
        pytest.param({"statement": {"attStmt": 7}}, id="no attestation"),
    ],
)
def test_what_is_no_passkey_is_not_kept(owner: Browser, lies: dict[str, Any]) -> None:
    told = owner.add("other", **lies)
    assert (told.status_code, told.json()["code"]) == (409, "passkey_unusable"), told.text
    assert [p["name"] for p in owner.passkeys()] == ["phone"]


def test_a_passkey_is_registered_once(owner: Browser) -> None:
    made = owner.authenticator.create(owner.options())
    cookie = owner.client.cookies[COOKIE]
    body = {"name": "second", "credential": made}
    assert owner.client.post(HERE, json=body).status_code == 201
    owner.client.cookies.set(COOKIE, cookie, path=HERE)
    assert owner.client.post(HERE, json=body).json()["code"] == "passkey_unusable"
    assert len(owner.passkeys()) == 2


def test_an_account_has_ten_at_most(browser: Browser) -> None:
    browser.sign_in("self")
    for number in range(MOST):
        assert browser.add(f"key {number}").status_code == 201
    told = browser.client.post(f"{HERE}/registration")
    assert (told.status_code, told.json()["code"]) == (409, "too_many_passkeys")


def test_accounts_from_elsewhere_have_none(browser: Browser, gate: Running) -> None:
    proven = ProvenSubject("https://login.example", "u1", "cara", Role.VIEWER)
    token, _ = gate.services.accounts.sign_in_proven(
        proven, "192.0.2.9", gate.services.workspace.clock.now().utc
    )
    header = {"Authorization": f"Bearer {token}"}
    assert browser.client.post(f"{HERE}/registration", headers=header).status_code == 409
    _, device = done_by("test", Devices.of(gate.services.workspace).add, "the-kiosk")
    header = {"Authorization": f"Bearer {device}"}
    assert browser.client.post(f"{HERE}/registration", headers=header).status_code == 403


def test_a_passkey_does_not_outlast_the_account_becoming_the_companys(
    owner: Browser, gate: Running
) -> None:
    from gated.database import identity_store

    workspace = gate.services.workspace
    with workspace.database.write() as session:
        account = account_store.by_username(session, "the-viewer")
        assert account is not None
        identity_store.add(session, account.id, "https://login.example", "u7")
    owner.client.cookies.clear()
    refused(owner.by_passkey())
    with workspace.database.write() as session:
        identity_store.remove(session, account.id)
    assert owner.by_passkey().status_code == 200


def test_strangers_are_slowed_down_and_the_owner_is_not(owner: Browser, gate: Running) -> None:
    owner.client.cookies.clear()
    for _ in range(FREE_COMPANY_SIGN_INS + 5):
        owner.client.cookies.clear()
        assert owner.by_passkey().status_code == 200
    with browser_of(gate) as stranger, ThreadPoolExecutor(8) as pool:
        answer = owner.authenticator.sign(owner.challenge())

        def send(_: int) -> int:
            return stranger.client.post(SIGN_IN, json=answer).status_code

        told = list(pool.map(send, range(FREE_COMPANY_SIGN_INS + 5)))
        assert told.count(401) == FREE_COMPANY_SIGN_INS + told.count(429) * 0
        assert told.count(429) == 5
    assert owner.by_passkey().status_code == 200


def test_asking_keeps_nothing(browser: Browser, gate: Running) -> None:
    def kept() -> int:
        with gate.services.workspace.database.read() as session:
            found = session.connection().exec_driver_sql("SELECT count(*) FROM spent_challenges")
            return int(found.scalar_one())

    before = kept()
    asked = {browser.challenge()["challenge"] for _ in range(100)}
    assert len(asked) == 100
    assert kept() == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"id": "x" * 2000}, id="a long id"),
        pytest.param({"id": "ä"}, id="no base64url"),
        pytest.param({"type": "password"}, id="another type"),
        pytest.param({"response": {}}, id="nothing in it"),
        pytest.param({"rawId": "QUJD"}, id="two ids"),
    ],
)
def test_what_does_not_even_look_like_an_answer(owner: Browser, change: dict[str, Any]) -> None:
    answer = {**owner.authenticator.sign(owner.challenge()), **change}
    told = owner.client.post(SIGN_IN, json=answer)
    assert told.status_code in (401, 422), told.text
    assert json.dumps(change) not in told.text


def test_without_a_domain_there_are_none(tmp_path: Path) -> None:
    with gate_of(tmp_path) as gate, browser_of(gate) as browser:
        assert browser.client.get("/api/meta").json()["passkeys"] == DOMAIN
        browser.sign_in()
        assert browser.add().status_code == 201
    with gate_of(tmp_path, domain=None) as gate, browser_of(gate) as browser:
        assert browser.client.get("/api/meta").json()["passkeys"] is None
        assert browser.client.post(CHALLENGE).status_code == 404
        browser.sign_in()
        assert browser.client.post(f"{HERE}/registration").status_code == 404
        (passkey,) = browser.passkeys()  # what is there can still be seen and removed
        assert browser.client.delete(f"{HERE}/{passkey['id']}").status_code == 204


def test_what_another_installation_asked_for_counts_nowhere_else(tmp_path: Path) -> None:
    shared = {"secret_key": secrets.token_urlsafe(48)}
    with (
        gate_of(tmp_path / "a", **shared) as here,
        gate_of(tmp_path / "b", **shared) as there,
        browser_of(here) as one,
        browser_of(there) as two,
    ):
        one.sign_in()
        assert one.add().status_code == 201
        one.client.cookies.clear()
        answer = one.authenticator.sign(two.challenge())
        one.client.cookies.set(COOKIE, two.client.cookies[COOKIE], path=HERE)
        refused(one.send(answer))
        # and a passkey of one is none of the other
        two.authenticator = one.authenticator
        refused(two.by_passkey())
