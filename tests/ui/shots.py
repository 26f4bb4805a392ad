"""Make pictures of every page in every theme and size: `python -m tests.ui.shots [NAME...]`.

They go to `screenshots/`, which is ignored, for somebody to look at.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ui.site import (
    ARGS,
    CHROMIUM,
    Site,
    Visitor,
    require_browser,
    running_site,
    signed_in,
)

OUT = Path("screenshots")
SIZES = {"desk": (1280, 900), "phone": (390, 844), "tablet": (820, 1180)}
SCREENS = {"upright": (800, 1280), "flat": (1280, 800), "small": (800, 480)}
"""Of kiosks."""
WALLS = {"wall": (1920, 1080), "phone": (390, 844)}
"""Of displays."""
PAGES = {
    "now": "now",
    "people": "people",
    "person": "people/2",
    "import": "people/import",
    "unknown": "people/unknown",
    "exceptions": "attendance",
    "day": "attendance?view=day",
    "log": "attendance?view=log",
    "months": "attendance?view=months",
    "requests": "attendance?view=requests",
    "week": "attendance/1",
    "rules": "rules",
    "schedules": "rules?view=schedules",
    "groups": "rules?view=groups",
    "holidays": "rules?view=holidays",
    "everybody": "rules?view=site",
    "alarms": "alarms",
    "setup": "setup",
    "setup-camera": "setup/camera",
    "setup-door": "setup/door",
    "setup-person": "setup/person",
    "setup-walk": "setup/walk",
    "gate": "settings?view=gate",
    "accounts": "settings?view=accounts",
    "devices": "settings?view=devices",
    "displays": "settings?view=displays",
    "directory": "settings?view=directory",
    "audit": "settings?view=audit",
    "jobs": "settings?view=jobs",
    "log-check": "settings?view=log",
    "backup": "settings?view=backup",
    "password": "settings?view=password",
}
"""Name -> address below /ui/."""

LOOKS = (("desk", "light", "en"), ("desk", "dark", "en"), ("phone", "light", "en"))
ALSO = (
    ("phone", "dark", "de"),
    ("tablet", "light", "fr"),
    ("desk", "light", "fa"),
    ("phone", "light", "ar"),
)

DIALOGS = {
    "lockdown": ("now", "Lockdown"),
    "door": ("now", "More"),
    "add-person": ("people", "Add person"),
    "add-visitor": ("people", "Add visitor"),
    "add-photo": ("people/2", "Add photo"),
    "limits": ("people/2", "Change"),
    "add-hours": ("rules?view=schedules", "Add hours"),
    "export": ("attendance", "Export"),
    "add-account": ("settings?view=accounts", "Add account"),
    "add-display": ("settings?view=displays", "Add display"),
}
"""Name -> the page and the button that opens it, in English."""

FINE = {"door": "locked", "mode": "normal", "fault": False}
KIOSK: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "idle": [],
    "hint": [("notice", {"code": "too_small"})],
    "step": [("notice", {"code": "turn_left", "done": 1, "steps": 3, "seconds_left": 9})],
    "granted": [("decision", {"outcome": "granted", "direction": "entry", "name": None})],
    "named": [("decision", {"outcome": "granted", "direction": "entry", "name": "Ada Byron"})],
    "goodbye": [("decision", {"outcome": "granted", "direction": "exit", "name": None})],
    "denied": [("decision", {"outcome": "denied", "direction": "entry", "name": None})],
    "lockdown": [("state", {**FINE, "mode": "lockdown"})],
    "fault": [("state", {**FINE, "fault": True})],
}
"""State -> what the gate tells to come to it."""


def main(names: list[str]) -> None:
    """Take the pictures of these pages, or of all."""
    OUT.mkdir(exist_ok=True)
    sync_api = require_browser()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_site(Path(folder)) as site,
        sync_api.sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGS))
        for size, theme, language in (*LOOKS, *ALSO):
            width, height = SIZES[size]
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=theme, locale="en-GB"
            )
            visitor = Visitor(context.new_page(), site)
            if size == "desk" and language == "en":
                visitor.goto()
                visitor.page.get_by_label("Password").wait_for()
                _shoot(visitor, f"sign-in-{size}-{theme}")
            visitor.sign_in("admin")
            for name, path in PAGES.items():
                if not names or name in names:
                    visitor.goto(f"{path}{'&' if '?' in path else '?'}lang={language}")
                    visitor.settle()
                    _shoot(visitor, f"{name}-{size}-{theme}-{language}")
            if language == "en":
                for name, (path, label) in DIALOGS.items():
                    if not names or name in names:
                        visitor.goto(path)
                        visitor.settle()
                        visitor.page.get_by_role("button", name=label).first.click()
                        visitor.page.get_by_role("dialog").wait_for()
                        _shoot(visitor, f"dialog-{name}-{size}-{theme}")
            for line in visitor.said:
                print(f"{size} {theme} {language}: {line}")
            context.close()
        _shoot_screens(browser, site, names)
        browser.close()


def _shoot_screens(browser: Any, site: Site, names: list[str]) -> None:
    """Take the pictures of kiosks and displays."""
    if not names or "kiosk" in names:
        for screen, (width, height) in SCREENS.items():
            for language in ("en", "ar", "de"):
                context = browser.new_context(viewport={"width": width, "height": height})
                _shoot_kiosk(Visitor(context.new_page(), site), f"{screen}-{language}", language)
                context.close()
    if not names or "display" in names:
        token = _display_of(site)
        for screen, (width, height) in WALLS.items():
            for language in ("en", "fa", "de"):
                context = browser.new_context(viewport={"width": width, "height": height})
                visitor = Visitor(context.new_page(), site)
                visitor.goto(f"display?lang={language}#{token}")
                visitor.settle()
                _shoot(visitor, f"display-{screen}-{language}")
                context.close()


def _display_of(site: Site) -> str:
    """Make a display; returns its token."""
    with signed_in(site) as admin:
        made = admin.post("/api/devices", json={"name": "reception", "role": "display"}).json()
    return str(made["token"])


def _shoot_kiosk(visitor: Visitor, name: str, language: str) -> None:
    """Show each state of the kiosk, by made events; then its pad, and what a stranger sees."""
    page = visitor.page
    visitor.goto("kiosk")
    page.get_by_role("button", name="Start").wait_for()
    _shoot(visitor, f"kiosk-enter-{name}")
    visitor.goto(f"kiosk?lang={language}#{visitor.site.token}")
    page.locator("canvas").wait_for(state="attached")
    for state, events in KIOSK.items():
        told = "".join(
            f"event: {kind}\ndata: {json.dumps(data)}\n\n"
            for kind, data in [("state", FINE), *events]
        )
        answer = {"status": 200, "content_type": "text/event-stream", "body": told}
        page.route("**/api/kiosk/events", _answering(answer))
        page.reload()
        page.locator("canvas").wait_for(state="attached")
        _shoot(visitor, f"kiosk-{state}-{name}")
        page.unroute("**/api/kiosk/events")
    page.route("**/api/kiosk/events", lambda route: route.abort())
    page.reload()
    page.locator("html[data-state=wait]").wait_for()
    _shoot(visitor, f"kiosk-wait-{name}")
    page.locator(".bottom button").first.click()
    _shoot(visitor, f"kiosk-pad-{name}")


def _answering(answer: dict[str, Any]) -> Callable[[Any], None]:
    return lambda route: route.fulfill(**answer)


def _shoot(visitor: Any, name: str) -> None:
    visitor.page.wait_for_timeout(400)  # pictures load after the page; nothing is tested here
    visitor.page.screenshot(path=OUT / f"{name}.png", full_page=True)


if __name__ == "__main__":
    main(sys.argv[1:])
