"""The pages without a mouse and without eyes: by keyboard alone, and as a screen reader reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from gated.enrollment.models import INSTALLED
from tests.ui.site import WAIT_MS, Site, Visitor, signed_in, violations

Visit = Callable[..., Visitor]

NOW = """
- main:
  - heading "Now" [level=1]
  - region "The camera's picture":
    - img "The camera's picture"
    - status
    - button "Open door"
    - button "Lockdown"
    - button "More"
  - term: Inside
  - term: Let in
  - term: Refused
  - term: Clock
  - region "Last decisions":
    - heading "Last decisions" [level=2]
"""
PEOPLE = """
- main:
  - heading "People" [level=1]
  - status: /\\d+ (person|people)/
  - button "Add person"
  - searchbox "Search name, code, department"
  - combobox "Show"
  - combobox "Groups"
  - group "Several people at once":
    - checkbox "Choose all shown"
  - region "People":
    - table "People":
      - rowgroup:
        - row "Name Status Groups Last seen"
      - rowgroup:
        - row /Ada Byron A-1 · Mathematics/:
          - cell /^Choose A-1 Ada Byron A-1 · Mathematics/:
            - checkbox "Choose A-1"
            - link "Ada Byron"
          - cell "Active"
"""
"""What a screen reader reads, in this order, whatever stands between."""


@pytest.mark.parametrize(("path", "tree"), [("now", NOW), ("people", PEOPLE)])
def test_a_screen_reader_reads_the_page_in_order(visit: Visit, path: str, tree: str) -> None:
    visitor = visit()
    visitor.sign_in("operator", path)
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(visitor.page.locator("body")).to_match_aria_snapshot(tree, timeout=WAIT_MS)


def test_a_lockdown_and_its_end_by_keyboard_alone(visit: Visit, site: Site) -> None:
    visitor = visit()
    visitor.sign_in("operator", "now")
    page, keys = visitor.page, visitor.page.keyboard
    for name, reason, mode in (
        ("Lockdown", "somebody shouts", "lockdown"),
        ("Back to normal", "it was a play", "normal"),
    ):
        visitor.tab_to(page.get_by_role("button", name=name))
        keys.press("Enter")
        page.get_by_role("dialog").wait_for()
        keys.type(reason)  # the dialog begins in its field
        keys.press("Enter")
        page.get_by_role("dialog").wait_for(state="detached")
        with signed_in(site, "viewer") as client:
            assert client.get("/api/gate").json()["door_mode"] == mode
    # and the focus is where it was, not lost
    assert page.evaluate("document.activeElement !== document.body")


def test_the_door_is_opened_with_a_reason_by_keyboard_alone(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("operator", "now")
    page, keys = visitor.page, visitor.page.keyboard
    opens = page.get_by_role("button", name="Open door")
    visitor.tab_to(opens)
    keys.press("Enter")
    page.get_by_role("dialog").wait_for()
    keys.press("Enter")  # without a reason nothing is done
    assert page.get_by_role("dialog").count() == 1
    keys.type("a parcel")
    keys.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_text("The door opens for").wait_for()
    assert opens.evaluate("el => el === document.activeElement")


def test_a_person_is_erased_by_keyboard_alone(visit: Visit, site: Site) -> None:
    fields = {"first_name": "Gone", "last_name": "Soon", "personnel_code": "K-9"}
    with signed_in(site, "admin") as client:
        person = client.post("/api/persons", json=fields).json()["id"]
    visitor = visit()
    visitor.sign_in("admin", f"people/{person}")
    page, keys = visitor.page, visitor.page.keyboard
    visitor.tab_to(page.get_by_role("button", name="Erase"))
    keys.press("Enter")
    page.get_by_role("dialog").wait_for()
    keys.type("K-9")
    keys.press("Enter")
    receipt = page.get_by_role("dialog", name="Receipt")
    receipt.wait_for()
    visitor.tab_to(receipt.get_by_role("button", name="Close"))
    keys.press("Enter")
    page.get_by_role("heading", level=1, name="People").wait_for()
    with signed_in(site, "admin") as client:
        assert client.get(f"/api/persons/{person}").status_code == 404


def test_arrows_go_through_a_list_and_a_filter_is_kept_under_a_name(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("operator", "people?only=without_photo")
    page, keys = visitor.page, visitor.page.keyboard
    expect = pytest.importorskip("playwright.sync_api").expect
    links = page.get_by_role("table", name="People").get_by_role("link")
    links.nth(2).wait_for()
    page.get_by_role("searchbox").focus()
    for key, at in (("ArrowDown", 0), ("ArrowDown", 1), ("ArrowUp", 0), ("End", -1), ("Home", 0)):
        keys.press(key)
        expect(links.nth(at)).to_be_focused()
    keys.press("Shift+Tab")
    keys.press("ArrowDown")  # from a box to the next row's box, which Enter opens
    box = page.get_by_role("table", name="People").get_by_role("checkbox").nth(1)
    expect(box).to_be_focused()

    saved = page.get_by_label("Saved filters")
    expect(saved).to_have_count(0)
    page.get_by_role("button", name="Save filter").click()
    keys.type("No photo")
    assert violations(page) == []
    keys.press("Enter")
    expect(saved.locator("option:checked")).to_have_text("No photo")
    page.get_by_label("Show", exact=True).select_option("left")
    expect(saved.locator("option:checked")).to_have_text("No photo (changed)")
    page.reload()
    saved.select_option("No photo")
    expect(page.get_by_label("Show", exact=True)).to_have_value("without_photo")
    assert violations(page) == []
    page.get_by_role("button", name="Forget filter").click()
    expect(saved).to_have_count(0)

    box.focus()
    name = links.nth(1).text_content()
    keys.press("Enter")
    page.get_by_role("heading", level=1, name=name).wait_for()


@pytest.mark.long
def test_a_photo_is_enrolled_by_keyboard_alone(visit: Visit, site: Site) -> None:
    fields = {"first_name": "Kay", "last_name": "Board", "personnel_code": "K-1"}
    with signed_in(site, "admin") as client:
        person = client.post("/api/persons", json=fields).json()["id"]
    visitor = visit()
    visitor.sign_in("operator", f"people/{person}")
    page, keys = visitor.page, visitor.page.keyboard
    visitor.tab_to(page.get_by_role("button", name="Add photo").first)
    keys.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    visitor.tab_to(page.locator("#photo-file"))
    with page.expect_file_chooser() as caught:
        keys.press("Space")
    caught.value.set_files(INSTALLED / "biden.jpg")
    dialog.get_by_text("Photo added").wait_for()
    assert violations(page) == []
    visitor.tab_to(dialog.get_by_role("button", name="Done"))
    keys.press("Enter")
    page.get_by_role("img", name="Photo 1 of Kay Board").wait_for()
    with signed_in(site, "admin") as client:
        assert client.delete(f"/api/persons/{person}").status_code == 200


@pytest.mark.long
def test_a_punch_is_corrected_by_keyboard_alone(visit: Visit, site: Site) -> None:
    with signed_in(site, "operator") as client:
        person = client.get("/api/persons", params={"q": "Z-7"}).json()[0]["id"]
        at = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        body = {"person_id": person, "direction": "entry", "reason": "by hand", "created_at": at}
        row = client.post("/api/attendance", json=body).json()["id"]
    visitor = visit()
    visitor.sign_in("operator", f"attendance/{person}")
    page, keys = visitor.page, visitor.page.keyboard
    visitor.tab_to(page.get_by_role("button", name="Correct").first)
    keys.press("Enter")
    visitor.tab_to(page.get_by_label("It was no passage"))
    keys.press("Space")
    assert violations(page) == []
    visitor.tab_to(page.get_by_role("dialog").get_by_label("Reason"))
    keys.type("it was somebody else")
    keys.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")
    with signed_in(site, "operator") as client:
        assert client.get(f"/api/attendance/{row}").json()["versions"][-1]["status"] == "void"
