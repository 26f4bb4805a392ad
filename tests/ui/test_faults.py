"""What the pages do when an answer fails, comes late, or is asked for twice."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.fixtures.server import PASSWORD
from tests.ui.site import Site, Visitor, signed_in, violations
from tests.ui.test_words import LANGUAGES

Visit = Callable[..., Visitor]
SEEN = """el => {
  const box = el.getBoundingClientRect();
  return box.left >= 0 && box.right <= innerWidth;
}"""
TOO_WIDE = """() => [...document.querySelectorAll("td")]
  .filter(cell => cell.checkVisibility() && cell.scrollWidth > cell.clientWidth + 1)
  .map(cell => cell.textContent)"""
SPEAK = """async language => {
  const app = document.querySelector("script[src*=app]").src;
  await (await import(app.replace("app.js", "core/i18n.js"))).speak(language);
}"""
BUSY: dict[str, Any] = {"status": 503, "json": {"code": "busy", "detail": "busy"}}


def _hold(page: Any, pattern: str | re.Pattern[str]) -> list[Any]:
    """Let requests wait until the test lets them go on."""
    held: list[Any] = []
    page.route(pattern, lambda route: held.append(route))
    return held


def _until(page: Any, held: list[Any], count: int) -> None:
    for _ in range(600):
        if len(held) >= count:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{len(held)} requests came, not {count}")


def _person(site: Site, code: str, **more: Any) -> int:
    fields = {"first_name": "Fay", "last_name": code, "personnel_code": code, **more}
    with signed_in(site) as client:
        made: int = client.post("/api/persons", json=fields).raise_for_status().json()["id"]
    return made


def test_a_change_of_somebody_else_is_not_written_over(visit: Visit, site: Site) -> None:
    person = _person(site, "F-1")
    visitor = visit()
    visitor.sign_in("operator", f"people/{person}")
    page = visitor.page
    page.get_by_role("button", name="Edit").click()
    with signed_in(site) as client:
        client.put(f"/api/persons/{person}", json={"department": "Elsewhere"}).raise_for_status()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("First name").fill("Fayette")
    dialog.get_by_role("button", name="Save").click()
    dialog.get_by_text("Somebody else has changed this meanwhile").wait_for()
    assert dialog.get_by_label("First name").input_value() == "Fayette"
    with signed_in(site) as client:
        assert client.get(f"/api/persons/{person}").json()["department"] == "Elsewhere"


def test_figures_that_may_be_old_are_grey_and_say_since_when(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.route("**/api/gate/events", lambda route: route.abort())
    visitor.sign_in("operator", "now")
    page.get_by_role("status").filter(has_text=re.compile(r"As of \d\d:\d\d:\d\d")).wait_for()
    figure = page.locator(".facts dd").nth(1)
    grey = figure.evaluate("el => getComputedStyle(el).color")
    assert violations(page) == []
    page.unroute("**/api/gate/events")
    page.get_by_text("As of").wait_for(state="detached")
    assert figure.evaluate("el => getComputedStyle(el).color") != grey
    # the stream goes on, and the state does not come
    page.route("**/api/gate", lambda route: route.fulfill(**BUSY))
    with signed_in(visitor.site) as client:
        client.post("/api/gate/open", json={"reason": "so that there is news"}).raise_for_status()
    page.get_by_text("As of").wait_for()
    page.unroute("**/api/gate")
    page.get_by_text("As of").wait_for(state="detached")


def test_a_password_is_taken_as_it_was_typed(visit: Visit, site: Site) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in("admin", "settings?view=accounts")
    page.get_by_role("button", name="Add account").click()
    dialog = page.get_by_role("dialog")
    password = " four words and a space "
    dialog.get_by_label("Name").fill("spacious")
    dialog.get_by_label("Password").fill(password)
    dialog.get_by_role("button", name="Add", exact=True).click()
    dialog.wait_for(state="detached")
    given = {"username": "spacious", "password": password}
    answer = httpx.post(f"{site.address}/api/auth/login", json=given, trust_env=False, timeout=60)
    assert answer.status_code == 200


def test_two_clicks_are_one_act_and_a_failure_is_said(visit: Visit, site: Site) -> None:
    day = "2031-05-01"
    with signed_in(site) as client:
        client.put(f"/api/access/holidays/{day}", json={"name": "May Day"}).raise_for_status()
    visitor = visit()
    visitor.sign_in("operator", "rules?view=holidays")
    page = visitor.page
    held = _hold(page, "**/api/access/holidays/*")
    row = page.get_by_role("listitem").filter(has_text="May Day")
    row.get_by_role("button", name="Remove").dblclick()
    _until(page, held, 1)
    page.wait_for_timeout(200)
    assert len(held) == 1
    held[0].fulfill(**BUSY)
    page.get_by_text("The gate is busy.").wait_for()
    page.unroute("**/api/access/holidays/*")
    row.get_by_role("button", name="Remove").click()
    page.get_by_text("No holidays yet.").wait_for()


def test_what_a_button_needs_first_may_fail(visit: Visit, site: Site) -> None:
    person = _person(site, "F-2")
    visitor = visit()
    visitor.sign_in("operator", f"people/{person}")
    page = visitor.page
    page.route("**/api/groups", lambda route: route.fulfill(**BUSY))
    page.get_by_role("region", name="Groups").get_by_role("button", name="Change").click()
    page.get_by_text("The gate is busy.").wait_for()


def test_more_about_people_that_does_not_come_is_said_and_asked_for_again(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.route("**/api/persons/overview*", lambda route: route.fulfill(**BUSY))
    visitor.sign_in("viewer", "people")
    page.get_by_role("alert").filter(has_text="The gate is busy.").wait_for()
    page.unroute("**/api/persons/overview*")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("row", name="Ada Byron").get_by_text("Without photo").wait_for()
    assert page.get_by_role("cell", name="…").count() == 0


def test_an_older_answer_of_a_search_is_dropped(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("viewer", "rules?view=try")
    page = visitor.page
    held = _hold(page, re.compile(r"/api/persons\?q=hop&"))
    page.get_by_role("searchbox").fill("hop")
    _until(page, held, 1)
    page.get_by_role("searchbox").fill("byron")
    page.get_by_role("radio", name=re.compile("Ada Byron")).wait_for()
    held[0].continue_()
    page.wait_for_timeout(300)
    assert page.get_by_role("radio").count() == 1
    page.get_by_role("radio", name=re.compile("Ada Byron")).wait_for()
    page.get_by_role("button", name="May this person pass then?").click()
    page.get_by_text("Would be let in").wait_for()
    page.get_by_role("searchbox").fill("nobodyatall")
    page.get_by_text("Nobody matches “nobodyatall”.").wait_for()
    assert page.get_by_text("Would be let in").count() == 0  # it was said of somebody else


def test_a_screen_that_comes_late_does_not_take_the_place_of_another(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("operator", "people")
    page = visitor.page
    page.get_by_role("link", name="Ada Byron").wait_for()
    held = _hold(page, "**/screens/rules.js")
    page.evaluate(
        """() => {
          const go = name => document.querySelector(`nav.side a[href$="${name}"]`).click();
          go("rules");
          go("people");
        }"""
    )
    page.get_by_role("link", name="Ada Byron").wait_for()
    page.wait_for_timeout(300)
    page.get_by_role("link", name="Ada Byron").wait_for()
    held[0].continue_()
    page.wait_for_timeout(300)
    page.get_by_role("link", name="Ada Byron").wait_for()
    assert page.locator(".skeleton").count() == 0


def test_the_link_of_a_page_shows_all_of_it_again(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("viewer", "people?q=hop")
    page = visitor.page
    page.get_by_text("1 person", exact=True).wait_for()
    page.get_by_role("navigation").get_by_role("link", name="People").first.click()
    page.get_by_role("link", name="Ada Byron").wait_for()
    assert page.get_by_role("searchbox").input_value() == ""


def test_a_language_and_a_new_session_leave_the_picture_to_this_window(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("operator", "now")
    page = visitor.page
    page.get_by_text("Live", exact=True).wait_for()
    page.get_by_label("Language").first.select_option("de")
    page.locator("html[lang=de]").wait_for()
    page.locator(".view:not(.stale) .dot").wait_for()
    assert page.get_by_text("in einem anderen Fenster").count() == 0


def test_who_stands_on_a_row_stays_there_when_more_comes(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("operator", "now")
    page = visitor.page
    page.locator(".stream li").first.wait_for()
    page.locator(".stream button").first.focus()
    was = page.evaluate("document.activeElement.querySelector('time').dateTime")
    newer = "was => document.querySelector('.stream time').dateTime !== was"
    page.wait_for_function(newer, arg=was)
    assert page.evaluate("document.activeElement.querySelector('time')?.dateTime") == was


def test_the_focus_stays_on_what_is_shown_anew(visit: Visit, site: Site) -> None:
    person = _person(site, "F-3")
    visitor = visit()
    visitor.sign_in("operator", f"people/{person}")
    page, keys = visitor.page, visitor.page.keyboard
    focused = "document.activeElement.textContent"
    page.get_by_role("button", name="Block", exact=True).focus()
    keys.press("Enter")
    page.get_by_role("button", name="Let pass again").wait_for()
    assert page.evaluate(focused) == "Let pass again"
    page.get_by_role("button", name="Edit").focus()
    keys.press("Enter")
    page.get_by_role("dialog").get_by_label("Department").fill("Focus")
    keys.press("Enter")
    page.get_by_text("F-3 · Focus").wait_for()
    assert page.evaluate(focused) == "Edit"
    visitor.goto(f"attendance/{person}")
    page.get_by_role("button", name="Back").focus()
    for _ in range(2):
        week = page.locator(".sub").inner_text()
        keys.press("Enter")
        page.wait_for_function(
            "was => ![was, undefined].includes(document.querySelector('.sub')?.innerText)", arg=week
        )
        assert page.evaluate(focused) == "Back"


def test_who_has_seen_to_an_alarm_stands_at_the_next(visit: Visit, site: Site) -> None:
    visitor = visit()
    at = "2026-01-01T00:00:00Z"
    alarm = {
        "severity": "alarm", "count": 1, "detail": {}, "raised_at": at, "last_at": at,
        "acknowledged_at": None, "acknowledged_by": None,
    }  # fmt: skip
    there = [{**alarm, "id": n, "kind": kind} for n, kind in enumerate(("door_forced", "disk_low"))]
    visitor.page.route("**/api/alarms?*", lambda route: route.fulfill(json=there))

    def seen(route: Any) -> None:
        there.pop(0)
        route.fulfill(json={**alarm, "id": 0})

    visitor.page.route("**/api/alarms/*/acknowledge", seen)
    visitor.sign_in("operator", "alarms")
    page = visitor.page
    page.get_by_role("button", name="Seen to").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_label("Note").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("main").get_by_text("Door forced").wait_for(state="detached")
    assert "Disk nearly full" in page.evaluate("document.activeElement.textContent")
    assert page.evaluate("document.activeElement.tagName") == "LI"
    # and one that comes meanwhile is shown without a reload
    there.append({**alarm, "id": 7, "kind": "door_tamper", "detail": {"detail": "cover is off"}})
    page.get_by_role("main").get_by_text("Tampering").wait_for()
    # what the program says in English alone is marked so, for pages in other languages
    page.locator("main bdi[lang=en][dir=ltr]", has_text="cover is off").wait_for()


def test_an_alarm_and_a_clock_in_doubt_speak_the_language_of_the_page(visit: Visit) -> None:
    visitor, at = visit(), "2026-01-01T00:00:00Z"
    page = visitor.page
    alarm = {
        "id": 1, "severity": "alarm", "count": 1, "raised_at": at, "last_at": at,
        "acknowledged_at": None, "acknowledged_by": None,
    }  # fmt: skip
    disk: dict[str, Any] = {"detail": "200 MiB free", "free_mib": 200}
    there = [
        {**alarm, "kind": "disk_low", "detail": disk},
        {**alarm, "kind": "reader_lost", "detail": {"detail": "No such device"}},
    ]
    page.route("**/api/alarms?*", lambda route: route.fulfill(json=there))

    def leapt(route: Any) -> None:
        answer = route.fetch()
        why = {"clock": "doubtful", "clock_doubt": "the clock was set by 2 hours"}
        named = {"clock_reason": "leapt", "clock_off_s": 7200}
        route.fulfill(response=answer, json={**answer.json(), **why, **named})

    page.route("**/api/gate", leapt)
    visitor.sign_in("operator", "alarms?lang=fa")
    page.get_by_role("main").get_by_text("۲۰۰").filter(has_text="مبی‌بایت آزاد است").wait_for()
    assert page.get_by_text("MiB").count() == 0
    page.locator("main bdi[lang=en][dir=ltr]", has_text="No such device").wait_for()
    banner = page.locator(".banner", has_text="ساعت مشکوک است")
    banner.filter(has_text="۲ ساعت").wait_for()
    assert not re.search("[A-Za-z]", banner.inner_text())


def test_an_empty_date_leaves_that_side_of_the_log_open(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("viewer", "attendance?view=log&from=soon&to=2026-02-31")
    page = visitor.page
    with page.expect_request(re.compile(r"/api/attendance\?(?!.*from=)")):
        page.get_by_label("From").fill("")
        page.get_by_label("From").blur()
    visitor.settle()


def test_the_same_photo_may_be_chosen_again(visit: Visit, site: Site) -> None:
    person = _person(site, "F-4")
    visitor = visit()
    visitor.sign_in("operator", f"people/{person}")
    page = visitor.page
    asked: list[Any] = []

    def refuse(route: Any) -> None:
        asked.append(route)
        route.fulfill(status=422, json={"code": "no_face", "detail": ""})

    page.route("**/api/enrollment", refuse)
    page.get_by_role("button", name="Add photo").first.click()
    photo = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"x"}
    for n in (1, 2):
        page.locator("#photo-file").set_input_files(photo)
        page.get_by_text("No face was found").wait_for()
        _until(page, asked, n)
        assert page.locator("#photo-file").evaluate("el => el.files.length") == 0


def test_an_import_goes_on_after_a_look_that_failed(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    job = {
        "id": 4711, "kind": "import", "state": "running", "done": 1, "total": 3, "detail": "",
        "actor": "the-operator", "started_at": "2026-01-01T00:00:00Z", "report": {},
    }  # fmt: skip
    answers: list[dict[str, Any]] = [
        {"json": job},
        BUSY,
        {"json": job},
        {"json": {**job, "state": "done", "done": 3}},
    ]
    page.route(
        "**/api/jobs/4711",
        lambda route: route.fulfill(**(answers.pop(0) if len(answers) > 1 else answers[0])),
    )
    visitor.sign_in("operator", "people/import?job=4711")
    page.get_by_text("Everybody was imported.").wait_for()
    assert page.get_by_role("alert").filter(has_text="busy").count() == 0
    assert "job=4711" in page.url


def test_a_last_day_is_that_day_wherever_the_site_is(visit: Visit, site: Site) -> None:
    leaves = (datetime.now(UTC) + timedelta(days=40)).date()
    person = _person(site, "F-5", leaves_on=leaves.isoformat())
    visitor = visit()
    page = visitor.page

    def far(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "timezone": "Pacific/Kiritimati"})

    page.route("**/api/meta", far)
    page.route("**/api/access/rules", far)
    visitor.sign_in("viewer", f"people/{person}")
    page.get_by_text(f"Until {leaves.day} {leaves:%b %Y}").wait_for()


def test_a_visitor_who_was_half_made_is_not_made_twice(visit: Visit, site: Site) -> None:
    visitor = visit()
    visitor.sign_in("operator", "people")
    page = visitor.page
    page.route("**/api/persons/*/access", lambda route: route.fulfill(**BUSY))
    page.get_by_role("button", name="Add visitor").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("First name").fill("Half")
    dialog.get_by_label("Last name").fill("Made")
    dialog.get_by_label("Until").fill("23:59")
    dialog.get_by_role("button", name="Add").click()
    dialog.get_by_text("The gate is busy.").wait_for()
    page.unroute("**/api/persons/*/access")
    dialog.get_by_label("Last name").fill("Whole")
    dialog.get_by_role("button", name="Add").click()
    page.get_by_role("heading", level=1, name="Half Whole").wait_for()
    with signed_in(site) as client:
        made = client.get("/api/persons", params={"q": "half"}).json()
        assert [p["last_name"] for p in made] == ["Whole"]
        assert client.get(f"/api/persons/{made[0]['id']}/access").json()["visitor"]


def test_a_stroke_that_began_elsewhere_draws_no_hours(visit: Visit) -> None:
    visitor = visit()
    visitor.sign_in("admin", "rules?view=schedules")
    page = visitor.page
    page.get_by_role("button", name="Add hours").click()
    dialog = page.get_by_role("dialog")
    dialog.locator(".band").nth(6).scroll_into_view_if_needed()
    band = dialog.locator(".band").nth(6).bounding_box()
    page.mouse.move(dialog.bounding_box()["x"] + 5, band["y"] + 5)
    page.mouse.down()
    page.mouse.move(band["x"] + band["width"] / 2, band["y"] + 5)
    page.mouse.up()
    assert dialog.get_by_label("Sunday").input_value() == ""
    page.mouse.move(band["x"] + band["width"] / 4, band["y"] + 5)
    page.mouse.down()
    page.mouse.move(band["x"] + band["width"] / 2, band["y"] + 5)
    page.mouse.up()
    assert dialog.get_by_label("Sunday").input_value() == "06:00-12:00"


def test_the_audit_is_said_in_words_and_asked_by_what_was_done(visit: Visit, site: Site) -> None:
    person = _person(site, "F-6")
    with signed_in(site, "operator") as client:
        client.put(f"/api/persons/{person}", json={"department": "Words"}).raise_for_status()
    visitor = visit()
    visitor.sign_in("auditor", "settings?view=audit")
    page = visitor.page
    page.get_by_label("Act").select_option(label="Person changed")
    row = page.get_by_role("row", name=re.compile("Person changed.*F-6"))
    row.get_by_text("Changed: Department").wait_for()
    assert "kind=person_changed" in page.url
    shown = row.locator("td").last
    assert "fields" not in shown.inner_text()
    shown.get_by_text("The whole row").click()
    shown.get_by_text('"fields"').wait_for()
    with signed_in(site, "operator") as client:
        given = client.post(f"/api/persons/{person}/credentials", json={"kind": "qr"})
        given.raise_for_status()
        form = {"notice_version": "2026-1", "given_at": "2026-01-01", "method": "signed form"}
        client.put(f"/api/persons/{person}/consent", json=form).raise_for_status()
    visitor.goto("settings?view=audit&kind=credential_given&lang=de")
    row = page.get_by_role("row", name=re.compile("F-6"))
    row.get_by_text("Geändert: Ausweis (QR)", exact=True).wait_for()
    visitor.goto("settings?view=audit&kind=consent_given&lang=de")
    row = page.get_by_role("row", name=re.compile("F-6"))
    row.get_by_text(re.compile("^Geändert: .*Erteilt, .*Hinweis")).wait_for()
    assert "_" not in row.locator(".small.muted").last.inner_text()


@pytest.mark.parametrize(("role", "title"), [("auditor", "Settings"), ("self", "My times")])
def test_who_sees_nothing_of_the_gate_is_shown_their_own_and_asks_for_no_more(
    visit: Visit, role: str, title: str
) -> None:
    visitor = visit()
    page = visitor.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visitor.sign_in(role)
    page.get_by_role("heading", level=1, name=title).wait_for()
    visitor.settle()
    assert [url for url in asked if url.endswith("/api/gate/events")] == []
    # whoever signs in next at this screen is told of the gate
    page.get_by_role("button", name="Sign out").click()
    with page.expect_request("**/api/gate/events"):
        page.get_by_label("Name").fill("the-viewer")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()


def test_no_cell_of_a_list_runs_into_the_next_on_a_phone(visit: Visit, site: Site) -> None:
    """Of somebody with a long name, with a picture at each passage, in every language."""
    leaves = datetime.now(UTC).date() + timedelta(days=40)
    named = {"first_name": "Bartholomew", "last_name": "Featherstonehaugh", "department": "Running"}
    person = _person(site, "EMP-00012345", leaves_on=leaves.isoformat(), **named)
    with signed_in(site) as client:
        passed = {"person_id": person, "direction": "entry", "reason": "seen by the porter"}
        at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        client.post("/api/attendance", json={**passed, "created_at": at}).raise_for_status()
        picture = client.get("/api/gate/snapshots").json()[-1]["id"]
    visitor = visit(viewport={"width": 360, "height": 844})
    page = visitor.page

    def pictured(route: Any) -> None:
        (rows,) = parse_qs(urlsplit(route.request.url).query)["ids"]
        kept = [{"attendance_id": int(n), "snapshot_id": picture} for n in rows.split(",")]
        route.fulfill(json=kept)

    page.route("**/api/gate/pictures?*", pictured)
    visitor.sign_in("admin")
    seen = {
        "settings?view=audit": "td",
        "attendance?view=log": "td .shot",
        "people": ".list .chips .chip",
    }
    for path, last in seen.items():
        visitor.goto(path)
        for language in LANGUAGES:
            page.evaluate(SPEAK, language)
            page.locator(f"html[lang={language}] {last}").first.wait_for()
            visitor.settle()
            assert page.evaluate(TOO_WIDE) == [], (path, language)


@pytest.mark.parametrize("size", [{"width": 390, "height": 844}, {"width": 360, "height": 700}])
def test_the_views_of_a_page_are_one_row_on_a_phone(visit: Visit, size: dict[str, int]) -> None:
    visitor = visit(viewport=size)
    visitor.sign_in("admin", "settings?view=password")
    page = visitor.page
    bar = page.get_by_role("navigation", name="Settings")
    bar.wait_for()
    assert bar.bounding_box()["height"] < 60
    shown = bar.locator("[aria-current]")
    shown.wait_for()
    page.wait_for_function(
        SEEN,
        arg=shown.element_handle(),
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
