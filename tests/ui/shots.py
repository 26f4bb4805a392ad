"""Make pictures of every page in every theme and size: `python -m tests.ui.shots [NAME...]`.

They go to `screenshots/`, which is ignored, for somebody to look at.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.ui.site import ARGS, CHROMIUM, Visitor, require_browser, running_site

OUT = Path("screenshots")
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
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
    "directory": "settings?view=directory",
    "audit": "settings?view=audit",
    "jobs": "settings?view=jobs",
    "log-check": "settings?view=log",
    "backup": "settings?view=backup",
    "password": "settings?view=password",
}
"""Name -> address below /ui/."""

LOOKS = (("desk", "light", "en"), ("desk", "dark", "en"), ("phone", "light", "en"))
ALSO = (("phone", "dark", "de"), ("desk", "light", "fa"))


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
            if not names or "kiosk" in names:
                _shoot_kiosk(visitor, f"{size}-{language}", language)
            for line in visitor.said:
                print(f"{size} {theme} {language}: {line}")
            context.close()
        browser.close()


def _shoot_kiosk(visitor: Visitor, name: str, language: str) -> None:
    """Show the kiosk at rest, and each outcome if the demo comes to it in time."""
    sync_api = require_browser()
    visitor.page.context.clear_cookies()
    visitor.goto(f"kiosk?lang={language}#{visitor.site.token}")
    visitor.page.locator("canvas").wait_for()
    _shoot(visitor, f"kiosk-{name}")
    for state in ("granted", "denied"):
        try:
            visitor.page.locator(f"html[data-state={state}]").wait_for(timeout=60_000)
        except sync_api.TimeoutError:
            print(f"kiosk-{state}-{name}: nobody came")
            continue
        visitor.page.screenshot(path=OUT / f"kiosk-{state}-{name}.png")


def _shoot(visitor: Any, name: str) -> None:
    visitor.page.wait_for_timeout(400)  # pictures load after the page; nothing is tested here
    visitor.page.screenshot(path=OUT / f"{name}.png", full_page=True)


if __name__ == "__main__":
    main(sys.argv[1:])
