"""The first start, by pages alone: from the one-time code to the first person who is let in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gated.bench.site import SIZE, film
from gated.config import load
from gated.devices.demo_scene import Portrait, WalkPace, walk_ups
from gated.vision.decoding import decode
from tests.assets import require_assets
from tests.e2e.process import Process, demo_config, gated
from tests.enrollment.offices import kit_of, portrait
from tests.fixtures.server import PASSWORD
from tests.ui.site import FPS, Site, Visitor, address_of, free_port, violations

LONG_MS = 180_000
"""For what begins with a start of the gate, or waits for somebody to walk up to it."""


def one_who_stands_long(file: Path) -> Path:
    """One person who walks up, stays for as long as an enrollment takes, and goes."""
    kit = kit_of("sface")
    image = decode(portrait("obama3"))
    (face,) = kit.models.detector.detect(image)
    walker = Portrait(image, face.box, face.eye_distance, held=False)
    pace = WalkPace(walk_s=1.5, stand_s=12.0, pause_s=2.0)
    return film(walk_ups([walker], SIZE, FPS, pace=pace), file, FPS)


@pytest.fixture
def new_gate(browser: Any, tmp_path: Path) -> Iterator[tuple[Visitor, str, Path]]:
    """A gate that was never started before, whose people are all strangers; its code, its file."""
    require_assets("default", "demo")
    config = demo_config(tmp_path)
    text = config.read_text().replace("demo: true}", "demo: false}  # nobody is enrolled")
    text = text.replace("port: 0", f"port: {free_port()}")
    text = text.replace("source: demo", f"source: {one_who_stands_long(tmp_path / 'one.avi')}")
    config.write_text(text + "sync: {trial_s: 2, take_over_within_s: 2}\n")
    with (
        Process("--config", config) as process,
        browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900}) as context,
    ):
        site = Site(address_of(process), process, config, "")
        # a gate without a screen shows its code to whoever asks for it there
        shown = gated("user", "setup-code", "--config", config).stdout
        code = re.search(r"\w{4}(-\w{4}){3}", shown)
        assert code is not None
        visitor = Visitor(context.new_page(), site)
        yield visitor, code[0], config
        assert (visitor.said, visitor.asked) == ([], [])
        assert process.end() == 0


@pytest.mark.timeout(600)  # two starts of a gate, and people who walk up at their own pace
def test_from_the_code_to_the_first_grant_without_a_terminal(
    new_gate: tuple[Visitor, str, Path],
) -> None:
    visitor, code, config = new_gate
    page = visitor.page
    _become_administrator(visitor, code)

    page.get_by_role("textbox", name="Name").fill("Nordtor")
    page.get_by_label("Who passes here").select_option("entry")
    page.get_by_label("Time zone").select_option("Europe/Berlin")
    assert violations(page) == []
    page.get_by_role("button", name="Save and go on").click()

    # meanwhile the gate starts anew; the page goes on by itself
    page.get_by_role("heading", name="Camera", exact=True).wait_for()
    page.get_by_text("The new settings work and are written down.").wait_for(timeout=LONG_MS)
    settings = load(config, {})
    assert (settings.gate.name, settings.attendance.direction) == ("Nordtor", "entry")
    assert settings.gate.timezone == "Europe/Berlin"
    assert "# nobody is enrolled" in config.read_text()

    page.locator(".view:not(.stale)").wait_for(timeout=LONG_MS)
    page.get_by_role("button", name="180°").click()
    page.locator(".turn-180").wait_for()
    page.get_by_role("button", name="0°", exact=True).click()
    page.locator(".turn-0").wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Save and go on").click()

    _test_the_door(page)
    assert violations(page) == []
    page.get_by_role("link", name="Next").click()

    page.get_by_role("button", name="Add person").click()
    dialog = page.get_by_role("dialog")
    for label, given in (("First name", "Ada"), ("Last name", "Byron"), ("Personnel code", "A-1")):
        dialog.get_by_label(label).fill(given)
    dialog.get_by_role("button", name="Add").click()
    page.get_by_text("Ada Byron").wait_for()
    _enrol_at_the_gate(page)
    assert violations(page) == []
    page.get_by_role("link", name="Next").click()

    page.get_by_text("Let in. The gate works.").wait_for(timeout=LONG_MS)
    page.get_by_role("listitem").filter(has_text="Ada Byron").first.wait_for()
    page.get_by_role("link", name="Finish").click()
    page.get_by_role("heading", level=1, name="Now").wait_for()


def _become_administrator(visitor: Visitor, code: str) -> None:
    page = visitor.page
    page.goto(f"{visitor.site.address}/")
    for label, text in (("One-time code", code), ("Name", "ada"), ("Password", PASSWORD)):
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Create and sign in").click()
    page.get_by_role("heading", level=1, name="Set up the gate").wait_for()


def _test_the_door(page: Any) -> None:
    """The lock is moved and seen; a contact that does not move stays open to be tried."""
    lock = page.get_by_role("listitem").filter(has_text="Lock")
    lock.get_by_role("button", name="Open door").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("door test")
    dialog.get_by_role("button", name="Open door").click()
    lock.get_by_text("opened · locked again").wait_for()
    contact = page.get_by_role("listitem").filter(has_text="Door contact")
    assert contact.locator(".mark.ok").count() == 0
    assert lock.locator(".mark.ok").count() == 1


def _enrol_at_the_gate(page: Any) -> None:
    """Whoever walks up next; who leaves too soon is followed by the next one."""
    step = page.locator("section[aria-labelledby=step]")
    for _ in range(5):
        page.get_by_role("button", name="Start").click()
        done = step.get_by_text("Photo added")
        failed = step.get_by_role("alert")
        done.or_(failed).first.wait_for(timeout=LONG_MS)
        if done.count():
            return
    pytest.fail(f"nobody could be enrolled: {failed.first.inner_text()}")
