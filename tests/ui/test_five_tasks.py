"""Five things that somebody does who sees the pages for the first time, counted by clicks.

The table of docs/pages.md has what is allowed; `python -m pytest tests/ui/test_five_tasks.py -s`
prints it anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.enrollment.offices import portrait
from tests.ui.site import Site, Visitor, signed_in

Visit = Callable[..., Visitor]
PAGE = Path(__file__).parents[2] / "docs" / "pages.md"
ROW = re.compile(r"\| ([^|]+) \| (\d+) \| (\d+) \| (\d+) \|")


def allowed() -> dict[str, tuple[int, int, int]]:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {name: (int(clicks), int(keys), int(typed)) for name, clicks, keys, typed in rows}


class Hand:
    """Somebody's hand: clicks, keys that are pressed, and characters that are typed as text."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.clicks = self.keys = self.typed = 0

    def click(self, what: Any) -> None:
        what.click()
        self.clicks += 1

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.keys += 1

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)
        self.typed += len(text)

    def pick_file(self, what: Any, file: Path) -> None:
        """Click a button that asks for a file, and the file and `Open` in the system's window."""
        with self.page.expect_file_chooser() as asked:
            self.click(what)
        asked.value.set_files(file)
        self.clicks += 2


@pytest.fixture
def hand(visit: Visit, request: pytest.FixtureRequest) -> Iterator[Hand]:
    """A hand on the first page, as the operator; at the end it has done no more than allowed."""
    visitor = visit()
    visitor.sign_in("operator", "now")
    visitor.settle()
    hand = Hand(visitor.page)
    yield hand
    name = request.node.name.removeprefix("test_").replace("_", " ").capitalize()
    print(f"\n| {name} | {hand.clicks} | {hand.keys} | {hand.typed} |")
    most = allowed().get(name)
    assert most is not None, f"docs/pages.md does not name the task: {name}"
    done = (hand.clicks, hand.keys, hand.typed)
    assert all(n <= bound for n, bound in zip(done, most, strict=True)), f"{done}, not {most}"


def menu(page: Any, name: str) -> Any:
    return page.locator("nav.side").get_by_role("link", name=name)


def test_enrol_a_person_with_a_photo(hand: Hand, site: Site, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(portrait("biden"))
    page = hand.page
    hand.click(menu(page, "People"))
    hand.click(page.get_by_role("button", name="Add person"))
    page.get_by_role("dialog").wait_for()
    code = f"T-{datetime.now(UTC):%H%M%S}"
    for text, key in (("Barack", "Tab"), ("Task", "Tab"), (code, "Enter")):
        hand.type(text)
        hand.press(key)
    hand.click(page.get_by_role("button", name="Add photo").first)
    hand.pick_file(page.get_by_text("Choose photos"), photo)
    page.get_by_text("Photo added").wait_for()
    hand.click(page.get_by_role("dialog").get_by_role("button", name="Done"))
    with signed_in(site) as client:  # others want to meet this face for the first time, too
        person = client.get(f"/api/persons?q={code}").json()[0]["id"]
        assert client.delete(f"/api/persons/{person}").status_code == 200


def test_replace_a_card_that_was_lost(hand: Hand, site: Site) -> None:
    with signed_in(site) as client:
        person = client.get("/api/persons?q=Hopper").json()[0]["id"]
        for card in client.get(f"/api/persons/{person}/credentials").json():
            assert client.delete(f"/api/credentials/{card['id']}").status_code == 204
        given = {"kind": "card", "number": "0012346"}
        lost = client.post(f"/api/persons/{person}/credentials", json=given)
        assert lost.status_code == 201, lost.text
    page = hand.page
    hand.click(menu(page, "People"))
    hand.click(page.get_by_role("searchbox"))
    hand.type("hopp")
    hand.click(page.get_by_role("link", name="Grace Hopper"))
    hand.click(page.get_by_role("button", name="Lost: block"))
    page.get_by_text("Blocked").first.wait_for()
    hand.click(page.get_by_role("button", name="Add credential"))
    page.get_by_role("dialog").wait_for()
    hand.type("0078215")  # or hold the card to a reader that types
    hand.press("Enter")
    page.get_by_role("button", name="Lost: block").wait_for()
    with signed_in(site) as client:
        cards = client.get(f"/api/persons/{person}/credentials").json()
    assert sorted(c["is_active"] for c in cards) == [False, True]


def test_let_a_visitor_in_until_six(hand: Hand, site: Site) -> None:
    page = hand.page
    hand.click(menu(page, "People"))
    hand.click(page.get_by_role("button", name="Add visitor"))
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    until = dialog.get_by_label("Until (today)").input_value()
    for text, key in (("Vera", "Tab"), ("Visitor", "Enter")):
        hand.type(text)
        hand.press(key)
    page.get_by_role("heading", level=1, name="Vera Visitor").wait_for()
    with signed_in(site) as client:
        person = client.get("/api/persons?q=Vera").json()[0]["id"]
        access = client.get(f"/api/persons/{person}/access").json()
    now = datetime.now(UTC)
    assert access["visitor"]
    end = datetime.fromisoformat(access["valid_until"]).astimezone(UTC)
    assert f"{end:%H:%M}" == until
    assert until == ("18:00" if 1 <= now.hour < 17 else until)
    assert now < end < now + timedelta(days=1)


def test_take_the_times_of_last_month_as_a_table(hand: Hand, site: Site) -> None:
    page = hand.page
    hand.click(menu(page, "Attendance"))
    hand.click(page.get_by_role("button", name="Export"))
    with page.expect_download() as got:
        hand.click(page.get_by_role("dialog").get_by_role("button", name="Download"))
    assert got.value.suggested_filename == "days.xlsx"
    end = datetime.now(UTC).date().replace(day=1) - timedelta(days=1)
    assert f"from={end.replace(day=1)}&to={end}" in got.value.url


def test_say_why_this_person_was_refused(hand: Hand, site: Site) -> None:
    with signed_in(site) as client:
        person = client.get("/api/persons?q=zatopek").json()[0]["id"]
        assert client.patch(f"/api/persons/{person}/deactivate").status_code == 200
    page = hand.page
    hand.click(menu(page, "People"))
    hand.click(page.get_by_role("searchbox"))
    hand.type("zato")
    hand.click(page.get_by_role("link", name="Émile Zátopek"))
    page.get_by_role("region", name="May this person pass?").get_by_text(
        "refused: blocked"
    ).wait_for()
    with signed_in(site) as client:
        assert client.patch(f"/api/persons/{person}/activate").status_code == 200


def test_say_why_the_one_at_the_door_was_refused(hand: Hand) -> None:
    refused = hand.page.locator(".stream li").filter(has_text="Refused").first
    refused.wait_for(timeout=120_000)
    hand.click(refused.get_by_role("button"))
    hand.page.get_by_role("dialog").locator(".note").wait_for()  # what to do about it
