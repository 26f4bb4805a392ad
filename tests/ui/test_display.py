"""A display: a screen that shows Now without anybody's session."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import Process
from tests.ui.site import Site, Visitor, address_of, running_site, signed_in, violations

Visit = Callable[..., Visitor]
WALL = {"viewport": {"width": 1920, "height": 1080}}
PHONE = {"viewport": {"width": 360, "height": 740}}
LATER_MS = 45_000


@pytest.fixture(autouse=True)
def _none_before(site: Site) -> None:
    """Leave nothing of the tests before, nor of one that is tried again."""
    with signed_in(site) as admin:
        for device in admin.get("/api/devices").json():
            if device["role"] == "display":
                assert admin.delete(f"/api/devices/{device['id']}").status_code == 204


def _made(site: Site, name: str) -> str:
    """Make a display of the site; returns what its link leads to."""
    with signed_in(site) as admin:
        made = admin.post("/api/devices", json={"name": name, "role": "display"}).json()
    return f"display#{made['token']}"


def _is_shown(page: Any) -> None:
    page.get_by_role("heading", level=1, name="demo").wait_for()
    page.get_by_text("Live", exact=True).wait_for()


def _newest(page: Any) -> str:
    newest: str = page.locator("section[aria-labelledby=recent] time").first.get_attribute(
        "datetime"
    )
    return newest


def test_an_admin_makes_a_display_and_takes_it_away(visit: Visit, site: Site) -> None:
    office, wall = visit(), visit(**WALL)
    office.sign_in("admin", "settings?view=displays")
    page = office.page
    page.get_by_text("No displays yet.").wait_for()
    page.get_by_role("button", name="Add display").click()
    page.get_by_label("Name").fill("guards-room")
    page.get_by_role("button", name="Add", exact=True).click()
    link = page.get_by_label("Link for the screen").input_value()
    assert link.startswith(f"{site.address}/ui/display#gated-device-")
    assert violations(page) == []
    page.get_by_role("button", name="Close").click()
    page.get_by_text("never seen").wait_for()
    assert violations(page) == []

    screen = wall.page
    screen.goto(link)
    _is_shown(screen)
    assert "#" not in screen.url
    assert screen.evaluate("document.cookie") == ""
    first = _newest(screen)
    screen.wait_for_function(
        "first => document.querySelector('#recent').closest('section').querySelector('time')"
        ".dateTime !== first",
        arg=first,
    )
    assert violations(screen) == []
    shown = screen.locator("main > .now").bounding_box()
    assert shown["width"] > 0.9 * WALL["viewport"]["width"], "all of the wall is used"
    for control in ("button", "a", "[onclick]"):
        assert screen.locator(control).count() == 0, "there is nothing to press"
    page.reload()
    page.get_by_text("shows the gate now").wait_for()

    page.get_by_role("button", name="Remove: guards-room").click()
    page.get_by_text("What it shows ends at once.").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    screen.get_by_text("This screen has no right to show the gate any more.").wait_for(
        timeout=10_000
    )
    assert screen.locator("canvas, section[aria-labelledby=recent]").count() == 0
    assert violations(screen) == []
    screen.reload()
    screen.get_by_label("Token of the device").wait_for()


def test_its_token_may_be_typed_and_another_is_refused(visit: Visit, site: Site) -> None:
    path = _made(site, "reception")
    visitor = visit(**WALL)
    page = visitor.page
    visitor.goto("display")
    page.get_by_role("heading", name="This screen as display").wait_for()
    for token, shown in ((site.token, "This token is not taken here."), (path, "")):
        page.get_by_label("Token of the device").fill(token.partition("#")[2] or token)
        page.get_by_label("Token of the device").press("Enter")
        if shown:
            page.get_by_text(shown).wait_for()
    _is_shown(page)
    page.reload()
    _is_shown(page)


def test_a_phone_and_other_languages(visit: Visit, site: Site) -> None:
    path = _made(site, "phone")
    visitor = visit(**PHONE)
    page = visitor.page
    visitor.goto(path)
    _is_shown(page)
    wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    assert violations(page) == []
    page.get_by_label("Language").select_option("fa")
    page.locator("html[lang=fa][dir=rtl]").wait_for()
    page.get_by_role("heading", name="آخرین تصمیم‌ها").wait_for()
    assert page.evaluate(wide) == 0
    assert violations(page) == []
    page.reload()
    page.get_by_role("heading", name="آخرین تصمیم‌ها").wait_for()


def test_it_is_not_offered_to_who_may_not_make_it(visit: Visit, site: Site) -> None:
    visitor = visit()
    visitor.sign_in("operator", "settings?view=displays")
    visitor.settle()
    assert visitor.page.get_by_role("tab", name="Displays").count() == 0
    assert visitor.page.get_by_role("button", name="Add display").count() == 0


@pytest.mark.parametrize("stream", ["events", "preview"])
def test_a_connection_that_hangs_is_begun_anew(browser: Any, site: Site, stream: str) -> None:
    """As after a suspend: the browser takes the connection for open, and hears nothing."""
    path = _made(site, f"hangs-{stream}")
    with browser.new_context(locale="en-GB", **WALL) as context:  # whose clock nobody else needs
        page = context.new_page()
        page.clock.install()
        if stream == "preview":
            page.route("**/api/display/preview", lambda route: None)  # is never answered
        visitor = Visitor(page, site)
        with page.expect_request(f"**/api/display/{stream}"):
            visitor.goto(path)
        page.get_by_role("heading", level=1, name="demo").wait_for()
        with page.expect_request(f"**/api/display/{stream}"):
            page.clock.fast_forward(LATER_MS)
        page.unroute_all(behavior="ignoreErrors")


def test_it_outlives_the_gate_that_was_killed_and_its_browser(browser: Any, tmp_path: Path) -> None:
    with (
        browser.new_context(locale="en-GB", **WALL) as context,
        running_site(tmp_path, killed=True) as site,
    ):
        path = _made(site, "wall")
        visitor = Visitor(context.new_page(), site)
        visitor.goto(path)
        page = visitor.page
        _is_shown(page)
        site.process.end(signal.SIGKILL)
        page.get_by_text("No connection to the gate.").wait_for()
        page.locator(".now.old").wait_for()
        page.get_by_text("nothing newer has come since").wait_for()
        with Process("--config", site.config) as again:
            assert address_of(again) == site.address
            page.get_by_text("No connection to the gate.").wait_for(state="hidden")
            _is_shown(page)
            assert page.locator(".now.old").count() == 0
            page.close()
            kept = context.storage_state()
            with browser.new_context(locale="en-GB", storage_state=kept, **WALL) as later:
                visitor = Visitor(later.new_page(), site)
                visitor.goto("display")
                _is_shown(visitor.page)
            assert again.end() == 0
