"""Passkeys in a real browser, whose authenticator is Chromium's own virtual one."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gated.accounts.accounts import Accounts
from gated.config import (
    ApiSettings,
    AuthSettings,
    GateSettings,
    PasskeySettings,
    Settings,
    StorageSettings,
)
from gated.link.status_board import StatusBoard
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import api_services
from tests.fixtures.server import HUB_DEVICES, PASSWORD, QUICK_HASHES, Running, serving
from tests.ui.site import WAIT_MS, violations
from tests.workspaces import open_workspace

LONG_AGO_S = 301.0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def pages_at(folder: Path, **passkeys: Any) -> Iterator[Running]:
    """Serve the pages of a hub, which needs no camera, to browsers that call it localhost."""
    pytest.importorskip("webauthn", reason="the extra `passkeys` is not installed")
    settings = Settings(
        gate=GateSettings(name="works", role="hub"),
        storage=StorageSettings(state_dir=folder),
        api=ApiSettings(port=free_port()),
        auth=AuthSettings(**QUICK_HASHES),
        passkeys=PasskeySettings(domain="localhost", **passkeys),
        **HUB_DEVICES,
    )
    with open_workspace(settings) as workspace:
        accounts = Accounts.of(workspace)
        for role in ("viewer", "admin"):
            accounts.create(f"the-{role}", role, PASSWORD, actor="test")
        services = api_services(settings, workspace, accounts, StatusBoard())
        with serving(ApiServer(create_app(services), settings.api)):
            yield Running(services, f"http://localhost:{settings.api.port}")


@dataclass
class Owner:
    """Somebody with a browser and a device that knows their finger."""

    page: Any
    devtools: Any
    authenticator: str

    def sign_in(self, role: str = "viewer") -> None:
        self.page.get_by_label("Name", exact=True).fill(f"the-{role}")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in", exact=True).click()

    def by_passkey(self) -> None:
        self.page.get_by_role("button", name="Sign in with a passkey").click()

    def is_in(self) -> None:
        self.page.locator("nav.side").wait_for(state="attached")

    def sign_out(self) -> None:
        self.page.get_by_role("button", name="Sign out").click()
        self.page.get_by_role("heading", name="Sign in").wait_for()

    def add(self, name: str) -> None:
        """Register a passkey, on the page of one's own passkeys."""
        self.page.get_by_role("button", name="Add a passkey").click()
        self.page.get_by_label("Name of the passkey").fill(name)
        self.page.locator("dialog").get_by_role("button", name="Add a passkey").click()

    def kept(self) -> list[dict[str, Any]]:
        """What the authenticator holds."""
        given = {"authenticatorId": self.authenticator}
        found = self.devtools.send("WebAuthn.getCredentials", given)
        return list(found["credentials"])

    def recognises(self, right: bool) -> None:
        """The finger is the right one from now on, or is not."""
        given = {"authenticatorId": self.authenticator, "isUserVerified": right}
        self.devtools.send("WebAuthn.setUserVerified", given)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pages_at(tmp_path_factory.mktemp("hub")) as pages:
        yield pages


@pytest.fixture
def owner_at(browser: Any) -> Iterator[Callable[[str], Owner]]:
    """Open pages in a new browser window that has a platform authenticator."""
    contexts, said = [], []

    def open_(address: str) -> Owner:
        context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: said.append(str(error)))
        devtools = context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        made = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        page.goto(address)
        return Owner(page, devtools, made["authenticatorId"])

    yield open_
    for context in contexts:
        context.close()
    assert said == []


MINE = "/ui/settings?view=passkeys"


def test_from_the_first_passkey_to_its_removal(
    owner_at: Callable[[str], Owner], pages: Running
) -> None:
    owner = owner_at(pages.address + MINE)
    page = owner.page
    owner.sign_in()
    page.get_by_text("You have none yet.").wait_for()
    owner.add("my phone")
    page.get_by_text("never used").wait_for()
    assert violations(page) == []
    (kept,) = owner.kept()
    assert (kept["rpId"], kept["isResidentCredential"]) == ("localhost", True)
    owner.add("once more")  # the browser itself knows that this device has one
    page.get_by_text("This device has a passkey of your account already.").wait_for()
    page.get_by_role("button", name="Cancel").click()

    owner.sign_out()
    assert violations(page) == []
    owner.recognises(False)
    owner.by_passkey()
    page.get_by_text("The browser has found or made no passkey.").wait_for()
    owner.recognises(True)
    owner.by_passkey()
    owner.is_in()
    page.goto(pages.address + MINE)
    page.get_by_text("last used").wait_for()

    page.get_by_role("button", name="Rename: my phone").click()
    page.get_by_label("Name of the passkey").fill("my old phone")
    assert violations(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.get_by_text("my old phone").wait_for()

    page.get_by_role("button", name="Remove: my old phone").click()
    page.locator("dialog").get_by_role("button", name="Remove").click()
    page.get_by_role("heading", name="Sign in").wait_for()  # all sessions are over
    owner.by_passkey()
    page.get_by_text("This passkey does not sign in here.").wait_for()
    owner.sign_in()
    page.get_by_text("You have none yet.").wait_for()


def test_a_sign_in_of_long_ago_is_asked_for_again(
    owner_at: Callable[[str], Owner], pages: Running
) -> None:
    owner = owner_at(pages.address + MINE)
    page = owner.page
    owner.sign_in("admin")
    page.get_by_text("You have none yet.").wait_for()
    _grow_old(page, pages, "the-admin")
    owner.add("my key")
    page.get_by_role("heading", name="Sign in once more to go on.").wait_for()
    owner.sign_in("admin")
    page.get_by_text("my key").wait_for()
    # and now by the passkey
    _grow_old(page, pages, "the-admin")
    page.get_by_role("button", name="Remove: my key").click()
    page.locator("dialog").get_by_role("button", name="Remove").click()
    page.get_by_role("heading", name="Sign in once more to go on.").wait_for()
    owner.by_passkey()
    page.get_by_role("heading", name="Sign in", exact=True).wait_for()


def _grow_old(page: Any, pages: Running, username: str) -> None:
    """Make the session of a browser one that began long ago."""
    from gated.accounts.tokens import Tokens, load_key

    services = pages.services
    accounts, clock = services.accounts, services.workspace.clock
    (account,) = [a for a in accounts.list_() if a.username == username]
    key = load_key(None, services.settings.storage.state_dir)
    tokens = Tokens(key, clock, accounts.session_life_s, lambda: accounts.installation)
    old = tokens.issue(account.uid, account.version, clock.now().utc - LONG_AGO_S)
    page.context.add_cookies([{"name": "gated_session", "value": old, "url": pages.address}])
    page.reload()
    page.get_by_role("button", name="Add a passkey").wait_for()


def test_an_answer_that_is_sent_again_is_refused(
    owner_at: Callable[[str], Owner], pages: Running
) -> None:
    owner = owner_at(pages.address + MINE)
    page = owner.page
    owner.sign_in()
    owner.add("my phone")
    page.get_by_text("never used").wait_for()
    owner.sign_out()
    with page.expect_request("**/passkeys/sign-in") as sent:
        owner.by_passkey()
    owner.is_in()
    headers = {"Cookie": sent.value.all_headers()["cookie"]}
    again = page.context.request.post(
        pages.address + "/api/auth/passkeys/sign-in",
        data=sent.value.post_data_json,
        headers=headers,
    )
    assert (again.status, again.json()["code"]) == (401, "passkey_refused")


def test_pages_at_another_origin_get_nowhere(
    owner_at: Callable[[str], Owner], tmp_path: Path
) -> None:
    # the gate is said to be behind a proxy; who comes past it has the same domain, and is refused
    with pages_at(tmp_path, origins=("https://localhost:8443",)) as pages:
        owner = owner_at(pages.address + MINE)
        owner.sign_in()
        owner.add("my phone")
        owner.page.get_by_text("That took too long, or was for another address.").wait_for()
        assert len(owner.kept()) == 1, "the browser made one, and the gate did not take it"
        owner.page.get_by_role("button", name="Cancel").click()
        owner.page.get_by_text("You have none yet.").wait_for()


def test_pages_under_another_name_say_where_passkeys_work(
    owner_at: Callable[[str], Owner], pages: Running
) -> None:
    owner = owner_at(pages.address.replace("localhost", "127.0.0.1") + MINE)
    owner.page.get_by_label("Password").wait_for()
    assert owner.page.get_by_role("button", name="Sign in with a passkey").count() == 0
    owner.sign_in()
    owner.page.get_by_text("Passkeys work at localhost only.").wait_for()
    assert owner.page.get_by_role("button", name="Add a passkey").count() == 0


def test_words_that_come_while_a_language_is_loaded_are_kept(browser: Any, pages: Running) -> None:
    held: list[Any] = []
    with browser.new_context(locale="de-DE") as context:
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.route("**/i18n/de.json", lambda route: held.append(route))
        with page.expect_response("**/i18n/codes/*.json"):  # the page asks who is signed in
            page.goto(pages.address + "/ui/", wait_until="commit")
        held[0].continue_()
        page.get_by_role("heading", name="Anmelden").wait_for()
        told = page.evaluate(
            """async () => {
              const app = document.querySelector("script[src*=app]").src;
              return (await import(app.replace("app.js", "core/i18n.js"))).t("error.csrf");
            }"""
        )
        assert told == "Die Seite hat ihre Sitzung verloren. Laden Sie sie neu."
